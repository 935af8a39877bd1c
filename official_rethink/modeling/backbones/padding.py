"""Convolution and pooling that pad alike on both sides, as PyTorch and the TF1 releases do.

'same' padding of a strided layer on an even size pads the far side alone, which moves what the layer sees by
a pixel. These layers keep the places, names and shapes of their variables, so a checkpoint fits either kind.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_PACKAGE = 'official_rethink'


def _both_sides(size: int) -> list[list[int]]:
    before = (size - 1) // 2
    around = [before, size - 1 - before]
    return [[0, 0], around, around, [0, 0]]


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class SymmetricConv2D(tf.keras.layers.Conv2D):
    """A square convolution over an input padded by half the kernel on each side."""

    def __init__(self, filters: int, kernel_size: Any, colour: Sequence[float] | None = None, **kwargs: Any):
        """Makes the layer.

        Args:
            filters: as Keras'.
            kernel_size: as Keras'.
            colour: what the padding holds, one value a channel; zeros if left out.
            **kwargs: Keras'; `padding` is this layer's own business.
        """
        super().__init__(filters, kernel_size, **{**kwargs, 'padding': 'valid'})
        self._colour = None if colour is None else tuple(float(value) for value in colour)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pads, then convolves."""
        paddings = _both_sides(self.kernel_size[0])
        padded = tf.pad(inputs, paddings)
        if self._colour is not None:
            outside = 1.0 - tf.pad(tf.ones_like(inputs[:1, :, :, :1]), paddings)
            padded += outside * tf.constant(self._colour, inputs.dtype)
        return super().call(padded)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), 'colour': self._colour}


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class SymmetricMaxPool2D(tf.keras.layers.MaxPool2D):
    """Max pooling that pads both sides; for inputs of 0 or more, behind a ReLU, where zeros never win."""

    def __init__(self, **kwargs: Any):
        """Args: Keras'; `padding` is this layer's own business."""
        super().__init__(**{**kwargs, 'padding': 'valid'})

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pads, then pools."""
        return super().call(tf.pad(inputs, _both_sides(self.pool_size[0])))
