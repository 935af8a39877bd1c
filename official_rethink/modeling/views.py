"""How a detector looks at an image: once, or in several views of test-time augmentation.

Everything here follows from a task's config. With test-time augmentation images are read as they are, into a square
that holds the largest view, and every view is resized from that; so a view's pixels are what a network that reads
images at that size would get. Letters: B batch, H W pixels of a view.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from official_rethink.augment import fitting, pipeline


class View(NamedTuple):
    """One way of looking at an image.

    Attributes:
        fit: how the image becomes the network's input.
        padded: height and width of the network's input.
        mirrored: whether the image is mirrored left to right first.
    """

    fit: fitting.Fit
    padded: tuple[int, int]
    mirrored: bool = False


def plain(config: Any) -> fitting.Fit:
    """How images become the network's input without test-time augmentation.

    Args:
        config: a task's, with `model.input_size`, and with `resizing` where the family has it.
    """
    return _at(config, 1.0).fit


def unaugmented(config: Any) -> View:
    """The one view of plain inference, of a task's config."""
    return _at(config, 1.0)


def augmented(config: Any) -> bool:
    """Whether a task's config asks for more than plain inference.

    Args:
        config: a task's, with `inference`.
    """
    inference = config.inference
    voting = inference.soft_nms_sigma is not None or inference.box_voting_threshold > 0
    return list(inference.scales) != [1.0] or inference.flip or voting


def of(config: Any) -> list[View]:
    """The views of `task.inference`, the smallest scale first, each followed by its mirror image.

    Args:
        config: a detection task's.
    """
    inference = config.inference
    mirrorings = (False, True) if inference.flip else (False,)
    return [
        _at(config, scale)._replace(mirrored=mirrored)
        for scale in sorted(inference.scales)
        for mirrored in mirrorings
    ]


def reading(config: Any) -> fitting.Fit:
    """How images are read for evaluation and for pseudo labels.

    Plainly, or, for test-time augmentation, as they are: in a square that holds the largest view. A larger image is
    shrunk to that first.
    """
    if not augmented(config):
        return plain(config)
    scale = max([*config.inference.scales, 1.0])
    resizing = _at(config, scale).fit.resizing
    side = resizing.longer_side if resizing else max(_at(config, scale).fit.size)
    return fitting.Fit((side, side), fitting.square(side))


def _at(config: Any, scale: float) -> View:
    """The view at a scale; at 1 the network's own input."""
    height, width = (max(round(side * scale), 1) for side in config.model.input_size[:2])
    resizing = getattr(config, 'resizing', None)
    if resizing is None or not resizing.shorter_side:
        size = (height, width)
        return View(fitting.Fit(size), size if scale == 1.0 else _padded(config, size))
    sides = [max(round(side * scale), 1) for side in (resizing.shorter_side, resizing.longer_side)]
    size = (height, width) if scale == 1.0 else _padded(config, (sides[1], sides[1]))
    return View(fitting.Fit(size, fitting.Resizing(*sides)), size)


def _padded(config: Any, size: tuple[int, int]) -> tuple[int, int]:
    """The next sides that the coarsest level's stride divides; SpineNet's is coarser than what it gives out."""
    spinenet = config.model.backbone.type in ('spinenet', 'spinenet_mobile')
    stride = 2 ** max(config.model.max_level, 7 if spinenet else 0)
    height, width = (-(-side // stride) * stride for side in size)
    return height, width


def read(view: View, images: tf.Tensor, image_info: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes a view of images that were read by `reading`.

    Args:
        view: which.
        images: uint8 [B, S, S, 3].
        image_info: float32 [B, 4, 2], of the reading.

    Returns:
        uint8 [B, H, W, 3] and image_info float32 [B, 4, 2], whose scale is from the original image to the view.
    """

    def one(pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image, info = pair
        size = tf.cast(tf.round(info[0] * info[2]), tf.int32)
        image = image[: size[0], : size[1]]
        if view.mirrored:
            image = tf.reverse(image, [1])
        seen, placed = pipeline.resize_and_pad(image, view.fit.size, view.padded, view.fit.resizing)
        return seen, tf.stack([info[0], placed[1], placed[2] * info[2], placed[3]])

    specs = (tf.TensorSpec([*view.padded, 3], tf.uint8), tf.TensorSpec([4, 2], tf.float32))
    return tf.map_fn(one, (images, image_info), fn_output_signature=specs)


def to_original(view: View, boxes: tf.Tensor, image_info: tf.Tensor) -> tf.Tensor:
    """Carries boxes from a view to the original images, and clips them there.

    Args:
        view: which.
        boxes: float32 [B, N, 4], y1 x1 y2 x2 in pixels of the view.
        image_info: of the view.
    """
    limit = tf.tile(image_info[:, tf.newaxis, 0, :], [1, 1, 2])
    boxes = boxes / tf.tile(image_info[:, tf.newaxis, 2, :], [1, 1, 2])
    boxes = tf.clip_by_value(boxes, 0.0, limit)
    return _mirrored(boxes, image_info) if view.mirrored else boxes


def to_view(view: View, boxes: tf.Tensor, image_info: tf.Tensor) -> tf.Tensor:
    """Carries boxes [B, N, 4] of the original images to a view; `to_original` the other way round."""
    boxes = _mirrored(boxes, image_info) if view.mirrored else boxes
    return boxes * tf.tile(image_info[:, tf.newaxis, 2, :], [1, 1, 2])


def _mirrored(boxes: tf.Tensor, image_info: tf.Tensor) -> tf.Tensor:
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    width = image_info[:, 0, 1:]
    return tf.stack([y1, width - x2, y2, width - x1], axis=-1)
