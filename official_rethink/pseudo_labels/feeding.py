"""Images on their way into a teacher: whose they are, cut and fitted in tf.data, in batches that are always full."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.dataloaders import short_lived
from official_rethink.pseudo_labels import filters

_INFO = np.array([[1, 1], [1, 1], [1, 1], [0, 0]], np.float32)  # of a filler, whose labels nobody reads
_FILLER = np.array([[0, 0, 1, 1]], np.int32)


@dataclasses.dataclass
class Item:
    """An image on its way through the teacher.

    Attributes:
        shard: number of the output shard it belongs to.
        record: the image; None fills a batch, so that batches never span two shards: what is predicted
            for an image then does not depend on where an earlier run was stopped.
    """

    shard: int
    record: records.Record | None


class Reading(Protocol):
    """How a teacher is fed, and what of its answer is kept.

    Attributes:
        wanted: names of its outputs, each with the batch as first axis.
        output_size: the network's input height and width.
        nothing: what a teacher of no use did not find, and what to do then, in words.
    """

    wanted: tuple[str, ...]
    output_size: tuple[int, int]
    nothing: tuple[str, str]

    def windows(self, height: int, width: int) -> np.ndarray:
        """Returns the parts in which an image is labelled, int32 [n, 4]: y, x, height, width; n is 1 or more."""

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fits a part, uint8 [H, W, 3], to the network, with its image_info float32 [4, 2]."""

    def result(self, record: records.Record, found: Mapping[str, Any], row: int, part: int = 0) -> Any:
        """Returns what was found on a part of an image, in a row of the batch.

        Raises:
            UserError: it is not finite.
        """

    def whole(self, record: records.Record, parts: list[Any]) -> Any:
        """Puts the results of an image's parts together."""

    def keep(self, found: Any, record: records.Record) -> filters.Kept:
        """Returns what is stored of what was found on an image."""


class WholeImages:
    """A reading that labels each image in one part; the base of those that do."""

    wanted: tuple[str, ...]
    output_size: tuple[int, int]
    nothing: tuple[str, str]

    def windows(self, height: int, width: int) -> np.ndarray:
        """The image."""
        return np.array([[0, 0, height, width]], np.int32)

    def whole(self, record: records.Record, parts: list[Any]) -> Any:
        """The one part's result."""
        del record
        (only,) = parts
        return only


class Feed:
    """Hands encoded images to tf.data and remembers, in order, whose they are.

    Attributes:
        pending: items that went in and did not come out, each with the number of its parts.
        error: what the source raised.
    """

    def __init__(self, items: Iterable[Item], reading: Reading):
        """Args: the images; how they are cut."""
        self._items, self._reading = items, reading
        self.pending: collections.deque[tuple[Item, int]] = collections.deque()
        self.error: BaseException | None = None

    def encoded(self) -> Iterator[tuple[bytes, np.ndarray, np.ndarray]]:
        """Yields bytes, the size that the record says [2], and the parts [n, 4]; no bytes for a filler."""
        try:
            for item in self._items:
                record = item.record
                size = (record.height, record.width) if record else (1, 1)
                windows = self._reading.windows(*size) if record else _FILLER
                self.pending.append((item, len(windows)))
                yield record.encoded if record else b'', np.array(size, np.int32), windows
        except Exception as error:  # tf.data would turn it into a text; it is raised where it can be read
            self.error = error

    def dataset(self, batch_size: int) -> tf.data.Dataset:
        """Batches of images uint8 [B, H, W, 3], image_info float32 [B, 4, 2] and their images' sizes int32 [B, 2]."""
        output_size = self._reading.output_size

        def fitted(image: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            y, x, height, width = tf.unstack(window)
            cut, info = self._reading.prepare(image[y : y + height, x : x + width])
            return tf.ensure_shape(cut, [*output_size, 3]), tf.ensure_shape(info, [4, 2])

        @tf.autograph.experimental.do_not_convert
        def parts(encoded: tf.Tensor, expected: tf.Tensor, windows: tf.Tensor) -> tuple[tf.Tensor, ...]:
            def real() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
                image = tf.ensure_shape(image, [None, None, 3])
                size = tf.shape(image)[:2]
                # Of another size than its record says: named where it comes out.
                empty = tf.zeros(tf.concat([expected, [3]], 0), tf.uint8)
                image = tf.cond(tf.reduce_all(size == expected), lambda: image, lambda: empty)
                types = (tf.uint8, tf.float32)
                images, info = tf.map_fn(lambda window: fitted(image, window), windows, fn_output_signature=types)
                return images, info, tf.tile(size[tf.newaxis], [tf.shape(windows)[0], 1])

            def filler() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                blank = tf.zeros([1, *output_size, 3], tf.uint8)
                return blank, tf.constant(_INFO)[tf.newaxis], tf.ones([1, 2], tf.int32)

            images, info, size = tf.cond(tf.strings.length(encoded) > 0, real, filler)
            shapes = ([None, *output_size, 3], [None, 4, 2], [None, 2])
            return tuple(map(tf.ensure_shape, (images, info, size), shapes))

        specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int32), tf.TensorSpec([None, 4], tf.int32))
        dataset = tf.data.Dataset.from_generator(self.encoded, output_signature=specs)
        dataset = dataset.map(parts, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()
        return short_lived.untuned(dataset.batch(batch_size, drop_remainder=True).prefetch(2))


def filled(items: Iterable[Item], batch_size: int, reading: Reading) -> Iterator[Item]:
    """Adds fillers so that the parts of each shard's items are a whole number of batches."""
    count, shard = 0, -1
    for item in items:
        if item.shard != shard:
            yield from (Item(shard, None) for _ in range(-count % batch_size))
            count, shard = 0, item.shard
        count += len(reading.windows(item.record.height, item.record.width)) if item.record else 1
        yield item
    yield from (Item(shard, None) for _ in range(-count % batch_size))


def name_of(record: records.Record) -> str:
    """How an error speaks of an image."""
    return f'image {record.source_id}' + (f" ('{record.filename}')" if record.filename else '')


def diverged(record: records.Record, what: str) -> errors.UserError:
    """The error of a teacher whose outputs `what` are not finite on an image."""
    return errors.UserError(
        f'the teacher predicts {what} that are not finite on {name_of(record)}: it has diverged; '
        'label with an earlier checkpoint.'
    )


def check_finite(record: records.Record, **found: np.ndarray) -> None:
    """Raises UserError if one of the named arrays holds a number that is not finite."""
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise diverged(record, name)
