"""The geometry of augmentation: one transform for everything, composed before any pixel is touched.

A transform is a 3x3 float32 matrix on pixel indices (x, y, 1) that says, for a place in the *result*, which
place of the *source* is shown there, as image warps want it. `first` followed by `second` is therefore
`first @ second`. Pixel i covers [i, i + 1), so boxes, whose coordinates are pixel edges, lie half a pixel
from indices; `transform_points` knows that. Boxes are y1 x1 y2 x2 in pixels, N of them, N may be 0.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

# As the reference (_check_bbox_area): a box that an AutoAugment operation pushed out of the image stays as a
# strip of this fraction of the image along the edge it left by.
VANISHED_STRIP = 0.05


def matrix(rows: Sequence[Sequence[float | tf.Tensor]]) -> tf.Tensor:
    """Returns the 3x3 transform whose first two rows are given, numbers or scalar tensors."""
    values = [tf.cast(value, tf.float32) for row in rows for value in row]
    return tf.reshape(tf.stack([*values, 0.0, 0.0, 1.0]), [3, 3])


def identity() -> tf.Tensor:
    """Returns the transform that changes nothing."""
    return tf.eye(3)


def rotation(degrees: float | tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the rotation about the centre of an image of `size` [2]; positive turns it anticlockwise."""
    radians = tf.cast(degrees, tf.float32) * (math.pi / 180.0)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    last = tf.cast(size, tf.float32) - 1.0
    shift_x = (last[1] - (cosine * last[1] - sine * last[0])) / 2.0
    shift_y = (last[0] - (sine * last[1] + cosine * last[0])) / 2.0
    return matrix([[cosine, -sine, shift_x], [sine, cosine, shift_y]])


def shear_x(level: float | tf.Tensor) -> tf.Tensor:
    """Returns the shear along x about the top row."""
    return matrix([[1.0, level, 0.0], [0.0, 1.0, 0.0]])


def shear_y(level: float | tf.Tensor) -> tf.Tensor:
    """Returns the shear along y about the left column."""
    return matrix([[1.0, 0.0, 0.0], [level, 1.0, 0.0]])


def translation(y_pixels: float | tf.Tensor, x_pixels: float | tf.Tensor) -> tf.Tensor:
    """Returns the shift of the content up and left, by whole pixels as nearest sampling makes it."""
    y_pixels = tf.floor(tf.cast(y_pixels, tf.float32) + 0.5)
    x_pixels = tf.floor(tf.cast(x_pixels, tf.float32) + 0.5)
    return matrix([[1.0, 0.0, x_pixels], [0.0, 1.0, y_pixels]])


def placement(size: tf.Tensor, scaled_size: tf.Tensor, offset: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Returns flip, resize to `scaled_size` (half-pixel centres) and crop at `offset` as one transform.

    Args:
        size: [2] height and width of the image.
        scaled_size: [2] size after the resize.
        offset: [2] first row and column kept by the crop.
        flip: bool scalar, whether the image is mirrored left to right first.
    """
    size, scaled, offset = (tf.cast(value, tf.float32) for value in (size, scaled_size, offset))
    step = size / scaled
    start = (offset + 0.5) * step - 0.5
    x_step = tf.where(flip, -step[1], step[1])
    x_start = tf.where(flip, size[1] - 1.0 - start[1], start[1])
    return matrix([[x_step, 0.0, x_start], [0.0, step[0], start[0]]])


def inverse(transform: tf.Tensor) -> tf.Tensor:
    """Returns the inverse of an affine transform; ours never collapse the plane, so it exists."""
    a, b, c = tf.unstack(transform[0])
    d, e, f = tf.unstack(transform[1])
    determinant = a * e - b * d
    return matrix(
        [
            [e / determinant, -b / determinant, (b * f - e * c) / determinant],
            [-d / determinant, a / determinant, (d * c - a * f) / determinant],
        ]
    )


def is_identity(transform: tf.Tensor) -> tf.Tensor:
    """Returns, as a bool scalar, whether the transform changes nothing."""
    return tf.reduce_all(tf.equal(transform, tf.eye(3)))


def is_shift(transform: tf.Tensor) -> tf.Tensor:
    """Returns, as a bool scalar, whether the transform is at most a translation."""
    return tf.reduce_all(tf.equal(transform[:2, :2], tf.eye(2)))


def transform_points(points: tf.Tensor, transform: tf.Tensor) -> tf.Tensor:
    """Carries points [..., 2] (y, x; continuous pixel coordinates) from the source to the result."""
    forward = inverse(transform)
    y, x = points[..., 0] - 0.5, points[..., 1] - 0.5
    new_x = forward[0, 0] * x + forward[0, 1] * y + forward[0, 2]
    new_y = forward[1, 0] * x + forward[1, 1] * y + forward[1, 2]
    return tf.stack([new_y, new_x], axis=-1) + 0.5


def transform_boxes(boxes: tf.Tensor, transform: tf.Tensor) -> tf.Tensor:
    """Returns the smallest axis-aligned boxes [N, 4] that hold the transformed ones; nothing is clipped."""
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    corners = tf.stack([tf.stack([y, x], axis=-1) for y in (y1, y2) for x in (x1, x2)], axis=1)
    moved = transform_points(corners, transform)
    return tf.concat([tf.reduce_min(moved, axis=1), tf.reduce_max(moved, axis=1)], axis=1)


def clip_boxes(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Clips boxes [N, 4] to an image of `size` [2]; one that lies outside becomes empty."""
    limit = tf.tile(tf.cast(size, tf.float32), [2])
    return tf.clip_by_value(boxes, 0.0, limit)


def keep_vanished(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Gives boxes that clipping emptied a strip along the edge they left by, as the reference does.

    Only a side of length exactly zero is widened, and only at the image's edge; a box that was empty in the
    middle of the image stays empty and is filtered later.
    """
    size = tf.cast(size, tf.float32)
    low, high = boxes[:, :2], boxes[:, 2:]
    empty = tf.equal(low, high)
    high = tf.where(empty, tf.maximum(high, VANISHED_STRIP * size), high)
    low = tf.where(empty, tf.minimum(low, (1.0 - VANISHED_STRIP) * size), low)
    return tf.concat([low, high], axis=1)


def move_boxes(boxes: tf.Tensor, transform: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Carries boxes through a transform that keeps the image's size: clipped, the vanished kept as strips."""
    moved = keep_vanished(clip_boxes(transform_boxes(boxes, transform), size), size)
    return tf.where(is_identity(transform), boxes, moved)


def place_boxes(
    boxes: tf.Tensor,
    size: tf.Tensor,
    scaled_size: tf.Tensor,
    offset: tf.Tensor,
    flip: tf.Tensor,
    output_size: tf.Tensor,
) -> tf.Tensor:
    """Carries boxes through `placement` and clips them to the output, as resize_and_crop_boxes does."""
    placed = transform_boxes(boxes, placement(size, scaled_size, offset, flip))
    return clip_boxes(placed, output_size)


def non_empty(boxes: tf.Tensor) -> tf.Tensor:
    """Returns the int32 indices of the boxes with a positive height and width."""
    return tf.cast(tf.where(tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1))[:, 0], tf.int32)
