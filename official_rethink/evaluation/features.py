"""A frozen backbone's features of a whole set of images, and their labels."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from official.vision.ops import preprocess_ops

from official_rethink.common import errors
from official_rethink.dataloaders import one_class
from official_rethink.modeling import contrastive

BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Features:
    """Attributes: pooled features float32 [N, F]; class ids int64 [N]."""

    values: np.ndarray
    labels: np.ndarray


def extractor(backbone: tf.keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from uint8 images [B, H, W, 3] to float32 features [B, F].

    Nothing in the backbone changes by it: batch norm takes its running statistics and leaves them alone, and
    so the features of an image do not depend on the others of its batch.
    """

    @tf.function(reduce_retracing=True)
    def features_of(images: tf.Tensor) -> tf.Tensor:
        return contrastive.pooled(backbone(preprocess_ops.normalize_image(images), training=False))

    return features_of


def extract(
    features_of: Callable[[tf.Tensor], tf.Tensor], input_path: str, output_size: tuple[int, int]
) -> Features:
    """Computes the features of a set once.

    Args:
        features_of: an `extractor`.
        input_path: shard pattern.
        output_size: the network's input height and width.

    Raises:
        UserError: no images, or one without a class of its own.
    """
    values, labels = [], []
    for images, about in one_class.read(input_path, output_size, BATCH_SIZE):
        unlabelled = about['label'].numpy() == one_class.NO_CLASS
        if unlabelled.any():
            source_id = about['source_id'].numpy()[unlabelled][0].decode()
            raise errors.UserError(
                f"image '{source_id}' of '{input_path}' has no class of its own: neither image/class/label nor just "
                'one object. A linear evaluation needs a classification set, such as `prepare scenes '
                '--kind=classification` or `prepare imagenet` write.'
            )
        values.append(features_of(images).numpy())
        labels.append(about['label'].numpy())
    if not values:
        raise errors.UserError(f"'{input_path}' holds no image.")
    return Features(np.concatenate(values), np.concatenate(labels))
