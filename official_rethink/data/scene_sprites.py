"""Figures of the built-in scenes drawn as sprites: colour, coverage and key points on a patch each."""

import dataclasses
import math

import cv2
import numpy as np

from official_rethink.data import scene_shapes as shapes
from official_rethink.data import scene_textures as textures
from official_rethink.data.scene_shapes import Figure

_SHIFT_BITS = 4  # sub-pixel corners for OpenCV's polygon filler
_MARGIN = 2
_ANY_HUE = (0.0, 1.0)
_ALWAYS = {  # roles that look alike on every object: hue, saturation, value
    'dark': (_ANY_HUE, (0.0, 0.4), (0.04, 0.2)),
    'tyre': (_ANY_HUE, (0.0, 0.3), (0.06, 0.25)),
    'white': (_ANY_HUE, (0.0, 0.08), (0.85, 1.0)),
    'glass': (_ANY_HUE, (0.05, 0.35), (0.6, 0.95)),
    'bulb': (_ANY_HUE, (0.1, 0.5), (0.9, 1.0)),
}
_USUALLY = {  # roles that have a colour of their own in the share of objects that the look gives
    'skin': ((0.04, 0.1), (0.25, 0.6), (0.5, 0.95)),
    'hair': ((0.05, 0.12), (0.3, 0.8), (0.1, 0.6)),
    'metal': ((0.1, 0.16), (0.1, 0.7), (0.5, 0.85)),
    'stem': ((0.25, 0.4), (0.5, 0.9), (0.3, 0.7)),
    'heart': ((0.1, 0.16), (0.7, 1.0), (0.7, 1.0)),
    'roof': ((0.0, 0.06), (0.5, 0.8), (0.4, 0.7)),
    'wall': ((0.05, 0.15), (0.1, 0.4), (0.6, 0.95)),
    'tower': ((0.05, 0.12), (0.05, 0.3), (0.6, 0.95)),
    'sail': ((0.0, 0.2), (0.0, 0.2), (0.8, 1.0)),
    'beak': ((0.06, 0.14), (0.7, 1.0), (0.7, 1.0)),
    'mast': ((0.06, 0.1), (0.4, 0.7), (0.3, 0.6)),
    'stick': ((0.06, 0.1), (0.4, 0.7), (0.3, 0.6)),
    'handle': ((0.06, 0.1), (0.4, 0.7), (0.3, 0.6)),
    'pot': ((0.02, 0.06), (0.5, 0.8), (0.5, 0.8)),
    'flame': ((0.02, 0.14), (0.7, 1.0), (0.8, 1.0)),
}


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A drawn figure.

    Attributes:
        color: uint8 [h, w, 3].
        alpha: uint8 [h, w], 0 or 255.
        keypoints: float [P, 2], x and y on the patch.
        area: number of covered pixels.
    """

    color: np.ndarray
    alpha: np.ndarray
    keypoints: np.ndarray
    area: int


@dataclasses.dataclass(frozen=True)
class Look:
    """How figures of a scene are coloured.

    Attributes:
        backdrop: mean colour of the background.
        gap: least distance in RGB of a figure's main colours from the backdrop.
        texture: in [0, 1], how strong the texture on a part is against its shading.
        usual: chance that a role which has a usual colour (stems are green) takes it.
    """

    backdrop: textures.Color
    gap: float
    texture: float
    usual: float


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where a figure's axes go.

    Attributes:
        extent: length of the longer side before rotation, in canvas pixels.
        angle: in-plane rotation in radians, clockwise.
        stretch: width over height, relative to the figure's own.
        mirrored: left and right are exchanged.
    """

    extent: float
    angle: float
    stretch: float
    mirrored: bool


def draw_sprite(rng: np.random.Generator, figure: Figure, pose: Pose, look: Look) -> Sprite:
    """Draws a figure in the pose given, with colours and textures of its own."""
    matrix, centre = _placement(figure, pose)
    outlines = [[(outline - centre) @ matrix for outline in part.outlines] for part in figure.parts]
    points = np.concatenate([outline for group in outlines for outline in group])
    low = np.floor(points.min(axis=0)) - _MARGIN
    width, height = (np.ceil(points.max(axis=0)) - low + _MARGIN + 1).astype(int)
    color = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    materials: dict[str, _Material] = {}
    used: list[textures.Color] = []
    edge = max(1, round(pose.extent / 90.0)) if rng.random() < 0.75 else 0
    for part, group in zip(figure.parts, outlines, strict=True):
        if part.role not in materials:
            materials[part.role] = _material(rng, part.role, used, look)
        corners = [np.round((outline - low) * (1 << _SHIFT_BITS)).astype(np.int32) for outline in group]
        _paint(color, alpha, corners, materials[part.role], pose, edge)
    keypoints = (np.array(figure.keypoints, np.float64).reshape(-1, 2) - centre) @ matrix - low
    return Sprite(color, alpha, keypoints, int(cv2.countNonZero(alpha)))


def _placement(figure: Figure, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and centre that bring figure coordinates (row vectors) to canvas pixels."""
    points = np.concatenate([outline for part in figure.parts for outline in part.outlines])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = pose.extent / float((high - low).max())
    stretch = math.sqrt(pose.stretch)
    axes = np.diag([scale * stretch * (-1.0 if pose.mirrored else 1.0), scale / stretch])
    return axes @ shapes.rotated(np.eye(2), pose.angle), (low + high) / 2.0


@dataclasses.dataclass(frozen=True)
class _Material:
    pattern: np.ndarray
    table: np.ndarray
    edge: textures.Color
    scale: float
    turn: float
    shift: np.ndarray
    texture: float


def _material(rng: np.random.Generator, role: str, used: list[textures.Color], look: Look) -> _Material:
    texture = look.texture * rng.uniform(0.3, 1.0)
    tone = _ALWAYS.get(role)
    if tone is not None:
        texture *= 0.3
    elif rng.random() < look.usual:
        tone = _USUALLY.get(role)
    if tone is not None:
        base = textures.draw_color(rng, *tone)
        other = textures.shaded(base, rng.uniform(1.15, 1.5))
    else:
        base = textures.distinct_color(rng, [look.backdrop, *used[-2:]], look.gap)
        used.append(base)
        other = textures.shaded(base, rng.uniform(1.15, 1.5))
        if rng.random() < look.texture:  # two colours in one texture
            other = textures.draw_color(rng, (0.0, 1.0), (0.1, 0.8), (0.3, 1.0))
    table = textures.ramp(textures.shaded(base, rng.uniform(0.5, 0.75)), other)
    return _Material(
        textures.pick_pattern(rng),
        table,
        textures.shaded(base, 0.35),
        rng.uniform(0.6, 1.3),
        rng.uniform(0.0, math.pi),
        rng.random(2),
        texture,
    )


_GRADIENT = np.clip(255.0 * np.cos(np.linspace(-1.35, 1.35, textures.BANK_SIZE)), 0, 255).astype(np.uint8)
_CYLINDER = np.repeat(_GRADIENT[:, None], textures.BANK_SIZE, axis=1)


def _paint(
    color: np.ndarray,
    alpha: np.ndarray,
    corners: list[np.ndarray],
    material: _Material,
    pose: Pose,
    edge: int,
) -> None:
    """Fills one part: its texture under a round shading, then its outline."""
    everything = corners[0] if len(corners) == 1 else np.concatenate(corners)
    left, top = (everything.min(axis=0) >> _SHIFT_BITS) - 1
    right, bottom = (everything.max(axis=0) >> _SHIFT_BITS) + 2
    height, width = int(bottom - top), int(right - left)
    mask = np.zeros((height, width), np.uint8)
    offset = np.array([left << _SHIFT_BITS, top << _SHIFT_BITS], np.int32)
    cv2.fillPoly(mask, [outline - offset for outline in corners], (255,), cv2.LINE_8, _SHIFT_BITS)
    area = (slice(top, bottom), slice(left, right))
    # A pattern of 256 pixels spans about one and a half figures, so a texture keeps its grain under scaling.
    scale = material.scale * 170.0 / pose.extent
    grey = textures.sample_pattern(
        material.pattern, height, width, scale, material.turn - pose.angle, material.shift
    )
    shade = cv2.resize(_CYLINDER, (width, height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.addWeighted(grey, material.texture, shade, 1.0 - material.texture, 0.0)
    cv2.copyTo(textures.colored(grey, material.table), mask, color[area])
    alpha[area] |= mask
    if edge:
        cv2.polylines(color, corners, True, material.edge, edge, cv2.LINE_AA, _SHIFT_BITS)
