"""Pictures and Model Garden's operations, for comparison."""

import math

import numpy as np
import skimage.data
import tensorflow as tf
from official.vision.ops import augment as reference

GREY = [128, 128, 128]


def photograph(height: int = 120, width: int = 160) -> np.ndarray:
    """A piece of a real photograph, with the face and the edges of a flag in it."""
    image = skimage.data.astronaut()[20 : 20 + 3 * height : 3, 100 : 100 + 2 * width : 2]
    assert image.shape == (height, width, 3)
    return np.ascontiguousarray(image)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], dtype=np.uint8)


def pictures() -> dict[str, np.ndarray]:
    """The pictures every operation is compared on; the odd sizes find half-pixel errors."""
    flat = np.full([6, 5, 3], 200, np.uint8)
    return {'photograph': photograph(), 'noise': noise(7, 11), 'flat': flat, 'row': noise(3, 40)}


def boxes_for(image: np.ndarray) -> np.ndarray:
    """Boxes in the middle, over an edge's neighbourhood, in each corner, and the whole image."""
    height, width = image.shape[:2]
    fractions = [
        [0.3, 0.35, 0.7, 0.6],
        [0.0, 0.0, 0.1, 0.08],
        [0.9, 0.92, 1.0, 1.0],
        [0.0, 0.9, 0.15, 1.0],
        [0.0, 0.0, 1.0, 1.0],
        [0.45, 0.02, 0.55, 0.98],
    ]
    return (np.array(fractions) * [height, width, height, width]).astype(np.float32)


def normalized(boxes: np.ndarray, image: np.ndarray) -> tf.Tensor:
    height, width = image.shape[:2]
    return tf.constant(boxes / np.array([height, width, height, width], np.float32))


def reference_transform(name: str, argument: float, image: np.ndarray) -> list[float]:
    """Model Garden's eight numbers for an operation."""
    height, width = image.shape[:2]
    if name == 'Rotate_BBox':
        angle = tf.constant(argument * math.pi / 180.0)
        transform = reference._convert_angles_to_transform(angle, float(width), float(height))
        return [float(value) for value in transform[0]]
    return {
        'ShearX_BBox': [1.0, argument, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        'ShearY_BBox': [1.0, 0.0, 0.0, argument, 1.0, 0.0, 0.0, 0.0],
        'TranslateX_BBox': [1.0, 0.0, argument, 0.0, 1.0, 0.0, 0.0, 0.0],
        'TranslateY_BBox': [1.0, 0.0, 0.0, 0.0, 1.0, argument, 0.0, 0.0],
    }[name]


def grey_reference(name: str, argument: float, image: np.ndarray) -> np.ndarray:
    """The released code's pixels: Model Garden's operation with a constant edge, unwrapped to grey."""
    moved = reference.transform(
        reference.wrap(tf.constant(image)), reference_transform(name, argument, image), fill_mode='constant'
    )
    return reference.unwrap(moved, GREY).numpy()


def reflect_reference(
    name: str, argument: float, image: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Model Garden 2.15's own pixels and boxes (pixels, not normalised)."""
    height, width = image.shape[:2]
    moved, moved_boxes = reference.NAME_TO_FUNC[name](
        tf.constant(image), normalized(boxes, image), argument, GREY
    )
    return moved.numpy(), moved_boxes.numpy() * np.array([height, width, height, width], np.float32)
