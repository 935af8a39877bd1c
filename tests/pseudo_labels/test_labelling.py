"""Images to store: what is written, counts by hand, kills and restarts, refusals, unreadable images."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import problems, shards
from official_rethink.dataloaders import decoder
from official_rethink.pseudo_labels import labelling, source, store
from tests.pseudo_labels import making

COUNT = 14  # two of each scene; two of these have no box


def test_store_by_hand(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', COUNT, labelled=True))
    counted = making.label(tmp_path / 'out', images)
    order = shards.load_description(str(tmp_path / 'in' / 'all.json'))['image_ids']
    found = making.read(tmp_path / 'out')
    assert [record.source_id for record in found] == order
    by_id = {record.source_id: record for record in found}
    for number in range(COUNT):
        record, original = by_id[str(1000 + number)], making.record(number)
        assert record.pseudo and record.encoded == original.encoded and record.filename == original.filename
        # Nothing of the human labels goes along.
        assert record.label_map_png is None and record.class_label is None
        box = making.SCENES[number % 7][2]
        if box is None:
            assert record.annotations == []
            continue
        (annotation,) = record.annotations
        assert annotation.label == 1 and annotation.score == 0.75 and annotation.area is None
        pixel = max(record.height / 96, record.width / 96, 1)
        np.testing.assert_allclose(annotation.box, box, atol=1.01 * pixel)
    assert counted['num_images'] == 14 and counted['num_instances'] == 12
    assert counted['num_images_without_boxes'] == 2
    assert counted['instances_per_category'] == {'1': 12, '3': 0}
    assert counted['mean_score'] == 0.75
    assert counted['score_histogram']['counts'] == [0] * 15 + [12] + [0] * 4
    assert counted['score_histogram']['per_category'] == {'1': [0] * 15 + [12] + [0] * 4, '3': [0] * 20}
    assert counted['best_score_histogram']['counts'] == [0] * 15 + [12] + [0] * 4
    assert (counted['num_unlisted_class'], counted['num_empty_boxes']) == (12, 12)
    assert [row['boxes'] for row in counted['kept_at']] == [12] * 7 + [0] * 2
    assert counted['shards'] == [f'pseudo-0000{i}-of-00003.tfrecord' for i in range(3)]


def test_every_reader_reads_it(tmp_path: pathlib.Path) -> None:
    making.label(tmp_path / 'out', making.open_images(making.write(tmp_path / 'in', 'all', 3)))
    description = shards.load_description(str(tmp_path / 'out' / 'pseudo-*.tfrecord'))
    assert description['num_images'] == 3 and description['num_instances'] == 3
    assert description['image_sizes'] == {'min': [37, 50], 'median': [48, 64], 'max': [200, 91]}
    assert description['image_categories'] == [[1]] * 3
    paths = shards.shard_paths(str(tmp_path / 'out'))
    decoded = [decoder.RecordDecoder().decode(one) for one in tf.data.TFRecordDataset(paths)]
    assert [image['groundtruth_scores'].numpy().tolist() for image in decoded] == [[0.75]] * 3
    np.testing.assert_allclose(decoded[0]['groundtruth_boxes'][0], [8 / 48, 0.25, 0.5, 0.625], atol=1 / 48)


class _Kill(BaseException):
    """Stands for a SIGKILL in that nothing catches it."""


def _killing(after: int) -> Callable[..., Any]:
    calls = []

    def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        def count() -> None:
            calls.append(1)
            if len(calls) > after:
                raise _Kill

        # An eager call within the graph, so that the count is of batches and not of tracings.
        tf.py_function(count, [], [])
        return making.predict(images, info)

    return predict


@pytest.mark.parametrize('after', [0, 1, 4])
def test_killed_and_started_again_gives_the_same_bytes(tmp_path: pathlib.Path, after: int) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', COUNT))
    making.label(tmp_path / 'whole', images)
    with pytest.raises(BaseException):  # noqa: B017, PT011  TensorFlow wraps what it meets
        making.label(tmp_path / 'out', images, found=_killing(after))
    left = {path.name for path in (tmp_path / 'out').iterdir()}
    assert 'manifest.json' not in left and 'pseudo.json' not in left
    assert not [name for name in left if name.endswith('.tmp')]
    for name in left - {store.STATE}:  # what has its name is whole
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    making.label(tmp_path / 'out', making.open_images(images.path))
    assert making.contents(tmp_path / 'out') == making.contents(tmp_path / 'whole')


def test_what_a_kill_leaves_is_cleared_away(tmp_path: pathlib.Path) -> None:
    """Killed while writing the second shard, and between a shard's counts and its name."""
    images = making.open_images(making.write(tmp_path / 'in', 'all', COUNT))
    making.label(tmp_path / 'whole', images)
    place = making.open_store(tmp_path / 'out', images)
    labelling.run(images, place, making.labeller())
    (tmp_path / 'out' / place.shard_name(1)).rename(tmp_path / 'out' / f'.{place.shard_name(1)}.tmp')
    (tmp_path / 'out' / place.shard_name(2)).unlink()
    making.label(tmp_path / 'out', images)
    assert making.contents(tmp_path / 'out') == making.contents(tmp_path / 'whole')


def test_finished_shards_are_not_labelled_again(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', COUNT))
    place = making.open_store(tmp_path / 'out', images)
    labelling.run(images, place, making.labeller())
    (tmp_path / 'out' / place.shard_name(1)).unlink()
    seen = []

    def predict(batch: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.py_function(lambda count: seen.append(int(count)), [tf.shape(batch)[0]], [])
        return making.predict(batch, info)

    again = making.open_store(tmp_path / 'out', images)
    assert len(again.finished()) == 1
    labelling.run(images, again, making.labeller(found=predict))
    assert sum(seen) == 8 + 4  # nine images: five in two batches of four, four in one
    assert len(again.finished()) == 3
    labelling.run(images, again, making.labeller(found=_killing(0)))  # nothing is left to do


@pytest.mark.parametrize('complete', [False, True])
@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'score_floor': 0.2}, 'score_floor: there 0.05, now 0.2'),
        ({'teacher': {'path': 'x', 'digest': 'cd'}}, "teacher.digest: there 'ab12', now 'cd'"),
        ({'shard_size': 7}, 'shard_size: there 5, now 7'),
        ({'input': {'digest': 'other', 'path': 'y'}}, "input.digest: there '.*', now 'other'"),
    ],
)
def test_other_inputs_are_refused(
    tmp_path: pathlib.Path, change: dict[str, Any], told: str, complete: bool
) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    place = making.open_store(tmp_path / 'out', images)
    labelling.run(images, place, making.labeller())
    if complete:
        place.finish({'inputs': making.inputs(images)})
    before = making.contents(tmp_path / 'out')
    with pytest.raises(errors.UserError, match=f'made otherwise .*{told}.*choose another --output_dir'):
        place.open(making.inputs(images) | change)
    assert making.contents(tmp_path / 'out') == before


def test_where_nothing_is_labelled_yet_another_teacher_may_be_tried(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    place = making.open_store(tmp_path / 'out', images)
    place.remember('teacher', {'metrics': {'AP': 0.0}})
    place.open(making.inputs(images))
    assert place.remembered('teacher') == {'metrics': {'AP': 0.0}}
    place.open(making.inputs(images) | {'teacher': {'path': 'x', 'digest': 'cd'}})
    assert place.remembered('teacher') is None
    labelling.run(images, place, making.labeller())
    with pytest.raises(errors.UserError, match="teacher.digest: there 'cd', now 'ab12'"):
        place.open(making.inputs(images))


def test_moved_weights_and_images_are_the_same(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    place = making.open_store(tmp_path / 'out', images)
    inputs = making.inputs(images)
    inputs['teacher'] = inputs['teacher'] | {'path': 'moved'}
    inputs['input'] = inputs['input'] | {'path': 'moved too'}
    place.open(inputs)


def test_shards_of_unknown_origin_are_left_alone(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    with pytest.raises(errors.UserError, match="nothing tells where they came from, such as 'all-00000"):
        making.open_store(tmp_path / 'in', images)


@pytest.mark.parametrize('size', [0, -3])
def test_shard_size(tmp_path: pathlib.Path, size: int) -> None:
    with pytest.raises(errors.UserError, match=f'shard_size is {size} .*a whole number from 1'):
        store.Store(str(tmp_path), 10, size, making.CATEGORIES, 1)


def test_an_empty_teacher_stops_and_leaves_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, 'EMPTY_AFTER', 7)
    images = making.open_images(making.write(tmp_path / 'in', 'all', COUNT))
    place = making.open_store(tmp_path / 'out', images)
    with pytest.raises(labelling.EmptyTeacher, match='no box of score 0.8 or more on the first 7 images'):
        labelling.run(images, place, making.labeller(floor=0.8))
    place.discard()
    assert making.contents(tmp_path / 'out') == {}


def test_an_empty_teacher_on_few_images(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    place = making.open_store(tmp_path / 'out', images)
    with pytest.raises(labelling.EmptyTeacher, match='no box of score 0.8 or more on all 4 images'):
        labelling.run(images, place, making.labeller(floor=0.8))


def _folder(folder: pathlib.Path) -> None:
    (folder / 'sub').mkdir(parents=True)
    for number in range(6):
        height, width, box = making.SCENES[number]
        (folder / 'sub' / f'{number}.png').write_bytes(making.png(height, width, box))
    (folder / 'a_broken.png').write_bytes(making.png(40, 40, None)[:-9])


def test_folder_with_a_broken_image(tmp_path: pathlib.Path) -> None:
    _folder(tmp_path / 'in')
    images = making.open_images(str(tmp_path / 'in'))
    with pytest.raises(errors.UserError, match='(?s)a_broken.png: is truncated.*--on_error=skip'):
        labelling.run(images, making.open_store(tmp_path / 'out', images), making.labeller())
    counted = making.label(tmp_path / 'out', images, on_error='skip')
    assert counted['num_images'] == 6 and counted['num_instances'] == 5
    assert counted['skipped'] == {'truncated image': 1}
    assert [record.filename for record in making.read(tmp_path / 'out')] == [f'sub/{i}.png' for i in range(6)]
    assert 'a_broken.png' in (tmp_path / 'out' / 'pseudo-skipped.jsonl').read_text()
    sizes = [len(list(tf.data.TFRecordDataset(path))) for path in shards.shard_paths(str(tmp_path / 'out'))]
    assert sizes == [4, 2]  # seven files in shards of five; the broken one was the first


def test_a_shard_of_which_nothing_is_left(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'in').mkdir()
    for number in range(12):
        data = making.png(*making.SCENES[0], shade=number)
        (tmp_path / 'in' / f'{number:02d}.png').write_bytes(data[:-9] if 5 <= number < 10 else data)
    images = making.open_images(str(tmp_path / 'in'))
    counted = making.label(tmp_path / 'out', images, on_error='skip')
    assert counted['num_images'] == 7 and counted['skipped'] == {'truncated image': 5}
    assert len(making.read(tmp_path / 'out')) == 7


def test_nothing_left_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'a.png').write_bytes(b'<html>')
    images = making.open_images(str(tmp_path / 'in'), 'skip')
    with pytest.raises(errors.UserError, match='no image is left to label'):
        making.label(tmp_path / 'out', images, on_error='skip')


def test_shards_of_another_writer(tmp_path: pathlib.Path) -> None:
    """Model Garden's TFExamples without a description, one of them without an image."""
    written = []
    for number in range(3):
        record = making.record(number)
        example = tf.train.Example()
        for key, value in (('image/height', record.height), ('image/width', record.width)):
            example.features.feature[key].int64_list.value.append(value)
        encoded = record.encoded if number != 1 else b'no image'
        example.features.feature['image/encoded'].bytes_list.value.append(encoded)
        example.features.feature['image/source_id'].bytes_list.value.append(b'' if number == 0 else b'77')
        written.append(example.SerializeToString())
    with tf.io.TFRecordWriter(str(tmp_path / 'other.record')) as writer:
        for serialized in (*written, b'junk'):
            writer.write(serialized)
    images = making.open_images(str(tmp_path / 'other*'))
    counted = making.label(tmp_path / 'out', images, on_error='skip')
    assert counted['num_images'] == 2
    assert counted['skipped'] == {'not an image': 1, 'not a record': 1}
    first, second = making.read(tmp_path / 'out')
    assert first.source_id.isdigit() and first.source_id != '77' and second.source_id == '77'


@pytest.mark.parametrize(
    ('path', 'told'),
    [
        ('', "--input is ''"),
        ('{}/none*', "no shards match '.*none"),
        ('{}/part/x-*', 'matches 1 shards, whose names speak of 3; name one whole set'),
        ('{}/empty', 'none of which is named like an image'),
    ],
)
def test_inputs_that_are_not_there(tmp_path: pathlib.Path, path: str, told: str) -> None:
    (tmp_path / 'part').mkdir()
    (tmp_path / 'part' / 'x-00000-of-00003.tfrecord').write_bytes(b'')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'notes.txt').write_text('no image')
    with pytest.raises(errors.UserError, match=told):
        source.open_source(path.format(tmp_path), problems.ProblemList())


def test_a_cut_shard_is_told(tmp_path: pathlib.Path) -> None:
    pattern = making.write(tmp_path / 'in', 'all', 6, num_shards=1)
    path = tmp_path / 'in' / 'all-00000-of-00001.tfrecord'
    path.write_bytes(path.read_bytes()[:-20])
    images = making.open_images(pattern)
    with pytest.raises(errors.UserError, match='a shard of .* is damaged or cut off'):
        labelling.run(images, making.open_store(tmp_path / 'out', images), making.labeller())
