"""Shards and their description are whole or not there, whatever interrupts the writing."""

import multiprocessing
import os
import pathlib
import signal

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors, files
from official_rethink.data import label_maps, problems, records, shards
from tests.data import making
from tests.data.making import record

CATEGORIES = [{'id': 1, 'name': 'cat', 'source_id': 17}, {'id': 2, 'name': 'dog', 'source_id': 90}]
BOX = (1.0, 2.0, 3.0, 4.0)


def write(folder: pathlib.Path, count: int = 7, **options) -> dict:
    return shards.write([record(i) for i in range(count)], str(folder), 'train', CATEGORIES, **options)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_description_tells_what_was_written(tmp_path):
    some = [
        record(0, [records.Annotation(BOX, 1), records.Annotation(BOX, 2, is_crowd=True)]),
        record(1, [records.Annotation(BOX, 1, area=40.0**2), records.Annotation(BOX, 1, area=100.0**2)]),
        record(2),
        record(3, [records.Annotation(BOX, 2, is_crowd=True)]),
    ]
    description = shards.write(some, str(tmp_path), 'train', CATEGORIES, num_shards=3)
    assert files.read_json(str(tmp_path / 'train.json')) == description
    names = [f'train-0000{i}-of-00003.tfrecord' for i in range(3)]
    hashes = description.pop('image_hashes')
    assert len(set(hashes)) == 4
    assert description == {
        'format_version': 1,
        'split': 'train',
        'num_images': 4,
        'num_images_with_annotations': 3,
        'num_instances': 3,
        'num_crowds': 2,
        'categories': CATEGORIES,
        'instances_per_category': {'1': 3, '2': 0},
        'instances_per_size': {'small': 1, 'medium': 1, 'large': 1},
        'image_sizes': {'min': [10, 20], 'median': [12, 20], 'max': [13, 20]},
        'image_ids': ['0', '3', '1', '2'],  # records 0 and 3 went to the first shard
        'image_categories': [[1], [], [1], []],
        'shards': names,
        'skipped': 0,
        'skipped_by_kind': {},
        'inputs_hash': '',
        'code_version': description['code_version'],
    }
    assert sorted(os.listdir(tmp_path)) == [*names, 'train.json']
    found = list(shards.read(str(tmp_path)))
    assert [r.source_id for r in found] == description['image_ids']
    assert [r.encoded for r in found] == [some[int(r.source_id)].encoded for r in found]


def test_tf_data_reads_the_shards(tmp_path):
    write(tmp_path, num_shards=2)
    dataset = tf.data.TFRecordDataset(tf.io.gfile.glob(str(tmp_path / 'train-*.tfrecord')))
    assert sorted(records.from_example(x).source_id for x in dataset.as_numpy_iterator()) == list('0123456')


def test_more_shards_than_images_leaves_empty_ones_that_can_be_read(tmp_path):
    write(tmp_path, count=2, num_shards=4)
    assert len(list(shards.read(str(tmp_path)))) == 2


def test_default_number_of_shards(tmp_path):
    assert len(write(tmp_path / 'a')['shards']) == 1
    assert len(write(tmp_path / 'b', total=513)['shards']) == 2
    assert len(write(tmp_path / 'c', total=10**9)['shards']) == 256


def test_several_processes_write_the_same_bytes(tmp_path):
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        found = problems.ProblemList('skip')
        options = {'num_shards': 3, 'processes': processes, 'found': found}
        shards.write(range(40), str(folder), 'train', [], make=making.spoilt, **options)
    assert contents(tmp_path / '1') == contents(tmp_path / '2')
    description = shards.load_description(str(tmp_path / '1'))
    assert (description['num_images'], description['skipped']) == (26, 14)
    assert len((tmp_path / '1' / 'train-skipped.jsonl').read_text().splitlines()) == 14


def test_problems_stop_and_leave_nothing(tmp_path):
    with pytest.raises(errors.UserError, match="file: image 3, field 'field': is bad") as caught:
        shards.write(range(1, 10), str(tmp_path), 'train', [], make=making.spoilt)
    assert '3 problems' in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_nothing_left_to_write_is_an_error(tmp_path):
    found = problems.ProblemList('skip')
    with pytest.raises(errors.UserError, match="no image is left to write for split 'train'"):
        shards.write([0, 3], str(tmp_path), 'train', [], make=making.spoilt, found=found)
    assert os.listdir(tmp_path) == []


def test_duplicate_source_ids_are_refused(tmp_path):
    with pytest.raises(errors.UserError, match="two images have the source id 1; the second is '1.png'"):
        shards.write([record(1), record(2), record(1)], str(tmp_path), 'train', [])
    assert os.listdir(tmp_path) == []


def test_classes_that_are_not_listed_are_refused(tmp_path):
    with pytest.raises(errors.UserError, match=r'class ids \[9\]'):
        shards.write([record(1, [records.Annotation(BOX, 9)])], str(tmp_path), 'train', CATEGORIES)


@pytest.mark.parametrize('at', [0, 3, 6])
def test_an_error_while_writing_leaves_nothing(tmp_path, monkeypatch, at: int):
    original, calls = records.to_example, []

    def failing(one: records.Record) -> bytes:
        calls.append(one)
        if len(calls) == at + 1:
            raise OSError('disk full')
        return original(one)

    monkeypatch.setattr(records, 'to_example', failing)
    with pytest.raises(OSError, match='disk full'):
        write(tmp_path, num_shards=3)
    assert os.listdir(tmp_path) == []
    monkeypatch.undo()
    assert write(tmp_path, num_shards=3)['num_images'] == 7


@pytest.mark.parametrize('at', [0, 1, 2])
def test_an_interruption_between_renames_is_not_taken_for_a_set(tmp_path, monkeypatch, at: int):
    write(tmp_path / 'whole', num_shards=3, inputs_hash='x')
    original, calls = tf.io.gfile.rename, []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(tf.io.gfile, 'rename', failing)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'cut', num_shards=3, inputs_hash='x')
    monkeypatch.undo()
    assert not (tmp_path / 'cut' / 'train.json').exists()
    with pytest.raises(errors.UserError, match='no shards match|no description.*Prepare the data again'):
        shards.load_description(str(tmp_path / 'cut' / 'train*'))
    write(tmp_path / 'cut', num_shards=3, inputs_hash='x')
    assert contents(tmp_path / 'cut') == contents(tmp_path / 'whole')


def test_sigkill_leaves_nothing_that_looks_complete(tmp_path):
    folder = tmp_path / 'out'
    # Forked, because starting TensorFlow anew takes longer than all the other tests here.
    process = multiprocessing.get_context('fork').Process(
        target=shards.write,
        args=(range(100), str(folder), 'train', []),
        kwargs={'make': making.die_in, 'num_shards': 2},
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert os.listdir(folder)  # it was under way
    assert tf.io.gfile.glob(str(folder / 'train*')) == []
    shards.write([record(i) for i in range(100)], str(folder), 'train', [], num_shards=2)
    assert sorted(os.listdir(folder)) == [f'train-0000{i}-of-00002.tfrecord' for i in (0, 1)] + ['train.json']
    assert len(list(shards.read(str(folder)))) == 100


def test_the_same_inputs_are_not_written_again(tmp_path, capsys):
    first = write(tmp_path, inputs_hash='x')
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    def must_not_run(item: int) -> records.Record:
        raise AssertionError(item)

    again = shards.write(range(7), str(tmp_path), 'train', CATEGORIES, make=must_not_run, inputs_hash='x')
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert 'nothing to do' in capsys.readouterr().err


def test_a_lost_shard_is_written_again(tmp_path):
    write(tmp_path, num_shards=2, inputs_hash='x')
    before = contents(tmp_path)
    (tmp_path / 'train-00001-of-00002.tfrecord').unlink()
    with pytest.raises(errors.UserError, match='of which 1 are missing'):
        shards.load_description(str(tmp_path / 'train.json'))
    write(tmp_path, num_shards=2, inputs_hash='x', overwrite=True)
    assert contents(tmp_path) == before


def test_another_set_of_that_name_is_replaced_on_demand_only(tmp_path):
    write(tmp_path, num_shards=3, inputs_hash='x')
    before = contents(tmp_path)
    with pytest.raises(errors.UserError, match='made from other inputs.*--overwrite'):
        write(tmp_path, count=2, num_shards=1, inputs_hash='y')
    assert contents(tmp_path) == before
    write(tmp_path, count=2, num_shards=1, inputs_hash='y', overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ['train-00000-of-00001.tfrecord', 'train.json']


def test_a_failed_replacement_keeps_the_old_set(tmp_path):
    write(tmp_path, num_shards=3, inputs_hash='x')
    before = contents(tmp_path)
    with pytest.raises(errors.UserError, match='is bad'):
        shards.write([3], str(tmp_path), 'train', [], make=making.spoilt, inputs_hash='y', overwrite=True)
    assert contents(tmp_path) == before


def test_sets_side_by_side_are_told_apart(tmp_path):
    write(tmp_path, num_shards=2)
    shards.write([record(50)], str(tmp_path), 'train2', [])
    shards.write([record(60)], str(tmp_path), 'val', [])
    shard = 'val-00000-of-00001.tfrecord'
    for found in ('val*', 'val-*.tfrecord', shard, 'val-?????-of-00001.tfrecord', 'val.json'):
        assert shards.load_description(str(tmp_path / found))['image_ids'] == ['60']
    assert shards.load_description(str(tmp_path / 'train-*'))['num_images'] == 7
    assert shards.shard_paths(str(tmp_path / 'train-*')) == [
        str(tmp_path / f'train-0000{i}-of-00002.tfrecord') for i in (0, 1)
    ]
    with pytest.raises(errors.UserError, match=r'several sets \(train, train2\) match'):
        shards.load_description(str(tmp_path / 'train*'))
    with pytest.raises(errors.UserError, match='several sets'):
        shards.load_description(str(tmp_path))


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('trian*', 'no shards match .*There: train'),
        ('none/train*', 'There are no shards there'),
        ('other.json', 'no file at'),
        ('list.json', 'is not a data set description'),
        ('old.json', 'format_version is 0 .*allowed: 1'),
        ('cut.json', 'is not valid JSON'),
    ],
)
def test_what_is_no_set_is_named(tmp_path, name: str, words: str):
    description = write(tmp_path)
    (tmp_path / 'list.json').write_text('[]')
    files.write_json(str(tmp_path / 'old.json'), {**description, 'format_version': 0})
    (tmp_path / 'cut.json').write_text('{"split": ')
    with pytest.raises(errors.UserError, match=words):
        shards.load_description(str(tmp_path / name))


def test_shards_of_other_programs_are_named(tmp_path):
    (tmp_path / 'train-00000-of-00001.tfrecord').write_bytes(b'')
    with pytest.raises(errors.UserError, match='have no description'):
        shards.load_description(str(tmp_path / 'train*'))


@pytest.mark.parametrize('split', ['', 'a/b', '../a', '.hidden', 'a b', 'a*', '-a', 'a-'])
def test_split_names_that_patterns_could_not_find_are_refused(tmp_path, split: str):
    with pytest.raises(errors.UserError, match='split is .*allowed: letters'):
        shards.write([record(1)], str(tmp_path), split, [])


@pytest.mark.parametrize('number', [0, -1, 100_000])
def test_numbers_of_shards_out_of_range_are_refused(tmp_path, number: int):
    with pytest.raises(errors.UserError, match=f'num_shards is {number}'):
        write(tmp_path, num_shards=number)


def mapped(index: int, rows: list[list[int]]) -> records.Record:
    record = making.record(index)
    record.label_map_png = label_maps.encode(np.array(rows, np.uint8))
    return record


def test_description_counts_the_pixels_of_label_maps(tmp_path):
    items = [mapped(1, [[0, 0, 2], [255, 2, 2]]), mapped(2, [[255, 255, 255]]), mapped(3, [[1, 2, 0]])]
    categories = [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}, {'id': 3, 'name': 'unicorn'}]
    description = shards.write(items, str(tmp_path), 'train', categories)
    assert description['label_maps'] is True
    assert description['pixels_per_category'] == {'0': 3, '1': 1, '2': 4, '3': 0}
    assert description['void_pixels'] == 4
    # Without boxes, an image is of the classes that its map shows: label fractions keep each of them.
    assert description['image_categories'] == [[2], [], [1, 2]]
    assert description['instances_per_category'] == {'1': 1, '2': 2, '3': 0}
    assert (description['num_instances'], description['num_images_with_annotations']) == (0, 0)


def test_boxes_or_a_class_go_before_the_label_map(tmp_path):
    boxed, single = mapped(1, [[0, 2]]), mapped(2, [[2, 2]])
    boxed.annotations = [records.Annotation((0.0, 0.0, 8.0, 10.0), 1)]
    single.class_label = 1
    description = shards.write([boxed, single], str(tmp_path), 'train', [{'id': i, 'name': f'{i}'} for i in (1, 2)])
    assert description['image_categories'] == [[1], [1]]
    assert description['instances_per_category'] == {'1': 2, '2': 0}
    assert description['pixels_per_category'] == {'0': 1, '1': 0, '2': 3}


def test_a_set_of_which_some_images_lack_label_maps_has_none(tmp_path):
    description = shards.write([mapped(1, [[0]]), making.record(2)], str(tmp_path), 'train', [])
    assert not {'label_maps', 'pixels_per_category', 'void_pixels'} & set(description)


def test_label_maps_of_unlisted_classes_are_refused(tmp_path):
    with pytest.raises(errors.UserError, match=r'class ids \[7\], which the categories do not list'):
        shards.write([mapped(1, [[0, 7]])], str(tmp_path), 'train', [{'id': 1, 'name': 'cat'}])
    assert os.listdir(tmp_path) == []
