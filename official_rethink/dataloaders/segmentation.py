"""One segmentation example: record in, image and label map out, of fixed shapes; 255 is ignored everywhere."""

import math
from typing import Any

import tensorflow as tf
from official.vision.dataloaders import utils

from official_rethink.augment import pipeline, policies
from official_rethink.common import errors
from official_rethink.configs import segmentation as configs
from official_rethink.data import label_maps, shards
from official_rethink.dataloaders import decoder

ENCODED = 'image/encoded'
LABEL_MAP = 'image/segmentation/class/encoded'
SCORE_MAP = 'image/segmentation/score/encoded'
_MAX_SCORE = 255


def groundtruth_size(params: configs.SegmentationData) -> tuple[int, int]:
    """Height and width that evaluation pads label maps of original size to.

    Raises:
        UserError: neither the config nor a description beside the shards tells it.
    """
    if params.groundtruth_padded_size:
        height, width = params.groundtruth_padded_size
        return height, width
    sizes = []
    for pattern in params.input_path.split(','):
        try:
            sizes.append(shards.load_description(pattern.strip())['image_sizes']['max'])
        except (errors.UserError, KeyError) as error:
            raise errors.UserError(
                f"the shards '{pattern.strip()}' have no description that tells the size of the largest image; set "
                'groundtruth_padded_size of the task.validation_data or task.test_data they belong to, as [height, '
                'width].'
            ) from error
    return max(height for height, _ in sizes), max(width for _, width in sizes)


class SegmentationParser:
    """Turns records into training or evaluation examples."""

    def __init__(self, params: configs.SegmentationData, output_size: tuple[int, int], num_classes: int):
        """Args: the data config; the network's input height and width in pixels; K, the background included."""
        self._params = params
        self._output_size = output_size
        self._num_classes = num_classes
        self._policy = policies.get_policy(params.augmentation.policy, **params.augmentation.overrides())
        pseudo = isinstance(params, configs.PseudoSegmentationData)
        # Scores are whole numbers, so at or over 255 t is at or over the next whole number.
        self._least_score = math.ceil(_MAX_SCORE * params.score_threshold) if pseudo else 0
        self._truth_size = None if params.is_training else groundtruth_size(params)

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a serialized record: image uint8 [H, W, 3], source_id, label_map and score_map uint8 [H, W].

        A human-labelled pixel has the highest score, 255. A record without a label map, with one of another size, or
        with class ids that the model has not, stops the reading, and the error names its source id.
        """
        names = (ENCODED, LABEL_MAP, SCORE_MAP, decoder.SOURCE_ID)
        parsed = tf.io.parse_single_example(record, {name: tf.io.FixedLenFeature((), tf.string, '') for name in names})
        source_id = parsed[decoder.SOURCE_ID]
        with _required(tf.strings.length(parsed[LABEL_MAP]) > 0, source_id, 'has no label map'):
            image = tf.io.decode_image(parsed[ENCODED], channels=3, expand_animations=False)
            label_map = _plane(parsed[LABEL_MAP])
        size = tf.shape(label_map)
        scored = tf.strings.length(parsed[SCORE_MAP]) > 0
        score_map = tf.cond(
            scored, lambda: _plane(parsed[SCORE_MAP]), lambda: tf.fill(size, tf.constant(_MAX_SCORE, tf.uint8))
        )
        alike = tf.reduce_all(tf.equal(tf.shape(image)[:2], size) & tf.equal(tf.shape(score_map), size))
        highest = tf.reduce_max(tf.where(tf.equal(label_map, label_maps.IGNORE), tf.zeros_like(label_map), label_map))
        known = tf.cast(highest, tf.int32) < self._num_classes
        with (
            _required(alike, source_id, 'has a label map or a score map of another size than its own', size),
            _required(known, source_id, f'has a label map with a class id of {self._num_classes} or more', highest),
        ):
            label_map = tf.identity(label_map)
        return {
            'image': tf.ensure_shape(image, [None, None, 3]),
            'source_id': source_id,
            'label_map': label_map,
            'score_map': score_map,
        }

    def kept(self, decoded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Which pixels train: those of a class, scored at or over the threshold; bool [H, W]."""
        scored = tf.cast(decoded['score_map'], tf.int32) >= self._least_score
        return tf.not_equal(decoded['label_map'], label_maps.IGNORE) & scored

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Augments one example.

        Args:
            decoded: a record from `decode`.
            seed: int [2], which fixes the augmentation.

        Returns:
            The image, uint8 [H, W, 3], and its labels: label_map uint8 [H, W], 255 where a pixel is void, scored
            under the threshold or beyond the image; image_info float32 [4, 2] as Model Garden's; valid_pixels int32,
            those of label_map that are not 255; num_regions int32, the classes in it but for the background; and of
            the image as it is stored coverage float32, the share of its pixels that `kept` keeps, kept_pixels
            float32 and score_sum float32, the sum of their scores from 0 to 1.
        """
        keep = self.kept(decoded)
        labels = tf.where(keep, decoded['label_map'], tf.constant(label_maps.IGNORE, tf.uint8))
        no_box = tf.zeros([0, 4])
        augmented = pipeline.augment(
            decoded['image'], no_box, self._output_size, self._policy, seed, label_map=labels
        )
        kept_pixels = tf.reduce_sum(tf.cast(keep, tf.float32))
        scores = tf.where(keep, tf.cast(decoded['score_map'], tf.float32), 0.0) / _MAX_SCORE
        return augmented.image, {
            **_counted(augmented.label_map),
            'image_info': augmented.image_info,
            'coverage': kept_pixels / tf.cast(tf.size(keep), tf.float32),
            'kept_pixels': kept_pixels,
            'score_sum': tf.reduce_sum(scores),
        }

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Resizes one example without randomness and carries its truth along.

        Returns:
            The image, uint8 [H, W, 3], and its labels: label_map uint8 [H, W] resized and padded as the image,
            image_info, valid_pixels and num_regions as in training, and 'groundtruths': source_id int64, height,
            width int32, and label_map uint8 [GH, GW], the original's pixels padded with 255.
        """
        assert self._truth_size is not None, 'is_training of the data config says that there is no evaluation'
        image, image_info = pipeline.resize_and_pad(decoded['image'], self._output_size)
        truth, size = decoded['label_map'], tf.shape(decoded['label_map'])
        fits = tf.reduce_all(size <= tf.constant(self._truth_size))
        with _required(fits, decoded['source_id'], f'is larger than groundtruth_padded_size {self._truth_size}', size):
            missing = tf.constant(self._truth_size) - size
        padded = tf.pad(truth, [[0, missing[0]], [0, missing[1]]], constant_values=label_maps.IGNORE)
        return image, {
            **_counted(pipeline.resize_and_pad_label_map(truth, self._output_size)),
            'image_info': image_info,
            'groundtruths': {
                'source_id': utils.process_source_id(decoded['source_id']),
                'height': size[0],
                'width': size[1],
                'label_map': tf.ensure_shape(padded, self._truth_size),
            },
        }


def _required(condition: tf.Tensor, source_id: tf.Tensor, problem: str, *values: tf.Tensor) -> Any:
    """What is computed inside needs the condition; if it fails, reading stops and says which image has the problem."""
    check = tf.debugging.Assert(condition, ['image', source_id, problem, *values])
    return tf.control_dependencies([] if check is None else [check])


def _plane(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_png(encoded, channels=1, dtype=tf.uint8)[..., 0]


def _counted(label_map: tf.Tensor) -> dict[str, tf.Tensor]:
    """A label map with its labelled pixels and its classes, the background left out."""
    valid = tf.not_equal(label_map, label_maps.IGNORE)
    pixels = tf.math.bincount(tf.reshape(tf.cast(label_map, tf.int32), [-1]), minlength=256)
    return {
        'label_map': label_map,
        'valid_pixels': tf.reduce_sum(tf.cast(valid, tf.int32)),
        'num_regions': tf.math.count_nonzero(pixels[1:255], dtype=tf.int32),
    }
