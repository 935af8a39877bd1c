"""Tests of normalisation: group norm against numpy, and what each kind makes of Model Garden's layers."""

import types

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.vision.modeling.decoders import fpn
from official.vision.modeling.layers import nn_blocks

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import normalization as configs
from official_rethink.configs import parse
from official_rethink.modeling import normalization


def _reference(values, groups, gamma, beta, epsilon):
    """Group norm by its definition, one group of one image at a time, in float64."""
    result = np.empty(values.shape, np.float64)
    size = values.shape[-1] // groups
    for image in range(values.shape[0]):
        for group in range(groups):
            own = np.float64(values[image, ..., group * size : (group + 1) * size])
            result[image, ..., group * size : (group + 1) * size] = (own - own.mean()) / np.sqrt(own.var() + epsilon)
    return result * gamma + beta


@pytest.mark.parametrize('shape', [(2, 5, 3, 12), (3, 1, 1, 8), (1, 4, 4, 6)])
@pytest.mark.parametrize('groups', [1, 2])
def test_group_norm_is_its_definition(shape, groups):
    draws = np.random.default_rng(0)
    values = draws.normal(3, 2, shape).astype(np.float32)
    layer = normalization.GroupNormalization(groups, epsilon=1e-5)
    layer.build(tf.TensorShape(shape))
    gamma, beta = draws.normal(size=(2, shape[-1])).astype(np.float32)
    layer.set_weights([gamma, beta])
    expected = _reference(values, groups, gamma, beta, 1e-5)
    np.testing.assert_allclose(layer(values), expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(values), expected, rtol=2e-5, atol=2e-5)


def test_keras_own_group_norm_agrees():
    values = np.random.default_rng(1).normal(size=(2, 4, 4, 64)).astype(np.float32)
    ours = normalization.GroupNormalization(32, epsilon=1e-5)(values)
    np.testing.assert_allclose(ours, tf.keras.layers.GroupNormalization(32, epsilon=1e-5)(values), atol=1e-5)


@pytest.mark.parametrize(('channels', 'groups'), [(64, 32), (24, 24), (48, 24), (40, 20), (7, 7), (1, 1), (37, 1)])
def test_groups_divide_the_channels(channels, groups):
    layer = normalization.GroupNormalization(32)
    layer.build(tf.TensorShape([None, 2, 2, channels]))
    assert layer.groups == groups


def test_bfloat16_is_normalised_in_float32():
    values = tf.cast(1000 + np.random.default_rng(2).normal(size=(1, 16, 16, 32)), tf.bfloat16)
    layer = normalization.GroupNormalization(2, dtype=tf.keras.mixed_precision.Policy('mixed_bfloat16'))
    given = layer(values)
    assert given.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(given, tf.float32), _reference(values.numpy(), 2, 1, 0, 1e-3), atol=0.02)


def _block():
    return nn_blocks.BottleneckBlock(filters=8, strides=1, use_projection=True, use_sync_bn=True)


def _config(kind):
    return configs.NormActivation(normalization=kind)


def test_an_image_does_not_depend_on_the_rest_of_its_batch():
    images = np.random.default_rng(3).normal(size=(3, 8, 8, 32)).astype(np.float32)
    images[1:] *= 50
    with normalization.scope(_config('group')):
        block = _block()
        together = block(images, training=True)
    np.testing.assert_allclose(block(images[:1], training=True), together[:1], rtol=1e-4, atol=1e-5)
    with normalization.scope(_config('batch')):
        block = _block()
        together = block(images, training=True)
    assert np.abs(block(images[:1], training=True) - together[:1]).max() > 0.1


@pytest.mark.parametrize('kind', configs.KINDS)
def test_every_kind_in_blocks_and_pyramid(kind):
    with normalization.scope(_config(kind)):
        block = _block()
        features = {'3': tf.ones([1, 8, 8, 32]), '4': tf.ones([1, 4, 4, 32])}
        block(features['3'])
        specs = {level: tf.TensorShape([None, *value.shape[1:]]) for level, value in features.items()}
        pyramid = fpn.FPN(specs, min_level=3, max_level=5, num_filters=32)
        pyramid(features)
    found = {type(layer).__name__ for model in (block, pyramid) for layer in model._flatten_layers()}
    expected = {
        'batch': 'BatchNormalization',
        'group': 'GroupNormalization',
        'frozen_batch': 'FrozenBatchNormalization',
        'none': 'NoNormalization',
    }
    assert found & set(expected.values()) == {expected[kind]}
    names = {variable.name.split('/')[-1].split(':')[0] for variable in block.trainable_variables}
    assert names == {'batch': {'kernel', 'gamma', 'beta'}, 'group': {'kernel', 'gamma', 'beta'}}.get(kind, {'kernel'})


def test_a_frozen_batch_norm_keeps_its_statistics_in_training():
    layer = normalization.FrozenBatchNormalization(momentum=0.5, synchronized=True)
    values = np.random.default_rng(4).normal(5, 3, (4, 2, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(layer(values, training=True), values / np.sqrt(1.001), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, [0, 0, 0])


def test_the_scope_ends_also_at_an_error():
    with pytest.raises(KeyError), normalization.scope(_config('group')):
        assert isinstance(tf.keras.layers.BatchNormalization(), normalization.GroupNormalization)
        raise KeyError
    for name in ('BatchNormalization', 'SyncBatchNormalization'):
        made = getattr(tf.keras.layers, name, tf.keras.layers.experimental.SyncBatchNormalization)(momentum=0.5)
        assert type(made).__name__ == name and made.momentum == 0.5


def test_a_class_taken_before_the_scope_is_replaced_too():
    """Model Garden's modules keep the layers' module, or the class, under names of their own."""
    kept = tf.keras.layers.BatchNormalization
    with normalization.scope(_config('none')):
        assert isinstance(kept(axis=-1, momentum=0.9), normalization.NoNormalization)
        assert isinstance(normalization.FrozenBatchNormalization(), kept)
    assert type(kept()) is kept


NORM = 'task.model.norm_activation.normalization'


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        (f'{NORM}=groop', "unknown task.model.norm_activation.normalization 'groop'.*Did you mean 'group'"),
        (f'{NORM}=frozen_batch', "'frozen_batch'.*task.init_checkpoint is ''.*frozen at the factors"),
        ('task.model.norm_activation.num_groups=0', 'num_groups is 0.*1 or more'),
        ('task.model.backbone.type=resnet,task.model.backbone.resnet.bn_trainable=false', 'random weights would stay'),
    ],
)
def test_bad_choices_are_named(override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load('retinanet_efficientnet_coco', (), override)


@pytest.mark.parametrize(
    ('experiment', 'override'),
    [
        (
            'retinanet_efficientnet_coco',
            'task.model.num_classes=3,task.model.max_level=5,task.model.decoder.fpn.num_filters=8,'
            'task.model.head.num_filters=8,task.model.head.num_convs=1',
        ),
        ('imagenet_resnet', 'task.model.num_classes=3'),
    ],
)
def test_every_family_builds_with_groups_and_every_weight_learns(experiment, override):
    small = (
        'task.model.input_size=[32,32,3],task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
        'task.model.backbone.resnet.depth_multiplier=0.25,'
        # One number of a group alone would be normalised to 0 and learn nothing.
        f'{NORM}=group,task.model.norm_activation.num_groups=2,'
    )
    task = task_factory.get_task(parse.load(experiment, (), small + override).params.task)
    model = task.build_model()
    kinds = {type(layer).__name__ for layer in model._flatten_layers()}
    assert 'GroupNormalization' in kinds
    assert not kinds & {'BatchNormalization', 'SyncBatchNormalization'}
    with tf.GradientTape() as tape:
        outputs = model(tf.random.stateless_normal([2, 32, 32, 3], [1, 2]), training=True)
        total = tf.add_n([tf.reduce_sum(tf.square(value)) for value in tf.nest.flatten(outputs)])
    gradients = tape.gradient(total, model.trainable_variables)
    assert len(model.trainable_variables) == len(model.variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name


def test_simclrs_head_keeps_its_batch_norm():
    override = (
        'task.model.input_size=[32,32,3],task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
        f'task.model.backbone.resnet.depth_multiplier=0.25,{NORM}=group'
    )
    model = task_factory.get_task(parse.load('simclr_resnet_imagenet', (), override).params.task).build_model()

    def kinds(part):
        return {type(layer).__name__ for layer in part._flatten_layers()} & {'GroupNormalization', 'BatchNormalization'}

    assert kinds(model.checkpoint_items['backbone']) == {'GroupNormalization'}
    assert 'GroupNormalization' in kinds(model) and 'BatchNormalization' in kinds(model)


def test_statistics_of_replicas_are_remarked():
    """On several replicas, of batch norm, unless it is over all of them."""
    model = configs.NormActivation(use_sync_bn=False)
    holder = types.SimpleNamespace(norm_activation=model, decoder_norm_activation=model.replace(use_sync_bn=True))
    (text,) = configs.remarks(holder, 2)
    assert text.startswith('task.model.norm_activation.use_sync_bn is false') and 'each of the 2 replicas' in text
    assert configs.remarks(holder, 1) == []
    holder.norm_activation = model.replace(normalization='group')
    assert configs.remarks(holder, 2) == []
