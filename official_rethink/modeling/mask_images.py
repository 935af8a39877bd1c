"""Masks over boxes as masks of whole images, in a graph; as `evaluation/instance_masks.paste` does it with arrays.

Letters: N boxes, S mask side, H W pixels of the image.
"""

import tensorflow as tf


def paste(masks: tf.Tensor, boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Puts masks into an image, as Detectron: grown by a cell on each side, whole pixels, bilinear, over 0.5.

    One after the other, for a hundred masks of a large photograph would take gigabytes as numbers before they are
    compared.

    Args:
        masks: float32 [N, S, S], probabilities over the boxes.
        boxes: float32 [N, 4], y1 x1 y2 x2 in pixels of the image.
        size: int32 [2], H and W.

    Returns:
        uint8 [N, H, W], 1 on the object.
    """

    def one(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        mask, box = pair
        rows, columns = (_weights(box[axis], box[axis + 2], size[axis], mask.shape[axis]) for axis in (0, 1))
        padded = tf.pad(mask, [[1, 1], [1, 1]])
        shares = tf.matmul(tf.matmul(rows, padded), columns, transpose_b=True)
        return tf.cast(shares > 0.5, tf.uint8)

    shape = tf.TensorSpec([None, None], tf.uint8)
    none = tf.zeros(tf.concat([[0], size], axis=0), tf.uint8)
    return tf.cond(
        tf.shape(masks)[0] > 0,
        lambda: tf.map_fn(one, (masks, boxes), parallel_iterations=1, fn_output_signature=shape),
        lambda: none,
    )


def _weights(low: tf.Tensor, high: tf.Tensor, length: tf.Tensor, cells: int) -> tf.Tensor:
    """How much of each cell, the border of one included, is in each pixel of a side: float32 [length, cells + 2]."""
    half = (high - low) * 0.5
    middle, grown = low + half, half * ((cells + 2.0) / cells)
    first, last = tf.cast(middle - grown, tf.int32), tf.cast(middle + grown, tf.int32)
    count = tf.maximum(last - first + 1, 1)
    pixel = tf.range(length) - first
    place = (tf.cast(pixel, tf.float32) + 0.5) * ((cells + 2.0) / tf.cast(count, tf.float32)) - 0.5
    place = tf.clip_by_value(place, 0.0, cells + 1.0)
    shares = tf.maximum(1.0 - tf.abs(place[:, tf.newaxis] - tf.range(cells + 2.0)), 0.0)
    inside = (pixel >= 0) & (pixel < count)
    return tf.where(inside[:, tf.newaxis], shares, 0.0)
