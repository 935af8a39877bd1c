"""Shards done one by one, in any order, in company and alone: the store is the single machine's, byte for byte."""

import argparse
import json
import pathlib

import pytest
import tensorflow as tf

from export.large_scale import shard, work
from official_rethink.common import errors, files
from official_rethink.data import problems
from official_rethink.pseudo_labels import labelling, source, store
from tests.pseudo_labels import making
from tests.pseudo_labels.test_source_parts import foreign

BROKEN = {3: b'nothing that parses', 9: tf.train.Example().SerializeToString()}


@pytest.fixture
def images(tmp_path: pathlib.Path) -> source.Source:
    (tmp_path / 'images').mkdir()
    return making.open_images(foreign(tmp_path / 'images', BROKEN, (5, 8)), 'skip')


@pytest.fixture(scope='module')
def teacher() -> shard.Teacher:
    return shard.Teacher(making.labeller())


def _do(
    images: source.Source, place: store.Store, teacher: shard.Teacher, order: list[int], stops: bool = False
) -> list[dict[str, int]]:
    """Does some shards; returns what is counted of each."""
    left = place.unfinished()
    with open(work.write_list(images, place, left), encoding='utf-8') as handle:
        lines = dict(zip(left, handle, strict=True))
    counted = []
    for number in order:
        read = shard.read(lines[number])
        assert read.shard == number
        counted.append(shard.write(place, read, teacher.label(read, stops), stops))
    return counted


def _finish(images: source.Source, place: store.Store) -> None:
    place.describe(making.inputs(images), problems.ProblemList('skip'))
    place.finish({'inputs': making.inputs(images)})


def test_any_order_gives_the_same_store(tmp_path: pathlib.Path, images: source.Source, teacher: shard.Teacher) -> None:
    making.label(tmp_path / 'plain', images, 'skip')
    place = making.open_store(tmp_path / 'ours', images)
    counted = _do(images, place, teacher, [2, 0, 1])
    assert counted[1] == {'shards': 1, 'images': 4, 'dead_letters': 1, 'labels': 4}
    assert work.write_dead_letters(place) == {'not a record': 2}
    _finish(images, place)
    ours = making.contents(tmp_path / 'ours')
    letters = [json.loads(line) for line in ours.pop(work.DEAD_LETTERS).splitlines()]
    assert [(one['id'], one['kind'], one['shard']) for one in letters] == [
        ('record 3', 'not a record', 0),
        ('record 9', 'not a record', 1),
    ]
    assert letters[0]['source'] == images.path and 'is no tf.Example' in letters[0]['reason']
    assert ours == making.contents(tmp_path / 'plain')


def test_a_restart_does_what_is_left(tmp_path: pathlib.Path, images: source.Source, teacher: shard.Teacher) -> None:
    """Done shards may lie behind others that are not, and what a lost worker left behind is removed."""
    making.label(tmp_path / 'plain', images, 'skip')
    place = making.open_store(tmp_path / 'ours', images)
    _do(images, place, teacher, [1])
    assert place.unfinished() == [0, 2] and place.finished() == []
    (tmp_path / 'ours' / f'.{place.shard_name(2)}.0a1b2c3d.tmp').write_bytes(b'half')
    before = (tmp_path / 'ours' / place.shard_name(1)).stat().st_mtime_ns
    place = making.open_store(tmp_path / 'ours', images)
    assert not list((tmp_path / 'ours').glob('.*.tmp'))
    _do(images, place, teacher, [2, 0])
    assert place.unfinished() == []
    assert (tmp_path / 'ours' / place.shard_name(1)).stat().st_mtime_ns == before
    _finish(images, place)
    assert making.contents(tmp_path / 'ours') == making.contents(tmp_path / 'plain')


def test_counts_without_their_shard_are_not_done(
    tmp_path: pathlib.Path, images: source.Source, teacher: shard.Teacher
) -> None:
    """Killed between the counts and the rename."""
    place = making.open_store(tmp_path / 'ours', images)
    _do(images, place, teacher, [0, 1])
    (tmp_path / 'ours' / place.shard_name(0)).unlink()
    assert place.unfinished() == [0, 2]


def test_a_shard_done_twice_at_once(tmp_path: pathlib.Path, images: source.Source, teacher: shard.Teacher) -> None:
    place = making.open_store(tmp_path / 'ours', images)
    with place.write_shard(1, '.first') as slow:
        _do(images, place, teacher, [1])
        done = (tmp_path / 'ours' / place.shard_name(1)).read_bytes()
        read = shard.Images(1, list(images.part(5, 10).read()))
        for record, kept in zip(read.good, teacher.label(read, False).kept, strict=True):
            slow.add(record, kept)
        slow.skipped += read.wrong
    assert (tmp_path / 'ours' / place.shard_name(1)).read_bytes() == done


def test_stop_at_a_broken_image_keeps_the_other_shards(
    tmp_path: pathlib.Path, images: source.Source, teacher: shard.Teacher
) -> None:
    place = making.open_store(tmp_path / 'ours', images)
    counted = _do(images, place, teacher, [0, 1, 2], stops=True)
    assert counted[:2] == [{'failed_shards': 1}] * 2 and counted[2]['images'] == 3
    with pytest.raises(errors.UserError) as caught:
        work.check_failures(place)
    for said in ('2 problems', 'record 3', 'record 9', '--on_error=skip'):
        assert said in str(caught.value)
    assert place.unfinished() == [0, 1]
    _do(images, place, teacher, [0, 1])  # the same with --on_error=skip
    work.check_failures(place)
    assert place.unfinished() == []


def test_what_a_teacher_or_a_shard_cannot_do_is_told(tmp_path: pathlib.Path, images: source.Source) -> None:
    def diverged(pixels: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        return making.predict(pixels, info) | {'scores': tf.fill([tf.shape(pixels)[0], 4], float('nan'))}

    place = making.open_store(tmp_path / 'ours', images)
    _do(images, place, shard.Teacher(making.labeller(found=diverged)), [0, 1])
    with pytest.raises(errors.UserError, match='has diverged.* 2 shards failed'):
        work.check_failures(place)
    line = json.dumps({'shard': 0, 'part': vars(images.part(0, 5))})
    for path in (tmp_path / 'images').iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    assert 'damaged or cut off' in shard.read(line).failed


def test_a_teacher_that_finds_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = ('no box', 'or not')
    some, none = {'scores': {'1': [0, 2]}, 'sizes': [[1, 1]] * 3}, {'scores': {'1': [0, 0]}, 'sizes': [[1, 1]] * 3}
    work.check_labels([none, some], nothing)
    work.check_labels([], nothing)
    with pytest.raises(labelling.EmptyTeacher, match='found no box on all 6 images'):
        work.check_labels([none, none], nothing)
    monkeypatch.setattr(labelling, 'EMPTY_AFTER', 3)
    with pytest.raises(labelling.EmptyTeacher, match='found no box on the first 3 images'):
        work.check_labels([none, some], nothing)


def test_settings_are_plain_values(tmp_path: pathlib.Path, images: source.Source) -> None:
    flags = vars(argparse.Namespace(output_dir=str(tmp_path), shard_size=5, on_error='skip'))
    known = {'categories': making.CATEGORIES, 'boxes': 2.2, 'keypoints': None}
    settings = work.Settings(flags, {}, known, {}, images.num_images)
    sent = work.Settings(**json.loads(json.dumps(vars(settings))))
    assert sent == settings and not sent.stops
    assert sent.store().shard_name(2) == 'pseudo-00002-of-00003.tfrecord'
    assert not files.exists(sent.store().state_path(work.LIST))
