"""The losses of Mask R-CNN, each divided by what the whole global batch trains on, as Detectron divides."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from official.vision.configs import maskrcnn
from official.vision.losses import loss_utils

from official_rethink.losses import replicas
from official_rethink.modeling import rpn_targets


def _smooth_l1(difference: tf.Tensor, beta: float) -> tf.Tensor:
    """Fast R-CNN's: x^2 / (2 beta) below beta, |x| - beta / 2 from there; summed over the last axis."""
    size = tf.abs(difference)
    return tf.reduce_sum(tf.where(size < beta, 0.5 * tf.square(size) / beta, size - 0.5 * beta), axis=-1)


def rpn_losses(
    outputs: Mapping[str, Any], targets: rpn_targets.RpnTargets, params: maskrcnn.Losses
) -> dict[str, tf.Tensor]:
    """Computes the region proposal network's two losses.

    Args:
        outputs: the model's 'rpn_scores' and 'rpn_boxes', level to [B, h, w, anchors (* 4)].
        targets: what the anchors should predict.
        params: Model Garden's loss settings; `rpn_huber_loss_delta` is the smooth L1 loss's beta.

    Returns:
        Scalars rpn_score_loss and rpn_box_loss, both divided by the anchors drawn.
    """
    scores = loss_utils.multi_level_flatten(outputs['rpn_scores'], last_dim=None)
    boxes = loss_utils.multi_level_flatten(outputs['rpn_boxes'], last_dim=4)
    scale = replicas.scale(targets.score_weights)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(targets.scores, tf.cast(scores, tf.float32))
    # The targets of other than positive anchors are not defined; times 0 they could still be NaN.
    difference = tf.where(
        targets.box_weights[..., tf.newaxis] > 0.0, tf.cast(boxes, tf.float32) - targets.boxes, 0.0
    )
    return {
        'rpn_score_loss': tf.reduce_sum(entropy * targets.score_weights) * scale,
        'rpn_box_loss': tf.reduce_sum(_smooth_l1(difference, params.rpn_huber_loss_delta)) * scale,
    }


def head_losses(outputs: Mapping[str, Any], params: maskrcnn.Losses, stages: int) -> dict[str, tf.Tensor]:
    """Computes the box head's two losses, over all stages of a cascade.

    Args:
        outputs: the model's class_outputs [B, R, K], class_targets [B, R], box_outputs [B, R, 4 or 4 * K] and
            box_targets [B, R, 4]; of further stages with _1, _2 behind the names.
        params: `frcnn_huber_loss_delta` is the smooth L1 loss's beta.
        stages: heads, 1 without a cascade.

    Returns:
        Scalars frcnn_cls_loss and frcnn_box_loss, both divided by the regions drawn, means over the stages.
    """
    entropies, distances = [], []
    for stage in range(stages):
        end = f'_{stage}' if stage else ''
        logits = tf.cast(outputs[f'class_outputs{end}'], tf.float32)
        classes = tf.cast(outputs[f'class_targets{end}'], tf.int32)
        scale = replicas.scale(tf.ones_like(classes, tf.float32))
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
        boxes = _of_class(tf.cast(outputs[f'box_outputs{end}'], tf.float32), classes)
        positive = classes > 0
        targets = tf.cast(outputs[f'box_targets{end}'], tf.float32)
        difference = tf.where(positive[..., tf.newaxis], boxes - targets, 0.0)
        entropies.append(tf.reduce_sum(entropy) * scale)
        distances.append(tf.reduce_sum(_smooth_l1(difference, params.frcnn_huber_loss_delta)) * scale)
    return {'frcnn_cls_loss': tf.add_n(entropies) / stages, 'frcnn_box_loss': tf.add_n(distances) / stages}


def _of_class(boxes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Takes each region's box of its own class: [B, R, 4]."""
    if boxes.shape[-1] == 4:
        return boxes
    apart = tf.reshape(boxes, [*tf.unstack(tf.shape(boxes)[:2]), boxes.shape[-1] // 4, 4])
    return tf.gather(apart, classes, axis=2, batch_dims=2)


def mask_loss(outputs: Mapping[str, Any]) -> tf.Tensor:
    """Computes the mean binary cross entropy of the pixels of all sampled objects' masks.

    Args:
        outputs: the model's mask_outputs and mask_targets [B, R, h, w], mask_class_targets [B, R], 0 for none.
    """
    logits = tf.cast(outputs['mask_outputs'], tf.float32)
    weights = tf.cast(outputs['mask_class_targets'] > 0, tf.float32)[..., tf.newaxis, tf.newaxis] * tf.ones_like(logits)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(outputs['mask_targets'], tf.float32), logits)
    return tf.reduce_sum(entropy * weights) * replicas.scale(weights)
