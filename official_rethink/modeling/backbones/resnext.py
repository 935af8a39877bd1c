"""ResNeXt on Model Garden's ResNet: the 3x3 convolution of a bottleneck works in groups, and strides."""

import functools
from typing import Any

import tensorflow as tf
from official.modeling import hyperparams
from official.vision.modeling.backbones import factory
from official.vision.modeling.layers import nn_blocks

from official_rethink.modeling import normalization
from official_rethink.modeling.backbones import padding, resnet

NAME = 'resnext'
_FIRST_FILTERS = 64  # of the first stage, by which Model Garden tells stages apart


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class GroupedBottleneckBlock(nn_blocks.BottleneckBlock):
    """Model Garden's, with `cardinality` groups in the 3x3 convolution; it pads both sides where it strides."""

    def __init__(self, cardinality: int, base_width: int, **kwargs: Any):
        """Args: groups; channels of a group in the first stage; the rest Model Garden's."""
        super().__init__(**kwargs)
        self._cardinality, self._base_width = cardinality, base_width

    def build(self, input_shape: Any) -> None:
        """Makes Model Garden's layers, then replaces the first two convolutions."""
        super().build(input_shape)
        width = self._cardinality * self._base_width * self._filters // _FIRST_FILTERS
        first, second = self._conv1.get_config(), self._conv2.get_config()  # type: ignore[has-type]
        self._conv1 = tf.keras.layers.Conv2D.from_config({**first, 'filters': width})
        changes = {**second, 'filters': width, 'groups': self._cardinality}
        kind = padding.SymmetricConv2D if self._strides > 1 else tf.keras.layers.Conv2D
        self._conv2 = kind(**changes)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), 'cardinality': self._cardinality, 'base_width': self._base_width}


class ResNeXt(resnet.ResNet):
    """ResNeXt, padded as PyTorch's; see `resnet.ORIGINS`."""

    def __init__(self, cardinality: int, base_width: int, **kwargs: Any):
        """Args: as `GroupedBottleneckBlock`; the rest as `resnet.ResNet`."""
        self._cardinality, self._base_width = cardinality, base_width
        super().__init__(**kwargs)

    def _block_of(self, block_fn: Any) -> Any:
        assert block_fn is nn_blocks.BottleneckBlock, 'checked with the config: model_id 50 or deeper'
        return functools.partial(
            GroupedBottleneckBlock, cardinality=self._cardinality, base_width=self._base_width
        )

    def get_config(self) -> dict[str, Any]:
        """What makes an equal model."""
        return {**super().get_config(), 'cardinality': self._cardinality, 'base_width': self._base_width}


@factory.register_backbone_builder(NAME)
def build_resnext(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    return ResNeXt(
        cardinality=config.cardinality,
        base_width=config.base_width,
        origin='torch',
        model_id=config.model_id,
        input_specs=input_specs,
        init_stochastic_depth_rate=config.stochastic_depth_drop_rate,
        bn_trainable=config.bn_trainable,
        **normalization.arguments(norm_activation_config, l2_regularizer),
    )
