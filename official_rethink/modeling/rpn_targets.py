"""Targets of the region proposal network, made on the device for a whole batch: matched, then drawn."""

import dataclasses

import tensorflow as tf

from official_rethink.modeling import anchor_targets, sampling


@dataclasses.dataclass(frozen=True)
class RpnTargets:
    """What each anchor should predict.

    Attributes:
        scores: float32 [B, A], 1 for positive anchors.
        boxes: float32 [B, A, 4], encoded (dy, dx, dh, dw) of a positive anchor; others are not defined.
        score_weights: float32 [B, A], 1 for the anchors that were drawn.
        box_weights: float32 [B, A], 1 for the positive ones among them.
    """

    scores: tf.Tensor
    boxes: tf.Tensor
    score_weights: tf.Tensor
    box_weights: tf.Tensor


def label_anchors(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    match_threshold: float,
    unmatched_threshold: float,
    num_samples: int,
    positive_fraction: float,
) -> RpnTargets:
    """Matches anchors with boxes, as `anchor_targets.label_anchors`, and draws those that train.

    Args:
        anchors: float32 [A, 4], pixels.
        boxes: float32 [B, M, 4], pixels; padding rows are -1.
        match_threshold: least IoU of a positive anchor.
        unmatched_threshold: anchors under it are negative.
        num_samples: anchors of an image to train on.
        positive_fraction: most of them that are positive.
    """
    classes = tf.where(boxes[..., 0] < 0.0, -1, 1)
    matched = anchor_targets.label_anchors(anchors, boxes, classes, match_threshold, unmatched_threshold)
    positive = matched.box_weights > 0.0
    negative = (matched.class_weights > 0.0) & ~positive
    seeds = sampling.seeds_of(boxes, sampling.ANCHORS)
    drawn = sampling.draw(positive, negative, num_samples, positive_fraction, seeds)
    targets = RpnTargets(
        scores=tf.cast(positive, tf.float32),
        boxes=matched.boxes,
        score_weights=tf.cast(drawn, tf.float32),
        box_weights=tf.cast(drawn & positive, tf.float32),
    )
    return RpnTargets(**{name: tf.stop_gradient(value) for name, value in vars(targets).items()})
