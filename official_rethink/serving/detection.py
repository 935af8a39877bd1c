"""The servable detector: images of any size in, boxes in the images' own pixels out."""

from typing import Any

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.serving import module


class DetectionModule(module.ImageModule):
    """The task's own `predict`, under Model Garden's names of outputs."""

    def __init__(self, params: Any, task: Any, model: tf.keras.Model, batch_size: int | None = None):
        """Args: as the parent's.

        Raises:
            UserError: the config asks for outputs that are not served.
        """
        if params.task.export_config.output_intermediate_features:
            raise errors.bad_value(
                'task.export_config.output_intermediate_features', True, 'false; only detections are served'
            )
        super().__init__(params, task, model, batch_size)

    def facts(self) -> dict[str, Any]:
        """See the parent."""
        return {'normalized_coordinates': self.params.task.export_config.output_normalized_coordinates}

    def _answer(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detects on what `_fit` gave.

        Returns:
            detection_boxes float32 [B, N, 4] y1 x1 y2 x2 in pixels of the original images, or in shares of
            their sides (export_config.output_normalized_coordinates); detection_scores float32 [B, N];
            detection_classes int32 [B, N]; num_detections int32 [B]; image_info float32 [B, 4, 2].
        """
        found = self._predict(images, image_info)
        options = self.params.task.export_config
        boxes, classes, count = found['boxes'], found['classes'], found['num_detections']
        if options.output_normalized_coordinates:
            boxes /= tf.tile(image_info[:, tf.newaxis, 0, :], [1, 1, 2])
        if options.cast_detection_classes_to_float:
            classes = tf.cast(classes, tf.float32)
        if options.cast_num_detections_to_float:
            count = tf.cast(count, tf.float32)
        return {
            'detection_boxes': boxes,
            'detection_scores': found['scores'],
            'detection_classes': classes,
            'num_detections': count,
            'image_info': image_info,
        }

    def _predict(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        names = ('boxes', 'scores', 'classes', 'num_detections')

        def one(pair: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            found = self._task.predict(pair[0][tf.newaxis], pair[1][tf.newaxis], self.model)
            return {name: found[name][0] for name in names}

        version = self.params.task.model.detection_generator.nms_version
        if version != 'v1' or self._batch_size is not None:
            found = self._task.predict(images, image_info, self.model)
            return {name: found[name] for name in names}
        # Model Garden's 'v1' has to know the batch size when it is traced. Its exporter puts another NMS in
        # its place, which has no Soft-NMS; image by image the results stay the checkpoint's.
        specs = {'boxes': tf.float32, 'scores': tf.float32, 'classes': tf.int32, 'num_detections': tf.int32}
        return tf.map_fn(one, (images, image_info), fn_output_signature=specs)
