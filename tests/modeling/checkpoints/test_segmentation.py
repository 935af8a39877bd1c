"""Tests that the release's whole segmentation models compute here what they compute there."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory
from official.vision.ops import preprocess_ops

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import detection
from official_rethink.modeling import conversion, restore
from official_rethink.modeling import segmentation as networks
from official_rethink.modeling.checkpoints import companion, formats, importing, segmentation
from tests.modeling.backbones import tf1_efficientnet
from tests.modeling.checkpoints import nasfpns, writers

FORMAT = 'self-training-release-segmentation'
SMALL = {'decoder': {'nasfpn': {'num_filters': 16, 'num_repeats': 2}}, 'head': {'num_convs': 2, 'num_filters': 16}}
SIZE = 128
EXTRA = ('efficientnet-b0/stem/conv2d/kernel/Momentum', 'segmentation/conv-0/bias/Momentum')


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
    """B0 and two narrow cells in the release's layout, once through a file; the published sizes take minutes."""
    folder = tmp_path_factory.mktemp('release')
    conversion.leave_keras_alone()
    random = np.random.default_rng(3)
    images = random.integers(0, 256, [1, SIZE, SIZE, 3]).astype(np.uint8)
    values = tf1_efficientnet.random_values('b0')
    scaled = preprocess_ops.normalize_image(tf.cast(images, tf.float32))
    network = nasfpns.Release(0, filters=16, repeats=2, convs=2, classes=21)
    wanted = network.logits(tf1_efficientnet.forward(values, 'b0', scaled))
    extra = {name: np.zeros([2], np.float32) for name in EXTRA} | {'global_step': np.int64(20000)}
    tensors = {**values, **network.weights.tensors}
    writers.write_tf1(str(folder / 'model.ckpt-20000'), {**tensors, **extra})
    patch = pytest.MonkeyPatch()
    original = segmentation.model_config

    def small_config(model):
        config = original(model)
        config.override(SMALL)
        config.norm_activation.use_sync_bn = config.decoder_norm_activation.use_sync_bn = False
        return config

    patch.setattr(segmentation, 'model_config', small_config)
    patch.setattr(segmentation.Release, 'ids', ('b0',))
    output = str(folder / 'out' / 'b0')
    report = importing.import_checkpoint(FORMAT, str(folder), output)
    lacking = {name: value for name, value in tensors.items() if name != 'segmentation/conv-1/bias'}
    writers.write_tf1(str(folder / 'lacking'), lacking)
    with pytest.raises(errors.UserError) as refusal:
        importing.read(FORMAT, str(folder / 'lacking'))
    patch.undo()
    return {
        'report': report, 'output': output, 'scaled': scaled, 'wanted': wanted.numpy(), 'count': len(tensors),
        'refusal': str(refusal.value),
    }


def model_of(**changes):
    config = exp_factory.get_exp_config('seg_nasfpn_efficientnet_pascal').task
    config.model.override(SMALL)
    config.model.backbone.efficientnet.model_id = 'b0'
    config.model.pyramid_resampling = 'corners'
    config.model.override(changes)
    return config


def test_the_whole_model_is_exact(imported):
    report = imported['report']
    # Two biases go into batch norms; the ImageNet head's seven and three of training stay behind.
    assert (report['matched'], report['missing'], report['extra']) == (imported['count'] - 2 - 7, 0, 0)
    assert report['modules'] == ['backbone', 'decoder', 'head'] and not report['preprocessing']['folded']
    assert sorted(group['count'] for group in report['left_out']) == [1, 2, 7]
    config = model_of()
    companion.check(imported['output'], config)
    model = networks.build(config.model)
    restored = restore.restore(model.checkpoint_items, imported['output'], 'all')
    assert sum(len(part.matched) for part in restored.values()) == report['matched']
    found = model(imported['scaled'], training=False)['logits'].numpy()
    difference = np.max(np.abs(found - imported['wanted'])) / np.max(np.abs(imported['wanted']))
    print(f'{report["format"]}: {report["matched"]}/0/0, {difference:.1e}')
    assert difference < 3e-4  # float32 through 160 layers; 1.1e-4 with the kernels of TensorFlow 2.20
    model.head._config_dict['pyramid_resampling'] = 'centres'
    other = model(imported['scaled'], training=False)['logits'].numpy()
    assert np.max(np.abs(other - imported['wanted'])) / np.max(np.abs(imported['wanted'])) > 1e-2


def test_a_tensor_that_only_a_fold_needs_is_missed_too(imported):
    assert '1 tensors that the model needs are missing from it: segmentation/conv-1/bias' in imported['refusal']


def test_its_settings_are_asked_for_where_they_matter(imported):
    prefix = imported['output']
    assert json.loads(open(prefix + '.json').read())['settings']['experiment'] == 'seg_nasfpn_efficientnet_pascal'
    with pytest.raises(errors.UserError, match="pyramid_resampling is 'centres' and has to be 'corners'"):
        companion.check(prefix, model_of(pyramid_resampling='centres'))
    companion.check(prefix, model_of(pyramid_resampling='centres'), ['backbone', 'decoder'])
    with pytest.raises(errors.UserError, match="decoder_norm_activation.activation is 'swish'"):
        companion.check(prefix, model_of(decoder_norm_activation={'activation': 'swish'}), ['decoder'])
    companion.check(prefix, model_of(norm_activation={'activation': 'relu'}), ['head'])
    with pytest.raises(errors.UserError, match="norm_activation.activation is 'relu' and has to be 'swish'"):
        companion.check(prefix, model_of(norm_activation={'activation': 'relu'}), 'backbone')
    detector = detection.retinanet_efficientnet_coco().task
    detector.model.backbone.efficientnet.model_id = 'b0'
    companion.check(prefix, detector, ['backbone'])


def test_a_dilated_backbone_takes_the_same_weights(imported):
    task = exp_factory.get_exp_config('seg_deeplabv3plus_efficientnet_pascal').task
    with pytest.raises(errors.UserError, match="efficientnet.model_id is 'b7' and has to be 'b0'"):
        companion.check(imported['output'], task, ['backbone'])
    task.model.backbone.dilated_efficientnet.model_id = 'b0'
    companion.check(imported['output'], task, ['backbone'])


def test_the_published_sizes_are_known_by_their_names_and_the_rest_is_named():
    source = formats.find(FORMAT)
    assert source.models() == ('efficientnet-b7', 'efficientnet-l2')
    assert segmentation.model_config('efficientnet-l2').backbone.efficientnet.model_id == 'l2'
    names = ('efficientnet-b7/head/dense/kernel', 'global_step', 'segmentation/conv-0/bias/Momentum', 'aspp/conv2d')
    assert sorted(source.left_out('efficientnet-b7', names)) == sorted(names[:3])
