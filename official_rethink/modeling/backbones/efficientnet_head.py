"""What EfficientNet has behind its blocks for classification: 1x1 convolution, mean, dropout, classifier."""

import types
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from official_rethink.configs import efficientnet as table
from official_rethink.modeling.backbones import efficientnet, efficientnet_layers

LAST_LEVEL = '5'


@tf.keras.utils.register_keras_serializable(package='official_rethink')
class ClassificationHead(tf.keras.Model):
    """Takes the last endpoint of `EfficientNet` and gives logits, or pooled features without a classifier.

    A module of its own, so that a detector's backbone holds no variable it never trains. Its layers are called
    'head_conv', 'head_bn' and 'classifier'.
    """

    def __init__(
        self,
        model_id: str,
        num_classes: int = 0,
        dropout_rate: float | None = None,
        activation: str = 'swish',
        use_sync_bn: bool = False,
        norm_momentum: float = 0.99,
        norm_epsilon: float = 1e-3,
        kernel_regularizer: tf.keras.regularizers.Regularizer | None = None,
        **kwargs: Any,
    ):
        """Builds the layers with random weights.

        Args:
            model_id: of the backbone.
            num_classes: logits per image; 0 for the pooled features [B, C] in front of dropout and classifier.
            dropout_rate: in front of the classifier; None for the original's, 0.2 (B0, B1) to 0.5 (B6 onwards).
            activation: behind the convolution; Lite has ReLU6, whatever it is.
            use_sync_bn: batch statistics over all replicas.
            norm_momentum: of the moving statistics.
            norm_epsilon: added to the variance.
            kernel_regularizer: of both kernels.
            **kwargs: Keras'.
        """
        style = efficientnet.style_of(
            model_id, activation, use_sync_bn, norm_momentum, norm_epsilon, kernel_regularizer
        )
        if dropout_rate is None:
            dropout_rate = table.SCALES[model_id].dropout
        # Not a dictionary, which Keras would write into every checkpoint.
        self._settings = types.MappingProxyType(
            {
                'model_id': model_id,
                'num_classes': num_classes,
                'dropout_rate': dropout_rate,
                'activation': activation,
                'use_sync_bn': use_sync_bn,
                'norm_momentum': norm_momentum,
                'norm_epsilon': norm_epsilon,
                'kernel_regularizer': kernel_regularizer,
            }
        )
        blocks = table.blocks(model_id)
        inputs = tf.keras.Input(shape=[None, None, blocks[-1].filters])
        features = style.convolution(table.head_filters(model_id), 'head_conv')(inputs)
        features = tf.keras.layers.Activation(style.activate, name='head_activation')(style.norm('head_bn')(features))
        outputs = tf.keras.layers.GlobalAveragePooling2D(name='pooling')(features)
        if num_classes:
            outputs = efficientnet_layers.Dropout(dropout_rate, salt=len(blocks), name='dropout')(outputs)
            outputs = _classifier(num_classes, kernel_regularizer)(outputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal model."""
        return dict(self._settings)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> 'ClassificationHead':
        """Makes an equal model, with weights of its own."""
        del custom_objects
        return cls(**config)


def _classifier(num_classes: int, regularizer: tf.keras.regularizers.Regularizer | None) -> tf.keras.layers.Layer:
    """A dense layer whose weights begin between plus and minus one over the root of the number of classes."""
    initializer = tf.keras.initializers.VarianceScaling(scale=1 / 3, mode='fan_out', distribution='uniform')
    return tf.keras.layers.Dense(
        num_classes, kernel_initializer=initializer, kernel_regularizer=regularizer, name='classifier'
    )
