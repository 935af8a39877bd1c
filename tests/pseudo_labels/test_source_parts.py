"""Any part of a source, read alone, holds what the whole source gives there."""

import dataclasses
import io
import itertools
import json
import pathlib

import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.data import problems, records
from official_rethink.pseudo_labels import source
from tests.pseudo_labels import making


def _agree(images: source.Source, size: int) -> None:
    """Every part of so many images, sent as JSON, gives the same as the source read from there."""
    whole = list(images.read(0))
    assert len(whole) == images.num_images
    for start in range(0, images.num_images, size):
        stop = min(start + size, images.num_images)
        sent = json.loads(json.dumps(dataclasses.asdict(images.part(start, stop))))
        assert list(source.Part(**sent).read()) == whole[start:stop]


def foreign(folder: pathlib.Path, broken: dict[int, bytes], sizes: tuple[int, ...] = (5, 0, 1, 7)) -> str:
    """Shards without a description, some of whose records are replaced."""
    numbers = itertools.count()
    for index, size in enumerate(sizes):
        name = folder / f'web-{index:05d}-of-{len(sizes):05d}.tfrecord'
        with tf.io.TFRecordWriter(str(name)) as writer:
            for number in itertools.islice(numbers, size):
                writer.write(broken[number] if number in broken else records.to_example(making.record(number)))
    return str(folder / 'web-*')


@pytest.mark.parametrize('size', [1, 4, 5, 20])
def test_prepared_shards_are_read_without_a_look_at_the_others(
    tmp_path: pathlib.Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = making.open_images(making.write(tmp_path, 'unlabelled', 11, num_shards=3))
    monkeypatch.setattr(source, 'open_source', None)
    _agree(images, size)
    # 11 records in three files: 0 3 6 9, 1 4 7 10, 2 5 8.
    assert [piece[1:] for piece in images.part(3, 9).shards] == [[3, 1], [0, 4], [0, 1]]


def test_prepared_shards_that_are_filled_otherwise(tmp_path: pathlib.Path) -> None:
    """A store of pseudo labels is filled one shard after the other."""
    images = making.open_images(making.write(tmp_path, 'unlabelled', 11))
    making.label(tmp_path / 'store', images)
    again = making.open_images(str(tmp_path / 'store' / 'pseudo-*'))
    assert again.num_images == 11
    _agree(again, 4)


def test_shards_of_others_with_broken_images(tmp_path: pathlib.Path) -> None:
    cut = making.record(6)
    cut.encoded = cut.encoded[:40]
    broken = {2: b'nothing that parses', 5: tf.train.Example().SerializeToString(), 6: records.to_example(cut)}
    images = making.open_images(foreign(tmp_path, broken), 'skip')
    assert images.num_images == 13
    assert [number for number, made in enumerate(images.read(0)) if made.problems] == [2, 5, 6]
    _agree(images, 4)


def test_a_folder_with_broken_images(tmp_path: pathlib.Path) -> None:
    for number in range(6):
        (tmp_path / f'{number}.png').write_bytes(making.record(number).encoded)
    (tmp_path / '2.png').write_bytes(b'')
    stream = io.BytesIO()
    Image.new('RGB', (8, 8)).save(stream, 'GIF')
    (tmp_path / '4.png').write_bytes(stream.getvalue())
    images = source.open_source(str(tmp_path), problems.ProblemList('skip'))
    _agree(images, 4)
    assert [len(made.problems) for made in images.part(2, 5).read()] == [1, 0, 1]
