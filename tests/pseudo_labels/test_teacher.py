"""A teacher's files, and SavedModels of several makes in its place."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.pseudo_labels import feeding, filters, inference, teacher
from tests.pseudo_labels import making


class _Module(tf.Module):
    """A SavedModel with Model Garden's outputs, that finds what is red."""

    def __init__(self, normalized: bool = False, side: int = 96):
        super().__init__()
        self._normalized, self._side = normalized, side

    @tf.function
    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(images)[0]
        side = float(self._side)
        info = tf.tile([[[side, side], [side, side], [1.0, 1.0], [0.0, 0.0]]], [count, 1, 1])
        found = making.predict(images, info)
        return {
            'detection_boxes': found['boxes'] / side if self._normalized else found['boxes'],
            'detection_scores': found['scores'],
            'detection_classes': tf.cast(found['classes'], tf.float32),
            'num_detections': found['num_detections'],
            'image_info': info,
        }

    @tf.function
    def text(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        return {'length': tf.strings.length(encoded)}

    @tf.function
    def raw(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {'detection_scores': tf.cast(images[:, 0, 0, 0], tf.float32)}


def _save(folder: pathlib.Path, module: _Module, batch: int | None = None, function: str = 'serve') -> str:
    spec = tf.TensorSpec([batch, None, None, 3], tf.uint8, name='inputs')
    if function == 'text':
        spec = tf.TensorSpec([None], tf.string, name='inputs')
    signature = getattr(module, function).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures={'serving_default': signature})
    return str(folder)


@pytest.mark.parametrize('normalized', [False, True])
def test_saved_model_finds_what_the_network_finds(tmp_path: pathlib.Path, normalized: bool) -> None:
    path = _save(tmp_path / 'model', _Module(normalized), batch=4)
    strategy = tf.distribute.get_strategy()
    loaded = teacher.SavedModel(path, making.SIZE, normalized, strategy)
    assert loaded.batch_size == 4
    items = [feeding.Item(0, making.record(number)) for number in range(7)]

    def detect(predict: inference.Predict) -> list[filters.Detections]:
        return [found for _, found in inference.detect(items, predict, making.reading(), 4, strategy)]

    for ours, theirs in zip(detect(making.predict), detect(loaded.predict), strict=True):
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)
        np.testing.assert_array_equal(ours.classes, theirs.classes)


def test_find_saved_model(tmp_path: pathlib.Path) -> None:
    path = _save(tmp_path / 'export' / 'saved_model', _Module())
    above, itself = teacher.find(str(tmp_path / 'export')), teacher.find(path)
    assert above == itself and itself.is_saved_model and itself.name == 'saved_model'
    assert 'saved_model.pb' in itself.files and 'variables/variables.index' in itself.files
    before = itself.digest
    (tmp_path / 'export' / 'saved_model' / 'variables' / 'variables.index').write_bytes(b'other weights')
    assert teacher.find(path).digest != before


def test_find_checkpoint(tmp_path: pathlib.Path) -> None:
    checkpoint = tf.train.Checkpoint(weight=tf.Variable([1.0, 2.0]))
    prefix = checkpoint.write(str(tmp_path / 'a' / 'ckpt-3'))
    found = teacher.find(prefix)
    assert (found.name, found.is_saved_model) == ('ckpt-3', False)
    assert sorted(found.files) == ['ckpt-3.data-00000-of-00001', 'ckpt-3.index']
    for name in found.files:  # the same weights under another name are the same teacher
        copy = tmp_path / name.replace('ckpt-3', 'best-1')
        copy.write_bytes((tmp_path / 'a' / name).read_bytes())
    assert teacher.find(str(tmp_path / 'best-1')).digest == found.digest
    checkpoint.weight.assign([1.0, 2.5])
    assert teacher.find(checkpoint.write(str(tmp_path / 'b' / 'ckpt-3'))).digest != found.digest


@pytest.mark.parametrize(('path', 'told'), [('', "--checkpoint is ''"), ('{}', 'no checkpoint in the')])
def test_no_teacher(tmp_path: pathlib.Path, path: str, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        teacher.find(path.format(tmp_path))


def test_saved_models_that_are_refused(tmp_path: pathlib.Path) -> None:
    text = _save(tmp_path / 'text', _Module(), function='text')
    with pytest.raises(errors.UserError, match=r'no signature that takes uint8 images .*string \(None,\)'):
        teacher.SavedModel(text, making.SIZE, False, tf.distribute.get_strategy())
    raw = _save(tmp_path / 'raw', _Module(), function='raw')
    with pytest.raises(errors.UserError, match='does not give detection_boxes, detection_classes, num_det'):
        teacher.SavedModel(raw, making.SIZE, False, tf.distribute.get_strategy())
    other = _save(tmp_path / 'other', _Module(side=128))
    with pytest.raises(errors.UserError, match=r'resizes to \[128, 128\], but .*input_size is \[96, 96\]'):
        teacher.SavedModel(other, making.SIZE, False, tf.distribute.get_strategy())
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'saved_model.pb').write_bytes(b'\x00junk')
    with pytest.raises(errors.UserError, match='is no SavedModel that can be loaded'):
        teacher.SavedModel(str(tmp_path / 'broken'), making.SIZE, False, tf.distribute.get_strategy())


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('task: {export_config: {output_normalized_coordinates: true}}', True),
        ('task: {export_config: {output_normalized_coordinates: false}}', False),
        ('task: {}', None),
        ('', None),
    ],
)
def test_gives_shares(tmp_path: pathlib.Path, text: str, expected: bool | None) -> None:
    (tmp_path / 'params.yaml').write_text(text)
    assert teacher.gives_shares(str(tmp_path / 'saved_model')) is expected
    assert teacher.gives_shares(str(tmp_path)) is expected


def test_gives_shares_without_a_file(tmp_path: pathlib.Path) -> None:
    assert teacher.gives_shares(str(tmp_path)) is None
