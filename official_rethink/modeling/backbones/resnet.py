"""ResNet as SimCLR, PyTorch and Keras Applications compute it, on Model Garden's ResNet and with its variables.

`backbone.resnet.stem_type` chooses: 'simclr', 'torch' or 'keras'; Model Garden's own values stay as they are.
"""

import dataclasses
from typing import Any

import tensorflow as tf
from official.modeling import hyperparams, tf_utils
from official.vision.modeling import backbones  # noqa: F401  registers Model Garden's before it is replaced
from official.vision.modeling.backbones import factory
from official.vision.modeling.backbones import resnet as model_garden
from official.vision.modeling.layers import nn_blocks

from official_rethink.common import errors
from official_rethink.modeling import normalization
from official_rethink.modeling.backbones import padding
from official_rethink.modeling.checkpoints import layout

layers = tf.keras.layers
NAME = 'resnet'

factory._REGISTERED_BACKBONE_CLS.pop(NAME, None)


@dataclasses.dataclass(frozen=True)
class Origin:
    """What sets one publisher's ResNet apart from Model Garden's.

    Attributes:
        preprocessing: the input its weights were trained on.
        symmetric_pool: whether the stem's pooling pads both sides.
        stride_first: whether a bottleneck strides in its first convolution, 1x1, and not in its second, 3x3.
    """

    preprocessing: layout.Preprocessing
    symmetric_pool: bool
    stride_first: bool = False


ORIGINS = {
    # Images in [0, 1]; strided convolutions pad both sides, the pooling is 'SAME'.
    'simclr': Origin(layout.Preprocessing((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)), symmetric_pool=False),
    'torch': Origin(layout.PIPELINE, symmetric_pool=True),
    # Caffe's means, no scale; the file's kernel takes B, G, R, which its layout turns round.
    'keras': Origin(
        layout.Preprocessing((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)), symmetric_pool=True, stride_first=True
    ),
}


def _symmetric(convolution: tf.keras.layers.Conv2D, **changes: Any) -> tf.keras.layers.Layer:
    config = {**convolution.get_config(), **changes}
    return padding.SymmetricConv2D(**config)


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class ResidualBlock(nn_blocks.ResidualBlock):
    """Model Garden's, padding both sides where it strides."""

    def build(self, input_shape: Any) -> None:
        """Makes Model Garden's layers, then replaces the strided one."""
        super().build(input_shape)
        if self._strides > 1:
            self._conv1 = _symmetric(self._conv1)  # type: ignore[has-type]


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class BottleneckBlock(nn_blocks.BottleneckBlock):
    """Model Garden's, padding both sides where it strides."""

    def build(self, input_shape: Any) -> None:
        """Makes Model Garden's layers, then replaces the strided one."""
        super().build(input_shape)
        if self._strides > 1:
            self._conv2 = _symmetric(self._conv2)  # type: ignore[has-type]


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class StrideFirstBlock(nn_blocks.BottleneckBlock):
    """Model Garden's, with the stride in the first convolution: ResNet as first published."""

    def build(self, input_shape: Any) -> None:
        """Makes Model Garden's layers, then moves the stride."""
        super().build(input_shape)
        if self._strides > 1:
            first, second = self._conv1.get_config(), self._conv2.get_config()  # type: ignore[has-type]
            self._conv1 = layers.Conv2D.from_config({**first, 'strides': (self._strides, self._strides)})
            self._conv2 = layers.Conv2D.from_config({**second, 'strides': (1, 1)})


class ResNet(model_garden.ResNet):
    """Model Garden's ResNet with one publisher's padding and strides; layers and variables in the same places."""

    def __init__(self, origin: str, **kwargs: Any):
        """Builds the network.

        Args:
            origin: a key of `ORIGINS`.
            **kwargs: Model Garden's, but for `stem_type`.
        """
        self._origin = origin
        super().__init__(**kwargs)

    @property
    def _of(self) -> Origin:
        return ORIGINS[self._origin]

    def _stem(self, inputs: tf.Tensor) -> tf.Tensor:
        features = padding.SymmetricConv2D(
            filters=int(64 * (self._depth_multiplier if self._scale_stem else 1.0)),
            kernel_size=7,
            colour=self._of.preprocessing.zero_point(),
            strides=2,
            use_bias=False,
            kernel_initializer=self._kernel_initializer,
            kernel_regularizer=self._kernel_regularizer,
        )(inputs)
        features = self._norm(
            axis=self._bn_axis,
            momentum=self._norm_momentum,
            epsilon=self._norm_epsilon,
            trainable=self._bn_trainable,
            synchronized=self._use_sync_bn,
        )(features)
        features = tf_utils.get_activation(self._activation, use_keras_layer=True)(features)
        if self._of.symmetric_pool:
            return padding.SymmetricMaxPool2D(pool_size=3, strides=2)(features)
        return layers.MaxPool2D(pool_size=3, strides=2, padding='same')(features)

    def _block_group(self, inputs: tf.Tensor, block_fn: Any, **kwargs: Any) -> tf.Tensor:
        """Puts this module's blocks in the place of Model Garden's."""
        return super()._block_group(inputs=inputs, block_fn=self._block_of(block_fn), **kwargs)

    def _block_of(self, block_fn: Any) -> Any:
        if block_fn is nn_blocks.ResidualBlock:
            return ResidualBlock
        return StrideFirstBlock if self._of.stride_first else BottleneckBlock

    def get_config(self) -> dict[str, Any]:
        """What makes an equal model."""
        config = {**super().get_config(), 'origin': self._origin}
        del config['stem_type']
        return config


@factory.register_backbone_builder(NAME)
def build_resnet(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    if config.stem_type not in ORIGINS:
        return model_garden.build_resnet(input_specs, backbone_config, norm_activation_config, l2_regularizer)
    for field in ('resnetd_shortcut', 'replace_stem_max_pool', 'se_ratio'):
        if getattr(config, field):
            name = f'task.model.backbone.resnet.{field}'
            raise errors.bad_value(
                name, getattr(config, field), f'nothing but its default with stem_type={config.stem_type}'
            )
    return ResNet(
        origin=config.stem_type,
        model_id=config.model_id,
        input_specs=input_specs,
        depth_multiplier=config.depth_multiplier,
        init_stochastic_depth_rate=config.stochastic_depth_drop_rate,
        scale_stem=config.scale_stem,
        bn_trainable=config.bn_trainable,
        **normalization.arguments(norm_activation_config, l2_regularizer),
    )
