"""A teacher that finds red rectangles and says of each that its upper half is the object."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.data import masks, problems, records, shards
from official_rethink.pseudo_labels import box_labels, labelling, manifest, source
from tests.pseudo_labels import making

SIDE = 14


def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
    """As `making.predict`, with masks [B, 4, 14, 14]: 1 in the upper half; of shaded images all are 0."""
    found = making.predict(images, info)
    upper = np.zeros((SIDE, SIDE), np.float32)
    upper[: SIDE // 2] = 1.0
    shaded = images[:, 0, 0, 1] > 0
    count = tf.shape(images)[0]
    given = tf.tile(tf.constant(upper)[tf.newaxis, tf.newaxis], [count, 4, 1, 1])
    return {**found, 'masks': tf.where(shaded[:, tf.newaxis, tf.newaxis, tf.newaxis], 0.0, given)}


def reading(with_masks: bool = True) -> box_labels.BoxReading:
    return box_labels.BoxReading(making.SIZE, 0.05, (1, 3), with_masks)


def labeller(found: Any = predict) -> labelling.Labeller:
    return labelling.Labeller(found, reading(), 4, tf.distribute.get_strategy())


def label(folder: pathlib.Path, images: source.Source, found: Any = predict) -> dict[str, Any]:
    """Labels with masks and finishes the store; returns the manifest."""
    place = making.open_store(folder, images)
    labelling.run(images, place, labeller(found))
    counted = place.describe(making.inputs(images), problems.ProblemList())
    about = {'checkpoint': 'ckpt-7', 'files': {}, 'step': 7, 'metrics': None}
    told = manifest.build(counted, making.CATEGORIES, making.inputs(images), about, {'experiment': 'e', 'hash': 'h'})
    place.finish(told)
    return told


def truth(folder: pathlib.Path, count: int, with_masks: bool = True) -> str:
    """Writes labelled images whose masks are their whole rectangles; returns the pattern."""
    made = [making.record(number, labelled=True) for number in range(count)]
    for record in made:
        for annotation in record.annotations if with_masks else ():
            annotation.mask_png = masks.to_png(rectangle(record, annotation.box))
            annotation.area = float((annotation.box[2] - annotation.box[0]) * (annotation.box[3] - annotation.box[1]))
    shards.write(made, str(folder), 'truth', making.CATEGORIES)
    return str(folder / 'truth-*.tfrecord')


def rectangle(record: records.Record, box: tuple[float, float, float, float]) -> np.ndarray:
    """Uint8 [H, W], 1 in a box of whole pixels."""
    mask = np.zeros((record.height, record.width), np.uint8)
    y1, x1, y2, x2 = map(int, box)
    mask[y1:y2, x1:x2] = 1
    return mask
