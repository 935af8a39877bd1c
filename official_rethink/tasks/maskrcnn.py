"""The supervised task of two-stage detection: Mask R-CNN, targets made in the step, COCO metrics of all it finds."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from official.core import task_factory

from official_rethink.configs import maskrcnn as configs
from official_rethink.configs import types
from official_rethink.data import keypoints as layouts
from official_rethink.data import shards
from official_rethink.dataloaders import detection as parsing
from official_rethink.dataloaders import reader
from official_rethink.evaluation import instance_masks, keypoints
from official_rethink.losses import keypoints as keypoint_losses
from official_rethink.losses import maskrcnn as losses
from official_rethink.modeling import anchor_targets, looks, rpn_targets, union, views, weight_decay
from official_rethink.modeling import maskrcnn as modeling
from official_rethink.tasks import detection, family

_DETECTIONS = 'detections'
_LOSSES = ('rpn_score_loss', 'rpn_box_loss', 'frcnn_cls_loss', 'frcnn_box_loss')


@task_factory.register_task_cls(configs.MaskRCNNTask)
class MaskRCNNTask(detection.DetectionTask):
    """Builds model, inputs, losses and metrics of a two-stage detector."""

    def __init__(self, params: configs.MaskRCNNTask, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        masks = ('mask_loss',) if params.model.include_mask else ()
        points = ('keypoint_loss',) if params.model.include_keypoints else ()
        self.loss_names = ('model_loss', *_LOSSES, *masks, *points)
        self.looks_twice = bool(masks or points)
        self._measured_on = ''
        self._truths: dict[str, instance_masks.Truth] = {}

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> tf.keras.Model:
        """Builds the model; every weight is random."""
        regularizer = weight_decay.l2(self.task_config.losses.l2_weight_decay)
        return modeling.build(self.task_config.model, regularizer, self._late_cascade_of())

    @property
    def switch_steps(self) -> tuple[int, ...]:
        """Steps at which another network trains: where a cascade's further stages join in."""
        first_step = self.task_config.cascade.first_step
        return (first_step,) if first_step else ()

    def _late_cascade_of(self) -> int | None:
        """The box heads that train at this run's step, of a cascade that is switched on late."""
        if not self.switch_steps:
            return None
        further = len(self.task_config.model.roi_sampler.cascade_iou_thresholds or ())
        return 1 if self.resume_step < self.switch_steps[0] else 1 + further

    def _read(self, params: configs.DataConfig, seed: int, first_step: int, input_context: Any) -> tf.data.Dataset:
        size = params.mask_crop_size if self.task_config.model.include_mask and params.is_training else 0
        resizing = views.plain(self.task_config).resizing
        reading = views.reading(self.task_config)
        parser = parsing.DetectionParser(params, self.output_size, size, resizing, reading, self._layout(params))
        return reader.read(params, self.output_size, seed, first_step, input_context, parser=parser)

    def _layout(self, params: types.DataConfig) -> layouts.Layout | None:
        """The key points of the examples: of pseudo labels those of the training set, from which they come."""
        if not self.task_config.model.include_keypoints:
            return None
        path = self.task_config.train_data.input_path if params.is_training else params.input_path
        return _layout_of(path)

    def build_inputs(
        self, params: configs.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads batches; see `dataloaders/reader.py`."""
        if not params.is_training:
            self._measured_on = params.input_path
        return super().build_inputs(params, input_context)

    def forward(self, features: tf.Tensor, model: tf.keras.Model, labels: Any = None) -> Any:
        """Runs the model in training mode on uint8 images; regions are drawn near the labelled boxes."""
        truth = {'gt_boxes': labels['boxes'], 'gt_classes': labels['classes']}
        if self.task_config.model.include_mask:
            truth['gt_masks'] = tf.cast(labels['masks'], tf.float32) / 255.0
        if self.task_config.model.include_keypoints:
            truth['gt_keypoints'] = labels['keypoints']
        outputs = model(
            self.preprocess(features),
            image_shape=labels['image_info'][:, 1, :],
            anchor_boxes=self._anchors(tf.shape(features)[0]),
            training=True,
            **truth,
        )
        unused = ('backbone_features', 'decoder_features')
        return {name: value for name, value in outputs.items() if name not in unused}

    def losses_of(self, outputs: Any, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the named losses of raw outputs against labels, without weight decay."""
        params, matching = self.task_config.losses, self.task_config.matching
        targets = rpn_targets.label_anchors(
            anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(self.task_config.model)),
            labels['boxes'],
            matching.match_threshold,
            matching.unmatched_threshold,
            matching.num_samples,
            matching.positive_fraction,
        )
        named = losses.rpn_losses(outputs, targets, params)
        named |= losses.head_losses(outputs, params, sum(name.startswith('class_outputs') for name in outputs))
        weights = (params.rpn_score_weight, params.rpn_box_weight, params.frcnn_class_weight, params.frcnn_box_weight)
        total = tf.add_n([weight * named[name] for weight, name in zip(weights, _LOSSES, strict=True)])
        if self.task_config.model.include_mask:
            named['mask_loss'] = losses.mask_loss(outputs)
            total += params.mask_weight * named['mask_loss']
        if self.task_config.model.include_keypoints:
            named['keypoint_loss'] = keypoint_losses.keypoint_loss(outputs)
            total += params.keypoint_weight * named['keypoint_loss']
        return {**named, 'model_loss': params.loss_weight * total}

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """In training running means of the losses and the sum of instances seen."""
        if not training:
            return []
        metrics = [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in ('total_loss', *self.loss_names)]
        return [*metrics, tf.keras.metrics.Sum('instances', dtype=tf.float32)]

    def predict(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Detects on a batch.

        Args:
            images: uint8 [B, H, W, 3], resized and padded as in evaluation.
            image_info: float32 [B, 4, 2], as Model Garden's.
            model: in inference mode.

        Returns:
            As a one-stage detector's; with masks also masks float32 [B, N, S, S], probabilities over the boxes; with
            key points also keypoints float32 [B, N, P, 3]: y, x in pixels of the original images and score in [0, 1].
        """

        def detect(images: tf.Tensor, image_info: tf.Tensor) -> Any:
            anchors = self._anchors(tf.shape(images)[0])
            images = self.preprocess(images)
            outputs = model(images, image_shape=image_info[:, 1, :], anchor_boxes=anchors, training=False)
            return {name: value for name, value in outputs.items() if 'detection' in name}

        outputs = family.at_least_one(detect, images, image_info)
        found = detection.in_original_pixels(outputs, image_info)
        if self.task_config.model.include_mask:
            found['masks'] = tf.cast(outputs['detection_masks'], tf.float32)
        if self.task_config.model.include_keypoints:
            scale = tf.pad(image_info[:, 2, :], [[0, 0], [0, 1]], constant_values=1.0)
            found['keypoints'] = outputs['detection_keypoints'] / scale[:, tf.newaxis, tf.newaxis]
        return found

    def candidates(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> union.Candidates:
        """Regions as every class, before any suppression; see the parent."""
        anchors = self._anchors(tf.shape(images)[0], images.shape[1:3])
        most = self.task_config.model.detection_generator.pre_nms_top_k
        return looks.two_stage(model, self.preprocess(images), image_info[:, 1, :], anchors, most)

    def flip_order(self) -> list[int] | None:
        """Which key point each is in a mirrored image; None without key points."""
        if not self.task_config.model.include_keypoints:
            return None
        layout = _layout_of(self._measured_on or self.task_config.train_data.input_path)
        assert layout is not None  # validation has looked
        return layout.flip_order()

    def counted(self, model: tf.keras.Model) -> Callable[[tf.Tensor], Any]:
        """The forward pass whose operations `describe` counts: inference, with all its regions and masks."""
        size = tf.constant([self.output_size], tf.float32)
        return lambda images: model(images, image_shape=size, anchor_boxes=self._anchors(1), training=False)

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """Detects on a batch; without regions drawn near the truth there is no loss."""
        del metrics
        images, labels = inputs
        found = self.infer(images, labels['image_info'], model)
        return {_DETECTIONS: {**found, 'truth': labels['groundtruths']}}

    def _keypoint_evaluator(self) -> keypoints.KeypointEvaluator | None:
        if not self.task_config.model.include_keypoints:
            return None
        layout = _layout_of(self._measured_on)
        assert layout is not None  # validation has looked
        return keypoints.KeypointEvaluator(layout)

    def _masks(self, batch: dict[str, Any], row: int, kept: int, found: dict[str, Any]) -> dict[str, Any]:
        count, more = len(found['scores']), {}
        if self.task_config.model.include_keypoints:
            more['truth_keypoints'] = batch['truth']['keypoints'][row][:kept]
            more['keypoints'] = batch['keypoints'][row][:count]
        if not self.task_config.model.include_mask:
            return more
        if self._measured_on not in self._truths:
            self._truths[self._measured_on] = instance_masks.Truth(self._measured_on)
        codes, truth = self._truths[self._measured_on], batch['truth']
        height, width = int(truth['height'][row]), int(truth['width'][row])
        pasted = instance_masks.paste(batch['masks'][row][:count], found['boxes'], height, width)
        return {**more, 'truth_masks_rle': codes.of(int(truth['source_id'][row]))[:kept], 'masks_rle': pasted}


def _layout_of(pattern: str) -> layouts.Layout | None:
    """The key points of a set; of several, which are the same, those of the first."""
    return layouts.of_description(shards.load_description(pattern.split(',')[0].strip()))
