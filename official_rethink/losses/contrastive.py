"""NT-Xent, SimCLR's loss: each view has to find the other view of its image among those of all replicas."""

from typing import NamedTuple

import tensorflow as tf

_EPSILON = 1e-12
# Taken from a view's likeness to itself, which is no candidate. Finite, so that XLA and bfloat16 casts stay finite.
_NEVER = 1e9


class Contrast(NamedTuple):
    """What a batch of pairs gives.

    Attributes:
        loss: cross entropy of the first views' anchors plus that of the second views', each a mean. This is
            the release's scale, twice the paper's equation 1; chance is 2 ln(2 N - 1) for N pairs.
        accuracy: share of first views whose nearest second view is their own.
        entropy: of the first views' distribution over the second views, in nats.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    entropy: tf.Tensor


def nt_xent(first: tf.Tensor, second: tf.Tensor, temperature: float) -> Contrast:
    """Computes the normalised temperature-scaled cross entropy (Chen et al., equation 1).

    Within a replica context the candidates are those of all replicas, and gradients flow back through the
    gathering: the mean over replicas of loss and gradient are what one replica has with the whole batch.
    Every replica has to have as many pairs.

    Args:
        first: [B, D], projections of this replica's first views.
        second: [B, D], projections of the second views, in the same order.
        temperature: over 0.

    Returns:
        Three float32 scalars of this replica's anchors.
    """
    # [B, 2, D]: the batch comes first, for gathering joins the first axis.
    pairs = unit_length(tf.stack([tf.cast(first, tf.float32), tf.cast(second, tf.float32)], axis=1))
    candidates, start = _gather(pairs)
    anchors_first, anchors_second = pairs[:, 0], pairs[:, 1]
    all_first, all_second = candidates[:, 0], candidates[:, 1]
    own = tf.range(tf.shape(pairs)[0]) + start
    itself = _NEVER * tf.one_hot(own, tf.shape(candidates)[0])

    def likeness(anchors: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        return tf.matmul(anchors, others, transpose_b=True) / temperature

    across = likeness(anchors_first, all_second)
    logits_first = tf.concat([across, likeness(anchors_first, all_first) - itself], axis=1)
    back = likeness(anchors_second, all_first)
    logits_second = tf.concat([back, likeness(anchors_second, all_second) - itself], axis=1)
    loss = _cross_entropy(own, logits_first) + _cross_entropy(own, logits_second)
    found = tf.equal(tf.argmax(across, axis=1, output_type=tf.int32), own)
    log_share = tf.nn.log_softmax(across)
    entropy = -tf.reduce_mean(tf.reduce_sum(tf.exp(log_share) * log_share, axis=1))
    return Contrast(loss, tf.reduce_mean(tf.cast(found, tf.float32)), entropy)


def unit_length(vectors: tf.Tensor) -> tf.Tensor:
    """Scales vectors along the last axis to length 1; a zero vector stays zero, with a finite gradient."""
    squares = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    there = squares > _EPSILON
    # Both branches of tf.where get a gradient, so the root is never taken of zero.
    return vectors / tf.where(there, tf.sqrt(tf.where(there, squares, 1.0)), 1.0)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def _gather(pairs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | int]:
    """Returns the pairs of all replicas, [N, 2, D], and at which of them this replica's begin."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return pairs, 0
    gathered = context.all_gather(pairs, axis=0)
    count = pairs.shape[0]
    if count is not None:
        gathered = tf.ensure_shape(gathered, [count * context.num_replicas_in_sync, *pairs.shape[1:]])
    return gathered, tf.cast(context.replica_id_in_sync_group, tf.int32) * tf.shape(pairs)[0]
