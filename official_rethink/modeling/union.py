"""Boxes of several views of an image put together: one non-maximum suppression over all, and box voting.

As Detectron's test-time augmentation with the 'union' heuristic. Letters: B batch, n candidates, N detections.
"""

from typing import NamedTuple

import tensorflow as tf


class Candidates(NamedTuple):
    """Boxes before the last suppression.

    Attributes:
        boxes: float32 [B, n, 4], y1 x1 y2 x2 in pixels of the original images.
        scores: float32 [B, n].
        classes: int32 [B, n], from 1 on.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


class Rules(NamedTuple):
    """What is left of candidates.

    Attributes:
        num_classes: with the background.
        most: N, detections of an image over all classes.
        score_threshold: what is not over it is dropped.
        iou_threshold: of two boxes of a class with more, the lower one is suppressed.
        soft_nms_sigma: over 0 lowers scores by overlap instead (Soft-NMS).
        voting_threshold: over 0, a box becomes the mean of those with at least this IoU with it, weighted by score.
    """

    num_classes: int
    most: int
    score_threshold: float
    iou_threshold: float
    soft_nms_sigma: float = 0.0
    voting_threshold: float = 0.0


def best(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> Candidates:
    """The highest pairs of region and class, as candidates.

    Args:
        boxes: float32 [B, R, K, 4] of K classes, or [B, R, 1, 4] of all alike.
        scores: float32 [B, R, K], the background left out.
        most: how many pairs of an image are taken.
    """
    regions, classes, per_class = scores.shape[1], scores.shape[2], boxes.shape[2]
    flat = tf.reshape(scores, [-1, regions * classes])
    top, place = tf.nn.top_k(flat, k=min(most, regions * classes))
    label = place % classes
    row = (place // classes) * per_class + (label if per_class > 1 else 0)
    taken = tf.gather(tf.reshape(boxes, [-1, regions * per_class, 4]), row, batch_dims=1)
    return Candidates(taken, top, label + 1)


def merge(candidates: Candidates, rules: Rules) -> dict[str, tf.Tensor]:
    """Suppresses what other candidates of the same class make superfluous.

    Args:
        candidates: of all views.
        rules: see `Rules`.

    Returns:
        boxes float32 [B, N, 4], scores [B, N], highest first, classes int32 [B, N] and num_detections int32 [B]; zeros
        behind. Where a candidate is not finite, a network has diverged, and the first detection is not finite.
    """
    specs = {
        'boxes': tf.TensorSpec([rules.most, 4], tf.float32),
        'scores': tf.TensorSpec([rules.most], tf.float32),
        'classes': tf.TensorSpec([rules.most], tf.int32),
        'num_detections': tf.TensorSpec([], tf.int32),
    }
    # One image after the other, so that memory does not grow with the batch.
    return tf.map_fn(lambda one: _merge(one, rules), candidates, fn_output_signature=specs, parallel_iterations=1)


def _merge(one: Candidates, rules: Rules) -> dict[str, tf.Tensor]:
    """What `merge` gives for one image."""
    finite = tf.reduce_all(tf.math.is_finite(one.scores)) & tf.reduce_all(tf.math.is_finite(one.boxes))
    high = one.scores > rules.score_threshold
    boxes, scores, classes = (tf.boolean_mask(values, high) for values in one)

    def of_class(label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mine = classes == label
        own, values = tf.boolean_mask(boxes, mine), tf.boolean_mask(scores, mine)
        kept, after = tf.image.non_max_suppression_with_scores(
            own,
            values,
            rules.most,
            iou_threshold=rules.iou_threshold,
            score_threshold=rules.score_threshold,
            soft_nms_sigma=rules.soft_nms_sigma,
        )
        left = tf.gather(own, kept)
        if rules.voting_threshold:
            left = vote(left, own, values, rules.voting_threshold)
        missing = rules.most - tf.shape(kept)[0]
        return (
            tf.ensure_shape(tf.pad(left, [[0, missing], [0, 0]]), [rules.most, 4]),
            tf.ensure_shape(tf.pad(after, [[0, missing]], constant_values=-1.0), [rules.most]),
        )

    labels = tf.range(1, rules.num_classes)
    specs = (tf.TensorSpec([rules.most, 4], tf.float32), tf.TensorSpec([rules.most], tf.float32))
    found, values = tf.map_fn(of_class, labels, fn_output_signature=specs, parallel_iterations=1)
    top, place = tf.nn.top_k(tf.reshape(values, [-1]), k=rules.most)
    there = top >= 0.0
    chosen = tf.where(there[:, tf.newaxis], tf.gather(tf.reshape(found, [-1, 4]), place), 0.0)
    diverged = tf.logical_not(finite)
    lost = tf.where((tf.range(rules.most) == 0) & diverged, float('nan'), 0.0)
    count = tf.reduce_sum(tf.cast(there, tf.int32))
    return {
        'boxes': chosen + lost[:, tf.newaxis],
        'scores': tf.where(there, top, 0.0) + lost,
        'classes': tf.where(there, place // rules.most + 1, 0),
        'num_detections': tf.maximum(count, tf.cast(diverged, tf.int32)),
    }


def vote(kept: tf.Tensor, boxes: tf.Tensor, scores: tf.Tensor, threshold: float) -> tf.Tensor:
    """Moves boxes to the mean of their neighbours, themselves among them (Gidaris and Komodakis, 2015).

    Args:
        kept: float32 [k, 4], boxes that suppression left.
        boxes: float32 [n, 4], of the same class, before it.
        scores: float32 [n], their weights, over 0.
        threshold: a neighbour has at least this IoU.

    Returns:
        float32 [k, 4]; a box without area has no neighbour and stays.
    """
    weights = tf.where(_iou(kept, boxes) >= threshold, scores, 0.0)
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.where(total > 0.0, tf.math.divide_no_nan(tf.matmul(weights, boxes), total), kept)


def _iou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """IoU of each of [k, 4] with each of [n, 4], 0 where neither has an area."""
    first, second = first[:, tf.newaxis], second[tf.newaxis]
    low, high = tf.maximum(first[..., :2], second[..., :2]), tf.minimum(first[..., 2:], second[..., 2:])
    shared = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
    areas = [tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (first, second)]
    return tf.math.divide_no_nan(shared, areas[0] + areas[1] - shared)
