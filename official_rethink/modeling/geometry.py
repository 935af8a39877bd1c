"""Boxes in float32 where a network computes in bfloat16, whose numbers from 1,024 to 1,344 lie 8 pixels apart."""

from typing import Any

import tensorflow as tf


def in_float32(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    """Keeps a layer without weights, and those inside it, from casting the boxes it is called with.

    Args:
        layer: built under any precision; changed.
    """
    for part in layer._flatten_layers():
        part._set_dtype_policy(tf.keras.mixed_precision.Policy('float32'))
    return layer


class InFloat32:
    """Calls a layer without weights with float32 alone, also what Keras does not cast.

    Model Garden's region generator casts anchors to the type of the scores. No layer itself: Keras would hand
    `training` to it a second time.
    """

    def __init__(self, layer: tf.keras.layers.Layer):
        """Args: Model Garden's."""
        self._layer = in_float32(layer)

    def get_config(self) -> dict[str, Any]:
        """The layer's."""
        return self._layer.get_config()

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """As the layer."""
        return self._layer(*_cast(inputs), **_cast(named))


def _cast(values: Any) -> Any:
    def cast(value: Any) -> Any:
        return tf.cast(value, tf.float32) if tf.is_tensor(value) and value.dtype.is_floating else value

    return tf.nest.map_structure(cast, values)
