"""EfficientNet is what its authors build: counts, structure, and where Model Garden's version differs."""

import math

import numpy as np
import pytest
import tensorflow as tf
from official.vision.configs import backbones as backbone_configs
from official.vision.configs import common
from official.vision.modeling.backbones import efficientnet as model_garden
from official.vision.modeling.backbones import factory

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import efficientnet as table
from official_rethink.modeling.backbones import efficientnet, efficientnet_head, efficientnet_layers
from tests.modeling.backbones import tf1_efficientnet

# In millions: Tan and Le's table 2; the Noisy Student paper for L2; the release's README for Lite; for B8, timm's list.
PUBLISHED = {
    'b0': '5.3',
    'b1': '7.8',
    'b2': '9.1',
    'b3': '12.2',
    'b4': '19.3',
    'b5': '30.4',
    'b6': '43.0',
    'b7': '66.3',
    'b8': '87.4',
    'l2': '480.3',
    'lite0': '4.7',
    'lite1': '5.4',
    'lite2': '6.1',
    'lite3': '8.2',
    'lite4': '13.0',
}
SIZE = 32


def specs(*size):
    return tf.keras.layers.InputSpec(shape=[None, *size, 3])


@pytest.fixture(scope='module')
def b0():
    tf.keras.utils.set_random_seed(0)
    return efficientnet.EfficientNet('b0', specs(SIZE, SIZE), stochastic_depth_drop_rate=0.2)


@pytest.fixture(scope='module')
def lite0():
    tf.keras.utils.set_random_seed(0)
    return efficientnet.EfficientNet('lite0', specs(None, None))


@pytest.fixture(scope='module')
def gardens():
    """Model Garden's B0, told to use swish in squeeze-and-excitation too."""
    tf.keras.utils.set_random_seed(1)
    return model_garden.EfficientNet(
        'b0',
        specs(SIZE, SIZE),
        se_ratio=0.25,
        stochastic_depth_drop_rate=0.2,
        activation='swish',
        se_inner_activation='swish',
        kernel_regularizer=tf.keras.regularizers.l2(1.0),
    )


def shapes_of(*models):
    return sorted(tuple(variable.shape) for model in models for variable in model.variables)


@pytest.mark.parametrize('model', PUBLISHED)
def test_published_count(model):
    digits = len(PUBLISHED[model].partition('.')[2])
    assert f'{tf1_efficientnet.trainable(model) / 1e6:.{digits}f}' == PUBLISHED[model]


@pytest.mark.parametrize('model', PUBLISHED)
def test_blocks_are_the_releases(model):
    ours = [(b.kernel, b.stride, b.expansion, b.filters_in, b.filters) for b in table.blocks(model)]
    assert ours == tf1_efficientnet.blocks(model)


@pytest.mark.parametrize('model', PUBLISHED)
def test_stem_and_head_are_the_releases(model):
    expected = tf1_efficientnet.shapes(model)
    assert table.stem_filters(model) == expected[f'efficientnet-{model}/stem/conv2d/kernel'][-1]
    assert table.head_filters(model) == expected[f'efficientnet-{model}/head/conv2d/kernel'][-1]


@pytest.mark.parametrize('model', ['b0', 'lite0'])
def test_variables_are_the_releases(model, b0, lite0):
    ours = {'b0': b0, 'lite0': lite0}[model], efficientnet_head.ClassificationHead(model, 1000)
    assert shapes_of(*ours) == sorted(tf1_efficientnet.shapes(model).values())


def test_a_model_that_is_not_there():
    with pytest.raises(errors.UserError, match="EfficientNet model_id 'lite5'.*Did you mean 'lite"):
        efficientnet.EfficientNet('lite5')


def test_endpoints(b0):
    features = b0(tf.zeros([2, SIZE, SIZE, 3]))
    assert {level: tuple(value.shape) for level, value in features.items()} == {
        '2': (2, 8, 8, 24),
        '3': (2, 4, 4, 40),
        '4': (2, 2, 2, 112),
        '5': (2, 1, 1, 320),
    }
    assert {level: tuple(shape) for level, shape in b0.output_specs.items()} == {
        level: (None, *value.shape[1:]) for level, value in features.items()
    }


def test_every_variable_of_a_detectors_backbone_is_trained(b0):
    images = tf.random.stateless_normal([4, SIZE, SIZE, 3], [1, 2])
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_sum(value**2) for value in b0(images, training=False).values()])
    gradients = tape.gradient(total, b0.trainable_variables)
    assert [v.name for v, g in zip(b0.trainable_variables, gradients, strict=True) if g is None] == []


def test_only_model_gardens_holds_the_classifiers_convolution(b0, gardens):
    head = efficientnet_head.ClassificationHead('b0', 0)
    assert '6' in gardens.output
    assert shapes_of(gardens) == shapes_of(b0, head)


def test_the_rest_is_model_gardens(b0, gardens):
    """With equal weights and its squeeze-and-excitation set to swish, Model Garden's network computes the same."""
    generator = np.random.default_rng(3)
    order = list(b0.variables)
    # Both list a layer's variables in the order of their making.
    theirs = list(gardens.variables)[: len(order)]
    before = [variable.numpy() for variable in [*order, *theirs]]
    try:
        for ours, other in zip(order, theirs, strict=True):
            assert ours.shape == other.shape, (ours.name, other.name)
            value = ours.numpy() * generator.uniform(0.9, 1.1, ours.shape)
            ours.assign(value)
            other.assign(value)
        images = generator.normal(size=[2, SIZE, SIZE, 3]).astype(np.float32)
        expected = gardens(images, training=False)
        for level, value in b0(images, training=False).items():
            np.testing.assert_allclose(value, expected[level], rtol=1e-4, atol=1e-5 * np.abs(value).max())
    finally:
        for variable, value in zip([*order, *theirs], before, strict=True):
            variable.assign(value)


def test_squeeze_excitation_is_swish_inside(gardens):
    style = efficientnet_layers.Style()
    layer = efficientnet_layers.SqueezeExcitation(1, 1, style)
    inputs = np.float32([[[[1.0]], [[3.0]]]])  # one channel, mean 2
    layer(inputs)
    layer.reduce.set_weights([np.float32([[[[-1.5]]]]), np.float32([1.0])])
    layer.expand.set_weights([np.float32([[[[2.0]]]]), np.float32([0.5])])
    inner = -2.0 / (1 + math.exp(2.0))  # swish(2 * -1.5 + 1); a ReLU would give 0
    gate = 1 / (1 + math.exp(-(2 * inner + 0.5)))
    np.testing.assert_allclose(layer(inputs), inputs * gate, rtol=1e-6)
    # Model Garden's default.
    assert model_garden.build_efficientnet.__defaults__[-1] == 'relu'


def rates(model):
    return [0.0 if b.stochastic_depth is None else b.stochastic_depth.rate for b in bottlenecks(model)]


def bottlenecks(model):
    return [layer for layer in model.layers if isinstance(layer, efficientnet_layers.Bottleneck)]


def test_stochastic_depth_grows_with_depth(b0, gardens):
    expected = [0.2 * block / 16 for block in range(16)]
    # Blocks that change size or channels have no skip, and nothing to drop.
    for block in (0, 1, 3, 5, 8, 11, 15):
        expected[block] = 0.0
    assert rates(b0) == pytest.approx(expected)
    constant = {
        layer._stochastic_depth_drop_rate for layer in gardens.layers if hasattr(layer, '_stochastic_depth_drop_rate')
    }
    assert constant == {0.2}


def standard_deviation(variable):
    return float(np.std(variable.numpy()))


def test_kernels_begin_at_two_over_fan_out(b0, gardens):
    block = bottlenecks(b0)[12]  # 192 to 1152 channels, 5x5
    assert standard_deviation(block.expand_conv.kernel) == pytest.approx(math.sqrt(2 / 1152), rel=0.02)
    assert standard_deviation(block.depthwise_conv.depthwise_kernel) == pytest.approx(math.sqrt(2 / 25), rel=0.02)
    # Not truncated at two deviations, as a truncated normal would be.
    assert np.abs(block.expand_conv.kernel).max() > 3 * math.sqrt(2 / 1152)
    theirs = [v for v in gardens.variables if tuple(v.shape) == (5, 5, 1152, 1)][0]
    assert standard_deviation(theirs) == pytest.approx(math.sqrt(1 / (25 * 1152)), rel=0.1)


def test_classifier_begins_uniform():
    head = efficientnet_head.ClassificationHead('b0', 400)
    kernel = head.get_layer('classifier').kernel.numpy()
    assert np.abs(kernel).max() == pytest.approx(1 / 20, rel=0.01)
    assert kernel.std() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.02)


def test_every_kernel_is_regularised(configured, gardens):
    kernels = [v for v in configured.trainable_variables if 'kernel' in v.name]
    assert any('depthwise_kernel' in v.name for v in kernels)
    total = sum(float(tf.reduce_sum(v**2)) for v in kernels)
    assert float(tf.add_n(configured.losses)) == pytest.approx(total, rel=1e-5)
    ordinary = [v for v in gardens.trainable_variables if 'kernel' in v.name and 'depthwise' not in v.name]
    theirs = sum(float(tf.reduce_sum(v**2)) for v in ordinary)
    assert float(tf.add_n(gardens.losses)) == pytest.approx(theirs, rel=1e-5)


def test_lite_has_no_squeeze_excitation_and_is_relu6(lite0):
    assert all(block.squeeze_excitation is None for block in bottlenecks(lite0))
    activations = {block._style.activation for block in bottlenecks(lite0)}
    assert activations == {'relu6'}
    assert lite0.get_layer('stem_activation').activation(tf.constant([-1.0, 5.0, 7.0])).numpy().tolist() == [0, 5, 6]


def test_one_pixel(lite0):
    features = lite0(np.float32([[[[0.3, -0.2, 1.1]]]]))
    assert {tuple(value.shape[:3]) for value in features.values()} == {(1, 1, 1)}
    assert all(np.isfinite(value).all() for value in features.values())


@pytest.mark.parametrize('height, width', [(1, 1), (2, 3), (5, 4), (7, 7)])
def test_padding_is_that_of_same(height, width):
    """With black as the colour the stem is an ordinary 'same' convolution, whatever the size."""
    images = np.random.default_rng(0).normal(size=[1, height, width, 2]).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=[3, 3, 2, 4]).astype(np.float32)
    padded = efficientnet_layers.ColourPadding(3, 2, [0.0, 0.0])(images)
    np.testing.assert_allclose(
        tf.nn.conv2d(padded, kernel, 2, 'VALID'), tf.nn.conv2d(images, kernel, 2, 'SAME'), rtol=1e-5, atol=1e-6
    )


def test_padding_has_its_colour_and_leaves_the_image():
    image = np.float16([[[[0.1, 100.1]]]])
    padded = efficientnet_layers.ColourPadding(3, 2, [0.25, -0.5])(tf.constant(image)).numpy()
    assert padded.shape == (1, 3, 3, 2)
    np.testing.assert_array_equal(padded[0, 1, 1], image[0, 0, 0])
    padded[0, 1, 1] = [0.25, -0.5]
    np.testing.assert_array_equal(padded, np.broadcast_to(np.float16([0.25, -0.5]), padded.shape))


@pytest.fixture(scope='module')
def configured():
    """Lite0 out of Model Garden's factory, with no setting at its default."""
    config = backbone_configs.Backbone(
        type='efficientnet',
        efficientnet=backbone_configs.EfficientNet(model_id='lite0', se_ratio=0.5, stochastic_depth_drop_rate=0.4),
    )
    norm = common.NormActivation(activation='swish', use_sync_bn=True, norm_momentum=0.9, norm_epsilon=1e-5)
    return factory.build_backbone(specs(SIZE, SIZE), config, norm, l2_regularizer=tf.keras.regularizers.l2(1.0))


def test_model_gardens_factory_builds_it(configured):
    assert isinstance(configured, efficientnet.EfficientNet)
    norms = [layer for layer in configured._flatten_layers() if isinstance(layer, tf.keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon, layer.synchronized) for layer in norms} == {(0.9, 1e-5, True)}
    assert rates(configured)[13] == pytest.approx(0.4 * 13 / 16)
    again = type(configured).from_config(configured.get_config())
    assert shapes_of(again) == shapes_of(configured)


@pytest.mark.parametrize('policy', ['mixed_bfloat16', 'mixed_float16'])
def test_a_block_in_half_precision_compiled_by_xla(policy):
    block = table.Block(index=3, stage=1, repeat=1, filters_in=8, filters=8, kernel=3, stride=1, expansion=6, level=2)
    style = efficientnet_layers.Style()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        bottleneck = efficientnet_layers.Bottleneck(block, style, 0.25, 0.5)
        padding = efficientnet_layers.ColourPadding(3, 2, [0.1] * 8)
    finally:
        tf.keras.mixed_precision.set_global_policy('float32')
    step = tf.function(lambda images: bottleneck(padding(images), training=True), jit_compile=True)
    features = step(tf.random.stateless_normal([4, 6, 6, 8], [0, 0]))
    assert features.dtype.name == policy.removeprefix('mixed_')
    assert features.shape == (4, 7, 7, 8)
    assert np.isfinite(tf.cast(features, tf.float32)).all()
    assert {variable.dtype for variable in bottleneck.variables} == {tf.float32}
