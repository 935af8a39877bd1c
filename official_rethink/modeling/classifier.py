"""Model Garden's classification model, whose head can be saved and restored as a module like the backbone."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from official.vision.configs import image_classification
from official.vision.modeling import classification_model
from official.vision.modeling.backbones import factory

HEAD = 'head'


class Classifier(classification_model.ClassificationModel):
    """Model Garden's, with the layers behind the backbone as 'head'."""

    @property
    def checkpoint_items(self) -> Mapping[str, Any]:
        """The modules that checkpoints hold by name: 'backbone', which starts a detector, and 'head'."""
        return {'backbone': self.backbone, HEAD: self.layers[-1]}


def build(
    params: image_classification.ImageClassificationModel,
    regularizer: tf.keras.regularizers.Regularizer | None,
) -> Classifier:
    """Builds a classifier on a backbone of Model Garden's factory; every weight is random."""
    input_specs = tf.keras.layers.InputSpec(shape=[None, *params.input_size])
    norm = params.norm_activation
    backbone = factory.build_backbone(
        input_specs=input_specs,
        backbone_config=params.backbone,
        norm_activation_config=norm,
        l2_regularizer=regularizer,
    )
    return Classifier(
        backbone=backbone,
        num_classes=params.num_classes,
        input_specs=input_specs,
        dropout_rate=params.dropout_rate,
        kernel_initializer=params.kernel_initializer,
        kernel_regularizer=regularizer,
        add_head_batch_norm=params.add_head_batch_norm,
        use_sync_bn=norm.use_sync_bn,
        norm_momentum=norm.norm_momentum,
        norm_epsilon=norm.norm_epsilon,
    )
