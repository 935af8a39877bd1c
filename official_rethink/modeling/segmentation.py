"""Segmentation networks: a backbone, NAS-FPN or ASPP, and Model Garden's head; fully convolutional.

Letters: B batch, H W pixels of the input, h w of the logits, K classes. Sides of the input have to be multiples of
`multiple_of`: 128 with NAS-FPN, whose coarsest level has stride 128, and the backbone's output stride with DeepLab.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from official.vision.modeling import segmentation_model
from official.vision.modeling.backbones import factory as backbones
from official.vision.modeling.decoders import aspp, nasfpn  # noqa: F401  registers the first
from official.vision.modeling.decoders import factory as decoders
from official.vision.modeling.heads import segmentation_heads

from official_rethink.common import errors
from official_rethink.configs import classification
from official_rethink.configs import efficientnet as table
from official_rethink.configs import normalization as norm_configs
from official_rethink.configs import segmentation_model as configs
from official_rethink.modeling import normalization
from official_rethink.modeling.backbones import efficientnet

LOGITS = 'logits'
_PACKAGE = 'official_rethink'


def multiple_of(config: configs.SegmentationModel) -> int:
    """What the sides of the input have to be multiples of, so that all levels fit on each other."""
    return 2 ** (config.max_level if config.decoder.type == 'nasfpn' else config.decoder.aspp.level)


def parameters_of_release(config: configs.SegmentationModel, parameters: int) -> dict[str, int]:
    """Counts what the release's graph, and so its published count, holds of EfficientNet beside what is used.

    Args:
        config: of the model.
        parameters: trainable ones of the model as it is built here.

    Returns:
        With the 1x1 convolution behind the backbone's last block, and with the 1000 classes behind that too; nothing
        for a network that is not of the release's kind.
    """
    if (config.backbone.type, config.decoder.type) != (efficientnet.NAME, 'nasfpn'):
        return {}
    model_id = config.backbone.efficientnet.model_id
    width = table.head_filters(model_id)
    convolution = table.blocks(model_id)[-1].filters * width + 2 * width
    classifier = width * classification.IMAGENET_CLASSES + classification.IMAGENET_CLASSES
    return {'with_convolution': parameters + convolution, 'with_classes': parameters + convolution + classifier}


def resized(features: tf.Tensor, size: tf.Tensor, resampling: str) -> tf.Tensor:
    """Resizes bilinearly.

    Args:
        features: [B, h, w, C].
        size: int32 [2].
        resampling: 'centres', where place i of the result lies at (i + 1/2) scale - 1/2, as Model Garden's does; or
            'corners', at i scale, as TF1's did.

    Returns:
        [B, size[0], size[1], C] of the same type; computed in float32.
    """
    wide = tf.cast(features, tf.float32)
    found = tf.raw_ops.ResizeBilinear(
        images=wide, size=size, align_corners=False, half_pixel_centers=resampling == 'centres'
    )
    return tf.cast(found, features.dtype)


def fused(pyramid: Mapping[str, tf.Tensor], level: int, resampling: str) -> tf.Tensor:
    """Brings all levels of a pyramid to the size of `level` and sums them.

    Model Garden's takes the sizes from static shapes, which images of any size do not have while a model is built.

    Args:
        pyramid: level to features [B, H / 2**level, W / 2**level, C].
        level: at most the finest level of the pyramid.
        resampling: as of `resized`.

    Returns:
        [B, H / 2**level, W / 2**level, C].
    """
    finest = min(map(int, pyramid))
    size = tf.shape(pyramid[str(finest)])[1:3] * 2 ** (finest - level)
    parts = [pyramid[str(number)] for number in sorted(map(int, pyramid))]
    return tf.add_n([
        part if number == 0 and finest == level else resized(part, size, resampling)
        for number, part in enumerate(parts)
    ])


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class NASFPN(nasfpn.NASFPN):
    """Model Garden's, at any number of filters."""

    def _resample_feature_map(
        self, inputs: tf.Tensor, input_level: int, target_level: int, target_num_filters: int | None = None
    ) -> tf.Tensor:
        # Within a cell Model Garden's asks for 256 channels whatever num_filters is, and puts a projection and a batch
        # norm on every connection of a narrower network; the release's has none there.
        return super()._resample_feature_map(inputs, input_level, target_level, self._config_dict['num_filters'])


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class SegmentationHead(segmentation_heads.SegmentationHead):
    """Model Garden's, which fuses a pyramid at any size."""

    def __init__(self, pyramid_resampling: str = 'centres', **kwargs: Any):
        """Args: as of `resized`; Model Garden's."""
        super().__init__(**kwargs)
        self._config_dict['pyramid_resampling'] = pyramid_resampling

    def call(self, inputs: tuple[Mapping[str, tf.Tensor], Mapping[str, tf.Tensor]]) -> tf.Tensor:
        """Levels of backbone and decoder to logits [B, h, w, K]."""
        endpoints, pyramid = inputs
        config = self._config_dict
        if config['feature_fusion'] != 'pyramid_fusion':
            return super().call(inputs)
        features = fused(pyramid, config['level'], config['pyramid_resampling'])
        for convolution, norm in zip(self._convs, self._norms, strict=True):
            features = self._activation(norm(convolution(features)))
        return self._classifier(features)


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class SegmentationModel(segmentation_model.SegmentationModel):
    """Model Garden's, with logits in float32 whatever the precision."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Normalised images [B, H, W, 3] to {'logits': float32 [B, h, w, K]}."""
        outputs = super().call(inputs, training=training)
        return {LOGITS: tf.cast(outputs[LOGITS], tf.float32)}


def _decoder(
    config: configs.SegmentationModel, backbone: tf.keras.Model, regularizer: tf.keras.regularizers.Regularizer | None
) -> tf.keras.layers.Layer:
    norm, specs = config.decoder_norm_activation, dict(backbone.output_specs)
    if config.decoder.type == 'aspp':
        return decoders.build_decoder(specs, config.replace(norm_activation=norm), regularizer)
    return NASFPN(
        input_specs=specs,
        min_level=config.min_level,
        max_level=config.max_level,
        num_filters=config.decoder.nasfpn.num_filters,
        num_repeats=config.decoder.nasfpn.num_repeats,
        use_separable_conv=config.decoder.nasfpn.use_separable_conv,
        **normalization.arguments(norm, regularizer),
    )


def _head(
    config: configs.SegmentationModel, regularizer: tf.keras.regularizers.Regularizer | None
) -> SegmentationHead:
    norm, head = config.decoder_norm_activation, config.head
    return SegmentationHead(
        pyramid_resampling=config.pyramid_resampling,
        num_classes=config.num_classes,
        level=head.level,
        num_convs=head.num_convs,
        num_filters=head.num_filters,
        use_depthwise_convolution=head.use_depthwise_convolution,
        prediction_kernel_size=head.prediction_kernel_size,
        feature_fusion=head.feature_fusion,
        low_level=head.low_level,
        low_level_num_filters=head.low_level_num_filters,
        **normalization.arguments(norm, regularizer),
    )


def build(
    config: configs.SegmentationModel, regularizer: tf.keras.regularizers.Regularizer | None = None
) -> SegmentationModel:
    """Builds a network with all its variables, at random; it takes images of any size that the strides divide.

    Args:
        config: of the model.
        regularizer: of kernels.

    Raises:
        UserError: a decoder that is neither 'nasfpn' nor 'aspp'.
    """
    if config.decoder.type not in ('nasfpn', 'aspp'):
        raise errors.unknown_name('task.model.decoder.type', config.decoder.type, ('nasfpn', 'aspp'))
    norm = config.norm_activation
    with normalization.scope(norm):
        backbone = backbones.build_backbone(
            input_specs=tf.keras.layers.InputSpec(shape=[None, None, None, 3]),
            backbone_config=config.backbone,
            norm_activation_config=norm,
            l2_regularizer=regularizer,
        )
    frozen = norm.normalization == norm_configs.FROZEN
    with normalization.scope(norm, norm_configs.NONE if frozen else None):
        model = SegmentationModel(backbone, _decoder(config, backbone, regularizer), _head(config, regularizer))
        # A checkpoint is restored before the first step, and needs the variables of decoder and head.
        model(tf.keras.Input(config.input_size))
    return model
