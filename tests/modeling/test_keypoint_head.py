"""Key points of regions: targets and places by hand, a Gaussian's top between cells, Detectron's shape of the head."""

import math

import numpy as np
import tensorflow as tf

from official_rethink.configs import keypoints as configs
from official_rethink.configs import normalization as norm_configs
from official_rethink.modeling import keypoint_head, normalization


def _targets(boxes, classes, indices, points, count=2, side=4):
    points = tf.constant(points, tf.float32)
    values = (tf.constant(boxes, tf.float32), tf.constant(classes), tf.constant(indices))
    made = keypoint_head.targets(*values, points, count, side)
    return made.boxes.numpy(), made.cells.numpy(), made.weights.numpy()


def test_cells_by_hand():
    """A region of 8 x 16 pixels from (10, 20), 4 x 4 cells of 2 x 4: corners, the far edge, outside, unlabelled."""
    points = [[[10, 20, 2], [13, 31, 1], [18, 36, 2], [9.9, 20, 2], [12, 22, 0]]]
    boxes, cells, weights = _targets([[[10, 20, 18, 36]]], [[1]], [[0]], [points], count=1)
    np.testing.assert_array_equal(boxes, [[[10, 20, 18, 36]]])
    # (13 - 10) / 2 = row 1, (31 - 20) / 4 = column 2; the far corner belongs to the last cell.
    np.testing.assert_array_equal(cells, [[[0, 1 * 4 + 2, 3 * 4 + 3, 0, 0]]])
    np.testing.assert_array_equal(weights, [[[1, 1, 1, 0, 0]]])


def test_regions_with_points_come_first():
    """Of four regions: background, an object without points, one whose point lies outside, one that learns."""
    points = [[[[0, 0, 0]], [[50, 50, 2]]]]
    boxes = [[[0, 0, 99, 99], [0, 0, 9, 9], [0, 0, 10, 10], [40, 40, 60, 60]]]
    chosen, cells, weights = _targets(boxes, [[0, 2, 1, 1]], [[1, 0, 1, 1]], points)
    np.testing.assert_array_equal(chosen[0, 0], [40, 40, 60, 60])
    np.testing.assert_array_equal(weights[..., 0], [[1, 0]])
    assert cells[0, 0, 0] == 2 * 4 + 2 and chosen.shape == (1, 2, 4)


def test_padding_empty_regions_and_nan_learn_nothing():
    nan = math.nan
    boxes = [[[5, 5, 5, 5], [nan, nan, nan, nan], [0, 0, 9, 9]]]
    _, cells, weights = _targets(boxes, [[1, 1, 0]], [[0, 0, -1]], [[[[5, 5, 2]]]], count=3)
    assert not weights.any() and not cells.any()


def test_the_top_of_a_gaussian_is_found_between_cells():
    """The logarithm of a Gaussian is a parabola, so its centre comes out exactly, in the pixels of the box."""
    side, centre = 8, np.array([2.3, 5.6])  # in cells, whose centres lie at halves
    rows, columns = np.mgrid[:side, :side] + 0.5
    logits = -((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 2.0
    maps = tf.constant(logits[None, None, :, :, None], tf.float32)
    found = keypoint_head.find(maps, tf.constant([[[10.0, 20.0, 26.0, 60.0]]])).numpy()
    np.testing.assert_allclose(found[0, 0, 0, :2], [10 + 2.3 * 2, 20 + 5.6 * 5], rtol=1e-5)
    share = np.exp(logits - logits.max())
    np.testing.assert_allclose(found[0, 0, 0, 2], 1.0 / share.sum(), rtol=1e-5)


def test_maps_without_a_top_inside():
    """A flat map, one that rises to its corner, and a region of no size: all finite, inside their region."""
    flat, corner = np.zeros([4, 4]), np.add.outer(np.arange(4.0), np.arange(4.0))
    maps = tf.constant(np.stack([flat, corner, corner])[None, ..., None], tf.float32)
    boxes = tf.constant([[[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 8.0], [3.0, 4.0, 3.0, 4.0]]])
    found = keypoint_head.find(maps, boxes).numpy()[0, :, 0]
    np.testing.assert_allclose(found[:, :2], [[1, 1], [7, 7], [3, 4]])
    assert found[0, 2] == np.float32(1 / 16)


def test_the_head_is_detectrons():
    """Eight convolutions of 512 with a normalisation each, a 4 x 4 transposed one to 17 maps, 56 cells a side."""
    head = configs.KeypointHead()
    norm = norm_configs.NormActivation(activation='relu', normalization=norm_configs.GROUP)
    regularizer = tf.keras.regularizers.l2(1e-4)
    with normalization.scope(norm):
        layer = keypoint_head.KeypointHead(**head.as_dict(), **normalization.arguments(norm, regularizer))
    maps = layer(tf.zeros([1, 2, 14, 14, 256]))
    assert maps.shape == [1, 2, 56, 56, 17] and maps.dtype == tf.float32
    convolutions = 9 * 512 * (256 + 7 * 512) + 8 * 512
    assert layer.count_params() == convolutions + 8 * 2 * 512 + (16 * 512 * 17 + 17)
    assert len(layer.losses) == 9  # kernels alone decay
