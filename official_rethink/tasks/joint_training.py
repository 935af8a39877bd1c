"""Joint training: any detection task's step, and a classifier's on other images, on one backbone."""

from typing import Any

import orbit
import tensorflow as tf
from absl import logging
from official.core import task_factory
from official.vision.configs import image_classification

from official_rethink.configs import classification as classification_configs
from official_rethink.configs import joint as configs
from official_rethink.configs import types
from official_rethink.modeling import joint, restore, weight_decay
from official_rethink.modeling.checkpoints import companion
from official_rethink.tasks import classification, detection, holding, self_training

_DETECTION, _CLASSIFICATION = 'detection', 'classification'


class _Classifier:
    """The joint model as the classification task calls one."""

    def __init__(self, model: joint.JointModel):
        self._model = model

    def __call__(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        return self._model.classify(images, training)


class JointTrainingTask(holding.HoldingTask):
    """Holds a detection task, supervised or self-training, and a classification task; trains both at once.

    A step's inputs are ({'detection': ..., 'classification': ...}, the same of labels), each half as its own
    task reads it. The detector alone is evaluated and chooses the best checkpoint; the classifier's accuracy
    is measured beside it and logged under 'classification/'.
    """

    def __init__(self, params: Any, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self.classification = classification.ClassificationTask(_classification_config(params))
        self._model: joint.JointModel | None = None
        self._strategy = tf.distribute.get_strategy()
        self._count: Any = None

    @property
    def further_images(self) -> tuple[int, int]:
        """Images a step classifies, and the pixels of each."""
        height, width = self.classification.output_size
        weight = self.task_config.joint.classification_weight
        return self.task_config.classification_data.global_batch_size if weight else 0, height * width

    @property
    def resume_step(self) -> int:
        """Steps a resumed run has behind it, in both streams."""
        return self.base.resume_step

    @resume_step.setter
    def resume_step(self, value: int) -> None:
        self.base.resume_step = value
        self.classification.resume_step = value

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> joint.JointModel:
        """Builds the base task's detector and a classifier on its backbone."""
        params = self.task_config
        detector = self.base.build_model()
        regularizer = weight_decay.l2(params.losses.l2_weight_decay)
        branch = joint.ClassificationBranch(
            detector.backbone, params.joint.num_classes, params.joint.dropout_rate, regularizer
        )
        self._strategy = tf.distribute.get_strategy()
        self._model = joint.JointModel(detector, branch, params.joint.input_size)
        self._count = None
        return self._model

    def initialize(self, model: joint.JointModel) -> None:
        """Restores `init_checkpoint`; 'all' takes the classifier along where the checkpoint has one.

        A classifier that is not restored starts with random weights and the running statistics of the
        backbone as restored.
        """
        config = self.task_config
        if not config.init_checkpoint:
            return
        companion.check(config.init_checkpoint, config, config.init_checkpoint_modules)
        names = restore.module_names(config.init_checkpoint_modules, list(model.checkpoint_items))
        if config.init_checkpoint_modules in ('all', ['all']):
            saved = restore.saved_modules(config.init_checkpoint)
            names = [name for name in names if name in saved or name != joint.CLASSIFICATION]
        reports = restore.restore(model.checkpoint_items, config.init_checkpoint, names)
        logging.info('restored %s:\n%s', config.init_checkpoint, restore.describe(reports))
        if joint.CLASSIFICATION not in names:
            model.classification.copy_statistics()

    @tf.autograph.experimental.do_not_convert  # see `reader.read`
    def build_inputs(
        self, params: types.ShardData, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Both streams side by side in training; in evaluation the detector's."""
        detected = self.base.build_inputs(params, input_context)
        if not params.is_training:
            return detected
        if not self.task_config.joint.classification_weight:
            return detected.map(lambda features, labels: ({_DETECTION: features}, {_DETECTION: labels}))
        classified = self.classification.build_inputs(self.task_config.classification_data, input_context)

        def join(left: Any, right: Any) -> Any:
            return tuple({_DETECTION: a, _CLASSIFICATION: b} for a, b in zip(left, right, strict=True))

        zipped = tf.data.Dataset.zip((detected, classified))
        return zipped.map(join, num_parallel_calls=1, deterministic=True).prefetch(2)

    def named_losses(self, features: Any, labels: Any, model: joint.JointModel) -> dict[str, tf.Tensor]:
        """Returns the detector's losses, the classifier's under 'classification/', and their weighted sum."""
        weights = self.task_config.joint
        named = dict(self.base.named_losses(features[_DETECTION], labels[_DETECTION], model))
        named['detection/model_loss'] = named['model_loss']
        total = weights.detection_weight * named['model_loss']
        if weights.classification_weight:
            other = self.classification.named_losses(
                features[_CLASSIFICATION], labels[_CLASSIFICATION], _Classifier(model)
            )
            named['classification/cls_loss'] = other['model_loss']
            named['classification/accuracy'] = other['accuracy']
            total += weights.classification_weight * other['model_loss']
            named['instances'] += other['instances']
        return {**named, 'model_loss': total}

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """The base task's; in training also the losses that are joined, and the accuracy on training images."""
        metrics = list(self.base.build_metrics(training))
        if not training:
            return metrics
        names = ['detection/model_loss']
        if self.task_config.joint.classification_weight:
            names += ['classification/cls_loss', 'classification/accuracy']
        return metrics + [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in names]

    def validation_step(self, inputs: Any, model: joint.JointModel, metrics: Any = None) -> dict[str, Any]:
        """As the base task, on the detector."""
        if model is not self._model:
            self._model, self._count = model, None
        return self.base.validation_step(inputs, model, metrics)

    def reduce_aggregated_logs(self, aggregated_logs: Any, global_step: Any = None) -> dict[str, float]:
        """The detector's numbers, and the classifier's on its own images."""
        logs = dict(self.base.reduce_aggregated_logs(aggregated_logs, global_step))
        logs.update({f'{_CLASSIFICATION}/{name}': value for name, value in self._classification_logs().items()})
        return logs

    def _classification_logs(self) -> dict[str, float]:
        data = self.task_config.classification_validation_data
        if not data.input_path or not self.task_config.joint.classification_weight:
            return {}
        if self._count is None:
            self._count = tf.function(self._count_batch)
        dataset = orbit.utils.make_distributed_dataset(self._strategy, self.classification.build_inputs, data)
        state = None
        for inputs in dataset:
            state = self.classification.aggregate_logs(state, self._count(inputs))
        return self.classification.reduce_aggregated_logs(state) if state else {}

    def _count_batch(self, inputs: Any) -> Any:
        assert self._model is not None, 'build_model comes first'
        classifier = _Classifier(self._model)
        outputs = self._strategy.run(lambda batch: self.classification.validation_step(batch, classifier), (inputs,))
        return tf.nest.map_structure(self._strategy.experimental_local_results, outputs)


def _classification_config(params: configs.JointDetectionTask) -> classification_configs.ClassificationTask:
    """What the classification task needs to know; its backbone is the detector's."""
    part = params.joint
    return classification_configs.ClassificationTask(
        model=image_classification.ImageClassificationModel(
            num_classes=part.num_classes, input_size=list(part.input_size)
        ),
        losses=classification_configs.Losses(label_smoothing=part.label_smoothing),
        top_k=part.top_k,
        train_data=params.classification_data,
        validation_data=params.classification_validation_data,
        seed=params.seed,
    )


@task_factory.register_task_cls(configs.JointDetectionTask)
class JointDetectionTask(JointTrainingTask):
    """Joint training of a one-stage detector."""

    base_task_class = detection.DetectionTask


@task_factory.register_task_cls(configs.SelfTrainingJointDetectionTask)
class SelfTrainingJointDetectionTask(JointTrainingTask):
    """Joint training of a one-stage detector's student."""

    base_task_class = self_training.SelfTrainingDetectionTask
