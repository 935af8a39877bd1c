"""The servable detector: images of any size in; boxes, masks and key points in the images' own pixels out."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling import mask_images
from official_rethink.serving import module
from official_rethink.tasks import family

_SPECS = {'boxes': tf.float32, 'scores': tf.float32, 'classes': tf.int32, 'num_detections': tf.int32}


def gives(params: Any) -> dict[str, bool]:
    """Which of the further outputs a config's networks have: masks, image_masks, keypoints."""
    model, options = params.task.model, params.task.export_config
    return {
        'masks': bool(getattr(model, 'include_mask', False)),
        'image_masks': bool(getattr(options, 'output_image_masks', False)),
        'keypoints': bool(getattr(model, 'include_keypoints', False)),
    }


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
        self._gives = gives(params)
        super().__init__(params, task, model, batch_size)

    def facts(self) -> dict[str, Any]:
        """See the parent."""
        further = {f'gives_{name}': given for name, given in self._gives.items()}
        return {'normalized_coordinates': self.params.task.export_config.output_normalized_coordinates, **further}

    def _answer(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detects on what `_fit` gave.

        Returns:
            detection_boxes float32 [B, N, 4] y1 x1 y2 x2 in pixels of the original images, or in shares of
            their sides (export_config.output_normalized_coordinates); detection_scores float32 [B, N];
            detection_classes int32 [B, N]; num_detections int32 [B]; image_info float32 [B, 4, 2]. With masks
            detection_masks float32 [B, N, S, S], probabilities over the boxes, and if
            `export_config.output_image_masks` says so detection_image_masks uint8 [B, N, h, w], 1 on the object; h and
            w are the largest sides of the batch's images. With key points detection_keypoints float32 [B, N, P, 3]:
            y, x as boxes have them, and the score.
        """
        found = self._predict(images, image_info)
        options = self.params.task.export_config
        boxes, classes, count = found['boxes'], found['classes'], found['num_detections']
        further = self._further(found, image_info)
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
            **further,
        }

    def _further(self, found: dict[str, tf.Tensor], image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """The outputs that only some detectors have."""
        outputs = {}
        if self._gives['masks']:
            outputs['detection_masks'] = found['masks']
        if self._gives['image_masks']:
            masks = self._image_masks(found, tf.cast(image_info[:, 0], tf.int32))
            shape = [image_info.shape[0], found['masks'].shape[1], None, None]
            outputs['detection_image_masks'] = tf.ensure_shape(masks, shape)
        if self._gives['keypoints']:
            points = found['keypoints']
            if self.params.task.export_config.output_normalized_coordinates:
                sides = image_info[:, tf.newaxis, tf.newaxis, 0, :]
                points = tf.concat([points[..., :2] / sides, points[..., 2:]], axis=-1)
            outputs['detection_keypoints'] = points
        return outputs

    def _image_masks(self, found: dict[str, tf.Tensor], sizes: tf.Tensor) -> tf.Tensor:
        """Pastes every mask into its image; rows after the detections, and pixels beyond the image, are 0."""
        number = found['masks'].shape[1]

        def one(values: tuple[tf.Tensor, ...]) -> tf.Tensor:
            masks, boxes, count, own = values
            pasted = mask_images.paste(masks, boxes, own)
            pasted *= tf.cast(tf.range(number) < count, tf.uint8)[:, tf.newaxis, tf.newaxis]
            beyond = tf.reduce_max(sizes, axis=0) - own
            return tf.pad(pasted, [[0, 0], [0, beyond[0]], [0, beyond[1]]])

        def some() -> tf.Tensor:
            values = (found['masks'], found['boxes'], found['num_detections'], sizes)
            signature = tf.TensorSpec([number, None, None], tf.uint8)
            return tf.map_fn(one, values, parallel_iterations=1, fn_output_signature=signature)

        # A stack of no masks has no size.
        return tf.cond(tf.shape(sizes)[0] > 0, some, lambda: tf.zeros([0, number, 1, 1], tf.uint8))

    def _named(self, names: Sequence[str]) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
        def predict(images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
            found = self._task.predict(images, image_info, self.model)
            return {name: found[name] for name in names}

        return predict

    def _predict(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        names = (*_SPECS, *(name for name in ('masks', 'keypoints') if self._gives[name]))

        def one(pair: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            found = self._named(names)(pair[0][tf.newaxis], pair[1][tf.newaxis])
            return {name: value[0] for name, value in found.items()}

        version = self.params.task.model.detection_generator.nms_version
        if version != 'v1' or self._batch_size is not None:
            # Group norm, as Keras has it, fails on a batch without an image.
            return family.at_least_one(self._named(names), images, image_info, always=True)
        # Model Garden's 'v1' has to know the batch size when it is traced. Its exporter puts another NMS in
        # its place, which has no Soft-NMS; image by image the results stay the checkpoint's.
        specs = {name: _SPECS.get(name, tf.float32) for name in names}
        return tf.map_fn(one, (images, image_info), fn_output_signature=specs)
