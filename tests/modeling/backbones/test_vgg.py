"""Tests of VGG: published sizes, strides, an initialisation that carries the signal through."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import accounting
from official_rethink.modeling.backbones import vgg


def _network(model_id=16, size=224, **kwargs):
    return vgg.VGG(model_id, tf.keras.layers.InputSpec(shape=[None, size, size, 3]), **kwargs)


# Keras Applications' VGG-16 and -19 without their top.
@pytest.mark.parametrize(('model_id', 'parameters'), [(16, 14_714_688), (19, 20_024_384)])
def test_the_published_sizes(model_id, parameters):
    assert _network(model_id).count_params() == parameters


def test_multiply_adds_by_hand():
    # A 3x3 convolution of a 4 x 4 image: 16 * 9 * in * out; half the side each stage.
    pairs = [[(3, 64), (64, 64)], [(64, 128), (128, 128)], [(128, 256), (256, 256), (256, 256)]]
    pairs += [[(256, 512), (512, 512), (512, 512)], [(512, 512)] * 3]
    sides = [16, 8, 4, 2, 1]
    expected = sum(side * side * 9 * a * b for side, stage in zip(sides, pairs, strict=True) for a, b in stage)
    assert accounting.count(_network(16, 16), [16, 16, 3]).flops == expected


def test_levels_have_their_strides():
    outputs = _network(11, 64, depth_multiplier=1 / 16)(tf.zeros([1, 64, 64, 3]))
    assert {level: value.shape[1:] for level, value in outputs.items()} == {
        '0': [64, 64, 4],
        '1': [32, 32, 8],
        '2': [16, 16, 16],
        '3': [8, 8, 32],
        '4': [4, 4, 32],
    }


def test_the_signal_gets_through_thirteen_layers():
    tf.keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    outputs = _network(16, 64, depth_multiplier=0.25)(images)
    sizes = [float(tf.sqrt(tf.reduce_mean(tf.square(value)))) for value in outputs.values()]
    # Glorot's initialisation loses a factor of two in variance a layer: 2^-13.
    assert 0.2 < sizes[-1] / sizes[0] < 5


def test_no_normalisation_and_regularised_kernels_alone():
    network = _network(11, 32, depth_multiplier=1 / 16, kernel_regularizer=tf.keras.regularizers.l2(1e-4))
    assert {type(layer).__name__ for layer in network.layers} <= {
        'InputLayer',
        'Conv2D',
        'Activation',
        'ReLU',
        'MaxPooling2D',
    }
    assert len(network.losses) == 8


def test_a_bad_depth_is_named():
    with pytest.raises(errors.UserError, match='vgg.model_id'):
        parse.load(
            'retinanet_efficientnet_coco', (), 'task.model.backbone.type=vgg,task.model.backbone.vgg.model_id=17'
        )
