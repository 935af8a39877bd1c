"""The contrastive task: two views of each image, found among those of the whole batch."""

from typing import Any

import tensorflow as tf
from official.core import task_factory

from official_rethink.common import errors
from official_rethink.configs import simclr as configs
from official_rethink.dataloaders import contrastive as reading
from official_rethink.losses import contrastive as losses
from official_rethink.modeling import contrastive as modeling
from official_rethink.tasks import family, train_step

_NUMBERS = 'numbers'
_REPORTED = (configs.LOSS, configs.ACCURACY, configs.ENTROPY)


@task_factory.register_task_cls(configs.SimClrTask)
class SimClrTask(family.FamilyTask):
    """Builds model, inputs and loss of SimCLR.

    Attributes:
        views: images the network sees of one example.
    """

    views = 2

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> modeling.ContrastiveModel:
        """Builds the model; every weight is random."""
        return modeling.build(self.task_config.model, self.task_config.l2_weight_decay)

    def build_inputs(
        self, params: configs.ContrastiveData, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads batches of pairs; see `dataloaders/contrastive.py`."""
        first_step = self.resume_step if params.is_training else 0
        return reading.read(params, self.output_size, self.task_config.seed, first_step, input_context)

    def contrast(self, views: tf.Tensor, model: tf.keras.Model, training: bool) -> losses.Contrast:
        """Computes the loss of views, uint8 [B, 2, H, W, 3], which go through the network as one batch."""
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        projection = model(self.preprocess(images), training=training)['projection']
        first, second = tf.split(projection, 2)
        return losses.nt_xent(first, second, self.task_config.temperature)

    def _named(self, result: losses.Contrast) -> dict[str, tf.Tensor]:
        return dict(zip(_REPORTED, (result.loss, result.accuracy, result.entropy), strict=True))

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns the step's loss without weight decay, and how well views were found."""
        del labels
        result = self.contrast(features, model, training=True)
        return {**self._named(result), 'model_loss': result.loss}

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """Running means of training; an evaluation's are taken in `aggregate_logs`."""
        names = ('total_loss', *_REPORTED) if training else ()
        return [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in names]

    def train_step(
        self, inputs: Any, model: tf.keras.Model, optimizer: Any, metrics: Any = None
    ) -> dict[str, tf.Tensor]:
        """Runs one step."""
        return train_step.run(self, inputs, model, optimizer, metrics)

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """Compares the views of a batch, with the running statistics of batch norm."""
        del metrics
        views, _ = inputs
        result = self.contrast(views, model, training=False)
        return {self.loss: result.loss, _NUMBERS: self._named(result)}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> dict[str, list[float]]:
        """Collects one step's numbers of all replicas, which have as many pairs each."""
        state = state or {name: [] for name in _REPORTED}
        for name, values in self.of_all_workers(step_outputs[_NUMBERS]).items():
            state[name] += [float(value) for value in values]
        return state

    def reduce_aggregated_logs(self, aggregated_logs: Any, global_step: Any = None) -> dict[str, float]:
        """Averages over batches.

        Raises:
            UserError: there was no whole batch.
        """
        del global_step
        if not aggregated_logs:
            size = self.task_config.validation_data.global_batch_size
            raise errors.UserError(
                f'the images to evaluate on do not fill one batch of {size}; lower '
                'task.validation_data.global_batch_size (and task.test_data.global_batch_size), or give more images.'
            )
        return {name: sum(values) / len(values) for name, values in aggregated_logs.items()}
