"""Images with their one class, in the order of the shards: what a linear evaluation reads."""

from typing import Any

import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.configs import types
from official_rethink.dataloaders import decoder, reader

NO_CLASS = -1
_ENCODED, _CLASS, _OBJECTS = 'image/encoded', 'image/class/label', 'image/object/class/label'


class OneClassParser:
    """Turns records into images and labels; nothing is drawn."""

    def __init__(self, output_size: tuple[int, int]):
        """Args: the network's input height and width in pixels."""
        self._output_size = output_size

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads image, source_id and label of a serialized record.

        The label is the image's class; in a detection set the class of its object if there is just one;
        else -1.
        """
        parsed = tf.io.parse_single_example(
            record,
            {
                _ENCODED: tf.io.FixedLenFeature((), tf.string, ''),
                decoder.SOURCE_ID: tf.io.FixedLenFeature((), tf.string, ''),
                _CLASS: tf.io.FixedLenFeature((), tf.int64, NO_CLASS),
                _OBJECTS: tf.io.VarLenFeature(tf.int64),
            },
        )
        image = tf.io.decode_image(parsed[_ENCODED], channels=3, expand_animations=False)
        objects = parsed[_OBJECTS].values
        of_object = tf.cond(tf.size(objects) == 1, lambda: objects[0], lambda: tf.constant(NO_CLASS, tf.int64))
        label = tf.where(parsed[_CLASS] > 0, parsed[_CLASS], of_object)
        return {
            'image': tf.ensure_shape(image, [None, None, 3]),
            'source_id': parsed[decoder.SOURCE_ID],
            'label': label,
        }

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Returns the image, resized and padded as in every evaluation, uint8 [H, W, 3]; label and source_id."""
        image, _ = pipeline.resize_and_pad(decoded['image'], self._output_size)
        return image, {'label': decoded['label'], 'source_id': decoded['source_id']}

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """As `evaluate`: features are taken of images as they are."""
        del seed
        return self.evaluate(decoded)


def read(input_path: str, output_size: tuple[int, int], batch_size: int) -> tf.data.Dataset:
    """Reads a whole set once, in the order of its shards, the last batch as small as it is.

    Args:
        input_path: shard pattern, or several separated by commas.
        output_size: the network's input height and width.
        batch_size: images at a time.

    Returns:
        Batches of (images uint8 [B, H, W, 3], {'label': int64 [B], 'source_id': string [B]}).
    """
    params = types.ShardData(
        input_path=input_path, global_batch_size=batch_size, is_training=False, drop_remainder=False
    )
    return reader.read(params, output_size, parser=OneClassParser(output_size))
