"""A network anew in a precision of 16 bits: weights of half the size, and arithmetic to match."""

from typing import Any

import tensorflow as tf

PRECISIONS = ('float32', 'bfloat16', 'float16')


def rebuild(task: Any, model: tf.keras.Model, precision: str) -> tf.keras.Model:
    """Builds a task's network again and gives it the weights of another, rounded.

    All layers compute in the precision and keep their weights in it, but for batch normalisation, whose weights and
    statistics Keras keeps in float32. Boxes are decoded and suppressed in float32.

    Args:
        task: makes the network.
        model: with the weights, in float32.
        precision: one of PRECISIONS.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        made = task.build_model()
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    assert [one.shape for one in made.variables] == [one.shape for one in model.variables]
    for variable, given in zip(made.variables, model.variables, strict=True):
        variable.assign(tf.cast(given, variable.dtype))
    return made


def overflows(model: tf.keras.Model) -> list[str]:
    """Names of weights that are not finite, as float32's greater ones become in float16."""
    return [
        variable.name
        for variable in model.variables
        if variable.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(variable)))
    ]
