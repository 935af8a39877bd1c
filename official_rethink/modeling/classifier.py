"""Model Garden's classification model, whose head can be saved and restored as a module like the backbone."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from official.vision.configs import image_classification
from official.vision.modeling import classification_model
from official.vision.modeling.backbones import factory

from official_rethink.common import errors
from official_rethink.modeling.backbones import efficientnet, efficientnet_head

HEAD = 'head'


class Classifier(classification_model.ClassificationModel):
    """Model Garden's, with the layers behind the backbone as 'head'."""

    @property
    def checkpoint_items(self) -> Mapping[str, Any]:
        """The modules that checkpoints hold by name: 'backbone', which starts a detector, and 'head'."""
        return {'backbone': self.backbone, HEAD: self.layers[-1]}


class EfficientNetClassifier(tf.keras.Model):
    """EfficientNet with its own head: Model Garden's would leave out the 1x1 convolution in front of the mean."""

    def __init__(self, backbone: tf.keras.Model, head: tf.keras.Model, **kwargs: Any):
        """Joins the two.

        Args:
            backbone: gives the levels of an image.
            head: takes the last of them.
            **kwargs: Keras'.
        """
        inputs = tf.keras.Input(shape=backbone.input_shape[1:])
        outputs = head(backbone(inputs)[efficientnet_head.LAST_LEVEL])
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self._parts = lambda: (backbone, head)  # in a closure, since checkpoints would hold them twice

    @property
    def backbone(self) -> tf.keras.Model:
        """What a detector can start from."""
        return self._parts()[0]

    @property
    def checkpoint_items(self) -> Mapping[str, Any]:
        """As `Classifier`'s; an imported EfficientNet has the same two."""
        backbone, head = self._parts()
        return {'backbone': backbone, HEAD: head}


def _efficientnet(
    params: image_classification.ImageClassificationModel,
    backbone: tf.keras.Model,
    regularizer: tf.keras.regularizers.Regularizer | None,
) -> EfficientNetClassifier:
    if params.add_head_batch_norm:
        raise errors.bad_value('task.model.add_head_batch_norm', True, 'false; the head of EfficientNet has one')
    norm = params.norm_activation
    head = efficientnet_head.ClassificationHead(
        model_id=params.backbone.efficientnet.model_id,
        num_classes=params.num_classes,
        dropout_rate=params.dropout_rate,
        activation=norm.activation,
        use_sync_bn=norm.use_sync_bn,
        norm_momentum=norm.norm_momentum,
        norm_epsilon=norm.norm_epsilon,
        kernel_regularizer=regularizer,
    )
    return EfficientNetClassifier(backbone, head)


def build(
    params: image_classification.ImageClassificationModel,
    regularizer: tf.keras.regularizers.Regularizer | None,
) -> Classifier | EfficientNetClassifier:
    """Builds a classifier on a backbone of Model Garden's factory; every weight is random."""
    input_specs = tf.keras.layers.InputSpec(shape=[None, *params.input_size])
    norm = params.norm_activation
    backbone = factory.build_backbone(
        input_specs=input_specs,
        backbone_config=params.backbone,
        norm_activation_config=norm,
        l2_regularizer=regularizer,
    )
    if params.backbone.type == efficientnet.NAME:
        return _efficientnet(params, backbone, regularizer)
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
