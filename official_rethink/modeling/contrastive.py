"""A backbone with SimCLR's projection head."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from official.vision.configs import common
from official.vision.modeling.backbones import factory

from official_rethink.configs import simclr
from official_rethink.modeling import normalization, weight_decay


def pooled(endpoints: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Averages a backbone's deepest level over the image: float32 [B, F]."""
    deepest = endpoints[max(endpoints, key=int)]
    return tf.reduce_mean(tf.cast(deepest, tf.float32), axis=[1, 2])


def build_backbone(
    backbone: Any,
    norm_activation: common.NormActivation,
    input_size: list[int],
    l2_weight_decay: float = 0.0,
) -> tf.keras.Model:
    """Builds a backbone as the detectors' factory does, so that its variables have the same places.

    Args:
        backbone: Model Garden's config.
        norm_activation: of its layers.
        input_size: height, width, channels.
        l2_weight_decay: of its kernels; half the square, as the reference.
    """
    regularizer = weight_decay.l2(l2_weight_decay)
    # The projection head keeps its batch norm, which is part of the method.
    with normalization.scope(norm_activation):
        return factory.build_backbone(
            input_specs=tf.keras.layers.InputSpec(shape=[None, *input_size]),
            backbone_config=backbone,
            norm_activation_config=norm_activation,
            l2_regularizer=regularizer,
        )


def projection_head(
    params: simclr.ProjectionHead, width: int, norm: common.NormActivation, l2_weight_decay: float = 0.0
) -> tf.keras.Sequential:
    """Builds the release's head: dense layers with batch norm, ReLU between; the last without offset.

    Args:
        params: number of layers and widths.
        width: features that go in.
        norm: batch norm's settings.
        l2_weight_decay: of its kernels.
    """
    regularizer = weight_decay.l2(l2_weight_decay)
    layers: list[tf.keras.layers.Layer] = [tf.keras.layers.InputLayer([width])]
    for number in range(params.num_layers):
        last = number == params.num_layers - 1
        layers += [
            tf.keras.layers.Dense(
                params.output_width if last else params.hidden_width or width,
                use_bias=False,  # batch norm's offset stands for it
                kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.01),
                kernel_regularizer=regularizer,
            ),
            tf.keras.layers.BatchNormalization(
                momentum=norm.norm_momentum,
                epsilon=norm.norm_epsilon,
                center=not last,
                synchronized=norm.use_sync_bn,
            ),
        ]
        if not last:
            layers.append(tf.keras.layers.ReLU())
    return tf.keras.Sequential(layers, name='projection_head')


class ContrastiveModel(tf.keras.Model):
    """Images to features and projections."""

    def __init__(self, backbone: tf.keras.Model, head: tf.keras.Model, **kwargs: Any):
        """Args: gives the levels of an image; takes the pooled features."""
        super().__init__(**kwargs)
        self.backbone = backbone
        self.projection_head = head

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Takes normalised images [B, H, W, 3]; returns float32 features [B, F] and projection [B, D]."""
        features = pooled(self.backbone(inputs, training=training))
        projection = self.projection_head(features, training=training)
        return {'features': features, 'projection': tf.cast(projection, tf.float32)}

    @property
    def checkpoint_items(self) -> dict[str, tf.keras.Model]:
        """The modules that can be restored each alone; 'backbone' starts a detector."""
        return {'backbone': self.backbone, 'projection_head': self.projection_head}


def build(params: simclr.SimClrModel, l2_weight_decay: float = 0.0) -> ContrastiveModel:
    """Builds the model of a config; every weight is random."""
    backbone = build_backbone(params.backbone, params.norm_activation, params.input_size, l2_weight_decay)
    width = pooled({level: tf.zeros([1, *shape[1:]]) for level, shape in backbone.output_specs.items()}).shape[-1]
    head = projection_head(params.projection_head, width, params.norm_activation, l2_weight_decay)
    return ContrastiveModel(backbone, head)
