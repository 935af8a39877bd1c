"""Key points of regions: which regions learn them and where, the head that draws heat maps, and points out of maps.

Letters: B batch, R regions, M padded instances, P key points of an object, S side of a heat map.
"""

from typing import NamedTuple

import tensorflow as tf


class Targets(NamedTuple):
    """What the regions that learn key points should find.

    Attributes:
        boxes: float32 [B, K, 4], the regions.
        cells: int32 [B, K, P], y * S + x of the cell with the point; 0 where `weights` is 0.
        weights: float32 [B, K, P], 1 for points that are labelled and inside their region.
    """

    boxes: tf.Tensor
    cells: tf.Tensor
    weights: tf.Tensor


def targets(
    boxes: tf.Tensor, classes: tf.Tensor, indices: tf.Tensor, keypoints: tf.Tensor, count: int, side: int
) -> Targets:
    """Chooses regions and places their points on the heat map, as Detectron.

    Args:
        boxes: float32 [B, R, 4], the sampled regions, pixels.
        classes: [B, R], class of each region's object, 0 for background.
        indices: [B, R], which instance each belongs to.
        keypoints: float32 [B, M, P, 3], y, x in pixels and visibility.
        count: most regions of an image; those with a labelled point inside come first, others fill up without weight.
        side: S.
    """
    places = tf.gather(keypoints, tf.maximum(tf.cast(indices, tf.int32), 0), batch_dims=1)  # [B, R, P, 3]
    low, size = boxes[..., tf.newaxis, :2], boxes[..., tf.newaxis, 2:] - boxes[..., tf.newaxis, :2]
    shares = tf.math.divide_no_nan(places[..., :2] - low, size)
    inside = tf.reduce_all((shares >= 0.0) & (shares <= 1.0) & (size > 0.0), axis=-1)
    learns = inside & (places[..., 2] > 0.0) & (classes > 0)[..., tf.newaxis]
    # A point on the region's far edge belongs to its last cell.
    steps = tf.minimum(tf.floor(tf.where(learns[..., tf.newaxis], shares, 0.0) * side), side - 1.0)
    cells = tf.cast(steps[..., 0] * side + steps[..., 1], tf.int32)
    count = min(count, boxes.shape[1]) if boxes.shape[1] else count
    _, first = tf.nn.top_k(tf.cast(tf.reduce_any(learns, axis=-1), tf.int32), k=count)
    chosen = (tf.gather(value, first, batch_dims=1) for value in (boxes, cells, tf.cast(learns, tf.float32)))
    return Targets(*(tf.stop_gradient(value) for value in chosen))


class KeypointHead(tf.keras.layers.Layer):
    """Convolutions, a transposed convolution to one map a point, and bilinear enlargement [Detectron's v1convX]."""

    def __init__(
        self,
        num_keypoints: int,
        num_convs: int,
        num_filters: int,
        upsample_factor: int,
        activation: str,
        use_sync_bn: bool,
        norm_momentum: float,
        norm_epsilon: float,
        kernel_regularizer: tf.keras.regularizers.Regularizer | None,
        name: str = 'keypoint_head',
    ):
        """Args: see `configs/keypoints.py`; then what networks take of a normalisation, `normalization.arguments`."""
        super().__init__(name=name)
        self._upsample_factor = upsample_factor
        self._activation = tf.keras.activations.get(activation)
        norm = {'momentum': norm_momentum, 'epsilon': norm_epsilon, 'synchronized': use_sync_bn}

        def kernel() -> dict[str, object]:
            msra = tf.keras.initializers.VarianceScaling(2.0, 'fan_out', 'untruncated_normal')
            return {'padding': 'same', 'kernel_initializer': msra, 'kernel_regularizer': kernel_regularizer}

        numbers = range(num_convs)
        self._convs = [
            tf.keras.layers.Conv2D(num_filters, 3, name=f'keypoint-conv_{number}', **kernel()) for number in numbers
        ]
        self._norms = [
            tf.keras.layers.BatchNormalization(name=f'keypoint-conv-norm_{number}', **norm) for number in numbers
        ]
        self._maps = tf.keras.layers.Conv2DTranspose(num_keypoints, 4, strides=2, name='keypoint-maps', **kernel())

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Draws heat maps.

        Args:
            features: [B, R, h, w, C] of regions.

        Returns:
            float32 [B, R, S, S, P], logits; S is h * 2 * upsample_factor.
        """
        regions = tf.shape(features)[:2]
        values = tf.reshape(features, [-1, *features.shape[2:]])
        for conv, norm in zip(self._convs, self._norms, strict=True):
            values = self._activation(norm(conv(values)))
        maps = tf.cast(self._maps(values), tf.float32)
        side = maps.shape[1] * self._upsample_factor
        maps = tf.image.resize(maps, [side, side])
        return tf.ensure_shape(
            tf.reshape(maps, [*tf.unstack(regions), side, side, maps.shape[-1]]),
            [features.shape[0], features.shape[1], side, side, maps.shape[-1]],
        )


def find(maps: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Takes the points out of heat maps: the highest cell, and within it the top of a parabola through its neighbours.

    Detectron enlarges each map to its box's pixels with bicubic interpolation before it takes the highest place. The
    parabola finds the place between cells for a hundred boxes at once, without such maps.

    Args:
        maps: float32 [B, R, S, S, P], logits.
        boxes: float32 [B, R, 4], y1 x1 y2 x2 of the regions.

    Returns:
        float32 [B, R, P, 3]: y, x in the boxes' pixels, and the highest cell's share of the map's softmax, in [0, 1].
    """
    side, points = maps.shape[2], maps.shape[4]
    flat = tf.reshape(tf.transpose(maps, [0, 1, 4, 2, 3]), [*tf.unstack(tf.shape(maps)[:2]), points, side * side])
    cell = tf.argmax(flat, axis=-1, output_type=tf.int32)
    top = tf.reduce_max(flat, axis=-1)
    score = tf.exp(top - tf.reduce_logsumexp(flat, axis=-1))
    places = []
    for index, step in ((cell // side, side), (cell % side, 1)):
        last = side - 1
        before = tf.gather(flat, tf.where(index > 0, cell - step, cell), batch_dims=3)
        after = tf.gather(flat, tf.where(index < last, cell + step, cell), batch_dims=3)
        shift = 0.5 * tf.math.divide_no_nan(after - before, 2.0 * top - before - after)
        shift = tf.where((index > 0) & (index < last), shift, 0.0)
        places.append((tf.cast(index, tf.float32) + 0.5 + shift) / side)
    low, size = boxes[..., tf.newaxis, :2], boxes[..., tf.newaxis, 2:] - boxes[..., tf.newaxis, :2]
    return tf.concat([low + tf.stack(places, axis=-1) * size, score[..., tf.newaxis]], axis=-1)
