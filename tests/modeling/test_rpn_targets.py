"""Tests of the region proposal network's targets: by hand, padding, no box."""

import numpy as np
import tensorflow as tf

from official_rethink.modeling import rpn_targets

# Anchors of 10 x 10: on the first box; overlapping it by half (IoU 1/3) and by four fifths (2/3); far away.
ANCHORS = tf.constant([[0, 0, 10, 10], [0, 5, 10, 15], [0, 2, 10, 12], [50, 50, 60, 60]], tf.float32)
BOX, NONE = [0.0, 0.0, 10.0, 10.0], [-1.0, -1.0, -1.0, -1.0]


def _targets(boxes, num_samples=4, positive_fraction=0.5):
    return rpn_targets.label_anchors(ANCHORS, tf.constant(boxes), 0.7, 0.3, num_samples, positive_fraction)


def test_by_hand():
    targets = _targets([[BOX, NONE]])
    np.testing.assert_array_equal(targets.scores, [[1, 0, 0, 0]])
    # IoU 1/3 and 2/3 lie between the thresholds: neither is drawn.
    np.testing.assert_array_equal(targets.score_weights, [[1, 0, 0, 1]])
    np.testing.assert_array_equal(targets.box_weights, [[1, 0, 0, 0]])
    np.testing.assert_allclose(targets.boxes[0, 0], [0, 0, 0, 0], atol=1e-6)


def test_a_box_that_no_anchor_matches_takes_its_best():
    targets = _targets([[[0.0, 6.0, 10.0, 20.0]]])
    # IoU with the second anchor 9 / 15.
    np.testing.assert_array_equal(targets.scores, [[0, 1, 0, 0]])


def test_an_image_without_boxes_trains_on_negatives():
    targets = _targets([[NONE], [BOX]], num_samples=3)
    np.testing.assert_array_equal(targets.box_weights[0], [0, 0, 0, 0])
    assert np.sum(targets.score_weights[0]) == 3 and np.sum(targets.scores[0]) == 0


def test_positives_beyond_their_share_do_not_train():
    targets = _targets([[BOX, [50.0, 50.0, 60.0, 60.0]]], num_samples=2)
    assert np.sum(targets.scores) == 2 and np.sum(targets.box_weights) == 1 and np.sum(targets.score_weights) == 1
