"""Detecting on a stream of images: decoded in tf.data, predicted on every replica, results in order."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import records

# images uint8 [B, H, W, 3] and image_info float32 [B, 4, 2] to boxes (pixels of the original images)
# [B, N, 4], scores [B, N], classes [B, N], num_detections [B].
Predict = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]

_WANTED = ('boxes', 'scores', 'classes', 'num_detections')
_INFO = np.array([[1, 1], [1, 1], [1, 1], [0, 0]], np.float32)  # of a filler, whose boxes nobody reads


@dataclasses.dataclass
class Detections:
    """What was found on one image.

    Attributes:
        boxes: float32 [n, 4], y1 x1 y2 x2 in pixels of the original image.
        scores: float32 [n].
        classes: int [n].
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


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


class _Feed:
    """Hands encoded images to tf.data and remembers, in order, whose they are."""

    def __init__(self, items: Iterable[Item]):
        self._items = items
        self.pending: collections.deque[Item] = collections.deque()
        self.error: BaseException | None = None

    def encoded(self) -> Iterator[bytes]:
        try:
            for item in self._items:
                self.pending.append(item)
                yield item.record.encoded if item.record else b''
        except Exception as error:  # tf.data would turn it into a text; it is raised where it can be read
            self.error = error


class Reading(Protocol):
    """How a teacher is fed, and what of its answer is kept.

    Attributes:
        wanted: names of its outputs, each with the batch as first axis.
        output_size: the network's input height and width.
    """

    wanted: tuple[str, ...]
    output_size: tuple[int, int]

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fits uint8 [H, W, 3] to the network, with its image_info float32 [4, 2]."""

    def result(self, record: records.Record, found: Mapping[str, np.ndarray], row: int) -> Any:
        """Returns what was found on the image in a row of the batch.

        Raises:
            UserError: it is not finite.
        """


class BoxReading:
    """A detector's; see `Predict`."""

    wanted = _WANTED

    def __init__(self, output_size: tuple[int, int]):
        """Args: the network's input height and width."""
        self.output_size = output_size

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes and pads, as evaluation does."""
        return pipeline.resize_and_pad(image, self.output_size)

    def result(self, record: records.Record, found: Mapping[str, np.ndarray], row: int) -> Detections:
        """The image's detections."""
        count = int(found['num_detections'][row])
        detections = Detections(*(found[name][row][:count] for name in ('boxes', 'scores', 'classes')))
        check_finite(record, boxes=detections.boxes, scores=detections.scores)
        return detections


def _dataset(feed: _Feed, reading: Reading, batch_size: int) -> tf.data.Dataset:
    output_size = reading.output_size

    def prepare(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def real() -> tuple[tf.Tensor, tf.Tensor]:
            image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return reading.prepare(tf.ensure_shape(image, [None, None, 3]))

        def filler() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.zeros([*output_size, 3], tf.uint8), tf.constant(_INFO)

        image, info = tf.cond(tf.strings.length(encoded) > 0, real, filler)
        return tf.ensure_shape(image, [*output_size, 3]), tf.ensure_shape(info, [4, 2])

    dataset = tf.data.Dataset.from_generator(
        feed.encoded, output_signature=tf.TensorSpec([], tf.string)
    )
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


class _Step:
    """One forward pass over a batch on all replicas, started now and read later."""

    def __init__(
        self, predict: Predict, wanted: tuple[str, ...], strategy: tf.distribute.Strategy, batch_size: int
    ):
        self._strategy = strategy
        self._share = batch_size // strategy.num_replicas_in_sync

        @tf.function
        def step(images: Any, info: Any) -> Any:
            def one(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
                found = predict(images, info)
                return {name: found[name] for name in wanted}

            return strategy.run(one, args=(images, info))

        self._step = step

    def start(self, images: tf.Tensor, info: tf.Tensor) -> dict[str, Any]:
        return self._step(self._split(images), self._split(info))

    def _split(self, values: tf.Tensor) -> Any:
        def part(context: Any) -> tf.Tensor:
            first = context.replica_id_in_sync_group * self._share
            return values[first : first + self._share]

        return self._strategy.experimental_distribute_values_from_function(part)

    def read(self, found: dict[str, Any]) -> dict[str, np.ndarray]:
        local = self._strategy.experimental_local_results
        return {
            name: np.concatenate([part.numpy() for part in local(values)]) for name, values in found.items()
        }


def check_batch_size(batch_size: int, replicas: int) -> None:
    """Refuses a batch that does not divide among the replicas."""
    if batch_size < 1 or batch_size % replicas:
        below, above = batch_size // replicas * replicas, -(-batch_size // replicas) * replicas
        nearest = ' or '.join(str(size) for size in sorted({below, max(above, replicas)}) if size > 0)
        allowed = f'a multiple of the {replicas} replicas, such as {nearest}'
        raise errors.bad_value('batch_size', batch_size, allowed, where='--batch_size')


def filled(items: Iterable[Item], batch_size: int) -> Iterator[Item]:
    """Adds fillers so that the items of each shard are a whole number of batches."""
    count, shard = 0, -1
    for item in items:
        if item.shard != shard:
            yield from (Item(shard, None) for _ in range(-count % batch_size))
            count, shard = 0, item.shard
        count += 1
        yield item
    yield from (Item(shard, None) for _ in range(-count % batch_size))


def detect(
    items: Iterable[Item],
    predict: Predict,
    reading: Reading,
    batch_size: int,
    strategy: tf.distribute.Strategy,
) -> Iterator[tuple[Item, Any]]:
    """Runs images through a teacher, a few batches ahead of what is taken; memory does not grow.

    Args:
        items: the images, those of a shard together; the encoded bytes are decoded in tf.data.
        predict: see `Predict`; called within the strategy.
        reading: how it is fed and read.
        batch_size: images a step over all replicas; the last batch of a shard is filled up.
        strategy: of one host.

    Yields:
        Each item with a record, and what was found on it, in order.

    Raises:
        UserError: an image cannot be decoded or is not of its record's size, or a prediction is not finite.
    """
    check_batch_size(batch_size, strategy.num_replicas_in_sync)
    feed = _Feed(filled(items, batch_size))
    step = _Step(predict, reading.wanted, strategy, batch_size)
    under_way: Any = None
    batches = iter(_dataset(feed, reading, batch_size))
    while True:
        try:
            batch = next(batches, None)
        except tf.errors.OpError as error:
            raise _not_decoded(feed.pending, error) from error
        # The next batch is started before the last one is read, so that an accelerator never waits.
        started = None if batch is None else (step.start(*batch), batch[1].numpy())
        if under_way is not None:
            yield from _results(feed.pending, reading, step.read(under_way[0]), under_way[1])
        if started is None:
            break
        under_way = started
    if feed.error is not None:
        raise feed.error


def _results(
    pending: collections.deque[Item], reading: Reading, found: dict[str, np.ndarray], info: np.ndarray
) -> Iterator[tuple[Item, Any]]:
    for row in range(len(info)):
        item = pending.popleft()
        if item.record is None:
            continue
        _check_size(item.record, info[row])
        yield item, reading.result(item.record, found, row)


def _name(record: records.Record) -> str:
    return f'image {record.source_id}' + (f" ('{record.filename}')" if record.filename else '')


def _check_size(record: records.Record, info: np.ndarray) -> None:
    height, width = (int(side) for side in info[0])
    if (height, width) != (record.height, record.width):
        raise errors.UserError(
            f'{_name(record)} is {height} x {width} (height x width), but its record says {record.height} x '
            f'{record.width}; its boxes would land elsewhere. Prepare the data again.'
        )


def check_finite(record: records.Record, **found: np.ndarray) -> None:
    """Raises UserError if one of the named arrays holds a number that is not finite."""
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise errors.UserError(
                f'the teacher predicts {name} that are not finite on {_name(record)}: it has diverged; '
                'label with an earlier checkpoint.'
            )


def _not_decoded(pending: Iterable[Item], error: tf.errors.OpError) -> errors.UserError:
    """Finds the image that stopped the pipeline among those under way."""
    for item in list(pending):
        if item.record is None:
            continue
        try:
            tf.io.decode_image(item.record.encoded, channels=3, expand_animations=False)
        except tf.errors.OpError as reason:
            return errors.UserError(
                f'{_name(item.record)} cannot be decoded: {str(reason).splitlines()[0]} Prepare the data '
                'again.'
            )
    return errors.UserError(f'reading images failed: {str(error).splitlines()[0]}')
