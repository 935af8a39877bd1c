"""Anchor matching: Model Garden's labeler as the oracle, and cases by hand."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.configs import retinanet
from official.vision.ops import anchor

from official_rethink.modeling import anchor_targets

SIZE = 64


def _model_config():
    return retinanet.RetinaNet(num_classes=5, input_size=[SIZE, SIZE, 3], min_level=3, max_level=5)


def _random_boxes(generator, count):
    corner = generator.uniform(0, SIZE - 8, [count, 2])
    size = generator.uniform(4, SIZE / 2, [count, 2])
    return np.concatenate([corner, np.minimum(corner + size, SIZE)], axis=1).astype(np.float32)


def _padded(boxes, classes, length):
    rows = length - len(boxes)
    return (
        np.pad(boxes, [[0, rows], [0, 0]], constant_values=-1.0).astype(np.float32)[np.newaxis],
        np.pad(classes, [0, rows], constant_values=-1).astype(np.int32)[np.newaxis],
    )


@pytest.mark.parametrize('thresholds', [(0.5, 0.5), (0.6, 0.4)])
@pytest.mark.parametrize('count', [1, 2, 9])
def test_equals_model_garden(count, thresholds):
    generator = np.random.default_rng(count)
    boxes, classes = _random_boxes(generator, count), generator.integers(1, 5, count)
    multilevel = anchor_targets.multilevel_anchors(_model_config())
    ours = anchor_targets.label_anchors(
        anchor_targets.flatten_anchors(multilevel), *_padded(boxes, classes, 12), *thresholds
    )
    labeler = anchor.AnchorLabeler(match_threshold=thresholds[0], unmatched_threshold=thresholds[1])
    their_classes, their_boxes, _, class_weights, box_weights = labeler.label_anchors(
        multilevel, tf.constant(boxes), tf.constant(classes[:, np.newaxis], tf.int32)
    )
    flat_classes = np.concatenate([np.reshape(level, [-1]) for level in their_classes.values()])
    flat_boxes = np.concatenate([np.reshape(level, [-1, 4]) for level in their_boxes.values()])
    np.testing.assert_array_equal(ours.classes[0], flat_classes)
    np.testing.assert_array_equal(ours.class_weights[0], class_weights)
    np.testing.assert_array_equal(ours.box_weights[0], box_weights)
    positive = np.asarray(box_weights) > 0
    assert positive.any()
    np.testing.assert_allclose(ours.boxes[0][positive], flat_boxes[positive], rtol=1e-5, atol=1e-5)


def test_no_boxes_is_all_negative_and_finite():
    anchors = anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(_model_config()))
    targets = anchor_targets.label_anchors(anchors, *_padded(np.zeros([0, 4]), np.zeros([0], int), 3))
    assert np.all(targets.classes == -1)
    assert np.all(targets.class_weights == 1.0)
    assert np.all(targets.box_weights == 0.0)
    assert np.all(np.isfinite(targets.boxes))


def test_a_box_off_all_anchors_is_not_forced():
    """IoU is 0 with each anchor, so no anchor can learn it; the reference would take anchor 0."""
    anchors = tf.constant([[0.0, 0.0, 8.0, 8.0], [8.0, 8.0, 16.0, 16.0]])
    targets = anchor_targets.label_anchors(anchors, *_padded(np.array([[40.0, 40, 50, 50]]), np.array([3]), 1))
    np.testing.assert_array_equal(targets.box_weights, [[0.0, 0.0]])


def test_encoding_by_hand():
    """Anchor centre (4, 4), size 8 x 8; box centre (5, 6), size 10 x 4.

    dy = 1 / 8, dx = 2 / 8, dh = ln(10 / 8), dw = ln(4 / 8); with coder weights 10 10 5 5 on top.
    """
    anchors = tf.constant([[0.0, 0.0, 8.0, 8.0]])
    boxes = _padded(np.array([[0.0, 4.0, 10.0, 8.0]]), np.array([1]), 2)
    plain = anchor_targets.label_anchors(anchors, *boxes, 0.1, 0.1).boxes[0, 0]
    expected = np.array([0.125, 0.25, np.log(1.25), np.log(0.5)])
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    weighted = anchor_targets.label_anchors(anchors, *boxes, 0.1, 0.1, [10.0, 10.0, 5.0, 5.0]).boxes[0, 0]
    np.testing.assert_allclose(weighted, expected * [10, 10, 5, 5], rtol=1e-5)


def test_iou_by_hand():
    """Boxes 4 x 4 and 4 x 4 that share 2 x 4: 8 / (16 + 16 - 8) = 1 / 3; padding gives -1."""
    boxes, _ = _padded(np.array([[2.0, 0, 6, 4]]), np.array([1]), 2)
    iou = anchor_targets.pairwise_iou(tf.constant([[0.0, 0.0, 4.0, 4.0]]), boxes)
    np.testing.assert_allclose(iou, [[[1 / 3], [-1.0]]], rtol=1e-6)


def test_boxes_behind_padding_and_further_groups_are_matched():
    """Rows of padding between boxes, and more boxes than are matched at a time, change nothing."""
    anchors = anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(_model_config()))
    generator = np.random.default_rng(3)
    boxes, classes = _random_boxes(generator, 9), generator.integers(1, 5, 9)
    spread = np.full([1, 40, 4], -1, np.float32), np.full([1, 40], -1, np.int32)
    for row, (box, label) in enumerate(zip(boxes, classes, strict=True)):
        spread[0][0, 4 * row + 1], spread[1][0, 4 * row + 1] = box, label
    together = anchor_targets.label_anchors(anchors, *_padded(boxes, classes, 9))
    apart = anchor_targets.label_anchors(anchors, *spread)
    positive = together.box_weights.numpy() > 0
    np.testing.assert_array_equal(together.classes, apart.classes)
    np.testing.assert_array_equal(together.box_weights, apart.box_weights)
    np.testing.assert_array_equal(together.boxes.numpy()[positive], apart.boxes.numpy()[positive])


def test_of_two_boxes_that_claim_an_anchor_the_first_keeps_it():
    """Both overlap the first anchor most, by IoU 1 / 4 and 1 / 2; the anchor's own best is the second."""
    anchors = tf.constant([[0.0, 0.0, 8.0, 8.0], [20.0, 20.0, 28.0, 28.0]])
    boxes = np.array([[0.0, 0, 8, 2], [0.0, 0, 8, 4]])
    targets = anchor_targets.label_anchors(anchors, *_padded(boxes, np.array([3, 4]), 3))
    np.testing.assert_array_equal(targets.classes, [[3, -1]])
    np.testing.assert_array_equal(targets.box_weights, [[1.0, 0.0]])


def test_images_of_a_batch_have_their_own_boxes():
    anchors = anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(_model_config()))
    generator = np.random.default_rng(5)
    rows = [_padded(_random_boxes(generator, count), np.arange(1, 1 + count), 6) for count in (0, 6, 1)]
    batch = anchor_targets.label_anchors(anchors, *(np.concatenate(part) for part in zip(*rows, strict=True)))
    for number, row in enumerate(rows):
        alone = anchor_targets.label_anchors(anchors, *row)
        np.testing.assert_array_equal(batch.classes[number], alone.classes[0])


def test_same_eagerly_and_compiled():
    anchors = anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(_model_config()))
    generator = np.random.default_rng(0)
    boxes, classes = _padded(_random_boxes(generator, 4), generator.integers(1, 5, 4), 6)
    eager = anchor_targets.label_anchors(anchors, boxes, classes)
    compiled = tf.function(lambda *args: vars(anchor_targets.label_anchors(*args)), jit_compile=True)(
        anchors, boxes, classes
    )
    np.testing.assert_array_equal(eager.classes, compiled['classes'])
    np.testing.assert_allclose(eager.boxes, compiled['boxes'], rtol=1e-4, atol=1e-5)
