"""The pixels of augmentation: shifts, resizes and the general warp for images, masks and label maps.

Images are uint8 [H, W, 3]; masks and label maps are planes, uint8 [N, H, W], sampled at the nearest pixel,
with a value of their own beyond the edge (0 for masks, 255 for label maps). What is axis-aligned never meets
the general warp, which costs several times a resize.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.augment import geometry

# Padding that Model Garden's normalisation (mean 0.485, 0.456, 0.406 of 255) takes to zero.
MEAN_PIXEL = (124, 116, 104)
# What a label map shows where there is no image: no class.
IGNORE = 255


@functools.cache
def _general_warp() -> Callable[..., tf.Tensor] | None:
    """Returns tensorflow-addons' warp, or None where it cannot be imported (TensorFlow 2.16 and later)."""
    try:
        with warnings.catch_warnings():
            # The package announces its end of life on import; the pin is deliberate.
            warnings.simplefilter('ignore')
            from tensorflow_addons.image import transform
    except Exception:  # noqa: BLE001 - its import fails with whatever the newer Keras raises
        return None
    return transform


def warp(
    images: tf.Tensor,
    transform: tf.Tensor,
    size: tf.Tensor,
    interpolation: str,
    fill: str = 'grey',
    fill_value: Any = 0,
) -> tf.Tensor:
    """Resamples images [B, H, W, C] through any affine transform.

    Args:
        images: pixels; bilinear sampling truncates integers, so pass float for it.
        transform: 3x3, from places of the result to places of the source.
        size: int32 [2], height and width of the result.
        interpolation: 'nearest' or 'bilinear'.
        fill: 'reflect' mirrors the image beyond its edge, 'edge' repeats its last pixel, 'grey' shows `fill_value`
            there.
        fill_value: scalar.
    """
    transforms = tf.reshape(transform, [1, 9])[:, :8]
    mode = {'reflect': 'REFLECT', 'edge': 'NEAREST', 'grey': 'CONSTANT'}[fill]
    fill_value = tf.cast(fill_value, tf.float32)
    addons = _general_warp()
    if addons is not None:
        return addons(
            images,
            transforms,
            interpolation=interpolation,
            fill_mode=mode,
            fill_value=fill_value,
            output_shape=size,
        )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=fill_value,
        interpolation=interpolation.upper(),
        fill_mode=mode,
    )


def reflect_index(index: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Folds indices beyond [0, length) back: ... 1 0 | 0 1 ... length-1 | length-1 ..."""
    folded = tf.math.floormod(index, 2 * length)
    return tf.minimum(folded, 2 * length - 1 - folded)


def shift(
    image: tf.Tensor, y_pixels: tf.Tensor, x_pixels: tf.Tensor, fill: str, fill_value: tf.Tensor
) -> tf.Tensor:
    """Moves the content of an image [H, W, C] up and left by whole pixels, keeping its size."""
    size = tf.shape(image)
    height, width = size[0], size[1]
    if fill == 'reflect':
        image = tf.gather(image, reflect_index(tf.range(height) + y_pixels, height), axis=0)
        return tf.gather(image, reflect_index(tf.range(width) + x_pixels, width), axis=1)
    y_pixels = tf.clip_by_value(y_pixels, -height, height)
    x_pixels = tf.clip_by_value(x_pixels, -width, width)
    kept = image[
        tf.maximum(y_pixels, 0) : height + tf.minimum(y_pixels, 0),
        tf.maximum(x_pixels, 0) : width + tf.minimum(x_pixels, 0),
    ]
    paddings = [
        [tf.maximum(-y_pixels, 0), tf.maximum(y_pixels, 0)],
        [tf.maximum(-x_pixels, 0), tf.maximum(x_pixels, 0)],
        [0, 0],
    ]
    return tf.ensure_shape(tf.pad(kept, paddings, constant_values=fill_value), image.shape)


def move_image(image: tf.Tensor, transform: tf.Tensor, fill: str, fill_value: tf.Tensor) -> tf.Tensor:
    """Applies a transform to an image [H, W, C], keeping its size, at the nearest pixel as the reference."""

    def shifted() -> tf.Tensor:
        pixels = tf.cast(transform[:2, 2], tf.int32)
        return shift(image, pixels[1], pixels[0], fill, fill_value)

    def warped() -> tf.Tensor:
        result = warp(image[tf.newaxis], transform, tf.shape(image)[:2], 'nearest', fill, fill_value)
        return tf.ensure_shape(result[0], image.shape)

    return tf.cond(geometry.is_shift(transform), shifted, warped)


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds float pixels in [0, 255]; casting alone would darken by half a level."""
    return tf.cast(image + 0.5, tf.uint8)


def pad(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Pads an image at the bottom and right to `size` with the mean pixel."""
    # Cut from a constant: tf.pad knows one value for all channels, and arithmetic costs ten times as much.
    canvas = tf.constant(np.broadcast_to(np.array(MEAN_PIXEL, np.uint8), [*size, 3]))
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rows = tf.concat([image, canvas[:height, width:]], axis=1)
    return tf.ensure_shape(tf.concat([rows, canvas[height:]], axis=0), [*size, 3])


def place_image(
    image: tf.Tensor,
    transform: tf.Tensor,
    scaled_size: tf.Tensor,
    offset: tf.Tensor,
    content: tf.Tensor,
    flip: tf.Tensor,
    fill: str,
    fill_value: tf.Tensor,
) -> tf.Tensor:
    """Applies a pending transform, flip, resize and crop to an image in one resampling.

    Args:
        image: uint8 [H, W, 3].
        transform: pending 3x3 transform that keeps the image's size.
        scaled_size: int32 [2], the size the image is resized to.
        offset: int32 [2], the first row and column of it that is kept.
        content: int32 [2], how many rows and columns of it are kept.
        flip: bool scalar.
        fill: as in `warp`, for what the pending transform shows beyond the image.
        fill_value: scalar uint8.

    Returns:
        uint8 [content[0], content[1], 3].
    """

    def resized() -> tf.Tensor:
        # A shift by whole pixels loses nothing, so it does not count as a resampling.
        source = tf.cond(
            geometry.is_identity(transform),
            lambda: image,
            lambda: move_image(image, transform, fill, fill_value),
        )
        scaled = tf.image.resize(source, scaled_size)
        left = tf.where(flip, scaled_size[1] - offset[1] - content[1], offset[1])
        kept = to_uint8(scaled[offset[0] : offset[0] + content[0], left : left + content[1]])
        # A slice with step -1 costs twenty times tf.reverse.
        return tf.cond(flip, lambda: tf.reverse(kept, [1]), lambda: kept)

    def warped() -> tf.Tensor:
        total = transform @ geometry.placement(tf.shape(image)[:2], scaled_size, offset, flip)
        pixels = tf.cast(image, tf.float32)[tf.newaxis]
        result = to_uint8(warp(pixels, total, content, 'bilinear', fill, fill_value)[0])
        return tf.ensure_shape(result, [None, None, 3])

    return tf.cond(geometry.is_shift(transform), resized, warped)


def place_planes(
    planes: tf.Tensor,
    transform: tf.Tensor,
    scaled_size: tf.Tensor,
    offset: tf.Tensor,
    content: tf.Tensor,
    flip: tf.Tensor,
    fill_value: int,
    output_size: tuple[int, int],
) -> tf.Tensor:
    """Does to planes, uint8 [N, H, W], what `place_image` and `pad` do to the image, at the nearest pixel."""
    size = tf.shape(planes)[1:3]
    total = transform @ geometry.placement(size, scaled_size, offset, flip)

    def gathered() -> tf.Tensor:
        rows, row_ok = _nearest(total[1, 1], total[1, 2], content[0], size[0])
        columns, column_ok = _nearest(total[0, 0], total[0, 2], content[1], size[1])
        taken = tf.gather(tf.gather(planes, rows, axis=1), columns, axis=2)
        inside = row_ok[:, tf.newaxis] & column_ok
        return tf.where(inside, taken, tf.constant(fill_value, planes.dtype))

    def warped() -> tf.Tensor:
        return warp(planes[..., tf.newaxis], total, content, 'nearest', 'grey', fill_value)[..., 0]

    empty = tf.equal(tf.size(planes), 0)  # the warp refuses a batch of no images
    placed = tf.cond(geometry.is_shift(transform) | empty, gathered, warped)
    missing = [[0, 0], [0, output_size[0] - content[0]], [0, output_size[1] - content[1]]]
    padded = tf.pad(placed, missing, constant_values=tf.constant(fill_value, planes.dtype))
    return tf.ensure_shape(padded, [planes.shape[0], *output_size])


def _nearest(
    step: tf.Tensor, start: tf.Tensor, count: tf.Tensor, length: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest source index for each of `count` places along one axis, and whether it exists."""
    place = start + step * tf.cast(tf.range(count), tf.float32)
    # A place right between two pixels belongs to the later one read, as in tf.image.resize.
    index = tf.cast(tf.where(step > 0.0, tf.floor(place + 0.5), tf.math.ceil(place - 0.5)), tf.int32)
    return tf.clip_by_value(index, 0, length - 1), (index >= 0) & (index < length)


def move_planes(planes: tf.Tensor, transform: tf.Tensor, fill_value: int) -> tf.Tensor:
    """Does to planes, uint8 [N, H, W], what `move_image` does to the image."""
    size = tf.shape(planes)[1:3]
    still = tf.equal(tf.size(planes), 0) | geometry.is_identity(transform)

    def warped() -> tf.Tensor:
        return warp(planes[..., tf.newaxis], transform, size, 'nearest', 'grey', fill_value)[..., 0]

    return tf.ensure_shape(tf.cond(still, lambda: planes, warped), planes.shape)


def move_label_map(label_map: tf.Tensor, transform: tf.Tensor) -> tf.Tensor:
    """Does to a label map, uint8 [H, W], what `move_image` does to the image; `IGNORE` beyond its edge."""
    return move_planes(label_map[tf.newaxis], transform, IGNORE)[0]


def untracked(image: tf.Tensor) -> tf.Tensor:
    """The `tracked` of an image, uint8 [H, W, 3], of which nothing has moved yet: int32 [H, W, 0]."""
    return tf.ensure_shape(tf.zeros(tf.concat([tf.shape(image)[:2], [0]], axis=0), tf.int32), [None, None, None])


def tracked(sources: tf.Tensor) -> tf.Tensor:
    """Where each pixel came from, to be moved like an image once the first pixel moves.

    One plane does for any number of masks, and as it is sampled at the nearest pixel, what it says of a mask is what
    moving the mask would have given.

    Args:
        sources: int32 [H, W, P], P 0 for an image that is still as it was.

    Returns:
        int32 [H, W, 1]: 1 + the index of the pixel, row by row, of the first image; 0 for none.
    """
    size = tf.shape(sources)[:2]

    def still() -> tf.Tensor:
        return tf.reshape(tf.range(1, size[0] * size[1] + 1), [size[0], size[1], 1])

    return tf.ensure_shape(tf.cond(tf.equal(tf.size(sources), 0), still, lambda: sources), [None, None, None])
