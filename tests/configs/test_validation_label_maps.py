"""Sets that a segmentation refuses before any device is touched: no label maps, all void, larger than is held."""

import numpy as np
import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse, validation_data
from official_rethink.data import label_maps, records, shards
from tests.pseudo_labels import making

CATEGORIES = [{'id': 1, 'name': 'red'}]


def _write(folder, split, sizes, value=1, mapped=True):
    made = []
    for number, (height, width) in enumerate(sizes):
        encoded = making.png(height, width, (1, 1, 4, 4), shade=number + len(split))
        png = label_maps.encode(np.full([height, width], value, np.uint8)) if mapped else None
        identifier = records.numeric_id(f'{split} {number}')
        made.append(records.Record(identifier, encoded, 'png', height, width, label_map_png=png))
    shards.write(made, str(folder), split, CATEGORIES, num_shards=1)


@pytest.fixture
def data(tmp_path):
    _write(tmp_path, 'train', [(8, 9), (8, 9)])
    _write(tmp_path, 'val', [(8, 20), (12, 9)])
    return tmp_path


def _check(data, more='', train='train', val='val'):
    override = f'task.train_data.input_path={data}/{train}*,task.validation_data.input_path={data}/{val}*'
    loaded = parse.load('seg_deeplabv3plus_resnet_pascal', (), override + more)
    validation_data.validate_data(loaded.params, loaded.sources)


def test_good_sets_pass(data):
    _check(data)
    _check(data, ',task.validation_data.groundtruth_padded_size=[12,20]')


def test_a_set_without_label_maps_is_named(data):
    _write(data, 'boxes', [(8, 9)], mapped=False)
    with pytest.raises(errors.UserError, match='task.train_data.input_path .*boxes.json.* has no label maps; .*voc'):
        _check(data, train='boxes')


def test_a_set_of_void_is_named(data):
    _write(data, 'empty', [(8, 9)], value=255)
    for part, given in (('train_data', {'train': 'empty'}), ('validation_data', {'val': 'empty'})):
        with pytest.raises(errors.UserError, match=f'task.{part}.input_path.*empty.* void'):
            _check(data, **given)


def test_originals_over_the_padded_size_are_named(data):
    """Height and width are the largest of each: 12 of the one image, 20 of the other."""
    with pytest.raises(errors.UserError, match=r'groundtruth_padded_size.*\[12, 9\].*at least \[12, 20\]'):
        _check(data, ',task.validation_data.groundtruth_padded_size=[12,9]')


def test_a_size_that_nothing_tells_is_asked_for(data):
    (data / 'val.json').rename(data / 'other.json')
    with pytest.raises(errors.UserError, match='groundtruth_padded_size is None.*no description'):
        _check(data)
    _check(data, ',task.validation_data.groundtruth_padded_size=[12,20]')
