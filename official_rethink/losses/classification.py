"""Cross entropy against distributions over classes, and top-k hits."""

import tensorflow as tf


def smoothed(labels: tf.Tensor, num_classes: int, smoothing: float) -> tf.Tensor:
    """Distributions over classes for class ids.

    Args:
        labels: int [B], ids from 1.
        num_classes: K.
        smoothing: share of each label that is spread evenly over all K classes, its own included.

    Returns:
        float32 [B, K]; class id i stands in column i - 1.
    """
    one_hot = tf.one_hot(labels - 1, num_classes)
    return one_hot * (1.0 - smoothing) + smoothing / num_classes


def sharpened(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """A teacher's probabilities [..., K] to the power of 1 / temperature, summing to 1 again."""
    powered = tf.pow(probabilities, 1.0 / temperature)
    return powered / tf.reduce_sum(powered, axis=-1, keepdims=True)


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Cross entropy of each example.

    Args:
        logits: float [B, K].
        targets: float32 [B, K], distributions.

    Returns:
        float32 [B].
    """
    return -tf.reduce_sum(targets * tf.nn.log_softmax(tf.cast(logits, tf.float32)), axis=-1)


def in_top_k(logits: tf.Tensor, labels: tf.Tensor, k: int) -> tf.Tensor:
    """Whether each label is among the k highest logits.

    Of equal logits the lower class comes first, so that each image has k classes and no more: a network whose
    outputs are all alike is right by chance and not always. A logit that is not finite is no hit.

    Args:
        logits: float [B, K].
        labels: int [B], ids from 1.
        k: over K counts as K.

    Returns:
        bool [B].
    """
    logits = tf.cast(logits, tf.float32)
    column = tf.cast(labels, tf.int32) - 1
    best = tf.math.top_k(logits, min(k, logits.shape[-1])).indices
    own = tf.gather(logits, column, batch_dims=1)
    return tf.reduce_any(tf.equal(best, column[:, tf.newaxis]), axis=1) & tf.math.is_finite(own)
