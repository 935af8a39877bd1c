"""Tests that imported ResNet-50s compute what their publishers' own code computes."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.vision.modeling import backbones  # noqa: F401
from official.vision.ops import preprocess_ops

from official_rethink.common import errors
from official_rethink.modeling import conversion, restore
from official_rethink.modeling.backbones import resnet as backbone
from official_rethink.modeling.checkpoints import importing
from tests.modeling.checkpoints import resnets, writers

TOLERANCE = 1e-4
MOMENTUM = 'head_contrastive/nl_0/dense/kernel'


@pytest.fixture(scope='module')
def images():
    """Two images with an even side, where 'same' padding would show; noise over a gradient."""
    random = np.random.default_rng(5)
    slope = np.linspace(0, 160, 64)[np.newaxis, :, np.newaxis, np.newaxis]
    return (slope + random.integers(0, 96, [2, 64, 64, 3])).astype(np.uint8)


@pytest.fixture(scope='module')
def simclr(images):
    """SimCLR's plain network, called once so that it has its values."""
    conversion.leave_keras_alone()
    network = resnets.Simclr(0, resnets.simclr_tf1_name)
    return network.weights.tensors, network(images)


def features(modules, images):
    inputs = preprocess_ops.normalize_image(tf.constant(images))
    return modules['backbone'](inputs, training=False)


def greatest_difference(found, wanted):
    """Greatest difference over all levels, relative to the level's greatest value."""
    assert set(found) == set(wanted) == {'2', '3', '4', '5'}
    return max(
        float(tf.reduce_max(tf.abs(found[level] - wanted[level])) / tf.reduce_max(tf.abs(wanted[level])))
        for level in wanted
    )


def report_line(report, difference):
    print(f'{report["format"]}: {report["matched"]}/{report["missing"]}/{report["extra"]}, {difference:.1e}')


@pytest.fixture(scope='module')
def imported(simclr, tmp_path_factory):
    """SimCLR's TF1 checkpoint, imported through files into a fresh backbone: report, prefix, backbone."""
    folder = tmp_path_factory.mktemp('simclr')
    extra = {'global_step': np.int64(9), MOMENTUM: np.ones([3, 3], np.float32)}
    extra['base_model/conv2d/kernel/Momentum'] = np.full([1], np.nan, np.float32)  # left out, so never looked at
    writers.write_tf1(str(folder / 'model.ckpt-250228'), {**simclr[0], **extra})
    output = str(folder / 'out' / 'simclr')
    report = importing.import_checkpoint('simclr-tf1', str(folder), output)
    fresh = backbone.ResNet(origin='simclr', model_id=50, norm_epsilon=1e-3)
    found = restore.restore({'backbone': fresh}, output)['backbone']
    assert (len(found.matched), found.missing, found.extra) == (265, [], [])
    return report, output, {'backbone': fresh}


def test_simclr_tf1_is_exact_and_travels_through_a_checkpoint(images, simclr, imported):
    report, output, modules = imported
    assert (report['matched'], report['missing'], report['extra']) == (265, 0, 0)
    assert sorted(group['count'] for group in report['left_out']) == [1, 1, 1]
    assert report['preprocessing'] == {
        'offset': [0, 0, 0], 'scale': [255, 255, 255], 'folded': True, 'exact_at_border': True
    }
    with open(output + '.json', encoding='utf-8') as handle:
        assert json.load(handle) == report
    difference = greatest_difference(features(modules, images), simclr[1])
    report_line(report, difference)
    assert difference < TOLERANCE


def test_simclr_tf2_takes_its_values_by_their_places(tmp_path, images, simclr):
    tensors, wanted = simclr
    resnets.simclr_tf2_tree({**tensors, 'head': np.zeros([4, 2], np.float32)}).save(str(tmp_path / 'ckpt'))
    imported = importing.read('simclr-tf2', str(tmp_path))
    assert imported.report['matched'] == 265 and imported.report['kind'] == 'TensorFlow 2'
    difference = greatest_difference(features(imported.modules, images), wanted)
    report_line(imported.report, difference)
    assert difference < TOLERANCE


def test_moco_is_exact(tmp_path, images):
    network = resnets.Torchvision(1)
    wanted = network(images)
    count = {'module.encoder_q.bn1.num_batches_tracked': np.array(5, np.int64)}
    head = {'module.encoder_q.fc.weight': np.ones([128, 2048], np.float32)}
    key = {'module.encoder_k.conv1.weight': np.ones([2], np.float32), 'module.queue': np.ones([3], np.float32)}
    path = str(tmp_path / 'moco_v1_200ep_pretrain.pth.tar')
    writers.write_legacy(path, {**network.tensors, **count, **head, **key}, wrap='state_dict')
    imported = importing.read('moco', path)
    assert imported.report['matched'] == 265 and sum(item['count'] for item in imported.report['left_out']) == 4
    assert not imported.report['preprocessing']['folded']
    difference = greatest_difference(features(imported.modules, images), wanted)
    report_line(imported.report, difference)
    assert difference < TOLERANCE


@pytest.fixture(scope='module')
def keras_model():
    """Keras' own ResNet-50 with random statistics, so that no term of a batch norm is neutral."""
    model = tf.keras.applications.ResNet50(weights=None, input_shape=[64, 64, 3], classes=10)
    random = np.random.default_rng(2)
    ranges = {'gamma': (0.5, 1.5), 'beta': (-0.2, 0.2), 'bias': (-0.2, 0.2), 'moving_mean': (-0.2, 0.2)}
    for variable in model.variables:
        low, high = ranges.get(variable.name.split('/')[-1].split(':')[0], (None, None))
        if low is not None:
            variable.assign(random.uniform(low, high, variable.shape))
    return model


def test_keras_resnet50_is_exact_biases_stride_and_channel_order_included(tmp_path, images, keras_model):
    path = str(tmp_path / 'weights.h5')
    keras_model.save_weights(path)
    imported = importing.read('keras-resnet50', path)
    assert imported.report['matched'] == 265
    assert [item['count'] for item in imported.report['left_out']] == [2]
    ends = [keras_model.get_layer(f'conv{group}_block{blocks}_out').output for group, blocks in zip(
        (2, 3, 4, 5), resnets.BLOCKS, strict=True)]
    inputs = tf.keras.applications.resnet50.preprocess_input(images.astype(np.float32))
    outputs = tf.keras.Model(keras_model.input, ends)(inputs, training=False)
    wanted = {str(level): output for level, output in zip((2, 3, 4, 5), outputs, strict=True)}
    difference = greatest_difference(features(imported.modules, images), wanted)
    report_line(imported.report, difference)
    assert difference < TOLERANCE


def test_odd_sides_are_exact_too(simclr, imported):
    """Sides 65 -> 33 -> 17 -> 9 -> 5 -> 3, black as what SimCLR pads with."""
    network = resnets.Simclr(0, resnets.simclr_tf1_name)
    network.weights.tensors.update(simclr[0])
    black = np.zeros([1, 65, 65, 3], np.uint8)
    assert greatest_difference(features(imported[2], black), network(black)) < TOLERANCE


def test_model_gardens_own_padding_differs_at_even_sizes(images, simclr, imported):
    """Why `stem_type` exists: the same checkpoint in Model Garden's ResNet is a pixel off at every stride."""
    plain = backbone.model_garden.ResNet(50, norm_epsilon=1e-3)
    restore.restore({'backbone': plain}, imported[1])
    assert greatest_difference(features({'backbone': plain}, images), simclr[1]) > 0.05


def test_options_that_the_published_networks_lack_are_refused():
    from official.vision.configs import backbones as configs  # noqa: PLC0415
    from official.vision.configs import common  # noqa: PLC0415

    config = configs.Backbone(type='resnet', resnet=configs.ResNet(stem_type='torch', se_ratio=0.25))
    specs = tf.keras.layers.InputSpec(shape=[None, 64, 64, 3])
    with pytest.raises(errors.UserError, match='resnet.se_ratio is 0.25; allowed: nothing but its default'):
        backbone.build_resnet(specs, config, common.NormActivation())


def test_a_residual_block_pads_both_sides_where_it_strides():
    """ResNet-18 and -34 have these; as torchvision, and not Model Garden, computes them."""
    block = backbone.ResidualBlock(filters=4, strides=2, use_projection=True)
    features = tf.constant(np.random.default_rng(0).normal(size=[1, 8, 8, 3]).astype(np.float32))
    found = block(features, training=False)
    scale = 1.0 / np.sqrt(1.0 + 1e-3)
    shortcut = tf.nn.conv2d(features, block._shortcut.kernel, 2, 'VALID') * scale
    inner = tf.nn.relu(tf.nn.conv2d(resnets.pad(features, 1), block._conv1.kernel, 2, 'VALID') * scale)
    inner = tf.nn.conv2d(inner, block._conv2.kernel, 1, 'SAME') * scale
    np.testing.assert_allclose(found, tf.nn.relu(inner + shortcut), atol=1e-5)
