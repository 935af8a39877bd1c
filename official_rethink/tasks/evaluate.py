"""Evaluating one checkpoint on one data set, with the task's own metrics."""

import os
from typing import Any

import numpy as np
import orbit
import tensorflow as tf

from official_rethink.common import files
from official_rethink.configs import types
from official_rethink.data import label_maps
from official_rethink.modeling import restore
from official_rethink.tasks import crew

GALLERY_IMAGES = 16


def checkpoint_step(path: str) -> int:
    """Returns the training step a checkpoint was saved at, -1 if it does not say."""
    reader = tf.train.load_checkpoint(restore.find_checkpoint(path))
    key = 'global_step/.ATTRIBUTES/VARIABLE_VALUE'
    return int(reader.get_tensor(key)) if reader.has_tensor(key) else -1


def evaluate(
    strategy: tf.distribute.Strategy, task: Any, model: tf.keras.Model, data: types.ShardData
) -> dict[str, float]:
    """Runs the whole data set through the model once.

    Args:
        strategy: how the batches are distributed.
        task: gives inputs, validation step and aggregation.
        model: with the weights to measure.
        data: what is read; read whole, without augmentation.

    Returns:
        The task's metrics.
    """
    data = data.replace(is_training=False, drop_remainder=False)
    with strategy.scope():  # readers ask what it needs
        dataset = orbit.utils.make_distributed_dataset(strategy, task.build_inputs, data)

    @tf.function(autograph=False)  # see Trainer.train_step
    def step(inputs: Any) -> Any:
        outputs = strategy.run(lambda batch: task.validation_step(batch, model=model), args=(inputs,))
        return tf.nest.map_structure(strategy.experimental_local_results, outputs)

    state = None
    for inputs in dataset:
        state = task.aggregate_logs(state, step(inputs))
    return task.reduce_aggregated_logs(state)


class LabelMapWriter:
    """Writes the first label maps it is called with as <image id>.png, for people: palette PNG of the class ids."""

    def __init__(self, folder: str):
        """Args: where to; made with the first one."""
        self._folder = folder
        self._written = 0

    def __call__(self, image_id: Any, classes: Any) -> None:
        """Takes an image's id and its class of each pixel, uint8 [H, W]."""
        if self._written >= GALLERY_IMAGES:
            return
        self._written += 1
        with files.atomic_write(os.path.join(self._folder, f'{image_id}.png'), 'wb') as handle:
            handle.write(label_maps.encode_palette(np.asarray(classes)))


def evaluate_checkpoint(
    strategy: tf.distribute.Strategy,
    task: Any,
    model: tf.keras.Model,
    checkpoint: str,
    data: types.ShardData,
    output: str,
) -> dict[str, Any]:
    """Restores a checkpoint, evaluates it, and writes what came out if this is the process that writes.

    Args:
        strategy: how the batches are distributed.
        task: the family's task.
        model: its model; its weights are replaced.
        checkpoint: folder or prefix.
        data: what it is measured on.
        output: path of the JSON to write; of the first images a detector's detections are written beside it, under
            the same name with '_detections.json', as a list in the order of the shards, and label maps into the
            folder '…_label_maps'; see `LabelMapWriter`.

    Returns:
        {'checkpoint', 'step', 'data', 'metrics', 'values_hash'}: the last of what the checkpoint holds; of tasks that
        know test-time augmentation also 'inference', its settings.
    """
    prefix = restore.find_checkpoint(checkpoint)
    restore.restore(model.checkpoint_items, prefix, 'all')
    shown: list[dict[str, Any]] = []

    def listen(image_id: int, detections: dict[str, Any]) -> None:
        if len(shown) < GALLERY_IMAGES:
            shown.append({'image_id': image_id, **{name: value.tolist() for name, value in detections.items()}})

    writes = crew.Crew(strategy).is_chief
    detects, segments = (hasattr(task, name) for name in ('detection_listener', 'label_map_listener'))
    if detects:
        task.detection_listener = listen
    if segments:
        # A worker that does not write has its maps made all the same, for the one that does.
        folder = output.removesuffix('.json') + '_label_maps'
        task.label_map_listener = LabelMapWriter(folder) if writes else lambda *shown: None
    metrics = evaluate(strategy, task, model, data)
    result = {
        'checkpoint': os.path.basename(prefix),
        'step': checkpoint_step(prefix),
        'data': data.input_path,
        'metrics': {name: float(value) for name, value in metrics.items()},
        'values_hash': restore.values_hash(prefix),
    }
    if hasattr(task.task_config, 'inference'):
        result['inference'] = task.task_config.inference.as_dict()
    if detects:
        task.detection_listener = None
        if writes:
            files.write_json(output.removesuffix('.json') + '_detections.json', shown)
    if segments:
        task.label_map_listener = None
    if writes:
        files.write_json(output, result)
    return result
