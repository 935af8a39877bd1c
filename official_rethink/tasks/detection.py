"""The supervised detection task: Model Garden's RetinaNet, targets made in the step, COCO metrics."""

from typing import Any

import tensorflow as tf
from official.core import task_factory

from official_rethink.configs import detection as configs
from official_rethink.configs import types
from official_rethink.dataloaders import detection as parsing
from official_rethink.dataloaders import reader
from official_rethink.evaluation import keypoints, protocols
from official_rethink.losses import detection as losses
from official_rethink.losses import replicas
from official_rethink.modeling import (
    anchor_targets,
    detections,
    looks,
    normalization,
    retinanet,
    union,
    views,
    weight_decay,
)
from official_rethink.tasks import augmented_inference, family, train_step

_DETECTIONS = 'detections'


@task_factory.register_task_cls(configs.DetectionTask)
class DetectionTask(family.FamilyTask):
    """Builds model, inputs, losses and metrics of a one-stage detector.

    Attributes:
        detection_listener: called at evaluation with each image's detections; None for nobody.
        looks_twice: whether something is predicted for final boxes, such as masks.
    """

    looks_twice = False

    loss_names = ('model_loss', 'cls_loss', 'box_loss')
    pseudo_statistics_names = (
        'pseudo/boxes_per_image',
        'pseudo/images_with_boxes',
        'pseudo/kept_fraction',
        'pseudo/mean_score',
    )
    pseudo_presence = family.PseudoPresence('pseudo/boxes_per_image', 'pseudo box')

    def __init__(self, params: configs.DetectionTask, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self.detection_listener: Any = None

    @tf.autograph.experimental.do_not_convert  # as of a step, see Trainer.train_step
    def build_model(self) -> tf.keras.Model:
        """Builds the model; every weight is random."""
        params = self.task_config
        regularizer = weight_decay.l2(params.losses.l2_weight_decay)
        with normalization.scope(params.model.norm_activation):
            model = retinanet.build(params.model, regularizer)
        generator = params.model.detection_generator
        model._detection_generator = detections.AnyBatch(
            model.detection_generator, image_by_image=generator.apply_nms and generator.nms_version == 'v1'
        )
        return model

    def build_inputs(
        self, params: types.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads batches; see `dataloaders/reader.py`."""
        return self._read(params, self.task_config.seed, self.resume_step if params.is_training else 0, input_context)

    def _read(self, params: types.DataConfig, seed: int, first_step: int, input_context: Any) -> tf.data.Dataset:
        parser = parsing.DetectionParser(
            params,
            self.output_size,
            resizing=views.plain(self.task_config).resizing,
            reading=views.reading(self.task_config),
        )
        return reader.read(params, self.output_size, seed, first_step, input_context, parser=parser)

    def build_pseudo_inputs(
        self, params: types.PseudoDataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Reads pseudo-labelled batches."""
        return self._read(params, self.task_config.seed + reader.PSEUDO_SALT, self.resume_step, input_context)

    def forward(self, features: tf.Tensor, model: tf.keras.Model, labels: Any = None) -> Any:
        """Runs the model in training mode on uint8 images and returns its raw outputs as float32."""
        del labels
        outputs = model(self.preprocess(features), training=True)
        return tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), outputs)

    def losses_of(self, outputs: Any, labels: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the named losses of raw outputs against labels, without weight decay."""
        params = self.task_config
        targets = anchor_targets.label_anchors(
            anchor_targets.flatten_anchors(anchor_targets.multilevel_anchors(params.model)),
            labels['boxes'],
            labels['classes'],
            params.matching.match_threshold,
            params.matching.unmatched_threshold,
            params.model.detection_generator.box_coder_weights,
        )
        return losses.detection_losses(outputs, targets, params.model.num_classes, params.losses)

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns the step's losses without weight decay, and how many instances it saw."""
        named = self.losses_of(self.forward(features, model, labels), labels)
        return {**named, 'instances': self.instances(labels)}

    def instances(self, labels: dict[str, Any]) -> tf.Tensor:
        """How many labelled objects a batch holds."""
        return tf.reduce_sum(labels['num_instances'])

    def pseudo_statistics(self, outputs: Any, labels: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Says what the pseudo labels of a batch were like.

        boxes_per_image counts boxes that train; kept_fraction is their share of all that the store holds
        for these images (augmentation may lose some too); mean_score is of those over the threshold.
        """
        del outputs
        boxes = tf.cast(labels['num_instances'], tf.float32)
        kept, candidates = (tf.cast(labels[name], tf.float32) for name in ('num_kept', 'num_candidates'))
        return {
            'pseudo/boxes_per_image': tf.reduce_mean(boxes),
            'pseudo/images_with_boxes': tf.reduce_mean(tf.cast(boxes > 0, tf.float32)),
            'pseudo/kept_fraction': replicas.ratio(boxes, candidates),
            'pseudo/mean_score': replicas.ratio(labels['score_sum'], kept),
        }

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """Running means of the losses; in training also the sum of instances seen."""
        names = ('total_loss', 'cls_loss', 'box_loss', 'model_loss')
        metrics = [tf.keras.metrics.Mean(name, dtype=tf.float32) for name in names]
        if training:
            metrics.append(tf.keras.metrics.Sum('instances', dtype=tf.float32))
        return metrics

    def train_step(
        self, inputs: Any, model: tf.keras.Model, optimizer: Any, metrics: Any = None
    ) -> dict[str, tf.Tensor]:
        """Runs one supervised step."""
        return train_step.run(self, inputs, model, optimizer, metrics)

    def predict(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Detects on a batch.

        Args:
            images: uint8 [B, H, W, 3], resized and padded as in evaluation.
            image_info: float32 [B, 4, 2], as Model Garden's.
            model: in inference mode.

        Returns:
            boxes float32 [B, N, 4] in pixels of the original images, clipped to them; scores float32
            [B, N]; classes int32 [B, N]; num_detections int32 [B]; and the raw outputs.
        """

        def detect(images: tf.Tensor, image_info: tf.Tensor) -> Any:
            anchors = self._anchors(tf.shape(images)[0])
            images = self.preprocess(images)
            return model(images, image_shape=image_info[:, 1, :], anchor_boxes=anchors, training=False)

        outputs = family.at_least_one(detect, images, image_info)
        raw = {name: outputs[name] for name in ('cls_outputs', 'box_outputs')}
        return {**in_original_pixels(outputs, image_info), 'raw': raw}

    def infer(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Detects on a batch as `task.inference` says, for evaluation and for pseudo labels.

        Args:
            images: uint8 [B, S, S, 3], read as `views.reading` says.
            image_info: float32 [B, 4, 2], of the reading.
            model: in inference mode.

        Returns:
            As `predict`; with test-time augmentation without raw outputs.
        """
        if not views.augmented(self.task_config):
            return self.predict(images, image_info, model)
        return family.at_least_one(
            lambda seen, info: augmented_inference.detect(self, seen, info, model), images, image_info
        )

    def candidates(self, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> union.Candidates:
        """Boxes of one view, of any size, for a suppression over all views; in pixels of the view.

        Args:
            images: uint8 [B, H, W, 3].
            image_info: of the view.
            model: in inference mode.
        """
        anchors = self._anchors(tf.shape(images)[0], images.shape[1:3])
        images = self.preprocess(images)
        return looks.one_stage(
            model(images, image_shape=image_info[:, 1, :], anchor_boxes=anchors, training=False)
        )

    def _anchors(self, count: tf.Tensor, size: tf.TensorShape | None = None) -> dict[str, tf.Tensor]:
        """The model's anchors for `count` images, of its own input size or another."""
        config = self.task_config.model
        if size is not None:
            config = config.replace(input_size=[*size, 3])
        anchors = anchor_targets.multilevel_anchors(config)
        return {level: tf.tile(boxes[tf.newaxis], [count, 1, 1, 1]) for level, boxes in anchors.items()}

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """Detects on a batch and computes its losses."""
        images, labels = inputs
        found = self.infer(images, labels['image_info'], model)
        if 'raw' not in found:
            # The loss is of the plain view.
            plain = views.read(views.unaugmented(self.task_config), images, labels['image_info'])
            found['raw'] = self.predict(*plain, model)['raw']
        raw = tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), found.pop('raw'))
        named = self.losses_of(raw, labels)
        logs = train_step.update_metrics({**named, 'total_loss': named['model_loss']}, metrics, self.loss)
        return {self.loss: logs[self.loss], _DETECTIONS: {**found, 'truth': labels['groundtruths']}}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> protocols.Evaluator:
        """Streams one step's detections of all replicas into the evaluator."""
        config = self.task_config
        evaluator = state or protocols.Evaluator(
            config.evaluation_protocols, self.categories, config.per_category_metrics, self._keypoint_evaluator()
        )
        per_replica = self.of_all_workers(step_outputs[_DETECTIONS])
        for replica in range(len(per_replica['scores'])):
            self._add(evaluator, _local(per_replica, replica))
        return evaluator

    def _add(self, evaluator: protocols.Evaluator, batch: dict[str, Any]) -> None:
        truth = batch['truth']
        for row in range(len(batch['scores'])):
            if not truth['height'][row]:
                continue  # fills up a batch; see `dataloaders/full_batches.py`
            kept, count = int(truth['num_detections'][row]), int(batch['num_detections'][row])
            image_id = int(truth['source_id'][row])
            found = {name: batch[name][row][:count] for name in ('boxes', 'scores', 'classes')}
            evaluator.add(
                image_id=image_id,
                height=int(truth['height'][row]),
                width=int(truth['width'][row]),
                truth_boxes=truth['boxes'][row][:kept],
                truth_classes=truth['classes'][row][:kept],
                truth_areas=truth['areas'][row][:kept],
                truth_is_crowd=truth['is_crowds'][row][:kept],
                truth_is_difficult=truth['is_difficult'][row][:kept],
                **found,
                **self._masks(batch, row, kept, found),
            )
            if self.detection_listener is not None:
                self.detection_listener(image_id, found)

    def _masks(self, batch: dict[str, Any], row: int, kept: int, found: dict[str, Any]) -> dict[str, Any]:
        """The evaluator's arguments for masks, of a family that has them."""
        del batch, row, kept, found
        return {}

    def _keypoint_evaluator(self) -> keypoints.KeypointEvaluator | None:
        """An empty one, of a family that has key points."""
        return None

    def reduce_aggregated_logs(self, aggregated_logs: protocols.Evaluator, global_step: Any = None) -> dict[str, float]:
        """Computes the numbers of each protocol (and AP per class, if asked for)."""
        del global_step
        return aggregated_logs.evaluate()


def in_original_pixels(outputs: dict[str, tf.Tensor], image_info: tf.Tensor) -> dict[str, tf.Tensor]:
    """A model's final detections with boxes in pixels of the original images, clipped to them.

    Args:
        outputs: Model Garden's detection_boxes [B, N, 4] and so on.
        image_info: float32 [B, 4, 2].

    Returns:
        boxes, scores, classes, num_detections; see `DetectionTask.predict`.
    """
    scale = tf.tile(image_info[:, tf.newaxis, 2, :], [1, 1, 2])
    limit = tf.tile(image_info[:, tf.newaxis, 0, :], [1, 1, 2])
    boxes = tf.cast(outputs['detection_boxes'], tf.float32) / scale
    return {
        'boxes': tf.clip_by_value(boxes, 0.0, limit),
        'scores': tf.cast(outputs['detection_scores'], tf.float32),
        'classes': tf.cast(outputs['detection_classes'], tf.int32),
        'num_detections': tf.cast(outputs['num_detections'], tf.int32),
    }


def _local(values: Any, replica: int) -> Any:
    """Takes one replica's arrays out of a dictionary of per-replica tuples."""
    if isinstance(values, dict):
        return {name: _local(value, replica) for name, value in values.items()}
    return values[replica].numpy()
