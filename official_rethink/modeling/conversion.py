"""Keeps AutoGraph away from Keras's own source, which halves the start of every training process."""

from tensorflow.python.autograph.core import config

KERAS = 'tf_keras'


def leave_keras_alone() -> None:
    """Tells AutoGraph that the package `tf_keras` needs no conversion; a second call changes nothing.

    TensorFlow 2.15 knows this of `keras` and not of `tf_keras`, the same code under the name Model Garden
    uses, so it translates Keras's internals anew in every process: 20 of 45 CPU seconds before the first
    step of the quick study. What a layer's `call` holds is still converted, by Keras itself.
    """
    rule = config.DoNotConvert(KERAS)
    if not any(known.matches(KERAS) for known in config.CONVERSION_RULES):
        config.CONVERSION_RULES = (rule, *config.CONVERSION_RULES)
