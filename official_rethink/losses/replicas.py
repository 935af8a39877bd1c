"""Sums over the replicas of a step, so that a loss is divided by what the whole batch holds."""

import tensorflow as tf


def total(value: tf.Tensor) -> tf.Tensor:
    """Adds a scalar of every replica; outside a replica, or of one alone, it is the value itself."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def scale(weights: tf.Tensor) -> tf.Tensor:
    """Replicas over the global batch's weights, by which a weighted sum becomes a mean; 0 if nothing has a weight."""
    number = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
    return tf.math.divide_no_nan(number, total(tf.reduce_sum(weights)))


def ratio(part: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    """Share of one sum in another, over the global batch and so equal on all replicas; 0 where the whole is."""
    return tf.math.divide_no_nan(total(tf.reduce_sum(part)), total(tf.reduce_sum(whole)))
