"""A segmentation teacher that costs nothing: red is class 1, green is class 3, by its shade; all else background."""

import io
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from official_rethink.data import label_maps, problems, records, shards
from official_rethink.modeling import dense_inference
from official_rethink.pseudo_labels import labelling, map_labels, source, store
from tests.pseudo_labels import making

CATEGORIES = [{'id': 1, 'name': 'red'}, {'id': 3, 'name': 'green'}]
SIZE = (32, 32)
SIZES = ((24, 32), (17, 41), (90, 20), (32, 32), (70, 101), (1, 1))


def pixels(number: int) -> np.ndarray:
    """A red rectangle and a green one, of shades that grow to the right; image 3 is grey throughout."""
    height, width = SIZES[number % len(SIZES)]
    image = np.full((height, width, 3), 90, np.uint8)
    if number % len(SIZES) == 3:
        return image
    shade = np.linspace(60, 255, width).astype(np.uint8)
    image[: -(-height // 2), : -(-2 * width // 3)] = 0
    image[: -(-height // 2), : -(-2 * width // 3), 0] = shade[: -(-2 * width // 3)]
    image[height // 2 + 1 :, width // 2 :] = 0
    image[height // 2 + 1 :, width // 2 :, 1] = shade[width // 2 :]
    return image


def truth(number: int) -> np.ndarray:
    """What is red or green, whatever its shade, with a void line between background and the rest at the left."""
    image = pixels(number).astype(int)
    label_map = np.zeros(image.shape[:2], np.uint8)
    label_map[(image[..., 0] > 0) & (image[..., 1] == 0)] = 1
    label_map[(image[..., 1] > 0) & (image[..., 0] == 0)] = 3
    label_map[:, :2] = 255
    return label_map


def record(number: int, labelled: bool = False) -> records.Record:
    image = pixels(number)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'PNG')
    png = label_maps.encode(truth(number)) if labelled else None
    name = f'{number}.png'
    return records.Record(str(number), stream.getvalue(), 'png', *image.shape[:2], name, label_map_png=png)


def logits(images: tf.Tensor) -> tf.Tensor:
    """Of uint8 [..., 3]: background 0, red and green by their shade less the others', class 2 never."""
    red, green, blue = tf.unstack(tf.cast(images, tf.float32) / 50.0, axis=-1)
    return tf.stack([tf.zeros_like(red), red - green - blue - 2.0, -9.0 + 0 * red, green - red - blue - 2.0], -1)


def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
    """A network of stride 1, for one pixel."""
    content = dense_inference.content_size(info, SIZE)
    views = dense_inference.views(logits, tf.cast(images, tf.float32), content)
    size = tf.cast(tf.reduce_max(info[:, 0], axis=0), tf.int32)
    classes, scores = dense_inference.maps(views, info[:, 0], size)
    return {'classes': classes, 'scores': scores}


def expected(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What such a network says of an image that is not resized."""
    shares = tf.nn.softmax(logits(tf.constant(image))).numpy()
    return shares.argmax(-1).astype(np.uint8), np.floor(255.0 * shares.max(-1) + 0.5).astype(np.uint8)


def write(folder: pathlib.Path, split: str, count: int, labelled: bool = False) -> str:
    made = [record(number, labelled) for number in range(count)]
    shards.write(made, str(folder), split, CATEGORIES if labelled else [])
    return str(folder / f'{split}-*.tfrecord')


def labeller(overlap: int | None = None, found: Any = predict, strategy: Any = None) -> labelling.Labeller:
    reading = map_labels.MapReading(SIZE, (1, 3), overlap)
    return labelling.Labeller(found, reading, 2, strategy or tf.distribute.get_strategy())


def open_store(folder: pathlib.Path, images: source.Source) -> store.Store:
    place = store.Store(str(folder), images.num_images, 2, CATEGORIES, best=1)
    place.open(making.inputs(images, floor=0.0))
    return place


def label(folder: pathlib.Path, images: source.Source, **settings: Any) -> tuple[store.Store, dict[str, Any]]:
    """Labels; returns the store and the manifest's counts."""
    place = open_store(folder, images)
    labelling.run(images, place, labeller(**settings))
    return place, place.describe(making.inputs(images, floor=0.0), problems.ProblemList())
