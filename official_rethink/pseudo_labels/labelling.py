"""The work itself: images through the teacher into the store, shard by shard, from where a run stopped."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from official_rethink.common import errors, progress
from official_rethink.data import problems
from official_rethink.pseudo_labels import counts, feeding, inference
from official_rethink.pseudo_labels.source import Source
from official_rethink.pseudo_labels.store import ShardWriter, Store

EMPTY_AFTER = 500  # images without one label, after which a teacher counts as empty


@dataclasses.dataclass(frozen=True)
class Labeller:
    """How images are labelled.

    Attributes:
        predict: the teacher; see `inference.Predict`.
        reading: how it is fed and read.
        batch_size: images a step.
        strategy: see `inference.detect`.
    """

    predict: inference.Predict
    reading: feeding.Reading
    batch_size: int
    strategy: tf.distribute.Strategy

    @functools.cached_property
    def detector(self) -> inference.Detector:
        """The teacher, traced once, however often `run` is called."""
        return inference.Detector(self.predict, self.reading, self.batch_size, self.strategy)


class _Items:
    """The source's images with their shards; problems wait here until their shard is closed."""

    def __init__(self, source: Source, first_shard: int, shard_size: int, on_error: str):
        self._source, self._first, self._size = source, first_shard, shard_size
        self._on_error = on_error
        self.skipped: dict[int, list[problems.Problem]] = {}

    def __iter__(self) -> Iterator[feeding.Item]:
        start = self._first * self._size
        for index, made in enumerate(self._source.read(start), start):
            shard = index // self._size
            if made.problems:
                found = problems.ProblemList(self._on_error)
                found.add(*made.problems)
                found.check()
                self.skipped.setdefault(shard, []).extend(made.problems)
            if made.record is not None:
                yield feeding.Item(shard, made.record)


class _Shards:
    """Opens and closes the shards as the images come by; each shard is written, also one without images."""

    def __init__(self, store: Store, first: int, items: _Items):
        self._store, self._next, self._items = store, first, items
        self._open = contextlib.ExitStack()
        self._writer: ShardWriter | None = None

    def __enter__(self) -> '_Shards':
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def writer(self, shard: int) -> ShardWriter:
        """Returns the writer of a shard; those before it are closed."""
        while self._next <= shard:
            self.close()
            self._writer = self._open.enter_context(self._store.write_shard(self._next))
            self._next += 1
        assert self._writer is not None
        return self._writer

    def close(self) -> None:
        """Closes the open shard, which then has its name."""
        if self._writer is not None:
            self._writer.skipped += self._items.skipped.pop(self._next - 1, [])
            self._writer = None
        self._open.close()


def run(source: Source, store: Store, labeller: Labeller, on_error: str = 'stop') -> None:
    """Labels what is not labelled yet.

    Args:
        source: the images.
        store: opened for these inputs.
        labeller: how.
        on_error: 'stop' or 'skip', at an image that cannot be read.

    Raises:
        UserError: an image that cannot be read, or a teacher that finds nothing.
    """
    done = store.finished()
    first = len(done)
    if first == store.num_shards:
        return
    seen = sum(len(part['sizes']) for part in done)
    labels = sum(map(counts.num_labels, done))
    items = _Items(source, first, store.shard_size, on_error)
    left = source.num_images - first * store.shard_size
    found = labeller.detector.detect(items)
    with progress.Progress('labelling', left) as bar, _Shards(store, first, items) as writing:
        for item, answer in found:
            record = item.record
            assert record is not None
            kept = labeller.reading.keep(answer, record)
            writing.writer(item.shard).add(record, kept)
            seen, labels = seen + 1, labels + kept.num_labels()
            if seen == EMPTY_AFTER and not labels:
                break
            bar.update()
        if seen and not labels:
            # Raised inside the block, so that the open shard is dropped and not closed.
            raise empty(seen, labeller.reading.nothing, seen < EMPTY_AFTER)
        writing.writer(store.num_shards - 1)
        writing.close()


class EmptyTeacher(errors.UserError):
    """The teacher finds nothing."""


def empty(seen: int, nothing: tuple[str, str], of_all: bool) -> EmptyTeacher:
    """The error of a teacher that finds `nothing` (see `feeding.Reading`) on all images, or on the first."""
    which = 'all' if of_all else 'the first'
    missing, advice = nothing
    return EmptyTeacher(
        f'the teacher found {missing} on {which} {seen} images; such labels would teach nothing. Train it longer, '
        f'check that it is the right checkpoint and that the images are of its kind, {advice}.'
    )
