"""Scenes of the built-in data set composed: background, clutter, objects, occluders, light and noise.

Everything is drawn at twice the output's size without smoothing and halved at the end, which gives smooth
edges in the image and exact masks beside it.
"""

import dataclasses
import math

import cv2
import numpy as np

from official_rethink.data import scene_shapes as shapes
from official_rethink.data import scene_sprites as sprites
from official_rethink.data import scene_textures as textures
from official_rethink.data.scene_knobs import Knobs
from official_rethink.data.scene_shapes import Draw, Family, Figure

SUPERSAMPLING = 2
MIN_VISIBLE_PIXELS = 12
"""Least number of an object's visible pixels in the image; what would show less is not placed."""
_MIN_EXTENT = 12.0
_PLACEMENT_TRIES = 8
_VISIBLE, _HIDDEN = 2, 1


@dataclasses.dataclass(frozen=True)
class Rendered:
    """One finished scene; instances are in the order drawn, from back to front.

    Attributes:
        image: uint8 [H, W, 3].
        instances: int32 [H, W], 0 where no object shows, else 1 + the instance's number.
        families: per instance, the number of its family.
        keypoints: per instance, float [P, 3] of x, y, visibility (0 outside the image, 1 hidden, 2 visible).
        visible_shares: per instance, visible over whole area, in [0, 1].
        num_clutter: distractors drawn, behind and in front.
    """

    image: np.ndarray
    instances: np.ndarray
    families: list[int]
    keypoints: list[np.ndarray]
    visible_shares: list[float]
    num_clutter: int


class Composer:
    """A canvas on which sprites are laid one over another, with the order of what shows where."""

    def __init__(self, background: np.ndarray, min_visible: float):
        self.canvas = background
        self.order = np.zeros(background.shape[:2], np.uint8)  # at most 255 layers
        self.num_layers = 0
        self._min_visible = min_visible
        self._objects: dict[int, int] = {}  # layer: whole area
        self._visible: dict[int, int] = {}  # layer: visible area

    def place(
        self, sprite: sprites.Sprite, top: int, left: int, is_object: bool, shadow: float = 0.0
    ) -> int | None:
        """Lays a sprite down unless it, or an object behind it, would show too little; returns its layer."""
        height, width = self.order.shape
        y1, x1 = max(top, 0), max(left, 0)
        y2, x2 = min(top + sprite.alpha.shape[0], height), min(left + sprite.alpha.shape[1], width)
        if y1 >= y2 or x1 >= x2 or self.num_layers == 255:
            return None
        inner = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
        area = (slice(y1, y2), slice(x1, x2))
        alpha = np.ascontiguousarray(sprite.alpha[inner])
        inside = int(cv2.countNonZero(alpha))
        if is_object and not self._shows_enough(inside, sprite.area):
            return None
        hidden = np.bincount(self.order[area][alpha > 0], minlength=self.num_layers + 1)
        left_over = {layer: self._visible[layer] - int(hidden[layer]) for layer in self._objects}
        if not all(self._shows_enough(left_over[layer], whole) for layer, whole in self._objects.items()):
            return None
        self._visible = left_over
        self.num_layers += 1
        if shadow > 0.0:
            self._cast_shadow(alpha, y1, x1, shadow, sprite.alpha.shape)
        cv2.copyTo(np.ascontiguousarray(sprite.color[inner]), alpha, self.canvas[area])
        self.order[area][alpha > 0] = self.num_layers
        if is_object:
            self._objects[self.num_layers] = sprite.area
            self._visible[self.num_layers] = inside
        return self.num_layers

    def visible_share(self, layer: int) -> float:
        """Visible over whole area of an object."""
        return self._visible[layer] / self._objects[layer]

    def _shows_enough(self, visible: int, whole: int) -> bool:
        return visible >= max(self._min_visible * whole, MIN_VISIBLE_PIXELS * SUPERSAMPLING**2)

    def _cast_shadow(
        self, alpha: np.ndarray, top: int, left: int, strength: float, shape: tuple[int, ...]
    ) -> None:
        drop = max(2, max(shape) // 16)
        area = (
            slice(top + drop, top + drop + alpha.shape[0]),
            slice(left + drop, left + drop + alpha.shape[1]),
        )
        target = self.canvas[area]
        if target.size:
            dark = cv2.convertScaleAbs(target, alpha=1.0 - strength)
            cv2.copyTo(dark, np.ascontiguousarray(alpha[: target.shape[0], : target.shape[1]]), target)


def render(
    rng: np.random.Generator,
    height: int,
    width: int,
    knob: Knobs,
    families: tuple[Family, ...],
    wanted: list[tuple[int, float]],
) -> Rendered:
    """Draws one scene.

    Args:
        rng: the scene's random numbers.
        height: of the image, in pixels.
        width: of the image, in pixels.
        knob: how hard it is to be.
        families: the classes of the data set.
        wanted: of each object, the number of its family and its extent (relative to the shorter side); an
            object that finds no place is left out.
    """
    big_height, big_width = height * SUPERSAMPLING, width * SUPERSAMPLING
    background = textures.background(rng, big_height, big_width, knob.background_contrast)
    mean = cv2.mean(background)
    look = sprites.Look((mean[0], mean[1], mean[2]), knob.color_gap, knob.texture, knob.usual_colors)
    composer = Composer(background, knob.min_visible)
    num_clutter = sum(
        _add_clutter(rng, composer, knob, look, families) for _ in range(rng.poisson(knob.clutter))
    )
    placed: list[tuple[int, int, np.ndarray]] = []
    centres: list[tuple[float, float, float]] = []
    for family, extent in sorted(wanted, key=lambda item: -item[1] * rng.uniform(0.6, 1.4)):
        found = _add_object(rng, composer, knob, look, families[family], extent, centres)
        if found is not None:
            placed.append((found[0], family, found[1]))
    num_clutter += sum(
        _add_clutter(rng, composer, knob, look, families) for _ in range(rng.poisson(knob.occluders))
    )
    image = cv2.resize(composer.canvas, (width, height), interpolation=cv2.INTER_AREA)
    layers = _halved(composer.order)
    numbers = np.zeros(256, np.int32)
    numbers[[layer for layer, _, _ in placed]] = np.arange(1, len(placed) + 1)
    instances = numbers[layers]
    keypoints = [
        _visibility(points / SUPERSAMPLING, instances == number)
        for number, (_, _, points) in enumerate(placed, 1)
    ]
    return Rendered(
        image=_photograph(rng, image, knob),
        instances=instances,
        families=[family for _, family, _ in placed],
        keypoints=keypoints,
        visible_shares=[composer.visible_share(layer) for layer, _, _ in placed],
        num_clutter=num_clutter,
    )


def _add_object(
    rng: np.random.Generator,
    composer: Composer,
    knob: Knobs,
    look: sprites.Look,
    family: Family,
    extent: float,
    centres: list[tuple[float, float, float]],
) -> tuple[int, np.ndarray] | None:
    """Draws and places one object; returns its layer and its key points on the canvas."""
    pose = _pose(rng, composer, knob, extent)
    figure = family.build(Draw(rng, knob.variation))
    sprite = sprites.draw_sprite(rng, figure, pose, look)
    shadow = rng.uniform(0.2, 0.45) if rng.random() < 0.5 else 0.0
    size, room = np.array(sprite.alpha.shape), np.array(composer.order.shape)
    for _ in range(_PLACEMENT_TRIES):
        margin = np.minimum(0.5 * knob.min_visible * size, 0.5 * room)  # keeps enough of it in the image
        y, x = margin + rng.random(2) * (room - 2.0 * margin)
        if centres and rng.random() < knob.crowding:
            near_y, near_x, reach = centres[int(rng.integers(len(centres)))]
            angle, far = rng.uniform(0.0, 2.0 * math.pi), 0.5 * (reach + pose.extent) * rng.uniform(0.55, 1.0)
            y, x = near_y + far * math.sin(angle), near_x + far * math.cos(angle)
        top, left = int(y - size[0] / 2.0), int(x - size[1] / 2.0)
        layer = composer.place(sprite, top, left, is_object=True, shadow=shadow)
        if layer is not None:
            centres.append((y, x, pose.extent))
            return layer, family.named(sprite.keypoints + (left, top), pose.mirrored)
    return None


def _pose(rng: np.random.Generator, composer: Composer, knob: Knobs, extent: float) -> sprites.Pose:
    shorter = min(composer.order.shape)
    return sprites.Pose(
        extent=max(extent * shorter, _MIN_EXTENT * SUPERSAMPLING),
        angle=math.radians(rng.uniform(-knob.rotation, knob.rotation)),
        stretch=math.exp(rng.uniform(-0.25, 0.25) * knob.variation),
        mirrored=bool(rng.random() < 0.5),
    )


def _add_clutter(
    rng: np.random.Generator,
    composer: Composer,
    knob: Knobs,
    look: sprites.Look,
    families: tuple[Family, ...],
) -> bool:
    """Draws one distractor: a shape of no class, or one or two parts torn from figures of the classes."""
    if rng.random() < knob.copied_parts:
        parts = []
        for family in rng.choice(
            len(families), size=min(int(rng.integers(1, 3)), len(families)), replace=False
        ):
            whole = families[family].build(Draw(rng, knob.variation)).parts
            parts.append(whole[int(rng.integers(len(whole)))])
        figure = Figure(tuple(parts), ())
    else:
        figure = _shape_of_no_class(rng)
    extent = rng.uniform(max(0.06, knob.min_extent * 0.5), 0.32)
    sprite = sprites.draw_sprite(rng, figure, _pose(rng, composer, knob, extent), look)
    y, x = rng.random(2) * composer.order.shape - np.array(sprite.alpha.shape) / 2.0
    return composer.place(sprite, int(y), int(x), is_object=False) is not None


def _shape_of_no_class(rng: np.random.Generator) -> Figure:
    kind = int(rng.integers(5))
    if kind == 0:
        outline = shapes.star(
            0.0, 0.0, 1.0, rng.uniform(0.35, 0.8), int(rng.integers(3, 7)), rng.uniform(0, 6)
        )
    elif kind == 1:
        outline = shapes.box(0.0, 0.0, 2.0, rng.uniform(0.3, 2.0), rng.uniform(0, 3))
    elif kind == 2:
        outline = shapes.limb((-0.9, 0.0), (0.9, rng.uniform(-0.3, 0.3)), rng.uniform(0.1, 0.4))
    else:  # a lump, round or jagged
        turn = np.sort(rng.uniform(0.0, 2.0 * math.pi, int(rng.integers(5, 12))))
        reach = rng.uniform(0.4, 1.0, turn.size)
        outline = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)
    return Figure((shapes.part('body', outline),), ())


def _halved(order: np.ndarray) -> np.ndarray:
    """Halves the map: per 2x2 block the layer with half of it or more, else the second from the front."""
    a, b, c, d = order[::2, ::2], order[::2, 1::2], order[1::2, ::2], order[1::2, 1::2]
    high_1, high_2 = np.maximum(a, b), np.maximum(c, d)
    return np.maximum(np.minimum(high_1, high_2), np.maximum(np.minimum(a, b), np.minimum(c, d)))


def _visibility(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Adds the visibility column; points outside the image become 0, 0, 0 as in COCO."""
    height, width = mask.shape
    result = np.zeros((len(points), 3))
    for row, (x, y) in zip(result, points, strict=True):
        if 0.0 <= x < width and 0.0 <= y < height:
            near = mask[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
            row[:] = x, y, _VISIBLE if near.any() else _HIDDEN
    return result


def _photograph(rng: np.random.Generator, image: np.ndarray, knob: Knobs) -> np.ndarray:
    """Applies light (gain, slope, colour cast), blur and noise."""
    height, width = image.shape[:2]
    strength = knob.lighting
    gain = math.exp(strength * rng.uniform(-0.6, 0.35))
    slope_x, slope_y = strength * rng.uniform(-0.7, 0.7, 2)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * slope_x
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * slope_y
    cast = (1.0 + strength * rng.uniform(-0.25, 0.25, 3)).astype(np.float32)
    light = (np.float32(gain) * (1.0 + across[None, :] + down[:, None]))[..., None] * cast
    result = image.astype(np.float32) * light.astype(np.float32)
    sigma = knob.blur * rng.random() * min(height, width) / 128.0
    if sigma > 0.25:
        result = cv2.GaussianBlur(result, (0, 0), sigma)
    result += rng.standard_normal(result.shape, dtype=np.float32) * np.float32(knob.noise * rng.random())
    return np.clip(result + 0.5, 0.0, 255.0).astype(np.uint8)
