"""Class probabilities of every pixel: over several scales and mirrored, at the network's or the original's pixels.

A network sees an image resized and padded at the bottom and right, and answers on a coarser grid. What is asked
for are probabilities of the image's own pixels, be it at the network's grid or at the original's. So the part of
the logits that lies under the image is resized, bilinearly with half-pixel centres, straight to the pixels asked
for; the padding never bleeds in. A softmax of each view's logits, then the mean over the views (Zoph et al.:
teachers at scales 0.5 to 1.75).

Resizing is a product with two matrices for each image, so that images of different sizes share a batch, shapes stay
static and XLA compiles it. Letters: B batch, H W pixels of the network's input, h w of its logits, K classes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import label_maps

# Normalised images float32 [B, H, W, 3] to logits [B, h, w, K], in inference mode.
Forward = Callable[[tf.Tensor], tf.Tensor]

_BAND = 2**18  # pixels whose probabilities `maps` holds at once


class View(NamedTuple):
    """What the network says of a batch at one scale, mirrored or not.

    Attributes:
        logits: float32 [B, h, w, K].
        extent: float32 [B, 2], how many rows and columns of the logits lie under each image; may be fractions.
        mirrored: whether the images were mirrored left to right.
        corners: a logit speaks for the first pixel of its cell and not for the centre, as in the self-training
            release, whose checkpoints were trained so.
    """

    logits: tf.Tensor
    extent: tf.Tensor
    mirrored: bool
    corners: bool = False


def check_scales(scales: Sequence[float], where: str) -> None:
    """Refuses scales that no image can be resized by.

    Raises:
        UserError: there is none, one twice, or one outside [0.1, 4].
    """

    def fits(scale: float) -> bool:
        return isinstance(scale, (int, float)) and not isinstance(scale, bool) and 0.1 <= scale <= 4

    if not scales or not all(map(fits, scales)) or len(set(scales)) < len(scales):
        raise errors.bad_value('scales', list(scales), 'at least one number from 0.1 to 4, each once', where)


def content_size(image_info: tf.Tensor, input_size: tuple[int, int]) -> tf.Tensor:
    """How many rows and columns of the network's input show the image, the rest being padding.

    Args:
        image_info: float32 [B, 4, 2], Model Garden's, of images that were resized whole and not cropped.
        input_size: H and W.

    Returns:
        float32 [B, 2], whole numbers.
    """
    scaled = tf.round(image_info[:, 0] * image_info[:, 2])
    return tf.clip_by_value(scaled, 1.0, tf.constant(input_size, tf.float32))


def views(
    forward: Forward,
    images: tf.Tensor,
    content: tf.Tensor,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    multiple: int = 1,
    plain: tf.Tensor | None = None,
    corners: bool = False,
) -> list[View]:
    """Runs the network at every scale, and mirrored if asked for.

    Args:
        forward: the network.
        images: normalised, float32 [B, H, W, 3], H and W static; padding may hold anything, it is replaced by zeros
            where an image is resized or mirrored.
        content: of `content_size`.
        scales: of the network's input; 1.0 without mirroring is the input as it is.
        flip: also of the mirrored image, at every scale.
        multiple: what the sides of the network's input have to be multiples of.
        plain: the logits of `images` themselves where they are known, for the scale 1.0.
        corners: see `View`.

    Returns:
        A view for each scale, and one more if mirrored.
    """
    check_scales(scales, 'scales of inference')
    found = []
    for scale in scales:
        for mirrored in (False, True) if flip else (False,):
            as_it_is = scale == 1.0 and not mirrored
            shown = content if scale == 1.0 else tf.maximum(tf.round(content * scale), 1.0)
            if as_it_is and plain is not None:
                size, logits = _size(images), plain
            else:
                inputs = images if as_it_is else _resized(images, content, shown, scale, mirrored)
                inputs = _padded(inputs, multiple)
                size, logits = _size(inputs), forward(inputs)
            grid = tf.cast(tf.shape(logits)[1:3], tf.float32)
            extent = shown * grid / tf.constant(size, tf.float32)
            found.append(View(tf.cast(logits, tf.float32), extent, mirrored, corners))
    return found


def _size(images: tf.Tensor) -> tuple[int, int]:
    height, width = images.shape[1:3]
    return height, width


def _padded(images: tf.Tensor, multiple: int) -> tf.Tensor:
    """Adds rows and columns of zeros, the mean pixel, up to the next multiple."""
    missing = [-length % multiple for length in _size(images)]
    return tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) if any(missing) else images


def _resized(images: tf.Tensor, content: tf.Tensor, shown: tf.Tensor, scale: float, mirrored: bool) -> tf.Tensor:
    """Resizes the part of a batch that shows images from `content` to `shown` rows and columns; zeros around it."""
    sides = []
    for axis, length in enumerate(_size(images)):
        count = max(round(length * scale), 1)
        matrix = _matrix(content[:, axis], length, shown[:, axis], count, mirrored and axis == 1)
        inside = tf.range(count, dtype=tf.float32) < shown[:, axis : axis + 1]
        sides.append(matrix * tf.cast(inside, tf.float32)[:, :, tf.newaxis])
    return _product(sides[0], sides[1], images)


def _matrix(
    extent: tf.Tensor,
    cells: int | tf.Tensor,
    size: tf.Tensor,
    count: int | tf.Tensor,
    mirrored: bool,
    first: int | tf.Tensor = 0,
    corners: bool = False,
) -> tf.Tensor:
    """The weights that stretch the first `extent` of `cells` places over `size` of `count` places.

    Bilinear with half-pixel centres, as `tf.image.resize`: place i of the result lies at
    (i + 1/2) extent / size - 1/2, and what lies beyond the outermost cells under the image is the outermost cell.

    Args:
        extent: float32 [B], may be a fraction.
        cells: static or dynamic number of source places.
        size: float32 [B], places of the result that show the image.
        count: places of the result.
        mirrored: the source is mirrored.
        first: place of the result that comes first.
        corners: place i of the result lies at i extent / size instead, as TensorFlow 1's `resize_bilinear`.

    Returns:
        float32 [B, count, cells].
    """
    extent, size = extent[:, tf.newaxis], size[:, tf.newaxis]
    place = tf.cast(tf.range(count) + first, tf.float32)
    if mirrored:
        place = size - 1.0 - place
    place = place * extent / size if corners else (place + 0.5) * extent / size - 0.5
    place = tf.clip_by_value(place, 0.0, tf.math.ceil(extent) - 1.0)
    distance = tf.abs(place[:, :, tf.newaxis] - tf.cast(tf.range(cells), tf.float32))
    return tf.maximum(1.0 - distance, 0.0)


def _product(rows: tf.Tensor, columns: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Applies [B, Y, y] and [B, X, x] to [B, y, x, C]; returns [B, Y, X, C]."""
    return tf.matmul(columns[:, tf.newaxis], tf.einsum('bYy,byxc->bYxc', rows, values))


def resized_logits(
    view: View, sizes: tf.Tensor, target: Sequence[int] | tf.Tensor, first_row: int | tf.Tensor = 0
) -> tf.Tensor:
    """Resizes a view's logits to the pixels of each image.

    Args:
        view: of `views`.
        sizes: float32 [B, 2], rows and columns of each image in the result.
        target: rows and columns of the result, static or int32 [2]; at least the largest of `sizes`.
        first_row: the row of the images at which the result begins.

    Returns:
        float32 [B, target[0], target[1], K]; beyond an image's own size its last row and column go on.
    """
    cells = [view.logits.shape[axis] or tf.shape(view.logits)[axis] for axis in (1, 2)]
    rows, columns = (
        _matrix(
            view.extent[:, axis],
            cells[axis],
            sizes[:, axis],
            target[axis],
            view.mirrored and axis == 1,
            first,
            view.corners,
        )
        for axis, first in enumerate((first_row, 0))
    )
    return _product(rows, columns, view.logits)


def probabilities(
    found: Sequence[View], sizes: tf.Tensor, target: Sequence[int] | tf.Tensor, first_row: int | tf.Tensor = 0
) -> tf.Tensor:
    """Averages the views' class probabilities.

    Args:
        found: of `views`.
        sizes: as of `resized_logits`: `content_size` for the network's grid, image_info[:, 0] for the original's.
        target: as of `resized_logits`.
        first_row: likewise.

    Returns:
        float32 [B, target[0], target[1], K]; not finite where the network's answer is not.
    """
    total = tf.nn.softmax(resized_logits(found[0], sizes, target, first_row))
    for view in found[1:]:
        total += tf.nn.softmax(resized_logits(view, sizes, target, first_row))
    return total if len(found) == 1 else total / len(found)


def maps(found: Sequence[View], sizes: tf.Tensor, target: Sequence[int] | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest class of every pixel and its probability.

    Of equal classes the lower one is taken. One image after the other is worked on, and a large one in bands of
    rows, so that the probabilities of no more than a quarter of a million pixels are held.

    Args:
        found: as of `probabilities`.
        sizes: likewise.
        target: likewise.

    Returns:
        classes, uint8 [B, target[0], target[1]], and scores of that shape, the probability times 255, rounded.
        255 and 0 beyond an image's own size and where the probabilities are not finite.
    """
    target = [target[0], target[1]]

    def one(values: tuple[list[tuple[tf.Tensor, tf.Tensor]], tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        parts, size = values
        single = [
            view._replace(logits=logits[tf.newaxis], extent=extent[tf.newaxis])
            for (logits, extent), view in zip(parts, found, strict=True)
        ]

        def band(first: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _likeliest(single, size, (rows, target[1]), first)

        if static and rows == target[0]:
            return band(0)
        starts = tf.range(0, target[0], rows)
        bands = tf.map_fn(band, starts, fn_output_signature=_pair(rows, target[1]), parallel_iterations=1)
        classes, scores = (tf.reshape(values, [-1, target[1]])[: target[0]] for values in bands)
        return classes, scores

    static = all(isinstance(side, int) for side in target)
    rows = min(max(_BAND // target[1], 1), target[0]) if static else tf.clip_by_value(_BAND // target[1], 1, target[0])
    parts = [(view.logits, view.extent) for view in found]
    # A graph would work on ten images, and on ten bands of each, at once.
    return tf.map_fn(one, (parts, sizes), fn_output_signature=_pair(*target), parallel_iterations=1)


def _pair(*sides: int | tf.Tensor) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    """The type of two maps; sizes that are known are told, so that a batch may be empty."""
    spec = tf.TensorSpec([side if isinstance(side, int) else None for side in sides], tf.uint8)
    return spec, spec


def _likeliest(
    found: Sequence[View], size: tf.Tensor, target: Sequence[int | tf.Tensor], first: int | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What `maps` gives for some rows of one image, `target[0]` of them from `first` on; `size` is float32 [2]."""
    shares = probabilities(found, size[tf.newaxis], target, first)[0]
    above = tf.cast(tf.range(target[0]) + first, tf.float32) < size[0]
    left = tf.cast(tf.range(target[1]), tf.float32) < size[1]
    known = tf.math.is_finite(tf.reduce_sum(shares, axis=-1)) & above[:, tf.newaxis] & left
    classes = tf.cast(tf.argmax(shares, axis=-1, output_type=tf.int32), tf.uint8)
    best = tf.where(known, tf.reduce_max(shares, axis=-1), 0.0)
    scores = tf.cast(tf.floor(255.0 * best + 0.5), tf.uint8)
    return tf.where(known, classes, tf.constant(label_maps.IGNORE, tf.uint8)), scores
