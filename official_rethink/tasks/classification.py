"""The supervised classification task: Model Garden's classifier, exact top-1 and top-k accuracy."""

from typing import Any

import tensorflow as tf
from official.core import task_factory

from official_rethink.configs import classification as configs
from official_rethink.dataloaders import classification as parsing
from official_rethink.dataloaders import reader
from official_rethink.losses import classification as losses
from official_rethink.modeling import classifier, normalization, weight_decay
from official_rethink.pseudo_labels import selection
from official_rethink.tasks import family, train_step

_SUMS = 'sums'


@task_factory.register_task_cls(configs.ClassificationTask)
class ClassificationTask(family.FamilyTask):
    """Builds model, inputs, losses and metrics of a classifier."""

    loss_names = ('model_loss', 'cls_loss')
    pseudo_statistics_names = ('pseudo/accuracy', 'pseudo/mean_score')

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> tf.keras.Model:
        """Builds the model; every weight is random."""
        regularizer = weight_decay.l2(self.task_config.losses.l2_weight_decay)
        with normalization.scope(self.task_config.model.norm_activation):
            return classifier.build(self.task_config.model, regularizer)

    def _read(self, params: configs.Data, seed: int, input_context: Any, copies: Any = None) -> tf.data.Dataset:
        task = self.task_config
        parser = parsing.ClassificationParser(
            params, self.output_size, task.model.num_classes, task.losses.label_smoothing
        )
        first_step = self.resume_step if params.is_training else 0
        return reader.read(
            params,
            self.output_size,
            seed,
            first_step,
            input_context,
            parser=parser,
            copies=copies,
            mix=parser.mix if parser.mixes else None,
        )

    def build_inputs(
        self, params: configs.Data, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads batches; see `dataloaders/reader.py`."""
        return self._read(params, self.task_config.seed, input_context)

    def build_pseudo_inputs(
        self, params: configs.PseudoData, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads pseudo-labelled batches of the images that the config selects."""
        copies = selection.select(params)
        return self._read(params, self.task_config.seed + reader.PSEUDO_SALT, input_context, copies)

    def forward(self, features: tf.Tensor, model: tf.keras.Model, labels: Any = None) -> tf.Tensor:
        """Runs the model in training mode on uint8 images; returns logits float32 [B, K]."""
        del labels
        return tf.cast(model(self.preprocess(features), training=True), tf.float32)

    def losses_of(self, outputs: tf.Tensor, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the mean cross entropy of logits, without weight decay."""
        loss = tf.reduce_mean(losses.cross_entropy(outputs, labels['targets']))
        return {'cls_loss': loss, 'model_loss': loss}

    def instances(self, labels: dict[str, Any]) -> tf.Tensor:
        """How many labelled objects a batch holds."""
        return tf.shape(labels['label'])[0]

    def pseudo_statistics(self, outputs: tf.Tensor, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """How often the student's first class is the teacher's, and the teacher's mean confidence."""
        hits = losses.in_top_k(outputs, labels['label'], 1)
        return {
            'pseudo/accuracy': tf.reduce_mean(tf.cast(hits, tf.float32)),
            'pseudo/mean_score': tf.reduce_mean(labels['confidence']),
        }

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns the step's losses without weight decay, its accuracy, and how many instances it saw."""
        outputs = self.forward(features, model)
        hits = losses.in_top_k(outputs, labels['label'], 1)
        return {
            **self.losses_of(outputs, labels),
            'accuracy': tf.reduce_mean(tf.cast(hits, tf.float32)),
            'instances': self.instances(labels),
        }

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """In training running means and the sum of instances; evaluation counts exactly, see `aggregate_logs`."""
        if not training:
            return []
        names = ('total_loss', *self.loss_names, 'accuracy')
        metrics = [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in names]
        return [*metrics, tf.keras.metrics.Sum('instances', dtype=tf.float32)]

    def train_step(
        self, inputs: Any, model: tf.keras.Model, optimizer: Any, metrics: Any = None
    ) -> dict[str, tf.Tensor]:
        """Runs one supervised step."""
        return train_step.run(self, inputs, model, optimizer, metrics)

    def predict(self, images: tf.Tensor, model: tf.keras.Model) -> tf.Tensor:
        """Class probabilities of uint8 [B, H, W, 3], cropped as in evaluation: float32 [B, K], class 1 first."""
        return tf.nn.softmax(self._logits(images, model))

    def _logits(self, images: tf.Tensor, model: tf.keras.Model) -> tf.Tensor:
        return family.at_least_one(
            lambda images: tf.cast(model(self.preprocess(images), training=False), tf.float32), images
        )

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """Counts a batch: examples, hits, and the sum of their cross entropies with unsmoothed labels."""
        del metrics
        images, labels = inputs
        logits = self._logits(images, model)
        label = labels['label']
        known = label > 0  # 0 fills up a batch; see `dataloaders/full_batches.py`
        targets = losses.smoothed(label, self.task_config.model.num_classes, 0.0)

        def hits(k: int) -> tf.Tensor:
            return tf.math.count_nonzero(known & losses.in_top_k(logits, tf.maximum(label, 1), k))

        counted = {
            'examples': tf.math.count_nonzero(known),
            'accuracy': hits(1),
            f'top_{self.task_config.top_k}_accuracy': hits(self.task_config.top_k),
            'cls_loss': tf.reduce_sum(losses.cross_entropy(logits, targets)),
        }
        return {_SUMS: counted}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> dict[str, float]:
        """Adds one step's counts of all replicas; whole numbers stay exact, however the batches were cut."""
        state = state or {}
        for name, per_replica in self.of_all_workers(step_outputs[_SUMS]).items():
            state[name] = state.get(name, 0) + sum(value.numpy().item() for value in per_replica)
        return state

    def reduce_aggregated_logs(self, aggregated_logs: dict[str, float], global_step: Any = None) -> dict[str, float]:
        """Divides by the number of examples."""
        del global_step
        examples = aggregated_logs['examples']
        return {name: value / examples for name, value in aggregated_logs.items() if name != 'examples'}
