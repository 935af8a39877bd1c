"""Augmentation of one image with boxes, masks and a label map, from the source's size to the network's.

Order as in the released code: AutoAugment or RandAugment, flip, resize by a random scale, crop, pad. Nothing
keeps state: the same seed gives the same pixels, eagerly and inside tf.data.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from official_rethink.augment import (
    autoaugment,
    fitting,
    geometry,
    operations,
    points,
    policies,
    randaugment,
    resampling,
)


class Motion(NamedTuple):
    """Where the pixels of an augmented image come from.

    Attributes:
        transform: 3x3, from places of the augmented image to places of what the operations had made of the source when
            one last needed its pixels; of the source itself if none did.
        sources: int32 [H, W, P], `resampling.tracked` of that picture; P is 0 if it is the source.
    """

    transform: tf.Tensor
    sources: tf.Tensor


class Augmented(NamedTuple):
    """What `augment` gives.

    Attributes:
        image: uint8 [output_h, output_w, 3], padded with the mean pixel at the bottom and right.
        boxes: float32 [K, 4] y1 x1 y2 x2 in pixels of `image`, none empty.
        keep: int32 [K], which of the instances given these are.
        masks: uint8 [K, output_h, output_w], or None if none were given. Like the box of a vanished instance,
            a mask of which nothing is left stays, empty.
        image_info: float32 [4, 2], Model Garden's: original size, desired size, scale, offset.
        label_map: uint8 [output_h, output_w], 255 where the image does not reach, or None if none was given.
        keypoints: float32 [K, P, 3] y, x in pixels of `image` and visibility, 0 of what left it; or None.
        motion: where the pixels of `image` come from, or None if they were not to be tracked.
    """

    image: tf.Tensor
    boxes: tf.Tensor
    keep: tf.Tensor
    masks: tf.Tensor | None
    image_info: tf.Tensor
    label_map: tf.Tensor | None = None
    keypoints: tf.Tensor | None = None
    motion: Motion | None = None


# Nothing below needs AutoGraph, which in tf.data's map would cost seconds per function it converts.
@tf.autograph.experimental.do_not_convert
def augment(
    image: tf.Tensor,
    boxes: tf.Tensor,
    output_size: tuple[int, int],
    policy: policies.Policy,
    seed: tf.Tensor,
    masks: tf.Tensor | None = None,
    padded_size: tuple[int, int] | None = None,
    label_map: tf.Tensor | None = None,
    resizing: fitting.Resizing | None = None,
    keypoints: tf.Tensor | None = None,
    flip_order: Sequence[int] = (),
    track: bool = False,
) -> Augmented:
    """Augments one image and what is known of it.

    Args:
        image: uint8 [H, W, 3].
        boxes: float32 [N, 4] y1 x1 y2 x2 in pixels; N may be 0.
        output_size: height and width the jitter refers to and the crop keeps at most.
        policy: from `policies.get_policy`.
        seed: int32 [2]; equal seeds give equal results.
        masks: uint8 [N, H, W], 1 on the instance, or None.
        padded_size: height and width of the result, where the network needs more than `output_size`.
        label_map: uint8 [H, W], class ids, or None. It goes where the image goes, at the nearest pixel; operations
            on colours, and cutout, leave it alone. Without `boxes`, those round its classes stand in for the
            operation of AutoAugment that works inside boxes.
        resizing: the size that the jitter refers to, if it is not the largest that fits `output_size`; the policy may
            draw the shorter side for each image.
        keypoints: float32 [N, P, 3] y, x in pixels and visibility, or None.
        flip_order: for each of the P points, which one it is in a mirror.
        track: whether to tell where pixels come from, for masks that are sampled later and not at the image's size.
    """
    image = _checked(image)
    if label_map is not None:
        label_map = tf.ensure_shape(label_map, image.shape[:2])
    boxes = tf.ensure_shape(tf.cast(boxes, tf.float32), [None, 4])
    sources = resampling.untracked(image) if track else None
    scene = operations.start(image, boxes, masks, label_map, keypoints, sources)
    distort_seed = tf.random.experimental.stateless_fold_in(seed, 1)
    if policy.autoaugment:
        scene = autoaugment.distort(scene, policy.autoaugment, policy.fill, distort_seed, policy.resampling)
    elif policy.randaugment_layers:
        layers, magnitude = policy.randaugment_layers, policy.randaugment_magnitude
        scene = randaugment.distort(
            scene, layers, magnitude, policy.fill, distort_seed, policy.resampling
        )
    draws = tf.random.stateless_uniform([4], seed)
    flip = draws[0] < policy.flip_probability
    scale = policy.scale_min + draws[1] * (policy.scale_max - policy.scale_min)
    resizing = _drawn(resizing, policy, seed)
    placed = place(scene, output_size, padded_size or output_size, flip, scale, draws[2:4], policy.fill, resizing)
    if keypoints is None:
        return placed
    return placed._replace(keypoints=points.mirrored(placed.keypoints, flip, flip_order))


def _drawn(resizing: fitting.Resizing | None, policy: policies.Policy, seed: tf.Tensor) -> fitting.Resizing | None:
    """Draws the shorter side, where the policy says so."""
    if resizing is None or policy.shorter_side_min is None or policy.shorter_side_max is None:
        return resizing
    seed = tf.random.experimental.stateless_fold_in(seed, 2)
    low, high = policy.shorter_side_min, policy.shorter_side_max
    return resizing._replace(shorter_side=fitting.draw_shorter_side(low, high, policy.shorter_side_step, seed))


@tf.autograph.experimental.do_not_convert
def place(
    scene: operations.Scene,
    output_size: tuple[int, int],
    padded_size: tuple[int, int],
    flip: tf.Tensor,
    scale: tf.Tensor,
    crop: tf.Tensor,
    fill: str,
    resizing: fitting.Resizing | None = None,
) -> Augmented:
    """Carries out what is pending together with flip, resize and crop, and pads.

    Args:
        scene: what the steps so far have left.
        output_size: as in `augment`.
        padded_size: as in `augment`.
        flip: bool scalar.
        scale: float scalar, size of the resized image relative to that of `resizing`.
        crop: float [2] in [0, 1), where the crop lies in the room it has.
        fill: the policy's.
        resizing: None for the largest that fits `output_size`.
    """
    size = tf.shape(scene.image)[:2]
    scaled_size, offset, content, image_info = fitting.layout(size, output_size, scale, crop, resizing)
    image = resampling.place_image(
        scene.image, scene.pending, scaled_size, offset, content, flip, fill, scene.beyond[0, 0, 0]
    )
    boxes = geometry.move_boxes(scene.boxes, scene.pending, size)
    boxes = geometry.place_boxes(boxes, size, scaled_size, offset, flip, tf.constant(output_size))
    keep = geometry.non_empty(boxes)
    planes = scene.planes
    if planes is not None:
        planes = resampling.place_planes(
            tf.gather(planes, keep), scene.pending, scaled_size, offset, content, flip, 0, padded_size
        )
    label_map = scene.label_map
    if label_map is not None:
        label_map = resampling.place_planes(
            label_map[tf.newaxis], scene.pending, scaled_size, offset, content, flip, resampling.IGNORE, padded_size
        )[0]
    keypoints = scene.keypoints
    if keypoints is not None:
        keypoints = points.move(tf.gather(keypoints, keep), scene.pending, size)
        keypoints = points.place(keypoints, size, scaled_size, offset, content, flip)
    motion = None
    if scene.sources is not None:
        total = scene.pending @ geometry.placement(size, scaled_size, offset, flip)
        motion = Motion(total, scene.sources)
    image, boxes = resampling.pad(image, padded_size), tf.gather(boxes, keep)
    return Augmented(image, boxes, keep, planes, image_info, label_map, keypoints, motion)


@tf.autograph.experimental.do_not_convert
def resize_and_pad(
    image: tf.Tensor,
    output_size: tuple[int, int],
    padded_size: tuple[int, int] | None = None,
    resizing: fitting.Resizing | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes an image to the largest that fits `output_size`, or as `resizing` says; nothing is drawn.

    Evaluation, pseudo labels, serving and its verification all read images by this function.

    Args:
        image: uint8 [H, W, 3].
        output_size: height and width to fit.
        padded_size: height and width of the result, `output_size` if None.
        resizing: another size than the largest that fits; what of it `output_size` does not hold is cut off at the
            bottom and right.

    Returns:
        uint8 [padded_h, padded_w, 3] and image_info float32 [4, 2], as in `Augmented`.
    """
    image = _checked(image)
    layout = fitting.layout(tf.shape(image)[:2], output_size, tf.constant(1.0), tf.zeros([2]), resizing)
    scaled_size, _, content, image_info = layout
    resized = resampling.to_uint8(tf.image.resize(image, scaled_size))
    if resizing is not None:
        resized = resized[: content[0], : content[1]]
    return resampling.pad(resized, padded_size or output_size), image_info


def fit(image: tf.Tensor, wanted: fitting.Fit) -> tuple[tf.Tensor, tf.Tensor]:
    """Brings an image, uint8 [H, W, 3], to a size; see `resize_and_pad`."""
    return resize_and_pad(image, wanted.size, resizing=wanted.resizing)


@tf.autograph.experimental.do_not_convert
def resize_and_pad_label_map(
    label_map: tf.Tensor, output_size: tuple[int, int], padded_size: tuple[int, int] | None = None
) -> tf.Tensor:
    """Does to a label map, uint8 [H, W], what `resize_and_pad` does to its image, at the nearest pixel.

    Returns:
        uint8 [padded_h, padded_w], 255 in the padding.
    """
    scaled_size, offset, content, _ = fitting.layout(
        tf.shape(label_map), output_size, tf.constant(1.0), tf.zeros([2])
    )
    padded_size, still = padded_size or output_size, geometry.identity()
    return resampling.place_planes(
        label_map[tf.newaxis], still, scaled_size, offset, content, tf.constant(False), resampling.IGNORE, padded_size
    )[0]


def _checked(image: tf.Tensor) -> tf.Tensor:
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8:
        raise ValueError(f'image has type {image.dtype.name}; allowed: uint8, values from 0 to 255.')
    return tf.ensure_shape(image, [None, None, 3])
