"""AutoGraph leaves Keras's own code alone and still converts what users write in layers."""

import tensorflow as tf
from tensorflow.python.autograph.core import config
from tensorflow.python.autograph.impl import conversion as autograph_conversion

from official_rethink.modeling import conversion


class _Branching(tf.keras.layers.Layer):
    """Halves what sums to more than zero: a Python `if` on a tensor, which only a converted call can take."""

    def call(self, inputs):
        if tf.reduce_sum(inputs) > 0.0:
            return inputs / 2.0
        return inputs


def test_keras_is_not_converted():
    conversion.leave_keras_alone()
    rules = config.CONVERSION_RULES
    conversion.leave_keras_alone()
    assert config.CONVERSION_RULES == rules
    assert autograph_conversion.is_allowlisted(tf.keras.layers.Dense.__call__)
    assert not autograph_conversion.is_allowlisted(_Branching.call)


def test_a_layer_with_python_control_flow_still_works_in_a_graph():
    conversion.leave_keras_alone()
    layer = _Branching()
    halve = tf.function(lambda values: layer(values))
    assert halve(tf.constant([4.0])).numpy().tolist() == [2.0]
    assert halve(tf.constant([-4.0])).numpy().tolist() == [-4.0]
