"""One detection example: decoded record in, image and padded boxes out; targets are made in the step."""

from typing import Any

import tensorflow as tf
from official.vision.dataloaders import utils
from official.vision.ops import box_ops

from official_rethink.augment import fitting, pipeline, policies
from official_rethink.configs import types
from official_rethink.data import keypoints
from official_rethink.dataloaders import decoder, instance_masks

PADDING = -1


def _pad(values: tf.Tensor, length: int, fill: int = PADDING) -> tf.Tensor:
    """Cuts or pads the first axis to `length` and makes it static."""
    values = values[:length]
    padding = [[0, length - tf.shape(values)[0]]] + [[0, 0]] * (values.shape.rank - 1)
    return tf.ensure_shape(
        tf.pad(values, padding, constant_values=fill), [length, *values.shape[1:].as_list()]
    )


class DetectionParser:
    """Turns decoded records into training or evaluation examples of a fixed shape."""

    def __init__(
        self,
        params: types.DataConfig,
        output_size: tuple[int, int],
        mask_size: int = 0,
        resizing: fitting.Resizing | None = None,
        reading: fitting.Fit | None = None,
        layout: keypoints.Layout | None = None,
    ):
        """Makes a parser.

        Args:
            params: the data config.
            output_size: the network's input height and width in pixels.
            mask_size: side of masks, 0 for none.
            resizing: to what size images are resized, if not to the largest that fits `output_size`.
            reading: how images are fitted in evaluation, if not as the network's input: for test-time augmentation.
            layout: of the key points of objects; None: not read.
        """
        self._layout = layout
        self._resizing = resizing
        self._reading = reading or fitting.Fit(output_size, resizing)
        self._params = params
        self._mask_size = mask_size
        self._output_size = output_size
        self._policy = policies.get_policy(params.augmentation.policy, **params.augmentation.overrides())
        self._score_threshold = (
            params.score_threshold if isinstance(params, types.PseudoDataConfig) else 0.0
        )

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a serialized record."""
        num_keypoints = len(self._layout.names) if self._layout is not None else 0
        return decoder.RecordDecoder(self._mask_size > 0, num_keypoints).decode(record)

    def wanted(self, decoded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Whether an image trains where those without anything to learn do not; bool scalar."""
        keep = self.kept(decoded)
        if self._layout is None or getattr(self._params, 'keep_images_without_keypoints', True):
            return tf.reduce_any(keep)
        labelled = tf.reduce_any(decoded['groundtruth_keypoints'][..., 2] > 0.0, axis=1)
        return tf.reduce_any(keep & labelled)

    def kept(self, decoded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Which objects train: not a crowd, not difficult, and scored at or over the threshold; bool [N]."""
        keep = decoded['groundtruth_scores'] >= self._score_threshold
        if self._params.skip_difficult:
            keep = tf.logical_and(keep, tf.logical_not(decoded['groundtruth_is_difficult']))
        if self._params.skip_crowd:
            keep = tf.logical_and(keep, tf.logical_not(decoded['groundtruth_is_crowd']))
        return keep

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Augments one example.

        Args:
            decoded: a record from `decoder.RecordDecoder`.
            seed: int32 [2], which fixes the augmentation.

        Returns:
            The image, uint8 [H, W, 3], and its labels: boxes float32 [M, 4] in pixels of the image,
            classes int32 [M] (both padded with -1), num_instances int32, image_info float32 [4, 2]
            as Model Garden's, num_candidates int32: objects in the record, num_kept int32: those that
            `kept` keeps, and score_sum float32: the sum of their scores. With masks also masks uint8 [M, S, S],
            255 on the object, each over its own box; with key points keypoints float32 [M, P, 3], y, x in pixels of
            the image and visibility, 0 of padding and of what the crop left out.
        """
        keep = self.kept(decoded)
        boxes = tf.boolean_mask(decoded['groundtruth_boxes'], keep)
        classes = tf.boolean_mask(decoded['groundtruth_classes'], keep)
        scores = tf.boolean_mask(decoded['groundtruth_scores'], keep)
        boxes = box_ops.denormalize_boxes(boxes, tf.shape(decoded['image'])[:2])
        points: dict[str, Any] = {}
        if self._layout is not None:
            points['keypoints'] = tf.boolean_mask(decoded['groundtruth_keypoints'], keep)
            points['flip_order'] = self._layout.flip_order()
        points['track'] = self._mask_size > 0
        augmented = pipeline.augment(
            decoded['image'], boxes, self._output_size, self._policy, seed, resizing=self._resizing, **points
        )
        length = self._params.max_num_instances
        labels = {
            'boxes': _pad(augmented.boxes, length),
            'classes': _pad(tf.cast(tf.gather(classes, augmented.keep), tf.int32), length),
            'num_instances': tf.minimum(tf.shape(augmented.keep)[0], length),
            'num_candidates': tf.shape(keep)[0],
            'num_kept': tf.reduce_sum(tf.cast(keep, tf.int32)),
            'score_sum': tf.reduce_sum(scores),
            'image_info': augmented.image_info,
        }
        if self._mask_size:
            encoded = tf.boolean_mask(decoded['groundtruth_instance_masks'], keep)
            encoded = tf.gather(encoded, augmented.keep[:length])
            cut = instance_masks.cut(encoded, augmented.boxes[:length], augmented.motion, self._mask_size)
            labels['masks'] = _pad(cut, length, fill=0)
        if self._layout is not None:
            labels['keypoints'] = _pad(augmented.keypoints, length, fill=0)
        return augmented.image, labels

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Resizes one example without randomness and carries its truth along.

        Returns:
            The image, uint8 [H, W, 3], and its labels: as in training (crowds left out), and
            image_info of the image as it is read, which test-time augmentation resizes later, and
            'groundtruths' in pixels of the original image, crowds included: source_id int64, height,
            width, boxes [M, 4], classes [M], areas [M], is_crowds int32 [M], is_difficult int32 [M], padded with -1,
            and num_detections int32; with key points also keypoints [M, P, 3], y, x and visibility.
        """
        size = tf.shape(decoded['image'])[:2]
        truth_boxes = box_ops.denormalize_boxes(decoded['groundtruth_boxes'], size)
        image, image_info = pipeline.fit(decoded['image'], self._reading)
        plain = fitting.layout(size, self._output_size, 1.0, tf.zeros([2]), self._resizing).image_info
        keep = self.kept(decoded)
        boxes = tf.boolean_mask(truth_boxes, keep) * tf.tile(plain[2], [2])[tf.newaxis]
        classes = tf.boolean_mask(decoded['groundtruth_classes'], keep)
        length = self._params.max_num_instances
        labels = {
            'boxes': _pad(boxes, length),
            'classes': _pad(tf.cast(classes, tf.int32), length),
            'num_instances': tf.minimum(tf.shape(classes)[0], length),
            'image_info': image_info,
            'groundtruths': {
                'source_id': utils.process_source_id(decoded['source_id']),
                'height': size[0],
                'width': size[1],
                'num_detections': tf.minimum(tf.shape(truth_boxes)[0], length),
                'boxes': _pad(truth_boxes, length),
                'classes': _pad(tf.cast(decoded['groundtruth_classes'], tf.int32), length),
                'areas': _pad(decoded['groundtruth_area'], length),
                'is_crowds': _pad(tf.cast(decoded['groundtruth_is_crowd'], tf.int32), length),
                'is_difficult': _pad(tf.cast(decoded['groundtruth_is_difficult'], tf.int32), length),
            },
        }
        if self._layout is not None:
            labels['groundtruths']['keypoints'] = _pad(decoded['groundtruth_keypoints'], length, fill=0)
        return image, labels
