"""Self-training over any task: one forward pass over a joint batch, two losses, balanced."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from official.core import task_factory

from official_rethink.configs import classification as classification_configs
from official_rethink.configs import detection as detection_configs
from official_rethink.configs import maskrcnn_students as maskrcnn_configs
from official_rethink.configs import segmentation as segmentation_configs
from official_rethink.configs import types
from official_rethink.dataloaders import reader
from official_rethink.losses import self_training
from official_rethink.tasks import classification, detection, holding, maskrcnn, segmentation


def _split(values: Any, count: int) -> tuple[Any, Any]:
    """The first `count` examples of each tensor, and the rest: the gradient of a split is one concatenation."""
    pairs = [tf.split(value, [count, -1]) for value in tf.nest.flatten(values)]
    first, rest = ([pair[side] for pair in pairs] for side in (0, 1))
    return tf.nest.pack_sequence_as(values, first), tf.nest.pack_sequence_as(values, rest)


class SelfTrainingTask(holding.HoldingTask):
    """Holds a base task and trains its model on human and pseudo labels jointly.

    A joint batch holds the human examples first, then the pseudo examples, in fixed numbers, so that
    batch norm sees both and shapes stay static. The student is evaluated as the base task is.
    """

    def __init__(self, params: Any, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self._balance: self_training.LossBalance | None = None

    def build_model(self) -> tf.keras.Model:
        """Builds the base task's model; the loss balance rides on it, so that checkpoints hold it."""
        model = self.base.build_model()
        self._balance = self_training.LossBalance(self.task_config.balance)
        model.loss_balance = self._balance
        return model

    def initialize(self, model: tf.keras.Model) -> None:
        """As the base task; the student may start from the teacher's weights."""
        self.base.initialize(model)

    def build_inputs(
        self, params: types.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Joint batches in training, the base task's in evaluation."""
        if not params.is_training:
            return self.base.build_inputs(params, input_context)
        human = self.base.build_inputs(params, input_context)
        return reader.join(human, self.base.build_pseudo_inputs(self.task_config.pseudo_data, input_context))

    def _human_count(self) -> int:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return self.task_config.train_data.global_batch_size // replicas

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns human, pseudo and joint losses without weight decay, and statistics of the pseudo labels."""
        assert self._balance is not None, 'build_model comes first'
        count = self._human_count()
        human_outputs, pseudo_outputs = _split(self.base.forward(features, model, labels), count)
        human_labels, pseudo_labels = _split(labels, count)
        human = self.base.losses_of(human_outputs, human_labels)
        pseudo = self.base.losses_of(pseudo_outputs, pseudo_labels)
        balanced = self._balance(human['model_loss'], pseudo['model_loss'])
        return {
            **{f'human/{name}': value for name, value in human.items()},
            **{f'pseudo/{name}': value for name, value in pseudo.items()},
            **self.base.pseudo_statistics(pseudo_outputs, pseudo_labels),
            'loss_ratio': balanced.ratio,
            'model_loss': balanced.loss,
            'instances': self.base.instances(labels),
        }

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """In training the means of both losses, of the balance and of the pseudo labels."""
        if not training:
            return self.base.build_metrics(training=False)
        parts = [f'{origin}/{name}' for origin in ('human', 'pseudo') for name in self.base.loss_names]
        names = ['total_loss', 'model_loss', *parts, 'loss_ratio', *self.base.pseudo_statistics_names]
        metrics = [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in names]
        return [*metrics, tf.keras.metrics.Sum('instances', dtype=tf.float32)]


@task_factory.register_task_cls(detection_configs.SelfTrainingDetectionTask)
class SelfTrainingDetectionTask(SelfTrainingTask):
    """Self-training of a one-stage detector."""

    base_task_class = detection.DetectionTask


@task_factory.register_task_cls(maskrcnn_configs.SelfTrainingMaskRCNNTask)
class SelfTrainingMaskRCNNTask(SelfTrainingTask):
    """Self-training of a two-stage detector, with masks where it learns them."""

    base_task_class = maskrcnn.MaskRCNNTask

    def counted(self, model: tf.keras.Model) -> Callable[[tf.Tensor], Any]:
        """As the base task."""
        return self.base.counted(model)


@task_factory.register_task_cls(classification_configs.SelfTrainingClassificationTask)
class SelfTrainingClassificationTask(SelfTrainingTask):
    """Noisy Student: self-training of a classifier."""

    base_task_class = classification.ClassificationTask


@task_factory.register_task_cls(segmentation_configs.SelfTrainingSegmentationTask)
class SelfTrainingSegmentationTask(SelfTrainingTask):
    """Self-training of a segmentation network."""

    base_task_class = segmentation.SegmentationTask
