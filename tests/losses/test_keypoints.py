"""The loss of key points: by hand, without any labelled point, and without weight where nothing is labelled."""

import math

import numpy as np
import tensorflow as tf

from official_rethink.losses import keypoints
from tests import devices


def _outputs(logits, cells, weights):
    return {
        'keypoint_outputs': tf.constant(logits, tf.float32),
        'keypoint_targets': tf.constant(cells, tf.int32),
        'keypoint_weights': tf.constant(weights, tf.float32),
    }


def test_by_hand():
    """Two regions, two points, maps of 2 x 2: an even map costs ln 4, one with 3 more at the place ln(1 + 3/e^3)."""
    logits = np.zeros([1, 2, 2, 2, 2])
    logits[0, 0, 1, 0, 1] = 3.0  # region 0, point 1, row 1, column 0: cell 2
    logits[0, 1, 0, 0, 0] = 1e4  # of no weight, however large
    outputs = _outputs(logits, [[[3, 2], [0, 1]]], [[[1, 1], [0, 1]]])
    expected = (math.log(4) + math.log(1 + 3 * math.exp(-3)) + math.log(4)) / 3
    np.testing.assert_allclose(keypoints.keypoint_loss(outputs), expected, rtol=1e-6)


def test_nothing_labelled_costs_nothing_and_moves_nothing():
    outputs = _outputs(np.ones([2, 3, 4, 4, 5]), np.zeros([2, 3, 5]), np.zeros([2, 3, 5]))
    with tf.GradientTape() as tape:
        tape.watch(outputs['keypoint_outputs'])
        loss = keypoints.keypoint_loss(outputs)
    assert loss == 0.0
    np.testing.assert_array_equal(tape.gradient(loss, outputs['keypoint_outputs']), np.zeros([2, 3, 4, 4, 5]))


def test_regions_without_a_point_do_not_dilute():
    """Divided by the labelled points: as many regions again without any leave the loss as it is."""
    generator = np.random.default_rng(0)
    logits, cells = generator.normal(size=[2, 3, 4, 4, 2]), generator.integers(0, 16, [2, 3, 2])
    weights = np.ones([2, 3, 2])
    once = keypoints.keypoint_loss(_outputs(logits, cells, weights))
    twice = (np.concatenate([value, other], axis=1) for value, other in
             ((logits, logits), (cells, cells), (weights, 0 * weights)))  # fmt: skip
    np.testing.assert_allclose(keypoints.keypoint_loss(_outputs(*twice)), once, rtol=1e-5)


def test_devices_divide_by_the_points_of_all():
    """Three labelled points on one device, one on the other: the mean of both losses is that of the four points."""
    generator = np.random.default_rng(1)
    logits, cells = generator.normal(size=[2, 2, 4, 4, 2]), generator.integers(0, 16, [2, 2, 2])
    weights = np.array([[[1, 1], [1, 0]], [[0, 0], [0, 1]]])
    strategy = devices.two_devices()

    def on(context):
        rows = slice(context.replica_id_in_sync_group, context.replica_id_in_sync_group + 1)
        return _outputs(logits[rows], cells[rows], weights[rows])

    values = strategy.experimental_distribute_values_from_function(on)
    losses = tf.function(lambda: strategy.run(keypoints.keypoint_loss, args=(values,)))()
    mean = strategy.reduce('MEAN', losses, axis=None)
    np.testing.assert_allclose(mean, keypoints.keypoint_loss(_outputs(logits, cells, weights)), rtol=1e-5)
