"""Tests of Mask R-CNN's losses: values by hand, nothing positive, Model Garden's mask loss as the oracle."""

import math

import numpy as np
import pytest
import tensorflow as tf
from official.vision.configs import maskrcnn
from official.vision.losses import maskrcnn_losses

from official_rethink.losses import maskrcnn as losses
from official_rethink.modeling import rpn_targets

PARAMS = maskrcnn.Losses(rpn_huber_loss_delta=0.5, frcnn_huber_loss_delta=1.0)


def _rpn(score_weights, box_weights):
    """One image, three anchors on two levels: scores 0, 2 and -1, boxes off by 0.25, 1 and NaN."""
    outputs = {
        'rpn_scores': {'3': tf.constant([[[[0.0, 2.0]]]]), '4': tf.constant([[[[-1.0]]]])},
        'rpn_boxes': {
            '3': tf.constant([[[[0.25, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0]]]]),
            '4': tf.constant([[[[math.nan] * 4]]]),
        },
    }
    targets = rpn_targets.RpnTargets(
        scores=tf.constant([[1.0, 1.0, 0.0]]),
        boxes=tf.zeros([1, 3, 4]),
        score_weights=tf.constant([score_weights]),
        box_weights=tf.constant([box_weights]),
    )
    return losses.rpn_losses(outputs, targets, PARAMS)


def test_region_proposals_by_hand():
    named = _rpn([1.0, 1.0, 1.0], [1.0, 1.0, 0.0])
    entropy = math.log(2) + math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))
    assert named['rpn_score_loss'].numpy() == pytest.approx(entropy / 3, rel=1e-6)
    # Smooth L1 with beta 0.5: 0.25^2 / (2 * 0.5), and 1 - 0.25; over the three anchors drawn.
    assert named['rpn_box_loss'].numpy() == pytest.approx((0.0625 + 0.75) / 3, rel=1e-6)


def test_region_proposals_without_positives_or_samples():
    named = _rpn([0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert named['rpn_score_loss'].numpy() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    assert named['rpn_box_loss'].numpy() == 0.0
    named = _rpn([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert named['rpn_score_loss'].numpy() == named['rpn_box_loss'].numpy() == 0.0


def _head(agnostic):
    """One image, two regions: the first is of class 2, the second background; three classes."""
    boxes = np.full([1, 2, 12], 99.0, np.float32)
    boxes[0, 0, 8:12] = [0.5, 0.0, 3.0, 0.0]
    if agnostic:
        boxes = boxes[..., 8:12]
    return {
        'class_outputs': tf.constant([[[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]]]),
        'class_targets': tf.constant([[2, 0]]),
        'box_outputs': tf.constant(boxes),
        'box_targets': tf.zeros([1, 2, 4]),
    }


@pytest.mark.parametrize('agnostic', [False, True])
def test_box_head_by_hand(agnostic):
    named = losses.head_losses(_head(agnostic), PARAMS, 1)
    entropy = math.log(2 + math.e) - 1 + math.log(2 + math.e**2) - 2
    assert named['frcnn_cls_loss'].numpy() == pytest.approx(entropy / 2, rel=1e-6)
    # 0.5 * 0.5^2 and 3 - 0.5; over the two regions drawn. The background's boxes of 99 do not count.
    assert named['frcnn_box_loss'].numpy() == pytest.approx((0.125 + 2.5) / 2, rel=1e-6)


def test_stages_of_a_cascade_are_averaged():
    first = _head(True)
    second = {**first, 'class_targets': tf.constant([[0, 0]])}
    outputs = {**first, **{f'{name}_1': value for name, value in second.items()}}
    both = losses.head_losses(outputs, PARAMS, 2)
    alone = [losses.head_losses(part, PARAMS, 1) for part in (first, second)]
    for name, value in both.items():
        assert value.numpy() == pytest.approx(np.mean([part[name] for part in alone]), rel=1e-6)


def test_masks_as_model_garden():
    draws = np.random.default_rng(0)
    outputs = {
        'mask_outputs': tf.constant(draws.normal(size=(2, 3, 4, 4)), tf.float32),
        'mask_targets': tf.constant(draws.integers(0, 2, (2, 3, 4, 4)), tf.float32),
        'mask_class_targets': tf.constant([[1, 0, 3], [0, 0, 2]]),
    }
    strategy = tf.distribute.OneDeviceStrategy('cpu:0')
    theirs = strategy.run(lambda: maskrcnn_losses.MaskrcnnLoss()(*outputs.values()))
    # Theirs adds 0.01 to the 48 pixels it divides by.
    assert losses.mask_loss(outputs).numpy() == pytest.approx(theirs.numpy() * 48.01 / 48, rel=1e-5)
    nothing = {**outputs, 'mask_class_targets': tf.zeros([2, 3], tf.int32)}
    assert losses.mask_loss(nothing).numpy() == 0.0
