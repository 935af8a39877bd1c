"""Exported SavedModels of the same weights, encoded bytes to boxes: ours against Model Garden's export."""

import os
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import config_definitions
from official.core import export_base as model_garden_export
from official.vision.serving import detection as model_garden

from benchmarks import measure, scenery
from official_rethink.configs import families
from official_rethink.serving import detection as served
from official_rethink.serving import module
from official_rethink.tasks import detection

SIZE = 512
NO_SLOWER, OWN_SHARE = 1.0, 0.9


def _export_ours(task: detection.DetectionTask, model: tf.keras.Model, folder: str) -> str:
    params = config_definitions.ExperimentConfig(task=task.task_config)
    names = ['background', *(f'class {number}' for number in range(1, scenery.NUM_CLASSES))]
    module.save(served.DetectionModule(params, task, model), folder, module.IMAGE_BYTES, names, {}, 0)
    return folder


def _export_reference(model: tf.keras.Model, folder: str) -> str:
    params = config_definitions.ExperimentConfig(
        task=scenery.model_garden_task(SIZE, scenery.EFFICIENTNET_B0)
    )
    exported = model_garden.DetectionModule(
        params=params, model=model, batch_size=None, input_image_size=[SIZE, SIZE], input_type='image_bytes'
    )
    return model_garden_export.export(exported, ['image_bytes'], folder, timestamped=False)


def _caller(folder: str, count: int) -> measure.Work:
    """Work that asks a SavedModel a few times about some encoded images."""
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures['serving_default']
    (spec,) = signature.structured_input_signature[1].values()
    # Model Garden stacks what it decodes: the images of a batch must be of one size there.
    inputs = {spec.name: tf.constant([scenery.jpeg(seed) for seed in range(count)])}

    def work() -> None:
        for _ in range(max(8 // count, 1)):
            # By way of what was loaded, whose variables a signature alone does not keep.
            loaded.signatures['serving_default'](**inputs)['detection_boxes'].numpy()

    return work


def _bare(task: detection.DetectionTask, model: tf.keras.Model, count: int) -> measure.Work:
    """Work of the network and its suppression alone, on images that are ready."""
    picture = tf.image.resize(scenery.picture(), [SIZE, SIZE]).numpy().astype(np.uint8)
    images = tf.constant(np.stack([picture] * count))
    info = tf.constant(scenery.plain_info(SIZE, count))
    predict = tf.function(lambda: task.predict(images, info, model)['boxes'])

    def work() -> None:
        for _ in range(max(8 // count, 1)):
            predict().numpy()

    return work


def run(rounds: int = 3) -> list[dict[str, Any]]:
    """Measures EfficientNet-B0 at 512 pixels on one image and on eight."""
    tf.keras.utils.set_random_seed(0)
    config = scenery.our_task(SIZE, scenery.EFFICIENTNET_B0, 8)
    task = detection.DetectionTask(config)
    model = task.build_model()
    scenery.find_something(task, model, SIZE)
    families.need_detector(config, 'benchmark', 'it is not served')
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours = _export_ours(task, model, os.path.join(folder, 'ours'))
        reference = _export_reference(model, os.path.join(folder, 'reference'))
        for count in (1, 8):
            mine, per = _caller(ours, count), max(8 // count, 1) * count
            place = f'EfficientNet-B0-FPN, {SIZE} pixels, {count} JPEG of {scenery.HEIGHT}x{scenery.WIDTH} a call'
            name = f'SavedModel, {count} image{"s" if count > 1 else ""} a call'
            found = measure.measures(measure.in_turn(mine, _caller(reference, count), rounds=rounds), per=per)
            note = f"{place}; Model Garden's export of the same weights"
            rows.append(measure.row(name, found, target=NO_SLOWER, unit='s an image', note=note, headline='wall'))
            found = measure.measures(measure.in_turn(mine, _bare(task, model, count), rounds=rounds), per=per)
            note = f'{place}; the network alone, with its suppression, on ready images'
            row = measure.row(
                f'{name}, to the bare network', found, target=OWN_SHARE, unit='s an image', note=note, headline='wall'
            )
            rows.append(row)
    return rows
