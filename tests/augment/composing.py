"""Runs our and Model Garden's compositions over many seeds and compares what comes out in numbers."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from official_rethink.augment import operations
from tests.augment import pictures

# A bright square on a dark, noisy ground, off the centre, and the box around it.
HEIGHT, WIDTH = 60, 80
BOX = np.array([[15.0, 30.0, 35.0, 60.0]], np.float32)


def picture() -> np.ndarray:
    image = (pictures.noise(HEIGHT, WIDTH) // 4).astype(np.uint8)
    image[15:35, 30:60] = 180 + pictures.noise(20, 30, 1) // 8
    return image


def measure(image: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns what is compared: levels of the image and of its middle, and the box's place and size."""
    values = tf.cast(image, tf.float32)
    box = tf.cast(boxes[0], tf.float32)
    return tf.stack(
        [
            tf.reduce_mean(values),
            tf.math.reduce_std(values),
            tf.reduce_mean(values[20:40, 25:55]),
            tf.reduce_mean(tf.abs(values[:, 1:] - values[:, :-1])),
            *tf.unstack(box),
            tf.abs(box[0] - 15.0) + tf.abs(box[1] - 30.0) + tf.abs(box[2] - 35.0) + tf.abs(box[3] - 60.0),
        ]
    )


def sample(distort: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], count: int) -> np.ndarray:
    """Returns `count` rows of measurements of `distort(seed)`, through tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda index: tf.stack([tf.cast(index, tf.int32), 5]))
    return np.stack(list(seeds.map(lambda seed: measure(*distort(seed))).as_numpy_iterator()))


def ours(distort: Callable[[operations.Scene, tf.Tensor], operations.Scene], count: int) -> np.ndarray:
    """Samples one of our algorithms, in Model Garden's way of filling, settled at the image's size."""

    def distorted(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scene = distort(operations.start(tf.constant(picture()), tf.constant(BOX), None), seed)
        scene = operations.settle(scene, 'reflect')
        return scene.image, scene.boxes

    return sample(distorted, count)


def model_gardens(augmenter, count: int) -> np.ndarray:
    scale = np.array([HEIGHT, WIDTH, HEIGHT, WIDTH], np.float32)

    @tf.autograph.experimental.do_not_convert  # converting it takes longer than running it
    def distorted(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, boxes = augmenter.distort_with_boxes(tf.constant(picture()), tf.constant(BOX / scale))
        return image, boxes * scale

    tf.random.set_seed(11)
    return sample(distorted, count)


def assert_alike(first: np.ndarray, second: np.ndarray) -> None:
    """Means within four standard errors and the cutting of boxes to pixels; spreads within a quarter."""
    error = np.sqrt(first.var(axis=0) / len(first) + second.var(axis=0) / len(second))
    difference = np.abs(first.mean(axis=0) - second.mean(axis=0))
    rounding = np.array([0.5] * 4 + [1.0] * 5)
    assert (difference <= 4.0 * error + rounding).all(), (difference, error)
    ratio = (first.std(axis=0) + 0.2) / (second.std(axis=0) + 0.2)
    assert ((ratio > 0.75) & (ratio < 1.33)).all(), ratio
