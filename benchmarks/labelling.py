"""Pseudo-labelling from JPEG files on disk to the store, against the bare network called on ready batches."""

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import measure, scenery
from official_rethink.data import problems
from official_rethink.pseudo_labels import box_labels, labelling, source, store
from official_rethink.tasks import detection

SIZE, BATCH, IMAGES, TARGET = 512, 4, 24, 0.95
FLOOR = 0.05


def labeller(
    task: detection.DetectionTask, model: tf.keras.Model, size: int = SIZE
) -> tuple[labelling.Labeller, list[dict[str, Any]]]:
    """How the images are labelled, and the classes, as `pseudo_label` arranges it for a detector."""
    categories = [{'id': number, 'name': f'class {number}'} for number in range(1, scenery.NUM_CLASSES)]
    reading = box_labels.BoxReading((size, size), FLOOR, tuple(range(1, scenery.NUM_CLASSES)))

    def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        return task.predict(images, info, model)

    return labelling.Labeller(predict, reading, BATCH, tf.distribute.get_strategy()), categories


def label(how: labelling.Labeller, categories: list[dict[str, Any]], images_dir: str, output_dir: str) -> None:
    """Labels a folder into a new store."""
    shutil.rmtree(output_dir, ignore_errors=True)
    images = source.open_source(images_dir, problems.ProblemList('stop'))
    place = store.Store(output_dir, images.num_images, 512, categories, 100)
    place.open({'benchmark': 'labelling'})
    labelling.run(images, place, how)


def bare(task: detection.DetectionTask, model: tf.keras.Model, batches: int) -> Callable[[], None]:
    """Work of the network with its suppression, on one ready batch again and again."""
    picture = tf.image.resize(scenery.picture(), [SIZE, SIZE]).numpy().astype(np.uint8)
    images = tf.constant(np.stack([picture] * BATCH))
    info = tf.constant(scenery.plain_info(SIZE, BATCH))

    @tf.function
    def predict() -> dict[str, tf.Tensor]:
        found = task.predict(images, info, model)
        return {name: found[name] for name in box_labels.BoxReading.wanted}

    def work() -> None:
        for _ in range(batches):
            predict()['boxes'].numpy()

    return work


def run(images: int = IMAGES, rounds: int = 3) -> list[dict[str, Any]]:
    """Measures a detector of the studies at a detection size."""
    tf.keras.utils.set_random_seed(0)
    task = detection.DetectionTask(scenery.our_task(SIZE, scenery.RESNET50, BATCH))
    model = task.build_model()
    scenery.find_something(task, model, SIZE)
    how, categories = labeller(task, model)
    with tempfile.TemporaryDirectory() as folder:
        images_dir = os.path.join(folder, 'images')
        scenery.write_images(images_dir, images)
        compared = measure.in_turn(
            lambda: label(how, categories, images_dir, os.path.join(folder, 'store')),
            bare(task, model, images // BATCH),
            rounds=rounds,
        )
    note = f'ResNet-50-FPN, {SIZE} pixels, batch {BATCH}, {images} JPEG files to a finished store; to the bare network'
    found = measure.measures(compared, per=images)
    return [
        measure.row('pseudo-labelling', found, target=TARGET, unit='s an image', note=note, headline='wall')
    ]
