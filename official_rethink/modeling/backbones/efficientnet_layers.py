"""The layers of EfficientNet: inverted bottleneck, squeeze-and-excitation, random layers that a resumed run repeats."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from official.modeling import tf_utils

from official_rethink.configs import efficientnet as table

_PACKAGE = 'official_rethink'


@dataclasses.dataclass(frozen=True)
class Style:
    """What all layers of a network share.

    Attributes:
        activation: of everything but the gate of squeeze-and-excitation.
        use_sync_bn: batch statistics over all replicas.
        norm_momentum: of the moving statistics.
        norm_epsilon: added to the variance.
        kernel_regularizer: of every convolution's kernel, depth-wise ones included.
    """

    activation: str = 'swish'
    use_sync_bn: bool = False
    norm_momentum: float = 0.99
    norm_epsilon: float = 1e-3
    kernel_regularizer: tf.keras.regularizers.Regularizer | None = None

    def norm(self, name: str) -> tf.keras.layers.Layer:
        """A batch norm."""
        return tf.keras.layers.BatchNormalization(
            momentum=self.norm_momentum, epsilon=self.norm_epsilon, synchronized=self.use_sync_bn, name=name
        )

    def convolution(self, filters: int, name: str, **kwargs: Any) -> tf.keras.layers.Layer:
        """A convolution, 1x1 and without a bias unless told otherwise."""
        arguments: dict[str, Any] = {'kernel_size': 1, 'padding': 'same', 'use_bias': False, **kwargs}
        return tf.keras.layers.Conv2D(
            filters,
            kernel_initializer=kernel_initializer(),
            kernel_regularizer=self.kernel_regularizer,
            name=name,
            **arguments,
        )

    def activate(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the activation."""
        return tf_utils.get_activation(self.activation)(inputs)


def kernel_initializer() -> tf.keras.initializers.Initializer:
    """A normal distribution of variance 2 / fan-out, not truncated; depth-wise, the fan-out is the window.

    Always a new one: an initializer that is used twice gives the same values twice.
    """
    return tf.keras.initializers.VarianceScaling(scale=2.0, mode='fan_out', distribution='untruncated_normal')


def seed_of(inputs: tf.Tensor, salt: int) -> tf.Tensor:
    """A seed for stateless random numbers, made of the bits of what a layer sees.

    Generators with a state of their own begin anew when a run is resumed. What a layer sees follows from weights and
    batch, which a resumed run has again, and is another thing at every step and on every replica.

    Args:
        inputs: [B, ...]; the first position of each image, all its channels, is looked at.
        salt: tells layers apart that see the same.
    """
    while inputs.shape.rank > 2:
        inputs = inputs[:, 0]
    bits = tf.bitcast(tf.reduce_sum(tf.cast(inputs, tf.float32)), tf.int32)
    return tf.stack([bits, tf.constant(salt, tf.int32)])


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class StochasticDepth(tf.keras.layers.Layer):
    """Drops whole examples of a residual branch in training, and scales up the rest."""

    def __init__(self, rate: float, salt: int = 0, **kwargs: Any):
        """Keeps the rate.

        Args:
            rate: the share that is dropped, under 1.
            salt: tells layers apart that see the same.
            **kwargs: Keras'.
        """
        super().__init__(**kwargs)
        self.rate = rate
        self.salt = salt

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops examples of [B, ...]."""
        if training is None:
            training = tf.keras.backend.learning_phase()
        if not self.rate:
            return inputs
        if not tf.is_tensor(training):
            return self._drop(inputs) if training else inputs
        return tf.cond(tf.cast(training, tf.bool), lambda: self._drop(inputs), lambda: inputs)

    def _shape(self, inputs: tf.Tensor) -> Sequence[Any]:
        return [tf.shape(inputs)[0], *([1] * (inputs.shape.rank - 1))]

    def _drop(self, inputs: tf.Tensor) -> tf.Tensor:
        drawn = tf.random.stateless_uniform(self._shape(inputs), seed_of(inputs, self.salt))
        # In float32, since half precision would round the rate; multiplied, so that no 0 / 0 can come of it.
        kept = tf.cast(drawn >= self.rate, tf.float32) / (1.0 - self.rate)
        return inputs * tf.cast(kept, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), 'rate': self.rate, 'salt': self.salt}


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class Dropout(StochasticDepth):
    """Drops single values in training, as repeatable as `StochasticDepth`."""

    def _shape(self, inputs: tf.Tensor) -> Sequence[Any]:
        return tf.shape(inputs)


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class ColourPadding(tf.keras.layers.Layer):
    """Pads images for a strided convolution as 'same' does, with a colour instead of zeros."""

    def __init__(self, kernel: int, stride: int, colour: Sequence[float], **kwargs: Any):
        """Keeps what decides the padding.

        Args:
            kernel: side of the convolution.
            stride: of the convolution.
            colour: a value per channel.
            **kwargs: Keras'.
        """
        super().__init__(**kwargs)
        self.kernel = kernel
        self.stride = stride
        self.colour = [float(value) for value in colour]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pads [B, H, W, C]."""
        paddings = [(0, 0), *(self._around(inputs, axis) for axis in (1, 2)), (0, 0)]
        inside = tf.pad(tf.ones([1, *(self._side(inputs, axis) for axis in (1, 2)), 1], inputs.dtype), paddings)
        # Where the image is, zero is added to it: its values stay what they are in half precision too.
        return tf.pad(inputs, paddings) + (1 - inside) * tf.constant(self.colour, inputs.dtype)

    def _side(self, inputs: tf.Tensor, axis: int) -> Any:
        return inputs.shape[axis] if inputs.shape[axis] is not None else tf.shape(inputs)[axis]

    def _around(self, inputs: tf.Tensor, axis: int) -> tuple[Any, Any]:
        """How many values 'same' puts before and after a side; the odd one comes after."""
        side = self._side(inputs, axis)
        missing = (-(-side // self.stride) - 1) * self.stride + self.kernel - side
        total = tf.maximum(missing, 0) if tf.is_tensor(missing) else max(missing, 0)
        return total // 2, total - total // 2

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), 'kernel': self.kernel, 'stride': self.stride, 'colour': self.colour}


class SqueezeExcitation(tf.keras.layers.Layer):
    """Weighs channels by a gate that sees each channel's mean."""

    def __init__(self, squeezed: int, filters: int, style: Style, **kwargs: Any):
        """Makes the two convolutions.

        Args:
            squeezed: channels of the first convolution.
            filters: channels of the input and the output.
            style: of the network.
            **kwargs: Keras'.
        """
        super().__init__(**kwargs)
        self._style = style
        self.reduce = style.convolution(squeezed, 'reduce', use_bias=True)
        self.expand = style.convolution(filters, 'expand', use_bias=True)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Weighs [B, H, W, C]."""
        squeezed = tf.reduce_mean(inputs, [1, 2], keepdims=True)
        return tf.sigmoid(self.expand(self._style.activate(self.reduce(squeezed)))) * inputs


class Bottleneck(tf.keras.layers.Layer):
    """Expansion, depth-wise convolution, squeeze-and-excitation, projection; the input added if shapes allow."""

    def __init__(
        self, block: table.Block, style: Style, se_ratio: float, drop_rate: float, dilation: int = 1, **kwargs: Any
    ):
        """Makes the layers.

        Args:
            block: its place and sizes.
            style: of the network.
            se_ratio: squeezed channels as a share of the block's input; 0 for no squeeze-and-excitation.
            drop_rate: of this block's stochastic depth.
            dilation: of the depth-wise convolution, which may not have a stride then.
            **kwargs: Keras'.
        """
        super().__init__(**kwargs)
        self._style = style
        self.block = block
        filters = block.filters_in * block.expansion
        if block.expansion != 1:
            self.expand_conv = style.convolution(filters, 'expand_conv')
            self.expand_bn = style.norm('expand_bn')
        self.depthwise_conv = tf.keras.layers.DepthwiseConv2D(
            block.kernel,
            strides=block.stride,
            dilation_rate=dilation,
            padding='same',
            use_bias=False,
            depthwise_initializer=kernel_initializer(),
            depthwise_regularizer=style.kernel_regularizer,
            name='depthwise_conv',
        )
        self.depthwise_bn = style.norm('depthwise_bn')
        self.squeeze_excitation = (
            SqueezeExcitation(block.squeezed(se_ratio), filters, style, name='squeeze_excitation')
            if se_ratio
            else None
        )
        self.project_conv = style.convolution(block.filters, 'project_conv')
        self.project_bn = style.norm('project_bn')
        self.stochastic_depth = (
            StochasticDepth(drop_rate, salt=block.index, name='stochastic_depth')
            if drop_rate and block.has_skip
            else None
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs the block on [B, H, W, C]."""
        outputs = inputs
        if self.block.expansion != 1:
            outputs = self._style.activate(self.expand_bn(self.expand_conv(outputs), training=training))
        outputs = self._style.activate(self.depthwise_bn(self.depthwise_conv(outputs), training=training))
        if self.squeeze_excitation is not None:
            outputs = self.squeeze_excitation(outputs)
        outputs = self.project_bn(self.project_conv(outputs), training=training)
        if not self.block.has_skip:
            return outputs
        if self.stochastic_depth is not None:
            outputs = self.stochastic_depth(outputs, training=training)
        return outputs + inputs
