"""Detection on streams: coordinates, order, fillers, replicas, and what stops it."""

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.pseudo_labels import feeding, inference
from tests import devices
from tests.pseudo_labels import making

Item = feeding.Item


def detect(items: list[Item], batch_size: int = 4, strategy: tf.distribute.Strategy | None = None) -> list:
    used = strategy or tf.distribute.get_strategy()
    return list(inference.detect(items, making.predict, making.reading(), batch_size, used))


def items(count: int, shard_size: int = 100) -> list[Item]:
    return [Item(number // shard_size, making.record(number)) for number in range(count)]


def test_boxes_come_back_in_original_pixels_in_order() -> None:
    found = detect(items(14))
    assert [item.record.source_id for item, _ in found] == [str(1000 + number) for number in range(14)]
    for number, (_, detections) in enumerate(found):
        height, width, box = making.SCENES[number % len(making.SCENES)]
        if box is None:
            assert len(detections.boxes) == len(detections.scores) == len(detections.classes) == 0
            continue
        # A pixel of the network's image is so many pixels of the original.
        pixel = max(height / 96, width / 96)
        np.testing.assert_allclose(detections.boxes[0], box, atol=1.01 * max(pixel, 1))
        np.testing.assert_array_equal(detections.scores, np.array([0.75, 0.5, 0.04, 0.3], np.float32))
        np.testing.assert_array_equal(detections.classes, [1, 2, 1, 3])


def test_batches_never_span_two_shards_and_are_always_full() -> None:
    sizes = []

    def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes.append(images.shape.as_list())
        return making.predict(images, info)

    seen = list(feeding.filled(items(7, shard_size=3), 2, making.reading()))
    assert [(item.shard, item.record is None) for item in seen] == [
        (0, False), (0, False), (0, False), (0, True), (1, False), (1, False), (1, False), (1, True),
        (2, False), (2, True),
    ]  # fmt: skip
    found = list(
        inference.detect(items(7, 3), predict, making.reading(), 2, tf.distribute.get_strategy())
    )
    assert len(found) == 7 and sizes == [[2, 96, 96, 3]]  # traced once


def test_no_image_at_all() -> None:
    assert detect([]) == []
    assert list(feeding.filled([], 4, making.reading())) == []


def test_two_replicas_find_what_one_finds() -> None:
    strategy = devices.two_devices()
    assert strategy.num_replicas_in_sync == 2
    one, two = detect(items(9), 4), detect(items(9), 4, strategy)
    assert len(one) == len(two) == 9
    for (left, first), (right, second) in zip(one, two, strict=True):
        assert left.record.source_id == right.record.source_id
        np.testing.assert_array_equal(first.boxes, second.boxes)


@pytest.mark.parametrize(('batch_size', 'nearest'), [(3, '2 or 4'), (0, '2'), (1, '2')])
def test_batch_that_does_not_divide(batch_size: int, nearest: str) -> None:
    with pytest.raises(errors.UserError, match=f'batch_size is {batch_size}.*2 replicas, such as {nearest}'):
        inference.check_batch_size(batch_size, 2)


def test_reads_no_more_than_a_few_batches_ahead() -> None:
    taken = []

    def stream() -> Iterator[Item]:
        for number in range(4000):
            taken.append(number)
            yield Item(0, making.record(number % 7))

    reading = making.reading()
    found = inference.detect(stream(), making.predict, reading, 2, tf.distribute.get_strategy())
    for _ in range(3):
        next(found)
    assert len(taken) < 200


def test_an_error_of_the_source_arrives_as_it_is() -> None:
    def stream() -> Iterator[Item]:
        yield from items(5)
        raise errors.UserError('image x is truncated.')

    found = []
    with pytest.raises(errors.UserError, match='^image x is truncated.$'):
        strategy = tf.distribute.get_strategy()
        for item, _ in inference.detect(stream(), making.predict, making.reading(), 2, strategy):
            found.append(item)
    assert len(found) == 4


def test_an_image_that_does_not_decode_is_named() -> None:
    bad = items(3)
    assert bad[1].record is not None
    bad[1].record.encoded = bad[1].record.encoded[:40]
    with pytest.raises(errors.UserError, match=r"image 1001 \('001.png'\) cannot be decoded"):
        detect(bad)


def test_a_record_of_another_size_is_named() -> None:
    bad = items(1)
    assert bad[0].record is not None
    bad[0].record.height = 50
    with pytest.raises(errors.UserError, match=r'image 1000 .* is 48 x 64 .* its record says 50 x 64'):
        detect(bad)


def test_a_diverged_teacher_is_named() -> None:
    def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        found = making.predict(images, info)
        return found | {'scores': found['scores'] * np.nan}

    with pytest.raises(errors.UserError, match='scores that are not finite on image 1000 .* diverged'):
        list(inference.detect(items(2), predict, making.reading(), 2, tf.distribute.get_strategy()))


def test_the_feed_is_not_tuned() -> None:
    dataset = feeding.Feed([], making.reading()).dataset(2)
    assert dataset.options().autotune.enabled is False
