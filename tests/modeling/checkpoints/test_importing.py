"""Tests of what the importer does for every layout: folding the input scale, and Model Garden's own checkpoints."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.modeling.backbones import resnet
from official.vision.ops import preprocess_ops

from official_rethink import import_checkpoint
from official_rethink.common import entry_point, errors
from official_rethink.modeling import restore
from official_rethink.modeling.backbones import padding
from official_rethink.modeling.checkpoints import formats, importing, layout, sources
from tests.modeling.checkpoints import writers

LITE = layout.Preprocessing((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


def test_the_zero_point_is_the_originals_padding_on_the_pipelines_scale():
    red = (127.0 - 255 * 0.485) / (255 * 0.229)
    assert LITE.zero_point()[0] == pytest.approx(red) and red == pytest.approx(0.0569, abs=1e-4)
    assert layout.PIPELINE.zero_point() == (0.0, 0.0, 0.0)
    assert layout.PIPELINE.equals(layout.Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    assert not layout.PIPELINE.equals(LITE)


def test_a_folded_stem_is_exact_inside_and_at_a_border_that_is_padded_with_the_zero_point():
    random = np.random.default_rng(0)
    kernel = random.normal(size=[3, 3, 3, 5]).astype(np.float32)
    mean = random.normal(size=[5]).astype(np.float32)
    images = random.integers(0, 256, [2, 9, 9, 3]).astype(np.uint8)
    original = tf.nn.conv2d((tf.cast(images, tf.float32) - 127.0) / 128.0, kernel, 1, 'SAME') - mean
    folded, lower = importing.fold(LITE, kernel, mean)
    inputs = preprocess_ops.normalize_image(tf.constant(images))

    def ours(colour):
        layer = padding.SymmetricConv2D(5, 3, colour=colour, use_bias=False)
        layer.build(inputs.shape)
        layer.set_weights([folded])
        return layer(inputs) - lower.astype(np.float32)

    np.testing.assert_allclose(ours(LITE.zero_point()), original, atol=2e-5)
    plain = ours(None)
    np.testing.assert_allclose(plain[:, 1:-1, 1:-1], original[:, 1:-1, 1:-1], atol=2e-5)
    assert np.abs(plain - original)[:, 0].max() > 0.1  # why the colour is needed


def test_model_gardens_backbone_comes_out_of_a_training_run(tmp_path):
    trained = resnet.ResNet(18)
    for place, variable in enumerate(trained.variables):
        variable.assign(tf.fill(variable.shape, float(place)))
    step = tf.Variable(5, dtype=tf.int64)
    whole = tf.keras.Model(trained.input, trained.output['5'])
    head = tf.keras.layers.Dense(2)
    head.build([None, 512])
    saved = tf.train.Checkpoint(model=whole, backbone=trained, head=head, global_step=step)
    prefix = saved.save(str(tmp_path / 'ckpt'))
    output = str(tmp_path / 'out')
    report = importing.import_checkpoint('model-garden', prefix, output)
    assert (report['model'], report['matched'], report['missing'], report['extra']) == ('resnet18', 105, 0, 0)
    assert {group['reason']: group['count'] for group in report['left_out']} == {
        'what was trained on top of the backbone': 2,
        "training's step": 1,
        "the checkpoint's own count": 1,
        "the checkpoint's own records, no weights": 1,
    }
    fresh = resnet.ResNet(18)
    found = restore.restore({'backbone': fresh}, output)['backbone']
    assert (len(found.matched), found.missing, found.extra) == (105, [], [])
    for place, variable in enumerate(fresh.variables):
        assert float(tf.reduce_min(variable)) == float(tf.reduce_max(variable)) == place


def test_model_garden_refuses_other_networks_by_their_blocks(tmp_path):
    found = formats.find('model-garden')
    with pytest.raises(errors.UserError, match=r"no 'backbone' \(it has: conv1, fc\)"):
        found.recognise({'conv1/kernel': (3, 3, 3, 4), 'fc/kernel': (4, 2)})
    with pytest.raises(errors.UserError, match='has 1 residual blocks and 0 bottlenecks'):
        found.recognise({'backbone/layer_with_weights-2/_conv2/kernel': (3, 3, 64, 64)})


def test_a_savedmodel_is_read_by_names_of_objects_not_of_lists(tmp_path):
    """A SavedModel lists its variables at the root too; the shorter path must not become the name."""
    module = tf.Module()
    module.model = tf.Module()
    module.model.stem = tf.Module()
    module.model.stem.kernel = tf.Variable([1.0, 2.0])
    module.trainable_variables_list = [module.model.stem.kernel]
    tf.saved_model.save(module, str(tmp_path))
    with sources.opened(str(tmp_path)) as opened:
        assert dict(opened.source.shapes) == {'model/stem/kernel': (2,)}
        np.testing.assert_array_equal(opened.source.read('model/stem/kernel'), [1.0, 2.0])


def test_every_storage_type_and_view_is_read_as_it_was_meant(tmp_path):
    arrays = {
        'half': np.array([[1, 2], [3, 4]], np.float16),
        'double': np.array([0.1], np.float64),
        'count': np.array(7, np.int64),
        'none': np.zeros([0, 3], np.float32),
    }
    path = str(tmp_path / 'a.pth')
    writers.write_legacy(path, arrays)
    with sources.opened(path) as opened:
        for name, array in arrays.items():
            found = opened.source.read(name)
            assert found.dtype == array.dtype and found.shape == array.shape
            np.testing.assert_array_equal(found, array)
    storage = np.arange(12, dtype=np.float32)
    content = {
        'transposed': writers.tensor('0', storage, shape=(4, 3), strides=(1, 4)),
        'row': writers.tensor('0', storage, offset=8, shape=(4,), strides=(1,)),
    }
    with open(path, 'wb') as handle:
        handle.write(writers.legacy_bytes(content, {'0': storage}))
    with sources.opened(path) as opened:
        np.testing.assert_array_equal(opened.source.read('transposed'), storage.reshape(3, 4).T)
        np.testing.assert_array_equal(opened.source.read('row'), [8, 9, 10, 11])


def test_the_command_ends_with_2_and_one_line(capsys, monkeypatch, tmp_path):
    arguments = ['--format=simclr-tf3', '--source=x', f'--output={tmp_path}/x']
    monkeypatch.setattr('sys.argv', ['import_checkpoint', *arguments])
    with pytest.raises(SystemExit) as caught:
        entry_point.run(import_checkpoint.main)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: unknown format 'simclr-tf3' (set in --format). Did you mean 'simclr-tf")
    assert said.count('\n') == 1


def test_the_list_names_every_format_of_the_issue(capsys):
    import_checkpoint.main(['--list'])
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(listed) >= {
        *('efficientnet-tf1', 'efficientnet-lite-torch', 'keras-efficientnet', 'self-training-release'),
        *('simclr-tf1', 'simclr-tf2', 'moco', 'keras-resnet50', 'model-garden'),
    }
    for model in ('b0', 'b7', 'l2'):
        assert f'efficientnet-{model}' in listed['efficientnet-tf1']
    assert 'retinanet-spinenet-143, retinanet-spinenet-190' in listed['self-training-release']
