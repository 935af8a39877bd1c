"""A classifier on EfficientNet has EfficientNet's own head, and the variables of an imported checkpoint."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.configs import backbones, image_classification

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.modeling import classifier, restore
from official_rethink.modeling.checkpoints import efficientnet
from tests.modeling.backbones import tf1_efficientnet


def params(**changes):
    model = image_classification.ImageClassificationModel(
        num_classes=1000, input_size=[32, 32, 3], backbone=backbones.Backbone(type='efficientnet')
    )
    model.backbone.efficientnet.override({'model_id': 'lite0', 'stochastic_depth_drop_rate': 0.2})
    model.override(changes)
    return model


@pytest.fixture(scope='module')
def model():
    return classifier.build(params(dropout_rate=0.2), tf.keras.regularizers.l2(1e-5))


def test_it_has_the_published_parameters(model):
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == tf1_efficientnet.trainable('lite0')
    assert model(tf.zeros([2, 32, 32, 3])).shape == (2, 1000)
    assert len(model.losses) == sum('kernel' in v.name for v in model.trainable_variables)


def test_it_takes_an_imported_checkpoint_and_starts_another(model, tmp_path):
    imported = efficientnet.LiteTorch().build('efficientnet-lite0')
    path = tf.train.Checkpoint(**imported).write(str(tmp_path / 'lite0'))
    reports = restore.restore(model.checkpoint_items, path)
    assert {name: (report.missing, report.extra) for name, report in reports.items()} == {
        'backbone': ([], []),
        'head': ([], []),
    }
    images = tf.random.stateless_normal([1, 32, 32, 3], [1, 1])
    np.testing.assert_allclose(model(images), imported['head'](imported['backbone'](images)['5']), rtol=1e-5, atol=1e-5)


def test_a_second_batch_norm_is_refused():
    with pytest.raises(errors.UserError, match='task.model.add_head_batch_norm is True'):
        classifier.build(params(add_head_batch_norm=True), None)
