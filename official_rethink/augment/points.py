"""Key points through the geometry of augmentation: the same transforms as boxes, with the pixels they lie on.

Points are float32 [N, P, 3]: y, x in pixels as boxes have them, and visibility (0 not labelled, 1 hidden, 2 visible).
What leaves the image is not labelled any more: 0, 0, 0.
"""

from collections.abc import Sequence

import tensorflow as tf

from official_rethink.augment import geometry


def kept_inside(points: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Makes points outside an image of `size` [2], height and width, unlabelled, and all unlabelled ones zero."""
    places, limit = points[..., :2], tf.cast(size, tf.float32)
    inside = tf.reduce_all((places >= 0.0) & (places <= limit), axis=-1) & (points[..., 2] > 0.0)
    return tf.where(inside[..., tf.newaxis], points, 0.0)


def move(points: tf.Tensor, transform: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Carries points through a transform that keeps the image's size."""
    places = geometry.transform_points(points[..., :2], transform)
    moved = kept_inside(tf.concat([places, points[..., 2:]], axis=-1), size)
    return tf.where(geometry.is_identity(transform), points, moved)


def place(
    points: tf.Tensor,
    size: tf.Tensor,
    scaled_size: tf.Tensor,
    offset: tf.Tensor,
    content: tf.Tensor,
    flip: tf.Tensor,
) -> tf.Tensor:
    """Carries points through flip, resize and crop, `geometry.placement`.

    Args:
        points: of an image of `size` [2].
        size: height and width.
        scaled_size: [2], after the resize.
        offset: [2], first row and column that the crop keeps.
        content: [2], rows and columns that it keeps.
        flip: bool scalar.
    """
    places = geometry.transform_points(points[..., :2], geometry.placement(size, scaled_size, offset, flip))
    return kept_inside(tf.concat([places, points[..., 2:]], axis=-1), content)


def mirrored(points: tf.Tensor, flip: tf.Tensor, flip_order: Sequence[int]) -> tf.Tensor:
    """Lets left and right points trade places where `flip`, a bool scalar, mirrored the image.

    Args:
        points: as everywhere here.
        flip: whether it did.
        flip_order: for each point, which one it is after mirroring.
    """
    return tf.cond(flip, lambda: tf.gather(points, list(flip_order), axis=1), lambda: points)


def slide(points: tf.Tensor, picked: tf.Tensor, pixels: int | tf.Tensor) -> tf.Tensor:
    """Does to points what `boxes_only.translate_y` does to pixels: those in a picked box go up by `pixels`.

    Args:
        points: as everywhere here.
        picked: int32 [B, 4], first row, first column, last row, last column.
        pixels: whole pixels; what they carry beyond the box's rows is lost.
    """
    shift = tf.cast(tf.cast(pixels, tf.int32), tf.float32)

    def one(index: tf.Tensor, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        top, left, last_row, last_column = tf.unstack(tf.cast(picked[index], tf.float32))
        y, x, visible = tf.unstack(points, axis=-1)
        within = (y >= top) & (y < last_row + 1.0) & (x >= left) & (x < last_column + 1.0)
        there = (y - shift >= top) & (y - shift < last_row + 1.0)
        moved = tf.stack([y - shift, x, visible], axis=-1)
        moved = tf.where(there[..., tf.newaxis], moved, 0.0)
        return index + 1, tf.where((within & (visible > 0.0))[..., tf.newaxis], moved, points)

    count = tf.shape(picked)[0]
    return tf.while_loop(lambda index, _: index < count, one, (tf.constant(0), points))[1]
