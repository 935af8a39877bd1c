"""Imported EfficientNets compute what the release's network computes with the file's own numbers."""

import os
import re

import h5py
import numpy as np
import pytest
import skimage
import tensorflow as tf
from official.vision.configs import backbones as backbone_configs
from official.vision.configs import common
from official.vision.modeling.backbones import factory
from official.vision.ops import preprocess_ops

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.modeling import restore
from official_rethink.modeling.checkpoints import efficientnet, importing
from tests.modeling.backbones import tf1_efficientnet
from tests.modeling.checkpoints import efficientnet_table, writers
from tests.modeling.checkpoints.efficientnet_table import greatest_difference, outputs, released_input

TOLERANCE = 1e-4
AVERAGE = '/ExponentialMovingAverage'
# ImageNet's classes that scikit-image's photographs show, from 0.
EGYPTIAN_CAT, ESPRESSO, TRIPOD = 285, 967, 872


@pytest.fixture(scope='module')
def photograph():
    return efficientnet_table.photograph()


@pytest.fixture(scope='module')
def tf1_file(tmp_path_factory):
    """B0 with raw values, moving averages of its own, and what else such a file holds."""
    raw, averages = tf1_efficientnet.random_values('b0', 1), tf1_efficientnet.random_values('b0', 2)
    # Nobody looks at what is left out.
    slots = {f'{name}/{slot}': np.float32([np.nan]) for name in list(raw)[:3] for slot in ('RMSProp', 'RMSProp_1')}
    averaged = {name + AVERAGE: value for name, value in averages.items()}
    prefix = str(tmp_path_factory.mktemp('tf1') / 'model.ckpt')
    writers.write_tf1(prefix, {**raw, **averaged, **slots, 'global_step': np.int64(218949)})
    return prefix, raw, averages


@pytest.mark.parametrize('moving_average', ['auto', 'no'])
def test_tf1_is_exact(tf1_file, photograph, moving_average):
    prefix, raw, averages = tf1_file
    imported = importing.read('efficientnet-tf1', prefix, moving_average=moving_average)
    values = averages if moving_average == 'auto' else raw
    wanted = tf1_efficientnet.forward(values, 'b0', released_input('b0', photograph))
    assert greatest_difference(outputs(imported.modules, photograph), wanted) < TOLERANCE
    report = imported.report
    assert (report['model'], report['matched'], report['missing'], report['extra']) == (
        'efficientnet-b0',
        len(tf1_efficientnet.shapes('b0')),
        0,
        0,
    )
    assert not report['preprocessing']['folded']


def torch_name(name):
    """The name that the PyTorch port gives a TF1 variable."""
    name = name.removeprefix('efficientnet-lite0/')
    index = re.match(r'blocks_(\d+)/', name)
    first = index is not None and index.group(1) == '0'  # the one block without expansion
    for pattern, text in (
        (r'^stem/conv2d/kernel', '_conv_stem.weight'),
        (r'^head/conv2d/kernel', '_conv_head.weight'),
        (r'^stem/tpu_batch_normalization/', '_bn0.'),
        (r'^head/tpu_batch_normalization/', '_bn1.'),
        (r'^head/dense/kernel', '_fc.weight'),
        (r'^head/dense/bias', '_fc.bias'),
        (r'^blocks_(\d+)/', r'_blocks.\1.'),
        (r'depthwise_conv2d/depthwise_kernel', '_depthwise_conv.weight'),
        (r'conv2d_1/kernel', '_project_conv.weight'),
        (r'conv2d/kernel', '_project_conv.weight' if first else '_expand_conv.weight'),
        (r'tpu_batch_normalization_2/', '_bn2.'),
        (r'tpu_batch_normalization_1/', '_bn2.' if first else '_bn1.'),
        (r'tpu_batch_normalization/', '_bn1.' if first else '_bn0.'),
        (r'gamma$', 'weight'),
        (r'beta$', 'bias'),
        (r'moving_mean$', 'running_mean'),
        (r'moving_variance$', 'running_var'),
    ):
        name = re.sub(pattern, text, name)
    return name


def torch_tensors(values):
    found = {}
    for name, value in values.items():
        if value.ndim == 4:
            axes = (2, 3, 0, 1) if 'depthwise' in name else (3, 2, 0, 1)
            value = np.ascontiguousarray(value.transpose(axes))
        elif value.ndim == 2:
            value = np.ascontiguousarray(value.T)
        found[torch_name(name)] = value
        if name.endswith('moving_variance'):
            found[torch_name(name).replace('running_var', 'num_batches_tracked')] = np.full([], 0, np.int64)
    return found


@pytest.fixture(scope='module')
def lite_values():
    return tf1_efficientnet.random_values('lite0', 3)


@pytest.fixture(scope='module')
def lite_wanted(lite_values, photograph):
    return tf1_efficientnet.forward(lite_values, 'lite0', released_input('lite0', photograph))


def write_lite(kind, folder, values):
    path = str(folder / 'lite0')
    if kind == 'efficientnet-lite-tf1':
        writers.write_tf1(path, values)
    else:
        writers.write_legacy(path, torch_tensors(values))
    return path


@pytest.mark.parametrize('kind', ['efficientnet-lite-tf1', 'efficientnet-lite-torch'])
def test_lite_is_exact_at_the_border_too(tmp_path, photograph, lite_values, lite_wanted, kind):
    """The file's network sees (x - 127) / 128 padded with zeros, ours the pipeline's numbers."""
    imported = importing.read(kind, write_lite(kind, tmp_path, lite_values))
    assert greatest_difference(outputs(imported.modules, photograph), lite_wanted) < TOLERANCE
    assert imported.report['model'] == 'efficientnet-lite0'
    assert imported.report['preprocessing'] == {
        'offset': [127.0] * 3,
        'scale': [128.0] * 3,
        'folded': True,
        'exact_at_border': True,
    }


def test_padding_with_the_pipelines_zero_would_be_wrong(photograph, lite_values):
    """Folding alone is exact inside; what it gets wrong is the image's edge."""
    kernel = lite_values['efficientnet-lite0/stem/conv2d/kernel']
    zero = np.zeros(kernel.shape[-1], np.float32)
    folded, mean = importing.fold(efficientnet.LiteTorch.preprocessing, kernel, zero)
    inputs = preprocess_ops.normalize_image(tf.constant(photograph))
    found = tf.nn.conv2d(inputs, tf.cast(folded, tf.float32), 2, 'SAME') - tf.cast(mean, tf.float32)
    wanted = tf.nn.conv2d(tf.cast(released_input('lite0', photograph), tf.float32), kernel, 2, 'SAME')
    error = np.abs(found - wanted) / np.abs(wanted).max()
    assert error[:, 1:-1, 1:-1].max() < 1e-5
    assert error[:, 0].max() > 0.01 and error[:, -1].max() > 0.01


def test_a_detectors_backbone_takes_the_checkpoint(tmp_path, photograph, lite_values, lite_wanted):
    source = write_lite('efficientnet-lite-torch', tmp_path, lite_values)
    output = str(tmp_path / 'out' / 'lite0')
    importing.import_checkpoint('efficientnet-lite-torch', source, output)
    config = backbone_configs.Backbone(type='efficientnet')
    config.efficientnet.override({'model_id': 'lite0', 'se_ratio': 0.25})
    backbone = factory.build_backbone(
        tf.keras.layers.InputSpec(shape=[None, None, None, 3]), config, common.NormActivation(activation='swish')
    )
    reports = restore.restore({'backbone': backbone}, output, ['backbone'])
    assert (reports['backbone'].missing, reports['backbone'].extra) == ([], [])
    found = backbone(preprocess_ops.normalize_image(tf.constant(photograph)))
    for level in found:
        assert greatest_difference({level: found[level]}, {level: lite_wanted[level]}) < TOLERANCE


@pytest.fixture(scope='module')
def keras_model(tmp_path_factory):
    """Keras Applications' own B0 with random values in everything, and its file."""
    model = tf.keras.applications.EfficientNetB0(
        weights=None, include_top=True, classifier_activation=None, input_shape=[65, 97, 3]
    )
    generator = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [
                    generator.uniform(0.6, 1.4, shape),
                    generator.normal(0, 0.2, shape),
                    generator.normal(0, 0.2, shape),
                    generator.uniform(0.6, 1.4, shape),
                ]
            )
    normalization = next(layer for layer in model.layers if layer.name.startswith('normalization'))
    normalization._name = 'normalization'
    path = str(tmp_path_factory.mktemp('keras') / 'efficientnetb0.h5')
    model.save_weights(path)
    with h5py.File(path, 'r+') as handle:
        group = handle['normalization']
        owner = next(iter(group))
        for part, value in (('mean', [0.485, 0.456, 0.406]), ('variance', [0.229, 0.224, 0.225])):
            group[owner][f'{part}:0'][...] = np.reshape(value, group[owner][f'{part}:0'].shape)
        if owner != 'normalization':
            group.move(owner, 'normalization')
    return model, path


def test_keras_is_exact(keras_model, photograph):
    model, path = keras_model
    imported = importing.read('keras-efficientnet', path)
    # Behind Keras's own normalisation, so that its rescaling, which only comes with a download, is not missed.
    names = {'2': 'block2b_add', '3': 'block3b_add', '4': 'block5c_add', '5': 'block7a_project_bn'}
    layers = {level: model.get_layer(name).output for level, name in names.items()}
    network = tf.keras.Model(model.get_layer('stem_conv_pad').input, {**layers, 'logits': model.output})
    wanted = network(tf.constant(released_input('b0', photograph), tf.float32))
    found = outputs(imported.modules, photograph)
    wanted = {name: value.numpy() for name, value in wanted.items()}
    assert greatest_difference(found, wanted) < TOLERANCE
    assert imported.report['model'] == 'efficientnet-b0'


def test_keras_without_the_classifier(keras_model, tmp_path):
    _, path = keras_model
    without = str(tmp_path / 'notop.h5')
    with h5py.File(path) as source, h5py.File(without, 'w') as target:
        for name in source:
            if name != 'predictions':
                source.copy(name, target)
    imported = importing.read('keras-efficientnet', without)
    assert set(imported.modules) == {'backbone'}
    left_out = {name for entry in imported.report['left_out'] for name in entry['names']}
    assert {name.split('/')[0] for name in left_out} == {'top_conv', 'top_bn', 'normalization'}


def test_keras_with_another_normalisation_is_refused(keras_model, tmp_path):
    _, path = keras_model
    other = str(tmp_path / 'other.h5')
    with h5py.File(path) as source, h5py.File(other, 'w') as target:
        for name in source:
            source.copy(name, target)
        target['normalization/normalization/variance:0'][...] = 1.0
    with pytest.raises(errors.UserError, match=r'normalization/variance in the file is \[1.0, 1.0, 1.0\]'):
        importing.read('keras-efficientnet', other)


@pytest.mark.parametrize('model', tf1_efficientnet.COEFFICIENTS)
def test_every_model_is_recognised(model):
    layout = efficientnet.LiteTf1() if model.startswith('lite') else efficientnet.Tf1()
    assert layout.recognise(tf1_efficientnet.shapes(model)) == f'efficientnet-{model}'
    if model.startswith('lite'):
        shapes = tf1_efficientnet.shapes(model)
        turned = {
            torch_name(name.replace(model, 'lite0')): (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
            for name, shape in shapes.items()
        }
        assert efficientnet.LiteTorch().recognise(turned) == f'efficientnet-{model}'


def renamed(shapes, old, new):
    return {name.replace(old, new): shape for name, shape in shapes.items()}


def without(shapes, pattern):
    return {name: shape for name, shape in shapes.items() if not re.search(pattern, name)}


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s: renamed(s, '-b0', '-b1'), "names say 'efficientnet-b1'.*those of efficientnet-b0"),
        (lambda s: renamed(s, '-b0', '-b9'), "unknown model in its names.*'efficientnet-b9'"),
        (lambda s: without(s, 'stem/conv2d'), "no 'efficientnet-b0/stem/conv2d/kernel'; the nearest is"),
        (lambda s: without(s, 'blocks_15/'), 'its stem has 32 channels, and its 15 blocks'),
        (lambda s: {}, "no 'efficientnet-b0/stem/conv2d/kernel'"),
        (lambda s: renamed(s, '-b0', '-lite0'), "unknown model in its names.*'efficientnet-lite0'"),
    ],
)
def test_what_is_no_such_model(change, message):
    with pytest.raises(errors.UserError, match=message):
        efficientnet.Tf1().recognise(change(tf1_efficientnet.shapes('b0')))


PUBLISHED = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(registry_imports.__file__))), 'checkpoints', 'efficientnet-lite0'
)


@pytest.mark.skipif(not os.path.exists(PUBLISHED + '.index'), reason='make pretrained has not fetched Lite0')
def test_lite0_names_the_classes_of_photographs():
    modules = efficientnet.LiteTorch().build('efficientnet-lite0')
    restore.restore(modules, PUBLISHED)
    for name, expected in (('chelsea', EGYPTIAN_CAT), ('coffee', ESPRESSO), ('camera', TRIPOD)):
        image = getattr(skimage.data, name)()
        image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
        image = tf.image.resize(image, [224, 224], method='bicubic', antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)[tf.newaxis]
        logits = outputs(modules, image.numpy())['logits'][0]
        assert int(np.argmax(logits)) == expected, name
