"""Tests of ResNeXt: published sizes, groups that see their own channels alone, gradients."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import accounting
from official_rethink.modeling.backbones import resnext


def _specs(size):
    return tf.keras.layers.InputSpec(shape=[None, size, size, 3])


def test_the_published_size():
    # torchvision's resnext101_32x8d: 88,791,336 parameters, 2,049,000 of which are the classifier's; 16.41 GFLOPs.
    network = resnext.ResNeXt(32, 8, origin='torch', model_id=101, input_specs=_specs(224))
    cost = accounting.count(network, [224, 224, 3])
    assert cost.parameters == 88_791_336 - 2_049_000
    assert cost.flops / 1e9 == pytest.approx(16.41, abs=0.01)


@pytest.fixture(scope='module')
def block():
    made = resnext.GroupedBottleneckBlock(4, 2, filters=64, strides=2, use_projection=True)
    made(tf.zeros([1, 8, 8, 16]))
    return made


def test_a_group_sees_its_own_channels_alone(block):
    convolution = block._conv2
    assert convolution.kernel.shape == [3, 3, 2, 8]  # width 4 * 2; a group reads 2 channels
    values = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)
    before = convolution(values).numpy()
    values[..., 2:4] += 1.0
    changed = np.abs(convolution(values) - before).max(axis=(0, 1, 2)) > 1e-6
    np.testing.assert_array_equal(changed, [0, 0, 1, 1, 0, 0, 0, 0])


def test_the_grouped_convolution_by_hand(block):
    values = np.random.default_rng(1).normal(size=(1, 4, 4, 8)).astype(np.float32)
    kernel = block._conv2.kernel.numpy()
    padded = np.pad(values, [[0, 0], [1, 1], [1, 1], [0, 0]])
    expected = np.zeros([1, 2, 2, 8])
    for row in range(2):
        for column in range(2):
            window = padded[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            for channel in range(8):
                first = channel // 2 * 2
                expected[0, row, column, channel] = np.sum(window[..., first : first + 2] * kernel[..., channel])
    np.testing.assert_allclose(block._conv2(values), expected, atol=1e-5)


def test_every_weight_gets_a_gradient():
    network = resnext.ResNeXt(2, 2, origin='torch', model_id=50, input_specs=_specs(32))
    with tf.GradientTape() as tape:
        outputs = network(tf.random.stateless_normal([2, 32, 32, 3], [1, 2]), training=True)
        total = tf.add_n([tf.reduce_sum(tf.square(value)) for value in outputs.values()])
    assert all(gradient is not None for gradient in tape.gradient(total, network.trainable_variables))
    assert {level: value.shape[1] for level, value in outputs.items()} == {'2': 8, '3': 4, '4': 2, '5': 1}


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('task.model.backbone.resnext.model_id=18', "resnext.model_id '18'|resnext.model_id 18"),
        ('task.model.backbone.resnext.cardinality=0', 'cardinality is 0'),
        ('task.model.backbone.resnext.cardinalty=8', 'cardinality'),
    ],
)
def test_bad_values_are_named(override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load('retinanet_efficientnet_coco', (), f'task.model.backbone.type=resnext,{override}')
