"""The operation of AutoAugment v0 that works inside boxes alone: content slides, the box stays."""

import tensorflow as tf

from official_rethink.augment import resampling

# The reference scales the probability per box down, so that neighbours are not all disturbed.
PROBABILITY_DIVISOR = 3.0


def pick_boxes(boxes: tf.Tensor, size: tf.Tensor, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws the boxes to work on, in random order.

    Args:
        boxes: [N, 4].
        size: int32 [2], the image's height and width.
        probability: of the operation in the policy, before `PROBABILITY_DIVISOR`.
        seed: int32 [2].

    Returns:
        int32 [P, 4]: first row, first column, last row, last column, all inside the image.
    """
    draws = tf.random.stateless_uniform([2, tf.shape(boxes)[0]], seed)
    order = tf.argsort(draws[1])
    taken = tf.gather(draws[0], order) < probability / PROBABILITY_DIVISOR
    picked = tf.gather(boxes, tf.boolean_mask(order, taken))
    last = tf.tile(size - 1, [2])
    # Model Garden truncates to pixels and takes the last row and column in.
    return tf.clip_by_value(tf.cast(picked, tf.int32), 0, last)


def boxes_of_classes(label_map: tf.Tensor) -> tf.Tensor:
    """The boxes round the pixels of each class but the background, where there are no boxes of instances.

    Args:
        label_map: uint8 [H, W], class ids, 0 background, 255 void.

    Returns:
        float32 [C, 4], y1 x1 y2 x2 in pixels, by class id, of the C classes that occur.
    """
    ids = tf.reshape(tf.cast(label_map, tf.int32), [-1])
    sides = []
    for axis in range(2):
        places = tf.range(tf.shape(label_map)[axis])
        grid = tf.broadcast_to(places[:, tf.newaxis] if axis == 0 else places, tf.shape(label_map))
        flat = tf.reshape(grid, [-1])
        sides.append(tf.math.unsorted_segment_min(flat, ids, 256))
        sides.append(tf.math.unsorted_segment_max(flat, ids, 256) + 1)
    first_row, last_row, first_column, last_column = sides
    counts = tf.math.bincount(ids, minlength=256)
    present = tf.where(counts[1:255] > 0)[:, 0] + 1
    boxes = tf.stack([first_row, first_column, last_row, last_column], axis=1)
    return tf.cast(tf.gather(boxes, present), tf.float32)


def translate_y(
    planes: tf.Tensor, picked: tf.Tensor, pixels: int | tf.Tensor, fill: str, fill_value: tf.Tensor
) -> tf.Tensor:
    """Slides the content of each picked box up by `pixels` (down where negative), one box after the other.

    Args:
        planes: uint8 or int32 [H, W, C]; the image, with masks as further channels if there are any.
        picked: int32 [P, 4] from `pick_boxes`.
        pixels: whole pixels.
        fill: as in `resampling.warp`.
        fill_value: [C] of the same type, shown where content has left.
    """
    pixels = tf.cast(pixels, tf.int32)

    def slide(index: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        top, left, bottom, right = tf.unstack(picked[index])
        band = image[top : bottom + 1]
        content = band[:, left : right + 1]
        height = tf.shape(content)[0]
        rows = tf.range(height) + pixels
        if fill == 'reflect':
            content = tf.gather(content, resampling.reflect_index(rows, height), axis=0)
        else:
            inside = (rows >= 0) & (rows < height)
            content = tf.gather(content, tf.clip_by_value(rows, 0, height - 1), axis=0)
            content = tf.where(inside[:, tf.newaxis, tf.newaxis], content, fill_value)
        band = tf.concat([band[:, :left], content, band[:, right + 1 :]], axis=1)
        image = tf.concat([image[:top], band, image[bottom + 1 :]], axis=0)
        return index + 1, tf.ensure_shape(image, planes.shape)

    count = tf.shape(picked)[0]
    return tf.while_loop(lambda index, _: index < count, slide, (tf.constant(0), planes))[1]
