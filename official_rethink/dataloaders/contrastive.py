"""Two views of every image of any prepared set, for contrastive pre-training; labels are not read."""

from typing import Any

import tensorflow as tf

from official_rethink.augment import contrastive
from official_rethink.configs import simclr, types
from official_rethink.dataloaders import decoder, reader

_ENCODED = 'image/encoded'
_BUCKETS = 2**31 - 1


class ContrastiveParser:
    """Turns records into pairs of views."""

    def __init__(self, params: simclr.ContrastiveData, output_size: tuple[int, int]):
        """Args: the data config; the network's input height and width in pixels."""
        self._policy = contrastive.ViewPolicy(**params.views.as_dict())
        self._output_size = output_size

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads image, uint8 [H, W, 3], and source_id of a serialized record; a grey image gets three channels."""
        features = {name: tf.io.FixedLenFeature((), tf.string, '') for name in (_ENCODED, decoder.SOURCE_ID)}
        parsed = tf.io.parse_single_example(record, features)
        image = tf.io.decode_image(parsed[_ENCODED], channels=3, expand_animations=False)
        return {'image': tf.ensure_shape(image, [None, None, 3]), 'source_id': parsed[decoder.SOURCE_ID]}

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Returns two views, uint8 [2, H, W, 3], and no labels."""
        return contrastive.two_views(decoded['image'], self._output_size, self._policy, seed), {}

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Returns two views that are the same at every evaluation, drawn from the image's id."""
        number = tf.strings.to_hash_bucket_fast(decoded['source_id'], _BUCKETS)
        return self.train(decoded, tf.stack([tf.constant(0, tf.int64), number]))


def read(
    params: simclr.ContrastiveData,
    output_size: tuple[int, int],
    seed: int = 0,
    first_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Reads batches of (views uint8 [B, 2, H, W, 3], no labels); see `reader.read` for the arguments.

    In evaluation too only whole batches are given: in a smaller one there is less to tell apart.
    """
    whole: types.ShardData = params.replace(drop_remainder=True)
    return reader.read(
        whole, output_size, seed, first_step, input_context, parser=ContrastiveParser(params, output_size)
    )
