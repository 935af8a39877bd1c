"""The one-stage detector is Model Garden's, weight for weight."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.modeling import factory

from official_rethink.configs import parse
from official_rethink.modeling import retinanet

HEAD = 'task.model.input_size=[128,128,3],task.model.head.num_filters=16,task.model.head.num_convs=1'
NETWORKS = {
    'retinanet_efficientnet_coco': (
        ',task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,task.model.decoder.fpn.num_filters=16'
    ),
    'retinanet_spinenet_coco': ',task.model.backbone.spinenet.model_id=49S',  # without a decoder
}


@pytest.mark.parametrize('experiment', NETWORKS)
def test_it_is_model_garden_s(experiment: str) -> None:
    config = parse.load_experiment(experiment, [], HEAD + NETWORKS[experiment]).task.model
    decodes = config.decoder.type != 'identity'

    def built(ours: bool) -> tf.keras.Model:
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(3)
        regularizer = tf.keras.regularizers.L2(1e-4)
        if ours:
            return retinanet.build(config, regularizer)
        specs = tf.keras.layers.InputSpec(shape=[None, *config.input_size])
        model = factory.build_retinanet(specs, config, regularizer)
        if not decodes:
            model.head(model.backbone.output)
        return model

    ours, theirs = built(True), built(False)
    assert (ours.decoder is not None) == decodes
    assert (ours.name, type(ours)) == (theirs.name, type(theirs))
    names = [variable.name for variable in theirs.variables]
    assert [variable.name for variable in ours.variables] == names and any('head' in name for name in names)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert len(ours.losses) == len(theirs.losses) > 10
    assert set(ours.checkpoint_items) == set(theirs.checkpoint_items)
    if not decodes:  # the other has every way through the network, and takes seconds where this one takes a minute
        return
    images = tf.random.stateless_normal([1, *config.input_size], [1, 2])
    outputs = [model(images, training=True) for model in (ours, theirs)]
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a, b), *outputs)
