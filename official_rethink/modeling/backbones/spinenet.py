"""SpineNet as tensorflow/tpu's detection code builds it, on Model Garden's and with its variables.

`backbone.spinenet.model_id` chooses: '143-release' and the like; Model Garden's own ids stay as they are. What
differs: strided convolutions pad both sides; a connection over three levels pools once, five wide, not twice;
no block of level 2; stochastic depth grows over 15 blocks.
"""

import dataclasses
from typing import Any

import tensorflow as tf
from official.modeling import hyperparams, tf_utils
from official.vision.modeling import backbones  # noqa: F401  registers Model Garden's before it is replaced
from official.vision.modeling.backbones import factory
from official.vision.modeling.backbones import spinenet as model_garden
from official.vision.ops import spatial_transform_ops

from official_rethink.configs import published
from official_rethink.modeling import normalization
from official_rethink.modeling.backbones import padding

layers = tf.keras.layers
NAME = 'spinenet'
BLOCKS = model_garden.SPINENET_BLOCK_SPECS[:15]
_NARROW_POOL = 3
_WIDE_POOL = 5

factory._REGISTERED_BACKBONE_CLS.pop(NAME, None)


@dataclasses.dataclass(frozen=True)
class _Width:
    """Side length of what enters and leaves a connection."""

    before: int
    after: int


class SpineNet(model_garden.SpineNet):
    """Model Garden's SpineNet with the release's padding and pooling."""

    def __init__(self, **kwargs: Any):
        """Args: Model Garden's, but for `block_specs`."""
        super().__init__(block_specs=model_garden.build_block_specs(BLOCKS), **kwargs)

    def _conv_norm(self, inputs: tf.Tensor, filters: int, kernel_size: int, strides: int, activate: bool) -> tf.Tensor:
        arguments = {
            'filters': filters,
            'kernel_size': kernel_size,
            'strides': strides,
            'use_bias': False,
            'kernel_initializer': self._kernel_initializer,
            'kernel_regularizer': self._kernel_regularizer,
        }
        layer = padding.SymmetricConv2D(**arguments) if strides > 1 else layers.Conv2D(padding='same', **arguments)
        features = self._norm(
            axis=self._bn_axis,
            momentum=self._norm_momentum,
            epsilon=self._norm_epsilon,
            synchronized=self._use_sync_bn,
        )(layer(inputs))
        return tf_utils.get_activation(self._activation_fn)(features) if activate else features

    def _build_stem(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        features = self._conv_norm(inputs, filters=64, kernel_size=7, strides=2, activate=True)
        features = layers.MaxPool2D(pool_size=3, strides=2, padding='same')(features)
        stem = []
        for block in range(self._num_init_blocks):
            features = self._block_group(
                inputs=features,
                filters=int(model_garden.FILTER_SIZE_MAP[2] * self._filter_size_scale),
                strides=1,
                block_fn_cand=self._init_block_fn,
                block_repeats=self._block_repeats,
                name=f'stem_block_{block + 1}',
            )
            stem.append(features)
        return stem

    def _resample_with_alpha(
        self,
        inputs: tf.Tensor,
        input_width: int,
        input_block_fn: str,
        target_width: int,
        target_num_filters: int,
        target_block_fn: str,
        alpha: float = 0.5,
    ) -> tf.Tensor:
        """Brings one block's output to the size and channels of another."""
        filters = inputs.shape[-1] // (4 if input_block_fn == 'bottleneck' else 1)
        filters = int(filters * alpha)
        features = self._conv_norm(inputs, filters, kernel_size=1, strides=1, activate=True)
        features = self._resize(features, filters, _Width(int(input_width), int(target_width)))
        target = target_num_filters * (4 if target_block_fn == 'bottleneck' else 1)
        return self._conv_norm(features, target, kernel_size=1, strides=1, activate=False)

    def _resize(self, features: tf.Tensor, filters: int, width: _Width) -> tf.Tensor:
        if width.before < width.after:
            return spatial_transform_ops.nearest_upsampling(features, scale=width.after // width.before)
        if width.before == width.after:
            return features
        features = self._conv_norm(features, filters, kernel_size=3, strides=2, activate=True)
        ratio = width.before // width.after
        if ratio == 2:
            return features
        pool = _NARROW_POOL if ratio <= 4 else _WIDE_POOL
        return layers.MaxPool2D(pool_size=pool, strides=ratio // 2, padding='same')(features)


@factory.register_backbone_builder(NAME)
def build_spinenet(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    if config.model_id not in published.RELEASE_SPINENETS:
        return model_garden.build_spinenet(input_specs, backbone_config, norm_activation_config, l2_regularizer)
    return SpineNet(
        input_specs=input_specs,
        min_level=config.min_level,
        max_level=config.max_level,
        init_stochastic_depth_rate=config.stochastic_depth_drop_rate,
        **normalization.arguments(norm_activation_config, l2_regularizer),
        **model_garden.SCALING_MAP[published.RELEASE_SPINENETS[config.model_id]],
    )
