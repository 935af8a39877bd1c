"""One detection example: decoded record in, image and padded boxes out; targets are made in the step."""

from typing import Any

import tensorflow as tf
from official.vision.dataloaders import utils
from official.vision.ops import box_ops

from official_rethink.augment import pipeline, policies
from official_rethink.configs import types
from official_rethink.dataloaders import decoder

PADDING = -1


def _pad(values: tf.Tensor, length: int) -> tf.Tensor:
    """Cuts or pads the first axis to `length` with -1, and makes it static."""
    values = values[:length]
    padding = [[0, length - tf.shape(values)[0]]] + [[0, 0]] * (values.shape.rank - 1)
    return tf.ensure_shape(
        tf.pad(values, padding, constant_values=PADDING), [length, *values.shape[1:].as_list()]
    )


class DetectionParser:
    """Turns decoded records into training or evaluation examples of a fixed shape."""

    def __init__(self, params: types.DataConfig, output_size: tuple[int, int]):
        """Args: the data config; the network's input height and width in pixels."""
        self._params = params
        self._output_size = output_size
        self._policy = policies.get_policy(params.augmentation.policy, **params.augmentation.overrides())
        self._score_threshold = (
            params.score_threshold if isinstance(params, types.PseudoDataConfig) else 0.0
        )

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a serialized record."""
        return decoder.RecordDecoder().decode(record)

    def kept(self, decoded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Which objects train: not a crowd, and scored at or over the threshold; bool [N]."""
        keep = decoded['groundtruth_scores'] >= self._score_threshold
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
            `kept` keeps, and score_sum float32: the sum of their scores.
        """
        keep = self.kept(decoded)
        boxes = tf.boolean_mask(decoded['groundtruth_boxes'], keep)
        classes = tf.boolean_mask(decoded['groundtruth_classes'], keep)
        scores = tf.boolean_mask(decoded['groundtruth_scores'], keep)
        boxes = box_ops.denormalize_boxes(boxes, tf.shape(decoded['image'])[:2])
        augmented = pipeline.augment(decoded['image'], boxes, self._output_size, self._policy, seed)
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
        return augmented.image, labels

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Resizes one example without randomness and carries its truth along.

        Returns:
            The image, uint8 [H, W, 3], and its labels: as in training (crowds left out), and
            'groundtruths' in pixels of the original image, crowds included: source_id int64, height,
            width, boxes [M, 4], classes [M], areas [M], is_crowds [M], padded with -1, and
            num_detections int32.
        """
        size = tf.shape(decoded['image'])[:2]
        truth_boxes = box_ops.denormalize_boxes(decoded['groundtruth_boxes'], size)
        image, image_info = pipeline.resize_and_pad(decoded['image'], self._output_size)
        keep = self.kept(decoded)
        boxes = tf.boolean_mask(truth_boxes, keep) * tf.tile(image_info[2], [2])[tf.newaxis]
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
            },
        }
        return image, labels
