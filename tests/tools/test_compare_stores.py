"""The comparison of two stores: equal ones, and one difference of each kind."""

import json
import pathlib
import shutil

import pytest

from official_rethink.common import errors
from official_rethink.data import records, shards
from tests.data import making
from tools import compare_stores


@pytest.fixture
def twins(tmp_path: pathlib.Path) -> tuple[str, str]:
    """Two equal sets of five records in two shards; each with a manifest, of different days."""
    shards.write([making.record(index) for index in range(5)], str(tmp_path / 'a'), 'some', [], num_shards=2)
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    for name, day in (('a', 'Monday'), ('b', 'Tuesday')):
        (tmp_path / name / 'manifest.json').write_text(json.dumps({'date': day, 'floor': 0.05}))
    return str(tmp_path / 'a'), str(tmp_path / 'b')


def test_equal_sets(twins: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    (pathlib.Path(twins[1]) / 'pseudo-dead-letters.jsonl').write_text('{}')
    assert compare_stores.main(twins) == 0
    assert capsys.readouterr().out.startswith('equal: 2 shards, 5 records, ')


def test_another_record_is_named_with_what_differs(
    twins: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = [making.record(index) for index in range(5)]
    made[3].filename, made[3].height = 'other.png', 77  # the second of the second shard
    shards.write(made, twins[1], 'some', [], num_shards=2, overwrite=True)
    assert compare_stores.main(twins) == 1
    out = capsys.readouterr().out
    assert "'some-00001-of-00002.tfrecord', record 1: image/filename, image/height (sha256 " in out
    assert "differs: 'some.json'" in out and out.count('differs: ') == 2  # it tells the images' sizes


def test_an_order_a_length_a_file_and_a_value(twins: tuple[str, str], tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(f'{twins[1]}/some-00000-of-00002.tfrecord') as writer:
        for index in (2, 0):
            writer.write(records.to_example(making.record(index)))
    (tmp_path / 'b' / 'manifest.json').write_text(json.dumps({'date': '', 'floor': 0.1}))
    (tmp_path / 'b' / 'pseudo-skipped.jsonl').write_text('')
    found, counted = compare_stores.compare(*twins)
    assert [line.split(' (')[0] for line in found] == [
        "'pseudo-skipped.jsonl' is in one of the two alone",
        "'manifest.json', floor",
        "'some-00000-of-00002.tfrecord', record 0: image/encoded, image/filename, image/height, image/source_id",
        "'some-00000-of-00002.tfrecord', record 1: image/encoded, image/filename, image/height, image/source_id",
        "'some-00000-of-00002.tfrecord': one has 2 records, the other more",
    ]
    assert counted['records'] == 4


@pytest.mark.parametrize(('folder', 'said'), [('nowhere', 'is no folder'), ('.', 'holds no shard')])
def test_mistakes_are_named(twins: tuple[str, str], tmp_path: pathlib.Path, folder: str, said: str) -> None:
    with pytest.raises(errors.UserError, match=said):
        compare_stores.main([twins[0], str(tmp_path / folder)])
