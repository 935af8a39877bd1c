"""Weight decay, as both studies' code bases have it."""

import tensorflow as tf


def l2(decay: float) -> tf.keras.regularizers.Regularizer | None:
    """Returns the regulariser that adds decay / 2 times the squares of the weights; None without decay.

    The references take `tf.nn.l2_loss`, or an optimiser's weight decay; both halve the square, Keras' l2 does not.
    """
    return tf.keras.regularizers.l2(decay / 2.0) if decay else None
