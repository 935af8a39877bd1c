"""Instance masks of a training example: PNGs of the source's size in, what lies in each augmented box out."""

import tensorflow as tf

from official_rethink.augment import geometry, pipeline, resampling
from official_rethink.data import png

_PART_NAME = int.from_bytes(png.PART, 'big')


@tf.autograph.experimental.do_not_convert
def cut(encoded: tf.Tensor, boxes: tf.Tensor, motion: pipeline.Motion, size: int) -> tf.Tensor:
    """Cuts masks to their boxes in the augmented image, each sampled once.

    What is asked for is a small square, so none is made as large as the augmented image: its cells are traced back to
    the source, and only the mask's part under them is looked at. Of the masks one at a time is unpacked, only those
    whose boxes augmentation has left, and of ours (`png.encode`) no more than the object's rectangle.

    Args:
        encoded: string [N], PNGs of the source's size, not 0 on the object.
        boxes: float32 [N, 4] y1 x1 y2 x2 in pixels of the augmented image.
        motion: where its pixels come from.
        size: side of the result.

    Returns:
        uint8 [N, size, size], from 0 to 255: the mask at the centres of as many cells of the box, bilinear, 0 beyond
        the source.
    """
    frame = tf.shape(motion.sources)[:2]
    windows = _windows(boxes, motion.transform, frame)
    traced, matrices = _traced(boxes, motion.transform, windows, size)
    files, corners = _files(encoded, frame)
    aligned = tf.reduce_all(tf.equal([motion.transform[0, 1], motion.transform[1, 0]], 0.0))

    def one(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        file, corner, window, box, matrix = row
        mask = _part(file, corner, window, motion.sources)
        return tf.cond(
            aligned,
            lambda: crop_masks(mask[tf.newaxis], box[tf.newaxis], size)[0],
            lambda: _warped(mask, matrix, size),
        )

    signature = tf.TensorSpec([size, size], tf.uint8)
    return tf.map_fn(one, (files, corners, windows, traced, matrices), fn_output_signature=signature)


def _windows(boxes: tf.Tensor, transform: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """The pixels that sampling in boxes reads: int32 [N, 4], first row and column, and those after the last."""
    reached = geometry.transform_boxes(boxes, geometry.inverse(transform))
    # Of a place right at the window's edge bilinear sampling reads one pixel further.
    low, high = tf.floor(reached[:, :2]) - 1.0, tf.math.ceil(reached[:, 2:]) + 1.0
    low = tf.clip_by_value(tf.cast(low, tf.int32), 0, frame - 1)
    high = tf.clip_by_value(tf.cast(high, tf.int32), low + 1, frame)
    return tf.concat([low, high], axis=1)


def _traced(
    boxes: tf.Tensor, transform: tf.Tensor, windows: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes carried back into their windows, in the two forms that the two ways of sampling want.

    Returns:
        float32 [N, 4], two opposite corners in pixels of the window: the box, if the transform is axis-aligned, with
        x1 over x2 if it mirrors. And float32 [N, 3, 3], from places of the result to places of the window.
    """
    start = tf.cast(windows[:, :2], tf.float32)
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    along_y, along_x = transform[1, 1], transform[0, 0]
    shift_y, shift_x = transform[1, 2] + 0.5 - start[:, 0], transform[0, 2] + 0.5 - start[:, 1]
    corners = [
        side
        for y, x in ((y1, x1), (y2, x2))
        for side in (along_y * (y - 0.5) + shift_y, along_x * (x - 0.5) + shift_x)
    ]
    none, one = tf.zeros_like(y1), tf.ones_like(y1)
    cell_y, cell_x = (y2 - y1) / size, (x2 - x1) / size
    rows = [
        [cell_x, none, x1 + cell_x / 2.0 - 0.5],
        [none, cell_y, y1 + cell_y / 2.0 - 0.5],
        [none, none, one],
    ]
    cells = tf.stack([tf.stack(row, axis=-1) for row in rows], axis=1)
    back = tf.stack([start[:, 1], start[:, 0], none], axis=-1)
    shown = transform @ cells
    return tf.stack(corners, axis=1), shown - back[..., tf.newaxis] * tf.constant([0.0, 0.0, 1.0])


def _files(encoded: tf.Tensor, frame: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest PNGs that show all of the objects, string [N], and where each begins, int32 [N, 2], row and column.

    Args:
        encoded: string [N], PNGs of masks; those of `png.encode` hold the object's rectangle once more.
        frame: int32 [2], height and width of the source.
    """
    # What is too short for a PNG has a size as well, a wrong one.
    long = tf.strings.join([encoded, ' ' * png.PART_AT])

    def numbers(first: int, count: int) -> tf.Tensor:
        found = tf.io.decode_raw(tf.strings.substr(long, first, 4 * count), tf.int32, little_endian=False)
        return tf.reshape(found, [-1, count])

    message = "a mask is not of its image's size"
    tf.debugging.assert_equal(numbers(png.SIZE_AT, 2)[:, ::-1], frame[tf.newaxis], message)
    found = numbers(png.NAME_AT, 3)
    ours = tf.equal(found[:, 0], _PART_NAME)
    inner = tf.strings.substr(long, png.PART_AT, tf.int32.max)
    return tf.where(ours, inner, encoded), tf.where(ours[:, tf.newaxis], found[:, 1:], 0)


def _part(file: tf.Tensor, corner: tf.Tensor, window: tf.Tensor, sources: tf.Tensor) -> tf.Tensor:
    """A window of a mask, uint8 [h, w], 1 on the object, where the operations so far have moved it.

    Args:
        file: from `_files`.
        corner: as well, int32 [2].
        window: int32 [4], first row and column, and those after the last.
        sources: see `pipeline.Motion`.
    """
    known = tf.io.decode_png(file, channels=1, dtype=tf.uint8)[..., 0]
    size = tf.shape(known)

    def still() -> tf.Tensor:
        low = tf.clip_by_value(corner, window[:2], window[2:])
        high = tf.clip_by_value(corner + size, window[:2], window[2:])
        taken = tf.slice(known, tf.clip_by_value(low - corner, 0, size), high - low)
        return tf.pad(taken, tf.stack([low - window[:2], window[2:] - high], axis=1))

    def moved() -> tf.Tensor:
        places = sources[window[0] : window[2], window[1] : window[3], 0] - 1
        width = tf.shape(sources)[1]
        y, x = places // width - corner[0], places % width - corner[1]
        there = (places >= 0) & (tf.minimum(y, x) >= 0) & (y < size[0]) & (x < size[1])
        values = tf.gather(tf.reshape(known, [-1]), tf.where(there, y * size[1] + x, 0))
        return tf.where(there, values, tf.zeros_like(values))

    part = tf.cond(tf.equal(tf.size(sources), 0), still, moved)
    return tf.ensure_shape(tf.cast(part > 0, tf.uint8), [None, None])


def crop_masks(masks: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """Cuts each mask to its box, so that it takes the same room however large the image is.

    Args:
        masks: uint8 [N, H, W], 1 on the object.
        boxes: float32 [N, 4] y1 x1 y2 x2 in pixels; the first may be the larger ones, which mirrors the result.
        size: side of the result.

    Returns:
        uint8 [N, size, size], from 0 to 255: the mask at the centres of as many cells of the box, bilinear; a pixel
        reaches to its edges, and beyond the last ones it is 0.
    """
    cells = (tf.range(size, dtype=tf.float32) + 0.5) / size
    places = boxes[:, tf.newaxis, :2] + (boxes[:, 2:] - boxes[:, :2])[:, tf.newaxis] * cells[:, tf.newaxis]
    limit = tf.cast(tf.shape(masks)[1:3], tf.float32)
    inside = tf.cast((places >= 0.0) & (places <= limit), tf.float32)
    # The outer pixels stand twice, as the operation knows nothing beyond the centres of the last. It takes the centres
    # of the first and of the last cell, as shares of the last pixel's index.
    wider = tf.pad(masks, [[0, 0], [1, 1], [1, 1]], 'SYMMETRIC')[..., tf.newaxis]
    ends = (tf.concat([places[:, 0], places[:, -1]], axis=1) + 0.5) / tf.tile(limit + 1.0, [2])
    taken = tf.image.crop_and_resize(wider, ends, tf.range(tf.shape(masks)[0]), [size, size])
    taken *= inside[:, :, tf.newaxis, tf.newaxis, 0] * inside[:, tf.newaxis, :, tf.newaxis, 1]
    return resampling.to_uint8(taken[..., 0] * 255.0)


def _warped(mask: tf.Tensor, transform: tf.Tensor, size: int) -> tf.Tensor:
    """Samples a mask, uint8 [h, w], as `crop_masks` does, through any affine transform."""
    step = tf.range(size, dtype=tf.float32)
    last = tf.cast(tf.shape(mask), tf.float32) - 0.5
    x, y = (line[0] * step + (line[1] * step[:, tf.newaxis] + line[2]) for line in (transform[0], transform[1]))
    inside = (tf.minimum(x, y) >= -0.5) & (x <= last[1]) & (y <= last[0])
    pixels = tf.cast(mask, tf.float32)[tf.newaxis, ..., tf.newaxis]
    values = resampling.warp(pixels, transform, tf.constant([size, size]), 'bilinear', 'edge')[0, ..., 0]
    return resampling.to_uint8(values * tf.where(inside, 255.0, 0.0))
