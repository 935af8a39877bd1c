"""RetinaNet's losses: a case by hand, and Model Garden's own step as the oracle."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.configs import retinanet

from official_rethink.losses import detection
from official_rethink.modeling import anchor_targets


def _targets(classes, boxes, class_weights, box_weights):
    return anchor_targets.AnchorTargets(
        tf.constant(classes, tf.int32),
        tf.constant(boxes, tf.float32),
        tf.constant(class_weights, tf.float32),
        tf.constant(box_weights, tf.float32),
    )


def _outputs(logits, boxes):
    return {
        'cls_outputs': {'3': tf.constant(logits, tf.float32)},
        'box_outputs': {'3': tf.constant(boxes, tf.float32)},
    }


def test_by_hand():
    """One image, a level of 1 x 2 with one anchor each; K = 2; all logits 0, so p = 0.5.

    Anchor 0 is positive for class 1, anchor 1 is ignored. Focal terms (gamma 2): class 1 of anchor 0
    0.25 * 0.25 * ln 2, class 0 of anchor 0 0.75 * 0.25 * ln 2; together 0.25 ln 2. Positives + 1 = 2,
    so cls_loss = 0.125 ln 2. Huber, delta 0.1: errors 0.05, 0.3, 0, 0 give 0.5 * 0.05^2 and
    0.1 * (0.3 - 0.05); Keras' Huber averages over the 4 coordinates: (0.00125 + 0.025) / 4, halved.
    """
    targets = _targets([[1, -1]], [[[0.05, 0.3, 0, 0], [9, 9, 9, 9]]], [[1, 0]], [[1, 0]])
    outputs = _outputs(np.zeros([1, 1, 2, 2]), np.zeros([1, 1, 2, 4]))
    params = retinanet.Losses(focal_loss_gamma=2.0, focal_loss_alpha=0.25, huber_loss_delta=0.1, box_loss_weight=50)
    losses = detection.detection_losses(outputs, targets, 2, params)
    cls_loss, box_loss = 0.125 * np.log(2), (0.00125 + 0.025) / 8
    assert losses['cls_loss'].numpy() == pytest.approx(cls_loss, rel=1e-5)
    assert losses['box_loss'].numpy() == pytest.approx(box_loss, rel=1e-5)
    assert losses['model_loss'].numpy() == pytest.approx(cls_loss + 50 * box_loss, rel=1e-5)


def test_nothing_positive_is_finite_and_has_no_box_loss():
    targets = _targets([[-1, -1]], np.full([1, 2, 4], -18.0), [[1, 1]], [[0, 0]])
    outputs = _outputs(np.zeros([1, 1, 2, 2]), np.ones([1, 1, 2, 4]))
    losses = detection.detection_losses(outputs, targets, 2, retinanet.Losses())
    assert losses['box_loss'].numpy() == 0.0
    assert np.isfinite(losses['cls_loss']) and losses['cls_loss'] > 0


def test_everything_ignored_is_zero():
    targets = _targets([[-1, -1]], np.zeros([1, 2, 4]), [[0, 0]], [[0, 0]])
    losses = detection.detection_losses(
        _outputs(np.ones([1, 1, 2, 2]), np.ones([1, 1, 2, 4])), targets, 2, retinanet.Losses()
    )
    assert losses['model_loss'].numpy() == 0.0
