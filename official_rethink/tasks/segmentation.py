"""The supervised segmentation task: a class for each pixel, mIoU at the originals' and at the network's pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import task_factory

from official_rethink.configs import segmentation as configs
from official_rethink.dataloaders import reader
from official_rethink.dataloaders import segmentation as parsing
from official_rethink.evaluation import segmentation as evaluation
from official_rethink.losses import replicas
from official_rethink.losses import segmentation as losses
from official_rethink.modeling import dense_inference, weight_decay
from official_rethink.modeling import segmentation as modeling
from official_rethink.tasks import family, train_step

_COUNTS, _MAPS = 'counts', 'maps'


@task_factory.register_task_cls(configs.SegmentationTask)
class SegmentationTask(family.FamilyTask):
    """Builds model, inputs, losses and metrics of a segmentation network.

    Attributes:
        label_map_listener: called at evaluation with each image's id and classes, uint8 [h0, w0] at the original's
            pixels; None for nobody.
    """

    loss_names = ('model_loss', 'cls_loss')
    pseudo_statistics_names = ('pseudo/coverage', 'pseudo/images_with_labels', 'pseudo/mean_score')
    pseudo_presence = family.PseudoPresence('pseudo/coverage', 'pixel of a pseudo label')

    def __init__(self, params: configs.SegmentationTask, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self.label_map_listener: Any = None

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> tf.keras.Model:
        """Builds the model; every weight is random."""
        regularizer = weight_decay.l2(self.task_config.losses.l2_weight_decay)
        return modeling.build(self.task_config.model, regularizer)

    def _read(self, params: configs.SegmentationData, seed: int, input_context: Any) -> tf.data.Dataset:
        parser = parsing.SegmentationParser(params, self.output_size, self.task_config.model.num_classes)
        first_step = self.resume_step if params.is_training else 0
        return reader.read(params, self.output_size, seed, first_step, input_context, parser=parser)

    def build_inputs(
        self, params: configs.SegmentationData, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads batches; see `dataloaders/segmentation.py`."""
        return self._read(params, self.task_config.seed, input_context)

    def build_pseudo_inputs(
        self, params: configs.PseudoSegmentationData, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads pseudo-labelled batches."""
        return self._read(params, self.task_config.seed + reader.PSEUDO_SALT, input_context)

    def forward(self, features: tf.Tensor, model: tf.keras.Model, labels: Any = None) -> tf.Tensor:
        """Runs the model in training mode on uint8 images; returns logits float32 [B, h, w, K]."""
        del labels
        return _logits(model(self.preprocess(features), training=True))

    def losses_of(self, outputs: tf.Tensor, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the mean cross entropy of the labelled pixels of the global batch, without weight decay."""
        return losses.segmentation_losses(outputs, labels['label_map'], self.task_config.losses)

    def instances(self, labels: dict[str, Any]) -> tf.Tensor:
        """How many labelled regions a batch holds: the classes of each image, its background left out."""
        return tf.reduce_sum(labels['num_regions'])

    def pseudo_statistics(self, outputs: tf.Tensor, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Says what the pseudo labels of a batch were like, before augmentation.

        coverage is the mean over the images of the share of pixels that pass the threshold; mean_score is of those.
        """
        del outputs
        kept = labels['kept_pixels']
        return {
            'pseudo/coverage': tf.reduce_mean(labels['coverage']),
            'pseudo/images_with_labels': tf.reduce_mean(tf.cast(kept > 0, tf.float32)),
            'pseudo/mean_score': replicas.ratio(labels['score_sum'], kept),
        }

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns the step's losses without weight decay, and how many regions it saw."""
        named = self.losses_of(self.forward(features, model), labels)
        return {**named, 'instances': self.instances(labels)}

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """In training running means and the sum of regions; evaluation counts exactly, see `aggregate_logs`."""
        if not training:
            return []
        metrics = [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in ('total_loss', *self.loss_names)]
        return [*metrics, tf.keras.metrics.Sum('instances', dtype=tf.float32)]

    def train_step(
        self, inputs: Any, model: tf.keras.Model, optimizer: Any, metrics: Any = None
    ) -> dict[str, tf.Tensor]:
        """Runs one supervised step."""
        return train_step.run(self, inputs, model, optimizer, metrics)

    def dense_views(
        self,
        images: tf.Tensor,
        image_info: tf.Tensor,
        model: tf.keras.Model,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        plain: tf.Tensor | None = None,
    ) -> list[dense_inference.View]:
        """What the network says of a batch at each scale; of which `dense_inference` makes probabilities.

        Args:
            images: uint8 [B, H, W, 3], resized and padded as in evaluation.
            image_info: float32 [B, 4, 2], as Model Garden's.
            model: in inference mode.
            scales: None takes task.inference's.
            flip: None takes task.inference's.
            plain: the network's logits of `images`, if they are known.
        """
        inference, size = self.task_config.inference, self.output_size
        normalised = tf.ensure_shape(self.preprocess(images), [None, *size, 3])
        return dense_inference.views(
            lambda inputs: _answers(model, inputs),
            normalised,
            dense_inference.content_size(image_info, size),
            inference.scales if scales is None else scales,
            inference.flip if flip is None else flip,
            modeling.multiple_of(self.task_config.model),
            plain,
            corners=self.task_config.model.pyramid_resampling == 'corners',
        )

    def predict(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Class probabilities at the network's pixels: float32 [B, H, W, K], averaged as task.inference says.

        Args:
            images: uint8 [B, H, W, 3], resized and padded as in evaluation.
            image_info: float32 [B, 4, 2], as Model Garden's.
            model: in inference mode.
        """
        found = self.dense_views(images, image_info, model)
        content = dense_inference.content_size(image_info, self.output_size)
        return {'probabilities': dense_inference.probabilities(found, content, self.output_size)}

    def predict_maps(
        self,
        images: tf.Tensor,
        image_info: tf.Tensor,
        model: tf.keras.Model,
        size: tf.Tensor,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """The likeliest class of each of the originals' pixels.

        Args:
            images: uint8 [B, H, W, 3], resized and padded as in evaluation.
            image_info: float32 [B, 4, 2], as Model Garden's.
            model: in inference mode.
            size: int32 [2], rows and columns of the result, at least those of the largest original.
            scales: None takes task.inference's.
            flip: None takes task.inference's.

        Returns:
            classes uint8 [B, GH, GW], and scores uint8 of that shape, 255 times the class's probability, rounded.
            255 and 0 beyond an original, and where the network's answer is not finite.
        """
        found = self.dense_views(images, image_info, model, scales, flip)
        classes, scores = dense_inference.maps(found, image_info[:, 0], size)
        return {'classes': classes, 'scores': scores}

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """Counts a batch's pixels at both sizes, and sums its cross entropy at the plain input."""
        del metrics
        images, labels = inputs
        truth, number = labels['groundtruths'], self.task_config.model.num_classes
        image_info, size = labels['image_info'], self.output_size
        logits = _answers(model, self.preprocess(images))
        loss, pixels = losses.summed(logits, labels['label_map'], self.task_config.losses)
        found = self.dense_views(images, image_info, model, plain=logits)
        content = dense_inference.content_size(image_info, size)
        resized, _ = dense_inference.maps(found, content, size)
        classes, _ = dense_inference.maps(found, image_info[:, 0], truth['label_map'].shape[1:3])
        counts = {
            'confusion': evaluation.confusion(truth['label_map'], classes, number),
            'confusion_resized': evaluation.confusion(labels['label_map'], resized, number),
            'strays': evaluation.strays(truth['label_map'], classes, number),
            'loss': loss,
            'pixels': pixels,
        }
        if self.label_map_listener is None:
            return {_COUNTS: counts}
        shown = {name: truth[name] for name in ('source_id', 'height', 'width')}
        return {_COUNTS: counts, _MAPS: {**shown, 'classes': classes}}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> dict[str, np.ndarray]:
        """Adds one step's counts of all replicas; whole numbers stay exact, however the batches were cut."""
        state = state or {}
        found = {name: step_outputs[name] for name in (_COUNTS, _MAPS) if name in step_outputs}
        step_outputs = self.of_all_workers(found)
        for name, per_replica in step_outputs[_COUNTS].items():
            wide = np.float64 if name == 'loss' else np.int64
            state[name] = state.get(name, 0) + sum(value.numpy().astype(wide) for value in per_replica)
        if _MAPS in step_outputs:
            self._show(step_outputs[_MAPS])
        return state

    def _show(self, per_replica: dict[str, Sequence[tf.Tensor]]) -> None:
        for values in zip(*(per_replica[name] for name in ('source_id', 'height', 'width', 'classes')), strict=True):
            for source_id, height, width, classes in zip(*(value.numpy() for value in values), strict=True):
                if not height:
                    continue  # fills up a batch; see `dataloaders/full_batches.py`
                self.label_map_listener(int(source_id), classes[:height, :width])

    def reduce_aggregated_logs(
        self, aggregated_logs: dict[str, np.ndarray], global_step: Any = None
    ) -> dict[str, float]:
        """Computes mIoU and the rest; see `evaluation/segmentation.py`.

        Raises:
            UserError: the truth holds classes that the model has not, or the network has diverged.
        """
        del global_step
        counted = aggregated_logs
        evaluation.check_strays(counted['strays'], self.task_config.model.num_classes)
        names = (self.categories or {}) if self.task_config.per_category_metrics else None
        result = evaluation.scores(counted['confusion'], names)
        resized = evaluation.scores(counted['confusion_resized'])['mIoU']
        loss = float(counted['loss']) / max(int(counted['pixels']), 1)
        ahead = {'mIoU': result.pop('mIoU'), 'mIoU_resized': resized}
        return {**ahead, **result, 'cls_loss': loss, 'model_loss': self.task_config.losses.loss_weight * loss}


def _answers(model: tf.keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Logits of normalised images, of which there may be none."""
    return family.at_least_one(lambda images: _logits(model(images, training=False)), images)


def _logits(outputs: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.cast(outputs[modeling.LOGITS], tf.float32)
