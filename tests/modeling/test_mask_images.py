"""Masks pasted in a graph: equal to the evaluation's, which OpenCV resizes, pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.evaluation import instance_masks
from official_rethink.modeling import mask_images

HEIGHT, WIDTH = 37, 53


def _boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes of all sizes, some of a pixel or less, some at the edges, one of the whole image."""
    low = rng.uniform(0, [HEIGHT, WIDTH], (count, 2))
    high = low + rng.uniform(0, 1, (count, 2)) ** 3 * ([HEIGHT, WIDTH] - low)
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    boxes[:4] = [[0, 0, HEIGHT, WIDTH], [5, 5, 5, 5], [0, 0, 1, 1], [HEIGHT - 1, 0, HEIGHT, WIDTH]]
    return boxes


@pytest.mark.parametrize('side', [14, 28])
def test_equals_the_evaluations(side: int) -> None:
    """Smooth random masks, so that no probability lies at 0.5 itself."""
    rng = np.random.default_rng(side)
    masks = rng.uniform(size=(60, side, side)).astype(np.float32)
    boxes = _boxes(60, rng)
    found = tf.function(mask_images.paste)(masks, boxes, tf.constant([HEIGHT, WIDTH])).numpy()
    expected = [instance_masks.paste_one(*pair, HEIGHT, WIDTH) for pair in zip(masks, boxes, strict=True)]
    assert found.dtype == np.uint8 and found.shape == (60, HEIGHT, WIDTH) and 0 < found.mean() < 1
    # OpenCV rounds the weights of a resize a little otherwise.
    assert (found != np.array(expected)).mean() < 1e-4


def test_by_hand() -> None:
    """Cells of one pixel: a box of 4 x 4 at (2, 3), whose upper half is the object, of an image of 8 x 9."""
    mask = np.zeros((1, 4, 4), np.float32)
    mask[0, :2] = 1.0
    (found,) = mask_images.paste(mask, np.array([[2.0, 3.0, 6.0, 7.0]], np.float32), tf.constant([8, 9])).numpy()
    # Grown by a cell: rows 1 to 7, 7 pixels over 6 cells; the upper half's rows 2 and 3 have centres in it.
    assert found[2:4, 3:7].all() and not found[5:].any() and not found[:, :2].any() and not found[:, 8:].any()


def test_nothing() -> None:
    found = mask_images.paste(tf.zeros([0, 7, 7]), tf.zeros([0, 4]), tf.constant([5, 6]))
    assert found.shape == [0, 5, 6]
