"""One classification example: record in, image and distribution over classes out; mixup over batches."""

from typing import Any

import tensorflow as tf

from official_rethink.augment import single_image
from official_rethink.configs import classification as configs
from official_rethink.dataloaders import sharing
from official_rethink.losses import classification as losses

LABEL = 'image/class/label'
PROBABILITIES = 'image/class/probabilities'
ENCODED = 'image/encoded'


class ClassificationParser:
    """Turns records into training or evaluation examples; class id i is column i - 1 of a distribution."""

    def __init__(
        self, params: configs.Data, output_size: tuple[int, int], num_classes: int, label_smoothing: float = 0.0
    ):
        """Args: the data config; the network's input height and width; K; of human and hard labels."""
        self._params = params
        self._size = output_size
        self._num_classes = num_classes
        self._smoothing = label_smoothing
        self._soft = isinstance(params, configs.PseudoData) and params.labels == 'soft'

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a serialized record: image uint8 [H, W, 3], label int32, probabilities float32 [K or 0]."""
        features = {
            ENCODED: tf.io.FixedLenFeature((), tf.string),
            LABEL: tf.io.FixedLenFeature((), tf.int64),
            PROBABILITIES: tf.io.VarLenFeature(tf.float32),
        }
        parsed = tf.io.parse_single_example(record, features)
        image = tf.io.decode_image(parsed[ENCODED], channels=3, expand_animations=False)
        return {
            'image': tf.ensure_shape(image, [None, None, 3]),
            'label': tf.cast(parsed[LABEL], tf.int32),
            'probabilities': parsed[PROBABILITIES].values,
        }

    def _labels(self, decoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        label, probabilities = decoded['label'], decoded['probabilities']
        if self._soft:
            assert isinstance(self._params, configs.PseudoData)
            probabilities = tf.ensure_shape(probabilities, [self._num_classes])
            targets = losses.sharpened(probabilities, self._params.temperature)
        else:
            targets = losses.smoothed(label, self._num_classes, self._smoothing)
        # A human label is certain.
        known = tf.shape(probabilities)[0] > 0
        confidence = tf.cond(known, lambda: tf.reduce_max(probabilities), lambda: tf.constant(1.0))
        return {'targets': targets, 'label': label, 'confidence': confidence}

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Augments one example.

        Args:
            decoded: a record from `decode`.
            seed: int [2], which fixes the augmentation.

        Returns:
            The image, uint8 [H, W, 3], and its labels: targets float32 [K], a distribution over the classes;
            label int32, from 1; confidence float32, the teacher's, 1 for a human label.
        """
        params, chosen = self._params, self._params.augmentation
        parts = [tf.random.experimental.stateless_fold_in(seed, number) for number in range(3)]
        image = single_image.random_crop(
            decoded['image'],
            self._size,
            (chosen.area_min, chosen.area_max),
            (chosen.aspect_ratio_min, chosen.aspect_ratio_max),
            params.resize,
            params.crop_fraction,
            parts[0],
        )
        image = single_image.flip(image, chosen.flip_probability, parts[1])
        image = single_image.distort(
            image, chosen.policy, chosen.randaugment_layers, chosen.randaugment_magnitude, parts[2]
        )
        return image, self._labels(decoded)

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Cuts out the centre; labels as in training."""
        params = self._params
        image = single_image.center_crop(decoded['image'], self._size, params.crop_fraction, params.resize)
        return image, self._labels(decoded)

    def mix(
        self,
        images: tf.Tensor,
        labels: dict[str, Any],
        seed: tf.Tensor,
        places: sharing.Places | None = None,
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """Mixup (Zhang et al., 2018) of each example with the one opposite it in the batch, as the release.

        The larger weight, drawn from Beta(alpha, alpha) for each example, is the example's own.

        Args:
            images: uint8 [B, H, W, 3].
            labels: of `train`.
            seed: int64 [2], of the batch.
            places: which of a larger batch these are, each with the one opposite it; None: a batch of their own.
        """
        alpha = self._params.augmentation.mixup_alpha
        total = places.total if places else tf.shape(images)[0]
        draws = [tf.random.stateless_gamma([total], tf.stack([seed[0], 2 * seed[1] + n]), alpha) for n in range(2)]
        parts = [tf.gather(drawn, places.read) if places else drawn for drawn in draws]
        share = tf.math.divide_no_nan(parts[0], parts[0] + parts[1])
        weight = tf.maximum(share, 1.0 - share)
        pixels = tf.cast(images, tf.float32)
        factor = weight[:, tf.newaxis, tf.newaxis, tf.newaxis]
        mixed = tf.cast(pixels * factor + pixels[::-1] * (1.0 - factor) + 0.5, tf.uint8)
        targets = labels['targets']
        factor = weight[:, tf.newaxis]
        return mixed, {**labels, 'targets': targets * factor + targets[::-1] * (1.0 - factor)}

    @property
    def mixes(self) -> bool:
        """Whether `mix` is to be applied to training batches."""
        return self._params.augmentation.mixup_alpha > 0
