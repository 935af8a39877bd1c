"""A teacher on a stream of images: decoded in tf.data, predicted on every replica, results in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.pseudo_labels import feeding

# images uint8 [B, H, W, 3] and image_info float32 [B, 4, 2] to the outputs that a `feeding.Reading` wants, each with
# the batch as first axis.
Predict = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


class _Step:
    """One forward pass over a batch on all replicas, started now and read later."""

    def __init__(
        self, predict: Predict, wanted: tuple[str, ...], strategy: tf.distribute.Strategy, batch_size: int
    ):
        self._strategy = strategy
        self._share = batch_size // strategy.num_replicas_in_sync

        @tf.function(autograph=False)  # see Trainer.train_step
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

    def read(self, found: dict[str, Any]) -> dict[str, list[np.ndarray]]:
        """Returns each output's rows; replicas may give rows of different sizes."""
        local = self._strategy.experimental_local_results
        return {name: [row for part in local(values) for row in part.numpy()] for name, values in found.items()}


def check_batch_size(batch_size: int, replicas: int) -> None:
    """Refuses a batch that does not divide among the replicas."""
    if batch_size < 1 or batch_size % replicas:
        below, above = batch_size // replicas * replicas, -(-batch_size // replicas) * replicas
        nearest = ' or '.join(str(size) for size in sorted({below, max(above, replicas)}) if size > 0)
        allowed = f'a multiple of the {replicas} replicas, such as {nearest}'
        raise errors.bad_value('batch_size', batch_size, allowed, where='--batch_size')


class Detector:
    """A teacher, traced once, for as many streams of images as there are."""

    def __init__(
        self, predict: Predict, reading: feeding.Reading, batch_size: int, strategy: tf.distribute.Strategy
    ):
        """Args: see `detect`."""
        check_batch_size(batch_size, strategy.num_replicas_in_sync)
        self._reading, self._batch_size = reading, batch_size
        self._step = _Step(predict, reading.wanted, strategy, batch_size)

    def detect(self, items: Iterable[feeding.Item]) -> Iterator[tuple[feeding.Item, Any]]:
        """See the function `detect`."""
        feed = feeding.Feed(feeding.filled(items, self._batch_size, self._reading), self._reading)
        step, results = self._step, _Results(feed.pending, self._reading)
        under_way: Any = None
        batches = iter(feed.dataset(self._batch_size))
        while True:
            try:
                batch = next(batches, None)
            except tf.errors.OpError as error:
                raise _not_decoded(feed.pending, error) from error
            # The next batch is started before the last one is read, so that an accelerator never waits.
            started = None if batch is None else (step.start(batch[0], batch[1]), batch[2].numpy())
            if under_way is not None:
                yield from results.of(step.read(under_way[0]), under_way[1])
            if started is None:
                break
            under_way = started
        if feed.error is not None:
            raise feed.error


def detect(
    items: Iterable[feeding.Item],
    predict: Predict,
    reading: feeding.Reading,
    batch_size: int,
    strategy: tf.distribute.Strategy,
) -> Iterator[tuple[feeding.Item, Any]]:
    """Runs images through a teacher, a few batches ahead of what is taken; memory does not grow.

    Args:
        items: the images, those of a shard together; the encoded bytes are decoded in tf.data.
        predict: see `Predict`; called within the strategy.
        reading: how it is fed and read.
        batch_size: images (or parts of images) a step over all replicas; the last batch of a shard is filled up.
        strategy: of one host.

    Yields:
        Each item with a record, and what was found on it, in order.

    Raises:
        UserError: an image cannot be decoded or is not of its record's size, or a prediction is not finite.
    """
    return Detector(predict, reading, batch_size, strategy).detect(items)


class _Results:
    """Gives rows back to the images they are of; holds the parts of the one image that is not complete."""

    def __init__(self, pending: collections.deque[tuple[feeding.Item, int]], reading: feeding.Reading):
        self._pending, self._reading = pending, reading
        self._parts: list[Any] = []

    def of(self, found: dict[str, list[np.ndarray]], sizes: np.ndarray) -> Iterator[tuple[feeding.Item, Any]]:
        for row, size in enumerate(sizes):
            item, count = self._pending[0]
            record = item.record
            if record is None:
                self._pending.popleft()
                continue
            _check_size(record, size)
            self._parts.append(self._reading.result(record, found, row, len(self._parts)))
            if len(self._parts) == count:
                self._pending.popleft()
                parts, self._parts = self._parts, []
                yield item, self._reading.whole(record, parts)


def _check_size(record: records.Record, size: np.ndarray) -> None:
    height, width = (int(side) for side in size)
    if (height, width) != (record.height, record.width):
        raise errors.UserError(
            f'{feeding.name_of(record)} is {height} x {width} (height x width), but its record says {record.height} x '
            f'{record.width}; its labels would land elsewhere. Prepare the data again.'
        )


def _not_decoded(
    pending: Iterable[tuple[feeding.Item, int]], error: tf.errors.OpError
) -> errors.UserError:
    """Finds the image that stopped the pipeline among those under way."""
    for item, _ in list(pending):
        if item.record is None:
            continue
        try:
            tf.io.decode_image(item.record.encoded, channels=3, expand_animations=False)
        except tf.errors.OpError as reason:
            return errors.UserError(
                f'{feeding.name_of(item.record)} cannot be decoded: {str(reason).splitlines()[0]} Prepare the data '
                'again.'
            )
    return errors.UserError(f'reading images failed: {str(error).splitlines()[0]}')
