"""One step of AutoAugment or RandAugment: geometry joins a pending transform, colour is applied at once.

Both algorithms are lists of `Choice`s per step and a draw of which one to take; this module carries one out.
A rotation, shear or translation costs nothing here: it joins the pending transform, which the resize to the
output carries out together with flip, jitter and crop. A colour operation that looks at each pixel alone
gives the same before or after sampling at the nearest pixel, so it is applied to the source and to the colour
shown beyond its edge. An operation that looks at more than one pixel, or at a place, needs the picture the
reference gives it, so the pending transform is carried out first, at the nearest pixel, as there.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from official_rethink.augment import boxes_only, color, geometry, points, resampling

MAX_LEVEL = 10.0
BOX_ONLY_TRANSLATE_CONST = 120.0


@dataclasses.dataclass(frozen=True)
class Choice:
    """One operation at one strength.

    Attributes:
        name: Model Garden's name of it.
        level: strength in [0, 10].
        probability: only for operations that draw per box.
        cutout_const: half the cutout's side at level 10, in pixels.
        translate_const: shift at level 10, in pixels.
    """

    name: str
    level: float
    probability: float = 1.0
    cutout_const: float = 100.0
    translate_const: float = 250.0


class Scene(NamedTuple):
    """An image and what belongs to it between two steps.

    Attributes:
        image: uint8 [H, W, 3].
        boxes: float32 [N, 4] pixels of `image`, before `pending`.
        planes: masks, uint8 [N, H, W], before `pending`; or None.
        pending: 3x3 transform still to be carried out; it keeps the size.
        beyond: uint8 [1, 1, 3], the colour `pending` shows beyond the image.
        label_map: class ids, uint8 [H, W], before `pending`; or None.
        keypoints: float32 [N, P, 3] y, x, visibility, before `pending`; or None.
        sources: `resampling.tracked` of `image`, before `pending`; or None.
    """

    image: tf.Tensor
    boxes: tf.Tensor
    planes: tf.Tensor | None
    pending: tf.Tensor
    beyond: tf.Tensor
    label_map: tf.Tensor | None = None
    keypoints: tf.Tensor | None = None
    sources: tf.Tensor | None = None


class Draws(NamedTuple):
    """The randomness of one step: sign is -1 or 1, center [2] in [0, 1), seed int32 [2] for draws per box."""

    sign: tf.Tensor
    center: tf.Tensor
    seed: tf.Tensor


def start(
    image: tf.Tensor,
    boxes: tf.Tensor,
    planes: tf.Tensor | None,
    label_map: tf.Tensor | None = None,
    keypoints: tf.Tensor | None = None,
    sources: tf.Tensor | None = None,
) -> Scene:
    """Returns the scene before the first step."""
    beyond = tf.fill([1, 1, 3], tf.constant(color.GREY, tf.uint8))
    return Scene(image, boxes, planes, geometry.identity(), beyond, label_map, keypoints, sources)


def settle(scene: Scene, fill: str) -> Scene:
    """Carries out the pending transform at the nearest pixel."""
    size = tf.shape(scene.image)[:2]

    def moved() -> Scene:
        sources = scene.sources
        if sources is not None:
            sources = resampling.move_image(resampling.tracked(sources), scene.pending, 'grey', tf.constant(0))
        return start(
            resampling.move_image(scene.image, scene.pending, fill, scene.beyond[0, 0, 0]),
            geometry.move_boxes(scene.boxes, scene.pending, size),
            None if scene.planes is None else resampling.move_planes(scene.planes, scene.pending, 0),
            None if scene.label_map is None else resampling.move_label_map(scene.label_map, scene.pending),
            None if scene.keypoints is None else points.move(scene.keypoints, scene.pending, size),
            sources,
        )

    return tf.cond(geometry.is_identity(scene.pending), lambda: scene, moved)


def enhance_factor(level: float) -> float:
    """Returns the blending factor of Color, Contrast, Brightness and Sharpness, 0.1 to 1.9."""
    return level / MAX_LEVEL * 1.8 + 0.1


def whole(level: float, multiplier: float) -> int:
    """Returns the level as a whole number up to `multiplier`, cut as the reference cuts it."""
    return int(level / MAX_LEVEL * multiplier)


def _pixels(choice: Choice) -> float:
    return choice.level / MAX_LEVEL * choice.translate_const


# Rotations, shears, translations: (choice, sign, size) -> transform.
GEOMETRIC: dict[str, Callable[[Choice, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    'Rotate_BBox': lambda c, sign, size: geometry.rotation(c.level / MAX_LEVEL * 30.0 * sign, size),
    'ShearX_BBox': lambda c, sign, _: geometry.shear_x(c.level / MAX_LEVEL * 0.3 * sign),
    'ShearY_BBox': lambda c, sign, _: geometry.shear_y(c.level / MAX_LEVEL * 0.3 * sign),
    'TranslateX_BBox': lambda c, sign, _: geometry.translation(0.0, _pixels(c) * sign),
    'TranslateY_BBox': lambda c, sign, _: geometry.translation(_pixels(c) * sign, 0.0),
}

# Each pixel alone: (image, choice, pixels in the image) -> image. The colour beyond the edge gets it as well.
POINTWISE: dict[str, Callable[[tf.Tensor, Choice, tf.Tensor], tf.Tensor]] = {
    'Invert': lambda image, _, __: color.invert(image),
    'Posterize': lambda image, c, _: color.posterize(image, whole(c.level, 4)),
    'Solarize': lambda image, c, _: color.solarize(image, whole(c.level, 256)),
    'SolarizeAdd': lambda image, c, _: color.solarize_add(image, whole(c.level, 110)),
    'Color': lambda image, c, _: color.color(image, enhance_factor(c.level)),
    'Contrast': lambda image, c, pixels: color.contrast(image, enhance_factor(c.level), pixels),
    'Brightness': lambda image, c, _: color.brightness(image, enhance_factor(c.level)),
}

# More than one pixel, or a place in the picture: (image, choice, draws) -> image.
SETTLED: dict[str, Callable[[tf.Tensor, Choice, Draws], tf.Tensor]] = {
    'AutoContrast': lambda image, _, __: color.auto_contrast(image),
    'Equalize': lambda image, _, __: color.equalize(image),
    'Sharpness': lambda image, c, _: color.sharpness(image, enhance_factor(c.level)),
    'Cutout': lambda image, c, draws: color.cutout(image, whole(c.level, c.cutout_const), draws.center),
}


def apply(scene: Scene, choice: Choice, draws: Draws, fill: str, step: int) -> Scene:
    """Carries out one choice; `step` counts from 0, and at 0 nothing can be pending."""
    size = tf.shape(scene.image)[:2]
    if choice.name in GEOMETRIC:
        if step > 1:
            # What earlier steps show beyond the edge may be coloured since; what this one shows is not.
            scene = tf.cond(
                tf.reduce_all(tf.equal(scene.beyond, color.GREY)), lambda: scene, lambda: settle(scene, fill)
            )
        added = GEOMETRIC[choice.name](choice, draws.sign, size)
        return scene._replace(pending=scene.pending @ added)
    if choice.name in POINTWISE:
        operation, pixels = POINTWISE[choice.name], tf.cast(size[0] * size[1], tf.float32)
        image, beyond = operation(scene.image, choice, pixels), scene.beyond
        if step:
            nothing_shown = geometry.is_identity(scene.pending)
            beyond = tf.where(nothing_shown, beyond, operation(beyond, choice, pixels))
        return scene._replace(image=image, beyond=beyond)
    if step:
        scene = settle(scene, fill)
    if choice.name == 'TranslateY_Only_BBoxes':
        return _slide_in_boxes(scene, choice, draws, fill)
    return scene._replace(image=SETTLED[choice.name](scene.image, choice, draws))


def _slide_in_boxes(scene: Scene, choice: Choice, draws: Draws, fill: str) -> Scene:
    pixels = choice.level / MAX_LEVEL * BOX_ONLY_TRANSLATE_CONST * draws.sign
    boxes, label_map = scene.boxes, scene.label_map
    if label_map is not None:
        no_box = tf.equal(tf.shape(boxes)[0], 0)
        boxes = tf.cond(no_box, lambda: boxes_only.boxes_of_classes(label_map), lambda: scene.boxes)
    picked = boxes_only.pick_boxes(boxes, tf.shape(scene.image)[:2], choice.probability, draws.seed)
    # Masks and labels slide with the pixels they belong to.
    channels, fills = [scene.image], [tf.fill([3], tf.constant(color.GREY, tf.uint8))]
    masks = 0
    if scene.planes is not None:
        masks = tf.shape(scene.planes)[0]
        channels.append(tf.transpose(scene.planes, [1, 2, 0]))
        fills.append(tf.zeros([masks], tf.uint8))
    if label_map is not None:
        channels.append(label_map[..., tf.newaxis])
        fills.append(tf.constant([resampling.IGNORE], tf.uint8))
    moved = boxes_only.translate_y(
        tf.concat(channels, axis=2), picked, pixels, fill, tf.concat(fills, axis=0)
    )
    image = tf.ensure_shape(moved[..., :3], scene.image.shape)
    planes = scene.planes
    if planes is not None:
        planes = tf.ensure_shape(tf.transpose(moved[..., 3 : 3 + masks], [2, 0, 1]), planes.shape)
    if label_map is not None:
        label_map = tf.ensure_shape(moved[..., 3 + masks], label_map.shape)
    keypoints = scene.keypoints
    if keypoints is not None:
        keypoints = tf.ensure_shape(points.slide(keypoints, picked, pixels), keypoints.shape)
    sources = scene.sources
    if sources is not None:
        # Whole numbers of four bytes, which cannot be channels of the image.
        sources = boxes_only.translate_y(resampling.tracked(sources), picked, pixels, fill, tf.zeros([1], tf.int32))
    return scene._replace(image=image, planes=planes, label_map=label_map, keypoints=keypoints, sources=sources)


def apply_one_of(
    scene: Scene,
    choices: Sequence[Choice],
    index: tf.Tensor,
    draws: Draws,
    fill: str,
    step: int,
    when: str = 'once',
) -> Scene:
    """Carries out `choices[index]`; any other index changes nothing. `when` is a policy's `resampling`."""

    def branch(choice: Choice) -> Callable[[], Scene]:
        return lambda: apply(scene, choice, draws, fill, step)

    scene = tf.switch_case(index, [branch(choice) for choice in choices], default=lambda: scene)
    return settle(scene, fill) if when == 'each' else scene
