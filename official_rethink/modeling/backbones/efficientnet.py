"""EfficientNet B0 to B8, L2 and Lite0 to Lite4 as their authors build them, in the place of Model Garden's.

docs/efficientnet.md lists what differs from Model Garden's version.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from official.modeling import hyperparams
from official.vision.modeling import backbones  # noqa: F401  registers Model Garden's before it is replaced
from official.vision.modeling.backbones import factory

from official_rethink.common import errors
from official_rethink.configs import efficientnet as table
from official_rethink.modeling import normalization
from official_rethink.modeling.backbones import efficientnet_layers
from official_rethink.modeling.checkpoints import layout

NAME = 'efficientnet'
DILATED = 'dilated_efficientnet'
_STEM_KERNEL = 3
_LITE_ACTIVATION = 'relu6'

# (x - 127) / 128; B0 to L2 take the pipeline's own scale.
LITE_INPUT = layout.Preprocessing((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))

factory._REGISTERED_BACKBONE_CLS.pop(NAME, None)


def scale_of(model_id: str) -> table.Scale:
    """Returns a model's scale.

    Raises:
        UserError: no such model.
    """
    if model_id not in table.SCALES:
        raise errors.unknown_name('EfficientNet model_id', model_id, table.SCALES)
    return table.SCALES[model_id]


def drop_rate_of(block: int, blocks: int, last: float) -> float:
    """The stochastic depth of one block: nothing at the first, near `last` at the last."""
    return last * block / blocks


def padding_colour(model_id: str) -> Sequence[float] | None:
    """What the stem pads with, on the pipeline's scale, where it is not zero.

    Lite's images are centred on 127, so the zeros that the original pads with are a grey that is not the pipeline's
    zero, ImageNet's mean.
    """
    if not scale_of(model_id).lite:
        return None
    return LITE_INPUT.zero_point()


def style_of(
    model_id: str,
    activation: str = 'swish',
    use_sync_bn: bool = False,
    norm_momentum: float = 0.99,
    norm_epsilon: float = 1e-3,
    kernel_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> efficientnet_layers.Style:
    """Returns what a model's layers share; Lite is ReLU6 whatever is asked for."""
    if scale_of(model_id).lite:
        activation = _LITE_ACTIVATION
    return efficientnet_layers.Style(activation, use_sync_bn, norm_momentum, norm_epsilon, kernel_regularizer)


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class EfficientNet(tf.keras.Model):
    """Stem and blocks, without the 1x1 convolution that only a classifier needs: see `ClassificationHead`.

    Its layers are called 'stem_conv', 'stem_bn' and 'blocks_0' onwards.
    """

    def __init__(
        self,
        model_id: str,
        input_specs: tf.keras.layers.InputSpec | None = None,
        se_ratio: float = table.SE_RATIO,
        stochastic_depth_drop_rate: float = 0.0,
        activation: str = 'swish',
        use_sync_bn: bool = False,
        norm_momentum: float = 0.99,
        norm_epsilon: float = 1e-3,
        kernel_regularizer: tf.keras.regularizers.Regularizer | None = None,
        output_stride: int = table.OUTPUT_STRIDE,
        **kwargs: Any,
    ):
        """Builds stem and blocks with random weights.

        Args:
            model_id: a key of `configs.efficientnet.SCALES`.
            input_specs: of the images, normalised as the pipeline does; any size if left out.
            se_ratio: channels of squeeze-and-excitation as a share of the block's input; Lite has none, whatever it is.
            stochastic_depth_drop_rate: of the network's end; a block's own grows with its depth from 0.
            activation: of all layers; Lite has ReLU6, whatever it is.
            use_sync_bn: batch statistics over all replicas.
            norm_momentum: of the moving statistics.
            norm_epsilon: added to the variance.
            kernel_regularizer: of every kernel.
            output_stride: of the last features: 32, or 16 or 8 for a dilated network, see `_dilated`.
            **kwargs: Keras'.
        """
        specs = input_specs or tf.keras.layers.InputSpec(shape=[None, None, None, 3])
        # Not a dictionary, which Keras would write into every checkpoint.
        self._settings = types.MappingProxyType(
            {
                'model_id': model_id,
                'input_specs': specs,
                'se_ratio': se_ratio,
                'stochastic_depth_drop_rate': stochastic_depth_drop_rate,
                'activation': activation,
                'use_sync_bn': use_sync_bn,
                'norm_momentum': norm_momentum,
                'norm_epsilon': norm_epsilon,
                'kernel_regularizer': kernel_regularizer,
                'output_stride': output_stride,
            }
        )
        style = style_of(model_id, activation, use_sync_bn, norm_momentum, norm_epsilon, kernel_regularizer)
        inputs = tf.keras.Input(shape=specs.shape[1:])
        endpoints = _blocks(
            _stem(inputs, model_id, style),
            model_id,
            style,
            0.0 if scale_of(model_id).lite else se_ratio,
            stochastic_depth_drop_rate,
            output_stride,
        )
        self._output_specs = {level: value.shape for level, value in endpoints.items()}
        super().__init__(inputs=inputs, outputs=endpoints, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal model."""
        return dict(self._settings)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> 'EfficientNet':
        """Makes an equal model, with weights of its own."""
        del custom_objects
        return cls(**config)

    @property
    def output_specs(self) -> Mapping[str, tf.TensorShape]:
        """Level to the shape of what the model gives out there: strides 4, 8, 16 and 32 for '2' to '5'.

        The last level of a dilated network is that of its output stride, and holds the last block's features.
        """
        return self._output_specs


def _stem(inputs: tf.Tensor, model_id: str, style: efficientnet_layers.Style) -> tf.Tensor:
    colour = padding_colour(model_id)
    padding = 'same'
    if colour is not None:
        padding = 'valid'
        inputs = efficientnet_layers.ColourPadding(_STEM_KERNEL, table.STEM_STRIDE, colour, name='stem_padding')(inputs)
    features = style.convolution(
        table.stem_filters(model_id), 'stem_conv', kernel_size=_STEM_KERNEL, strides=table.STEM_STRIDE, padding=padding
    )(inputs)
    features = style.norm('stem_bn')(features)
    return tf.keras.layers.Activation(style.activate, name='stem_activation')(features)


def _dilated(model_id: str, output_stride: int) -> Iterator[tuple[table.Block, int]]:
    """Yields every block with its dilation; from the output stride on, strides become dilations.

    The block that loses its stride still sees its input as before; those behind it see only every second place of
    theirs, as they did when the other ones did not exist (Chen et al., "Rethinking Atrous Convolution").
    """
    stride, dilation = table.STEM_STRIDE, 1
    for block in table.blocks(model_id):
        if stride * block.stride > output_stride:
            yield dataclasses.replace(block, stride=1), dilation
            dilation *= block.stride
        else:
            yield block, dilation
            stride *= block.stride


def _blocks(
    features: tf.Tensor,
    model_id: str,
    style: efficientnet_layers.Style,
    se_ratio: float,
    drop_rate: float,
    output_stride: int,
) -> dict[str, tf.Tensor]:
    """Runs all blocks and returns what each level gives out."""
    endpoints = {}
    deepest = output_stride.bit_length() - 1
    blocks = list(_dilated(model_id, output_stride))
    for block, dilation in blocks:
        rate = drop_rate_of(block.index, len(blocks), drop_rate)
        layer = efficientnet_layers.Bottleneck(
            block, style, se_ratio, rate, dilation, name=f'blocks_{block.index}'
        )
        features = layer(features)
        if block.level is not None:
            endpoints[str(min(block.level, deepest))] = features
    return endpoints


def _built(
    input_specs: tf.keras.layers.InputSpec,
    config: hyperparams.Config,
    norm: hyperparams.Config,
    regularizer: tf.keras.regularizers.Regularizer | None,
    output_stride: int,
) -> EfficientNet:
    return EfficientNet(
        model_id=config.model_id,
        input_specs=input_specs,
        se_ratio=config.se_ratio,
        stochastic_depth_drop_rate=config.stochastic_depth_drop_rate,
        output_stride=output_stride,
        **normalization.arguments(norm, regularizer),
    )


@factory.register_backbone_builder(NAME)
def build_efficientnet(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    return _built(input_specs, config, norm_activation_config, l2_regularizer, table.OUTPUT_STRIDE)


@factory.register_backbone_builder(DILATED)
def build_dilated_efficientnet(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the dilated backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    return _built(input_specs, config, norm_activation_config, l2_regularizer, config.output_stride)
