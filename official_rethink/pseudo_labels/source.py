"""The images to label, always in the same order: prepared shards, other shards, or a folder of files."""

import abc
import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from official_rethink.common import errors, files
from official_rethink.data import image_folder, images, problems, records, shards, statistics, workers

_MAX_PROCESSES = 8
_IMAGES_A_PROCESS = 200  # a process takes about as long to start as a hundred images to read


class Source(abc.ABC):
    """Images to label.

    Attributes:
        path: as the user gave it.
        num_images: how many, those that will be left out included.
        digest: hash of what is there; two sources of equal digest hold the same images in the same order.
        image_hashes: id to content hash where a description tells, else empty.
    """

    path: str
    num_images: int
    digest: str
    image_hashes: dict[str, str]

    @abc.abstractmethod
    def read(self, start: int) -> Iterator[problems.Made]:
        """Yields image `start` and those after it, each as a record or the problem it has."""

    @abc.abstractmethod
    def part(self, start: int, stop: int) -> 'Part':
        """Returns images `start` to `stop` - 1, as something another process reads without opening all the source."""


class _Prepared(Source):
    """Shards that `prepare` wrote and checked."""

    def __init__(self, path: str, description_path: str):
        self.path = path
        description = shards.load_description(description_path)
        self._paths = shards.shard_paths(description_path)
        self.num_images = description['num_images']
        self.digest = files.file_hash(description_path)
        self._ids = description['image_ids']
        self.image_hashes = dict(zip(self._ids, description.get('image_hashes', []), strict=False))

    def read(self, start: int) -> Iterator[problems.Made]:
        dataset = tf.data.TFRecordDataset(self._paths).skip(start).prefetch(16)
        for serialized in _whole(dataset, self.path):
            yield problems.Made(records.from_example(serialized))

    def part(self, start: int, stop: int) -> 'Part':
        """The files as `prepare` fills them, record i in shard i mod N; the ids tell if they are not filled so."""
        each, more = divmod(self.num_images, len(self._paths))
        sizes = [each + (shard < more) for shard in range(len(self._paths))]
        ids = self._ids[start:stop]
        return Part(self.path, start, _pieces(self._paths, sizes, start, stop), ids)


class _Foreign(Source):
    """Shards of another writer, without a description: counted first, each image checked."""

    def __init__(self, path: str, paths: list[str]):
        self.path = path
        self._paths = paths
        self._sizes = [sum(1 for _ in _whole(tf.data.TFRecordDataset(name), path)) for name in paths]
        self.num_images = sum(self._sizes)
        sizes = [[os.path.basename(name), tf.io.gfile.stat(name).length] for name in paths]
        self.digest = files.hash_of(['shards', sizes, files.file_hash(*paths)])
        self.image_hashes = {}

    def read(self, start: int) -> Iterator[problems.Made]:
        dataset = tf.data.TFRecordDataset(self._paths).skip(start)
        for number, serialized in enumerate(_whole(dataset, self.path), start):
            yield _checked(serialized, number, self.path)

    def part(self, start: int, stop: int) -> 'Part':
        """The files, as they were counted."""
        return Part(self.path, start, _pieces(self._paths, self._sizes, start, stop))


class _Folder(Source):
    """Image files of a folder and those below it, sorted by name."""

    def __init__(self, path: str, found: problems.ProblemList):
        self.path = path
        names = image_folder.listing(path)
        self._items = image_folder.read(path, found, names)
        self.num_images = len(self._items)
        self.digest = image_folder.inputs_hash(names)
        self.image_hashes = {}

    def read(self, start: int) -> Iterator[problems.Made]:
        items = self._items[start:]
        processes = max(min(os.cpu_count() or 1, _MAX_PROCESSES, len(items) // _IMAGES_A_PROCESS), 1)
        yield from workers.ordered_map(image_folder.make, items, processes)

    def part(self, start: int, stop: int) -> 'Part':
        """The files by name."""
        return Part(self.path, start, images=[[one.path, one.filename] for one in self._items[start:stop]])


@dataclasses.dataclass(frozen=True)
class Part:
    """Some images of a source, one after the other; all it holds is JSON.

    Attributes:
        path: the source's.
        start: number of the first image in the source.
        shards: [path of a shard, records to skip, records to read] each; of a folder none.
        ids: the images' source ids, where a description tells them.
        images: of a folder: [path, name from the folder on] each.
    """

    path: str
    start: int
    shards: list[list[Any]] = dataclasses.field(default_factory=list)
    ids: list[str] = dataclasses.field(default_factory=list)
    images: list[list[str]] = dataclasses.field(default_factory=list)

    def read(self) -> Iterator[problems.Made]:
        """Yields the images as the source's `read` does.

        Raises:
            UserError: a shard is damaged or cut off.
        """
        if self.images:
            yield from (image_folder.make(image_folder.Item(*one)) for one in self.images)
            return
        found = enumerate(self._serialized(), self.start)
        if not self.ids:
            yield from (_checked(serialized, number, self.path) for number, serialized in found)
            return
        read = [problems.Made(records.from_example(serialized)) for _, serialized in found]
        if [made.record.source_id for made in read if made.record] != self.ids:
            # Filled otherwise than `prepare` fills shards, as a store of pseudo labels is.
            every = open_source(self.path, problems.ProblemList()).read(self.start)
            read = list(itertools.islice(every, len(self.ids)))
        yield from read

    def _serialized(self) -> Iterator[bytes]:
        for path, skip, take in self.shards:
            yield from _whole(tf.data.TFRecordDataset(path).skip(skip).take(take), self.path)


def _pieces(paths: list[str], sizes: list[int], start: int, stop: int) -> list[list[Any]]:
    """Finds records `start` to `stop` - 1 in files of so many records each."""
    found, before = [], 0
    for path, size in zip(paths, sizes, strict=True):
        first, last = max(start - before, 0), min(stop - before, size)
        if first < last:
            found.append([path, first, last - first])
        before += size
    return found


def _reason(error: tf.errors.OpError) -> str:
    """What TensorFlow says, without the names of its operations."""
    return re.sub(r'\{\{.*?\}\} ?| ?\[Op:.*', '', str(error).splitlines()[0]).rstrip('. ')


def _whole(dataset: tf.data.Dataset, path: str) -> Iterator[bytes]:
    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.DataLossError as error:
        raise errors.UserError(
            f"a shard of '{path}' is damaged or cut off: {_reason(error)}. Prepare the data again."
        ) from error


def _checked(serialized: bytes, number: int, path: str) -> problems.Made:
    """Reads a record nobody has checked; its image is stored as `prepare` would store it."""
    problem = functools.partial(problems.Problem, file=path, record=f'record {number}')
    try:
        record = records.from_example(serialized)
    except Exception:  # whatever a stranger's bytes make of the parser, they are no record
        text = 'is no tf.Example with image/encoded, image/height and image/width.'
        return problems.Made(None, [problem(kind='not a record', field='', message=text)])
    try:
        stored = images.store(record.encoded or b'', (record.height, record.width))
    except images.BadImage as error:
        return problems.Made(None, [problem(kind=error.kind, field='image/encoded', message=str(error))])
    record.encoded, record.image_format = stored.encoded, stored.image_format
    # Model Garden reads an image without an id by its content.
    identifier = record.source_id or 'content ' + statistics.content_hash(record.encoded)
    record.source_id = records.numeric_id(identifier)
    return problems.Made(record)


def open_source(path: str, found: problems.ProblemList) -> Source:
    """Finds out what `path` is.

    Args:
        path: a shard pattern, a description, a folder of shards, or a folder of image files.
        found: takes the problems that show before an image is read.

    Raises:
        UserError: nothing is there, or a set is incomplete.
    """
    if not path:
        raise errors.UserError("--input is ''; name shards, such as data/unlabelled*, or a folder of images.")
    is_folder = tf.io.gfile.isdir(path)
    if is_folder and not any(name.endswith('.tfrecord') for name in tf.io.gfile.listdir(path)):
        return _Folder(path, found)
    try:
        description = shards.find_description(path)
    except errors.UserError:
        paths = [] if is_folder else _strange_shards(path)
        if not paths:
            raise
        return _Foreign(path, paths)
    return _Prepared(path, description)


def _strange_shards(pattern: str) -> list[str]:
    """Files of a pattern, where they are a whole set by their names (x-00003-of-00010)."""
    paths = sorted(name for name in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(name))
    kept = [name for name in paths if not name.endswith(('.json', '.jsonl', '.tmp'))]
    counts = {int(match[1]) for name in kept if (match := re.search(r'-of-(\d{5})', os.path.basename(name)))}
    if counts and counts != {len(kept)}:
        raise errors.UserError(
            f"--input '{pattern}' matches {len(kept)} shards, whose names speak of "
            f'{" and ".join(str(count) for count in sorted(counts))}; name one whole set.'
        )
    return kept


def summary(source: Source) -> dict[str, Any]:
    """What a manifest says about a source."""
    return {'path': source.path, 'digest': source.digest, 'num_images': source.num_images}
