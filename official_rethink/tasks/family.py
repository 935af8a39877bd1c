"""What the tasks of all families share: where a run stands, how it starts, the size and scale of its images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging
from official.core import base_task
from official.vision.ops import preprocess_ops

from official_rethink.modeling import restore
from official_rethink.modeling.checkpoints import companion
from official_rethink.tasks import gathering


class PseudoPresence(NamedTuple):
    """How a student's run sees that pseudo labels are there at all.

    Attributes:
        statistic: one of the task's pseudo statistics, over 0 where a batch holds a label that counts.
        label: what such a label is called.
    """

    statistic: str
    label: str


def at_least_one(function: Callable[..., Any], *values: tf.Tensor, always: bool = False) -> Any:
    """Calls a function of batches; of a batch without an image with one of ones, which is cut off the results.

    The end of a data set may leave a replica of an evaluation without an image, and TensorFlow's batch norm fails
    there on a CPU.

    Args:
        function: takes tensors [B, ...] and returns a structure of such.
        values: its arguments.
        always: also on a single replica, which without it is known to have an image.
    """
    if values[0].shape[0] or (tf.distribute.get_strategy().num_replicas_in_sync == 1 and not always):
        return function(*values)
    count = tf.shape(values[0])[0]
    missing = tf.maximum(1 - count, 0)

    def filled(value: tf.Tensor) -> tf.Tensor:
        return tf.concat([value, tf.ones([missing, *value.shape[1:]], value.dtype)], axis=0)

    return tf.nest.map_structure(lambda value: value[:count], function(*map(filled, values)))


class FamilyTask(base_task.Task):
    """A task that builds, reads and measures for itself, rather than holding another.

    Attributes:
        resume_step: steps a resumed run has behind it; set before inputs are built.
        categories: class id to name, where there are classes; set by whoever knows the data.
        of_all_workers: gives each worker of an evaluation what all of them found in a step.
    """

    def __init__(self, params: Any, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self.resume_step = 0
        self.categories: dict[int, str] | None = None
        self.of_all_workers = gathering.Gatherer()

    def initialize(self, model: tf.keras.Model) -> None:
        """Restores `init_checkpoint` into the named modules; called only where a run has no checkpoint.

        Raises:
            UserError: the checkpoint does not fit the model, or was imported for other settings.
        """
        config = self.task_config
        if not config.init_checkpoint:
            return
        companion.check(config.init_checkpoint, config, config.init_checkpoint_modules)
        reports = restore.restore(model.checkpoint_items, config.init_checkpoint, config.init_checkpoint_modules)
        logging.info('restored %s:\n%s', config.init_checkpoint, restore.describe(reports))

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the images the network reads."""
        height, width = self.task_config.model.input_size[:2]
        return height, width

    def preprocess(self, images: tf.Tensor) -> tf.Tensor:
        """Normalises uint8 images [B, H, W, 3] with ImageNet's mean and deviation, on the device.

        The same in every family, so that a backbone of one finds in another what it was trained on.
        """
        return preprocess_ops.normalize_image(images)
