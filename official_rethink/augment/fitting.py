"""The size an image is brought to: the largest that fits a square, or a shorter side of so many pixels.

Letters: an image of h0 w0 pixels is resized to some size, of which a crop of at most the network's H W pixels is kept
and padded at the bottom and right.
"""

from typing import NamedTuple

import tensorflow as tf


class Resizing(NamedTuple):
    """To what size an image is resized, beside the largest that fits the network's input.

    Attributes:
        shorter_side: pixels of the image's shorter side, a number or int32 scalar; unless
        longer_side: is the most that its longer side may have.
        enlarge: whether a smaller image is made larger.
    """

    shorter_side: int | tf.Tensor
    longer_side: int
    enlarge: bool = True


class Fit(NamedTuple):
    """How an image of any size becomes one of a size known in advance.

    Attributes:
        size: height and width that the image is padded to.
        resizing: what it is resized to before; None for the largest that fits `size`.
    """

    size: tuple[int, int]
    resizing: Resizing | None = None


class Layout(NamedTuple):
    """Where an image goes.

    Attributes:
        scaled_size: int32 [2], its size after the resize.
        offset: int32 [2], first row and column that the crop keeps.
        content: int32 [2], rows and columns that it keeps.
        image_info: float32 [4, 2], Model Garden's: original size, desired size, scale, offset.
    """

    scaled_size: tf.Tensor
    offset: tf.Tensor
    content: tf.Tensor
    image_info: tf.Tensor


def square(side: int) -> Resizing:
    """The resizing that leaves an image as it is, unless a side of it is over `side` pixels."""
    return Resizing(side, side, enlarge=False)


def draw_shorter_side(low: int, high: int, step: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws a shorter side of low, low + step, ... high pixels; of every whole number between them if step is 0.

    Args:
        low: least.
        high: greatest; a whole number of steps over `low`.
        step: 0 or more.
        seed: int32 [2]; equal seeds give equal sizes.

    Returns:
        int32 scalar.
    """
    step = max(step, 1)
    number = tf.random.stateless_uniform([], seed, 0, (high - low) // step + 1, tf.int32)
    return low + step * number


def resized(size: tf.Tensor, resizing: Resizing, scale: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Height and width of an image once it is resized.

    The rule and the rounding are Detectron's: the shorter side gets its size; if the longer one, rounded, would then be
    over its own, that one gets it; both sides are rounded, halves to the even number.

    Args:
        size: int32 [2], of the image.
        resizing: how.
        scale: factor of the jitter, on top.

    Returns:
        float32 [2], whole numbers of 1 or more: a very long image does not shrink to nothing.
    """
    # The factor is a double there, and in single precision some halves would fall to the other side.
    original = tf.cast(size, tf.float64)
    shorter, longer = tf.cast(resizing.shorter_side, tf.float64), tf.cast(resizing.longer_side, tf.float64)
    ratio, longest = shorter / tf.reduce_min(original), tf.reduce_max(original)
    ratio = tf.where(tf.round(ratio * longest) > longer, longer / longest, ratio)
    if not resizing.enlarge:
        ratio = tf.minimum(ratio, 1.0)
    scaled = tf.round(original * ratio * tf.cast(scale, tf.float64))
    return tf.cast(tf.maximum(scaled, 1.0), tf.float32)


def layout(
    size: tf.Tensor,
    output_size: tuple[int, int],
    scale: float | tf.Tensor,
    crop: tf.Tensor,
    resizing: Resizing | None = None,
) -> Layout:
    """Says where an image goes.

    Args:
        size: int32 [2], of the image.
        output_size: height and width that the crop keeps at most; without `resizing` the image is resized to the
            largest that fits them.
        scale: of the resized image, relative to that size.
        crop: float [2] in [0, 1), where the crop lies in the room it has.
        resizing: to what size the image goes instead.

    Without `resizing` the rounding is that of Model Garden's resize_and_crop_image.
    """
    original = tf.cast(size, tf.float32)
    desired = tf.constant(output_size, tf.float32)
    if resizing is None:
        ratio = tf.reduce_min(tf.round(scale * desired) / original)
        # Very long images would shrink to nothing on their short side.
        scaled = tf.maximum(tf.round(original * ratio), 1.0)
    else:
        scaled = resized(size, resizing, scale)
    offset = tf.floor(tf.maximum(scaled - desired, 0.0) * crop)
    content = tf.minimum(scaled - offset, desired)
    image_info = tf.stack([original, desired, scaled / original, offset])
    return Layout(tf.cast(scaled, tf.int32), tf.cast(offset, tf.int32), tf.cast(content, tf.int32), image_info)
