"""Images with red rectangles, and a teacher that finds these."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from official_rethink.data import label_maps, problems, records, shards
from official_rethink.pseudo_labels import box_labels, labelling, source, store

CATEGORIES = [{'id': 1, 'name': 'red', 'source_id': 1}, {'id': 3, 'name': 'blue', 'source_id': 3}]
SIZE = (96, 96)
# Height, width and rectangle of an image; sizes are odd on purpose.
SCENES = (
    (48, 64, (8, 16, 24, 40)),
    (37, 91, (5, 9, 30, 60)),
    (200, 50, (40, 10, 120, 30)),
    (96, 96, (0, 0, 96, 96)),
    (301, 203, (100, 100, 301, 203)),
    (64, 64, None),
    (10, 120, (2, 20, 8, 90)),
)


def png(height: int, width: int, box: tuple[int, int, int, int] | None, shade: int = 0) -> bytes:
    pixels = np.full((height, width, 3), shade, np.uint8)
    if box:
        pixels[box[0] : box[2], box[1] : box[3], 0] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def record(number: int, labelled: bool = False) -> records.Record:
    height, width, box = SCENES[number % len(SCENES)]
    found = records.Record(
        source_id=str(1000 + number),
        encoded=png(height, width, box, shade=number // len(SCENES) % 64),
        image_format='png',
        height=height,
        width=width,
        filename=f'{number:03d}.png',
    )
    if labelled and box:
        found.annotations = [records.Annotation(tuple(map(float, box)), 1)]  # type: ignore[arg-type]
        found.label_map_png = label_maps.encode(np.zeros((height, width), np.uint8))
        found.class_label = 1
    return found


def write(folder: pathlib.Path, split: str, count: int, labelled: bool = False, num_shards: int = 2) -> str:
    """Writes images 0 to count - 1 as a prepared set; returns its pattern."""
    made = [record(number, labelled) for number in range(count)]
    shards.write(made, str(folder), split, CATEGORIES if labelled else [], num_shards=num_shards)
    return str(folder / f'{split}-*.tfrecord')


def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
    """Finds the extent of what is red, in the original's pixels, with score 0.75 as class 1.

    Beside it stand, on every image: 0.5 of class 2, which no data has; 0.04, under every floor; and a box
    without height.
    """
    red = images[..., 0] > 128
    rows, columns = tf.reduce_any(red, 2), tf.reduce_any(red, 1)

    def extent(hit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        hit = tf.cast(hit, tf.int32)
        length = tf.shape(hit)[1]
        return tf.argmax(hit, 1, tf.int32), length - tf.argmax(hit[:, ::-1], 1, tf.int32)

    (top, bottom), (left, right) = extent(rows), extent(columns)
    box = tf.cast(tf.stack([top, left, bottom, right], -1), tf.float32)
    flat = tf.constant([[3.0, 1.0, 3.0, 9.0]]) * tf.ones_like(box)
    boxes = tf.stack([box, box, box, flat], 1) / tf.tile(info[:, tf.newaxis, 2, :], [1, 1, 2])
    some = tf.reduce_any(rows, 1)
    count = tf.shape(images)[0]
    return {
        'boxes': boxes,
        'scores': tf.tile([[0.75, 0.5, 0.04, 0.3]], [count, 1]),
        'classes': tf.tile([[1, 2, 1, 3]], [count, 1]),
        'num_detections': tf.where(some, 4, 0),
        'raw': tf.zeros([count]),
    }


def labeller(
    floor: float = 0.05, found: Any = predict, strategy: Any = None, batch_size: int = 4
) -> labelling.Labeller:
    return labelling.Labeller(found, reading(floor), batch_size, strategy or tf.distribute.get_strategy())


def reading(floor: float = 0.05) -> box_labels.BoxReading:
    return box_labels.BoxReading(SIZE, floor, (1, 3))


def inputs(images: source.Source, floor: float = 0.05, shard_size: int = 5) -> dict[str, Any]:
    return {
        'teacher': {'path': 'run/best/ckpt-7', 'digest': 'ab12'},
        'score_floor': floor,
        'shard_size': shard_size,
        'input': source.summary(images),
    }


def open_images(pattern: str, on_error: str = 'stop') -> source.Source:
    return source.open_source(pattern, problems.ProblemList(on_error))


def open_store(
    folder: pathlib.Path, images: source.Source, floor: float = 0.05, shard_size: int = 5
) -> store.Store:
    place = store.Store(str(folder), images.num_images, shard_size, CATEGORIES, best=2)
    place.open(inputs(images, floor, shard_size))
    return place


def label(
    folder: pathlib.Path, images: source.Source, on_error: str = 'stop', **settings: Any
) -> dict[str, Any]:
    """Labels, and finishes the store; returns the manifest's counts."""
    place = open_store(folder, images)
    if not place.complete:
        labelling.run(images, place, labeller(**settings), on_error)
        counted = place.describe(inputs(images), problems.ProblemList(on_error))
        place.finish({'inputs': inputs(images)})
        return counted
    return {}


def read(folder: pathlib.Path) -> list[records.Record]:
    return list(shards.read(str(folder / 'pseudo.json')))


def contents(folder: pathlib.Path, but: Sequence[str] = ()) -> dict[str, bytes]:
    """Every file of a folder, hidden ones and those below it included."""
    paths = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name not in but}
