"""The loss of key points: each point's place is one of a heat map's cells, and its map a softmax over them."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from official_rethink.losses import replicas


def keypoint_loss(outputs: Mapping[str, Any]) -> tf.Tensor:
    """Computes the mean cross entropy of all labelled points of the global batch.

    Divided by their number, as Detectron by default (`KRCNN.NORMALIZE_BY_VISIBLE_KEYPOINTS` true, weight 1); a batch
    without any gives 0. Detectron leaves out batches of fewer than 20 points; here each one counts.

    Args:
        outputs: the model's keypoint_outputs [B, K, S, S, P], logits; keypoint_targets int32 [B, K, P], cells; and
            keypoint_weights [B, K, P], 1 for points that count.
    """
    logits, weights = tf.cast(outputs['keypoint_outputs'], tf.float32), outputs['keypoint_weights']
    side, points = logits.shape[2], logits.shape[4]
    flat = tf.reshape(tf.transpose(logits, [0, 1, 4, 2, 3]), [-1, side * side])
    labels = tf.reshape(outputs['keypoint_targets'], [-1])
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=flat)
    weights = tf.reshape(weights, [-1])
    assert outputs['keypoint_targets'].shape[-1] == points
    return tf.reduce_sum(entropy * weights) * replicas.scale(weights)
