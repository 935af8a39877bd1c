"""VGG without any normalisation: He et al., "Rethinking ImageNet Pre-training", train it from scratch too.

Its convolutions start from He et al.'s (2015) initialisation, without which so deep a network without
normalisation does not learn. The last pooling is left out: a detector reads conv5 at stride 16.
"""

from typing import Any

import tensorflow as tf
from official.modeling import hyperparams, tf_utils
from official.vision.modeling.backbones import factory

NAME = 'vgg'
# Convolutions of each stage, by the number of layers with weights of the whole classifier.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


class VGG(tf.keras.Model):
    """The convolutions of VGG; gives level l, at stride 2^l, before it is pooled, from 0 to 4."""

    def __init__(
        self,
        model_id: int,
        input_specs: tf.keras.layers.InputSpec,
        activation: str = 'relu',
        depth_multiplier: float = 1.0,
        kernel_regularizer: tf.keras.regularizers.Regularizer | None = None,
        **kwargs: Any,
    ):
        """Builds the network.

        Args:
            model_id: a key of `CONVOLUTIONS`.
            input_specs: of the images, [B, H, W, 3].
            activation: behind every convolution.
            depth_multiplier: of the channels.
            kernel_regularizer: of the kernels.
            **kwargs: Keras'.
        """
        inputs = features = tf.keras.Input(shape=input_specs.shape[1:])
        endpoints = {}
        for level, (count, channels) in enumerate(zip(CONVOLUTIONS[model_id], CHANNELS, strict=True)):
            if level:
                features = tf.keras.layers.MaxPool2D(2)(features)
            for number in range(count):
                features = tf.keras.layers.Conv2D(
                    max(1, round(channels * depth_multiplier)),
                    3,
                    padding='same',
                    kernel_initializer='he_normal',
                    kernel_regularizer=kernel_regularizer,
                    name=f'conv{level + 1}_{number + 1}',
                )(features)
                features = tf_utils.get_activation(activation, use_keras_layer=True)(features)
            endpoints[str(level)] = features
        self._output_specs = {level: value.shape for level, value in endpoints.items()}
        super().__init__(inputs=inputs, outputs=endpoints, **kwargs)

    @property
    def output_specs(self) -> dict[str, tf.TensorShape]:
        """Level to the shape of its features."""
        return self._output_specs


@factory.register_backbone_builder(NAME)
def build_vgg(
    input_specs: tf.keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf.keras.regularizers.Regularizer | None = None,
) -> tf.keras.Model:
    """Builds the backbone that a config names; called by Model Garden."""
    config = backbone_config.get()
    return VGG(
        model_id=config.model_id,
        input_specs=input_specs,
        activation=norm_activation_config.activation,
        depth_multiplier=config.depth_multiplier,
        kernel_regularizer=l2_regularizer,
    )
