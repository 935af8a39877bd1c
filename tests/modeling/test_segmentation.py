"""Segmentation networks: what they are built of, at any size, and what they cost."""

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory

from official_rethink import describe, registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import efficientnet as table
from official_rethink.configs import parse
from official_rethink.modeling import accounting, segmentation
from official_rethink.modeling.backbones import efficientnet
from tests.modeling.backbones import tf1_efficientnet

NASFPN, DEEPLAB = 'seg_nasfpn_efficientnet_pascal', 'seg_deeplabv3plus_efficientnet_pascal'
SMALL_NASFPN = {
    'num_classes': 5,
    'input_size': [128, 128, 3],
    'backbone': {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25}},
    'decoder': {'nasfpn': {'num_filters': 16, 'num_repeats': 2}},
    'head': {'num_filters': 16},
    'norm_activation': {'activation': 'relu', 'use_sync_bn': False},
    'decoder_norm_activation': {'use_sync_bn': False},
}
SMALL_DEEPLAB = {
    'num_classes': 5,
    'input_size': [64, 64, 3],
    'backbone': {'dilated_efficientnet': {'model_id': 'lite0'}},
    'decoder': {'aspp': {'num_filters': 16}},
    'head': {'num_filters': 16, 'low_level_num_filters': 8},
    'norm_activation': {'use_sync_bn': False},
    'decoder_norm_activation': {'use_sync_bn': False},
}


def config(experiment, changes):
    found = exp_factory.get_exp_config(experiment).task.model
    found.override(changes)
    return found


@pytest.fixture(scope='module')
def pyramid():
    tf.keras.utils.set_random_seed(0)
    return segmentation.build(config(NASFPN, SMALL_NASFPN), tf.keras.regularizers.l2(1e-5))


@pytest.fixture(scope='module')
def deeplab():
    tf.keras.utils.set_random_seed(0)
    return segmentation.build(config(DEEPLAB, SMALL_DEEPLAB))


def images(height, width, seed=0):
    return tf.random.stateless_normal([2, height, width, 3], [seed, 1])


def test_a_pyramid_takes_any_size_that_128_divides(pyramid):
    assert segmentation.multiple_of(config(NASFPN, SMALL_NASFPN)) == 128
    for height, width in ((128, 128), (128, 256)):
        logits = pyramid(images(height, width), training=False)[segmentation.LOGITS]
        assert logits.shape == (2, height // 4, width // 4, 5) and logits.dtype == tf.float32


def test_deeplab_takes_any_size_that_its_output_stride_divides(deeplab):
    assert segmentation.multiple_of(config(DEEPLAB, SMALL_DEEPLAB)) == 16
    for height, width in ((64, 64), (32, 80)):
        assert deeplab(images(height, width), training=False)['logits'].shape == (2, height // 4, width // 4, 5)


def test_sizes_may_be_unknown_when_a_step_is_traced(pyramid, deeplab):
    spec = tf.TensorSpec([None, None, None, 3], tf.float32)
    for model in (pyramid, deeplab):
        run = tf.function(lambda x, model=model: model(x, training=False)['logits']).get_concrete_function(spec)
        wanted = model(images(128, 128), training=False)['logits']
        np.testing.assert_allclose(run(images(128, 128)), wanted, rtol=1e-4, atol=1e-4)


def test_modules_of_a_checkpoint_hold_every_variable_before_the_first_step(pyramid, deeplab):
    for model in (pyramid, deeplab):
        held = [variable.ref() for part in model.checkpoint_items.values() for variable in part.variables]
        assert sorted(model.checkpoint_items) == ['backbone', 'decoder', 'head']
        assert len(held) == len(set(held)) == len(model.variables)


def norms_of(module):
    return [layer for layer in module.submodules if isinstance(layer, tf.keras.layers.BatchNormalization)]


def test_the_backbone_has_norms_of_its_own(deeplab):
    """0.99 in the release's EfficientNet, 0.997 behind it (section 8.1 of the fact sheet)."""
    assert {norm.momentum for norm in norms_of(deeplab.backbone)} == {0.99}
    for part in (deeplab.decoder, deeplab.head):
        assert {norm.momentum for norm in norms_of(part)} == {0.997}
        assert {norm.epsilon for norm in norms_of(part)} == {1e-3}
    assert deeplab.head._config_dict['activation'] == 'relu'


def test_weight_decay_is_of_kernels_alone(pyramid):
    kernels = [variable.name for variable in pyramid.trainable_variables if 'kernel' in variable.name]
    assert len(pyramid.losses) == len(kernels)


def test_gradients_reach_every_variable(deeplab):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(deeplab(images(64, 64), training=True)['logits'] ** 2)
    gradients = tape.gradient(loss, deeplab.trainable_variables)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ('resampling', 'wanted'),
    # Two places stretched to four: at (i + 1/2) / 2 - 1/2, or at i / 2; beyond the ends the last value goes on.
    [('centres', [0.0, 0.25, 0.75, 1.0]), ('corners', [0.0, 0.5, 1.0, 1.0])],
)
def test_resampling_by_hand(resampling, wanted):
    row = tf.reshape(tf.constant([0.0, 1.0]), [1, 1, 2, 1])
    np.testing.assert_allclose(segmentation.resized(row, tf.constant([1, 4]), resampling)[0, 0, :, 0], wanted)
    half = segmentation.resized(tf.cast(row, tf.bfloat16), tf.constant([1, 4]), resampling)
    assert half.dtype == tf.bfloat16


def test_a_fused_pyramid_is_the_sum_of_its_levels():
    """Level 3 [[1]] and level 4 [[2]] at level 2: constants stay constants, [2, 2] of 1 + 2 each; 1 x at level 3."""
    levels = {'4': tf.fill([1, 1, 1, 1], 2.0), '3': tf.reshape(tf.constant([0.0, 1.0, 2.0, 3.0]), [1, 2, 2, 1])}
    np.testing.assert_allclose(segmentation.fused(levels, 3, 'centres')[0, :, :, 0], [[2, 3], [4, 5]])
    finer = segmentation.fused(levels, 2, 'centres')[0, :, :, 0]
    np.testing.assert_allclose(finer[0], [2, 2.25, 2.75, 3])
    np.testing.assert_allclose(finer[:, 0], [2, 2.5, 3.5, 4])


def test_another_decoder_is_refused():
    with pytest.raises(errors.UserError, match="task.model.decoder.type.*'fpn'.*nasfpn"):
        segmentation.build(config(NASFPN, {'decoder': {'type': 'fpn'}}))
    with pytest.raises(errors.UserError, match='task.model.decoder.type'):
        parse.load_experiment(NASFPN, params_override='task.model.decoder.type=fpn')


# What networks cost, by formulas that are first held against a built one.

LEVELS = {3: 1, 4: 3, 5: 1, 6: 1, 7: 1}  # of how many of a cell's seven nodes


def backbone_channels(model):
    """What levels 3 to 5 give out: the blocks in front of the next stride, and the last one."""
    rows = tf1_efficientnet.blocks(model)
    ends = [row[-1] for row, following in zip(rows, [*rows[1:], (0, 2)], strict=True) if following[1] == 2]
    return ends[-3:]


def backbone_cost(model, size):
    """Multiply-adds of stem and blocks, squeeze-and-excitation included."""
    lite = model.startswith('lite')
    rows, side = tf1_efficientnet.blocks(model), size // 2
    total = side * side * 27 * rows[0][3]
    for kernel, stride, expansion, inner, out in rows:
        wide = inner * expansion
        total += side * side * inner * wide * (expansion != 1)
        side //= stride
        total += side * side * (kernel * kernel * wide + wide * out)
        total += 0 if lite else 2 * wide * max(1, int(inner * 0.25))
    return total


def decoder_and_head(channels, size, filters=256, repeats=7, convs=3, classes=21):
    """Trainable parameters and multiply-adds of NAS-FPN with separable convolutions and the head at level 2."""
    area = {level: (size // 2**level) ** 2 for level in range(2, 8)}
    parameters = flops = 0
    for level, width in zip((3, 4, 5), channels, strict=True):
        parameters += width + width * filters + filters + 2 * filters
        flops += area[level] * (width + width * filters)
    node = 9 * filters + filters * filters
    parameters += repeats * 7 * (node + filters + 2 * filters)
    flops += repeats * sum(count * area[level] * node for level, count in LEVELS.items())
    parameters += convs * (9 * filters * filters + 2 * filters) + filters * classes + classes
    flops += area[2] * (convs * 9 * filters * filters + filters * classes)
    return parameters, flops


def test_formulas_say_what_built_networks_cost(pyramid):
    whole, backbone = (accounting.count(part, [128, 128, 3]) for part in (pyramid, pyramid.backbone))
    channels = [pyramid.backbone.output_specs[level][-1] for level in '345']
    parameters, flops = decoder_and_head(channels, 128, filters=16, repeats=2, classes=5)
    assert whole.parameters - backbone.parameters == parameters
    assert whole.flops - backbone.flops == flops
    b0 = accounting.count(efficientnet.EfficientNet('b0'), [64, 64, 3])
    assert b0.flops == backbone_cost('b0', 64)
    assert backbone_channels('b0') == [40, 112, 320]


@pytest.mark.parametrize(
    # Table 6's 71M and 485M count the backbone's classifier and the convolution in front of it, which nothing uses.
    ('model', 'published', 'without_classifier', 'ours', 'billions'),
    [('b7', 71.73, 69.17, 67.53, 60.0), ('l2', 485.97, 480.47, 472.88, 229.0)],
)
def test_published_parameters_and_flops(model, published, without_classifier, ours, billions):
    channels = backbone_channels(model)
    assert channels[-1] == table.blocks(model)[-1].filters
    parameters, flops = decoder_and_head(channels, 512)
    width = table.head_filters(model)
    classifier, convolution = width * 1000 + 1000, channels[-1] * width + 2 * width
    whole = tf1_efficientnet.trainable(model) + parameters
    assert round(whole / 1e6, 2) == published
    assert round((whole - classifier) / 1e6, 2) == without_classifier
    assert round((whole - classifier - convolution) / 1e6, 2) == ours
    assert (flops + backbone_cost(model, 512)) / 1e9 == pytest.approx(billions, rel=0.05)


def test_what_the_release_counts():
    """B7's 67,526,549, and 640 x 2560 weights with 2 x 2560 of a batch norm, and 2560 x 1000 with 1000 biases."""
    counted = segmentation.parameters_of_release(config(NASFPN, {}), 67_526_549)
    assert counted == {'with_convolution': 67_526_549 + 1_643_520, 'with_classes': 67_526_549 + 1_643_520 + 2_561_000}
    assert [f'{value / 1e6:.2f}' for value in counted.values()] == ['69.17', '71.73']
    assert not segmentation.parameters_of_release(config(DEEPLAB, {}), 1)
    assert not segmentation.parameters_of_release(config(NASFPN, SMALL_NASFPN), 1)
    text = describe._model_text({
        'input_size': [512, 512, 3], 'parameters': 67_526_549, 'parameters_total': 67_860_309,
        'parameters_of_release': counted, 'flops': 59_354_711_040, 'flops_unit': 'multiply-adds',
    })
    assert '67.53M' in text and '69.17M' in text and '71.73M' in text and '59.4B' in text


@pytest.mark.parametrize(('kind', 'trained'), [('group', True), ('frozen_batch', False)])
def test_another_normalisation(kind, trained):
    changes = SMALL_DEEPLAB | {'norm_activation': {'use_sync_bn': False, 'normalization': kind}}
    model = segmentation.build(config(DEEPLAB, changes))
    batch = [norm for norm in norms_of(model) if norm.trainable]
    assert not batch
    factors = [variable for variable in model.trainable_variables if 'gamma' in variable.name]
    assert bool(factors) == trained
    assert model(images(32, 32), training=True)['logits'].shape == (2, 8, 8, 5)


@pytest.mark.parametrize(('experiment', 'changes'), [(NASFPN, SMALL_NASFPN), (DEEPLAB, SMALL_DEEPLAB)])
def test_half_precision_ends_in_whole_logits(experiment, changes):
    tf.keras.mixed_precision.set_global_policy('mixed_bfloat16')
    try:
        model = segmentation.build(config(experiment, changes))
        logits = model(tf.keras.Input([128, 128, 3]))['logits']
    finally:
        tf.keras.mixed_precision.set_global_policy('float32')
    assert logits.dtype == tf.float32 and model.head._classifier.compute_dtype == 'bfloat16'
    assert all(variable.dtype == tf.float32 for variable in model.variables)
