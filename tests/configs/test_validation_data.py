"""Tests of the checks of files that run just before training."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from official_rethink.common import errors
from official_rethink.configs import parse, validation_data
from official_rethink.data import records, shards

SUPERVISED = 'retinanet_efficientnet_coco'
STUDENT = 'self_training_retinanet_efficientnet_coco'
CATEGORIES = [{'id': 1, 'name': 'a', 'source_id': 1}, {'id': 2, 'name': 'b', 'source_id': 2}]


def _record(image_id, shade):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, 'PNG')
    annotation = records.Annotation(box=(1.0, 1.0, 5.0, 5.0), label=1)
    return records.Record(str(image_id), buffer.getvalue(), 'png', 8, 8, annotations=[annotation])


def _write(folder, split, images):
    """Writes a set of (image id, shade of grey)."""
    made = [_record(*image) for image in images]
    shards.write(made, str(folder), split, CATEGORIES, num_shards=1)


@pytest.fixture
def data(tmp_path):
    _write(tmp_path, 'train', [(1, 10), (2, 20), (3, 30)])
    _write(tmp_path, 'val', [(4, 40), (5, 50)])
    return tmp_path


def _load(data, experiment=SUPERVISED, more=''):
    override = f'task.train_data.input_path={data}/train*,task.validation_data.input_path={data}/val*'
    return parse.load(experiment, (), override + more)


def _refused(loaded):
    with pytest.raises(errors.UserError) as caught:
        validation_data.validate_data(loaded.params, loaded.sources)
    return str(caught.value)


def test_good_data_passes(data):
    loaded = _load(data, more=',task.model.num_classes=3')
    validation_data.validate_data(loaded.params, loaded.sources)


def test_pattern_without_files_names_key_and_place(data):
    message = _refused(_load(data, more=f',task.test_data.input_path={data}/tset*'))
    assert 'task.test_data.input_path' in message and '/tset*' in message and '--params_override' in message
    message = _refused(parse.load(SUPERVISED, (), f'task.train_data.input_path={data}/none/train*'))
    assert f"there is no folder '{data}/none'" in message
    message = _refused(parse.load(SUPERVISED, (), "task.train_data.input_path=''"))
    assert "task.train_data.input_path is ''" in message


def test_too_few_classes(data):
    message = _refused(_load(data, more=',task.model.num_classes=2'))
    assert 'task.model.num_classes is 2' in message and 'class ids up to 2; set it to 3' in message


def test_missing_shard_of_a_described_set(data):
    # A second shard of the set is named but not there.
    path = data / 'train.json'
    description = json.loads(path.read_text())
    description['shards'].append('train-00001-of-00002.tfrecord')
    path.write_text(json.dumps(description))
    assert '1 are missing' in _refused(_load(data))


def test_shards_without_description_are_taken_as_they_are(data):
    (data / 'train.json').unlink()
    loaded = _load(data)
    validation_data.validate_data(loaded.params, loaded.sources)


def _split(data, content):
    path = data / 'split.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return f',task.train_data.split_file={path}'


def test_split_files(data):
    loaded = _load(data, more=_split(data, {'image_ids': ['1', '2']}))
    validation_data.validate_data(loaded.params, loaded.sources)
    assert 'no file at' in _refused(_load(data, more=',task.train_data.split_file=/nowhere/split.json'))
    assert 'names no image' in _refused(_load(data, more=_split(data, {'image_ids': []})))
    assert 'no list image_ids' in _refused(_load(data, more=_split(data, {'ids': ['1']})))
    assert 'not valid JSON' in _refused(_load(data, more=_split(data, '{')))
    message = _refused(_load(data, more=_split(data, {'image_ids': ['1', '9']})))
    assert 'names 1 images' in message and "'9'" in message


def test_an_image_in_both_sets_is_a_leak(tmp_path):
    _write(tmp_path, 'train', [(1, 10), (2, 20)])
    _write(tmp_path, 'val', [(2, 20), (5, 50)])
    message = _refused(_load(tmp_path))
    assert "1 ids occur in both, e.g. '2'" in message and 'task.validation_data' in message
    # The split leaves the image out, so it is only measured on.
    loaded = _load(tmp_path, more=_split(tmp_path, {'image_ids': ['1']}))
    validation_data.validate_data(loaded.params, loaded.sources)


def test_two_sets_may_number_different_images_alike(tmp_path):
    _write(tmp_path, 'train', [(1, 10), (2, 20)])
    _write(tmp_path, 'val', [(1, 11), (2, 21)])
    loaded = _load(tmp_path)
    validation_data.validate_data(loaded.params, loaded.sources)


def test_a_student_needs_a_manifest(data):
    _write(data / 'store', 'pseudo', [(7, 70)])
    more = f',task.pseudo_data.input_path={data}/store/*.tfrecord'
    message = _refused(_load(data, STUDENT, more))
    assert f'{data}/store/manifest.json' in message and 'official_rethink.pseudo_label' in message
    (data / 'store' / 'manifest.json').write_text('{}')
    loaded = _load(data, STUDENT, more)
    validation_data.validate_data(loaded.params, loaded.sources)
    more += ',task.pseudo_data.manifest=elsewhere.json'
    assert 'elsewhere.json' in _refused(_load(data, STUDENT, more))


def test_the_checkpoint_to_start_from_has_to_exist(data):
    for path in (f'{data}/none/ckpt-1', str(data)):
        message = _refused(_load(data, more=f',task.init_checkpoint={path}'))
        assert path in message and 'a prefix such as run/ckpt-1000' in message
