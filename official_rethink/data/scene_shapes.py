"""Shape primitives of the built-in scenes: outlines, parts and figures in a unit coordinate system.

A figure is drawn around the origin with x to the right and y downwards, roughly inside [-1, 1]; the
renderer normalises its extent, so a family's builder only cares for proportions.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

Outline = np.ndarray
"""Float array [P, 2] of x, y corners of a closed polygon."""
Point = tuple[float, float]
_TURN = np.linspace(0.0, 2.0 * math.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_CAP_TURN = np.linspace(math.pi / 2.0, 1.5 * math.pi, 7)
_CAP = np.stack([np.cos(_CAP_TURN), np.sin(_CAP_TURN)], axis=1)
_ALONG = np.linspace(0.0, 1.0, 9)
_BULGE = 0.5 * np.sin(math.pi * _ALONG) ** 0.8
_PETAL = np.concatenate([np.stack([_ALONG, _BULGE], axis=1), np.stack([_ALONG, -_BULGE], axis=1)[-2:0:-1]])


@dataclasses.dataclass(frozen=True)
class Part:
    """One piece of a figure.

    Attributes:
        outlines: closed polygons, filled by the even-odd rule: a second outline inside the first is a hole.
        role: what the piece is made of; parts of a figure with one role share colour and texture.
    """

    outlines: tuple[Outline, ...]
    role: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure in one pose: parts from back to front, and its key points in the family's order."""

    parts: tuple[Part, ...]
    keypoints: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Family:
    """A class of figures.

    Attributes:
        name: the category's name.
        build: draws one figure; `variation` in [0, 1] scales how far proportions and joint angles stray.
        keypoint_names: in the order of `Figure.keypoints`.
        flip_pairs: indices of key points that trade names when the figure is mirrored.
    """

    name: str
    build: Callable[['Draw'], Figure]
    keypoint_names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()

    def named(self, points: np.ndarray, mirrored: bool) -> np.ndarray:
        """Puts the key points [P, 2] of a figure, mirrored or not, in the order of their names."""
        order = np.arange(len(points))
        for first, second in self.flip_pairs if mirrored else ():
            order[[first, second]] = second, first
        return points[order]


class Draw:
    """The random draws of one figure: every deviation from the mean shape is scaled by `variation`."""

    def __init__(self, rng: np.random.Generator, variation: float):
        self._rng, self._variation = rng, variation

    def around(self, mean: float, spread: float) -> float:
        """A value in [mean - spread, mean + spread], narrowed by the variation."""
        return mean + spread * self._variation * (2.0 * self._rng.random() - 1.0)

    def chance(self, probability: float) -> bool:
        """True with the given probability, whatever the variation."""
        return bool(self._rng.random() < probability)

    def count(self, low: int, high: int) -> int:
        """A whole number in [low, high], whatever the variation."""
        return int(self._rng.integers(low, high + 1))


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0) -> Outline:
    """An ellipse about (x, y), turned by `angle` radians."""
    return rotated(_CIRCLE * (radius_x, radius_y), angle) + (x, y)


def box(x: float, y: float, width: float, height: float, angle: float = 0.0) -> Outline:
    """A rectangle about (x, y), turned by `angle` radians."""
    half_w, half_h = width / 2.0, height / 2.0
    corners = np.array([(-half_w, -half_h), (half_w, -half_h), (half_w, half_h), (-half_w, half_h)])
    return rotated(corners, angle) + (x, y)


def polygon(*corners: Point) -> Outline:
    """A polygon through the corners given."""
    return np.array(corners, np.float64)


def limb(start: Point, end: Point, start_width: float, end_width: float | None = None) -> Outline:
    """A rounded, possibly tapered bar between two joints."""
    end_width = start_width if end_width is None else end_width
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    cap = rotated(_CAP, angle)
    back = cap * (start_width / 2.0) + start
    front = cap * (-end_width / 2.0) + end
    return np.concatenate([back, front])


def sector(x: float, y: float, radius: float, first: float, last: float, squash: float = 1.0) -> Outline:
    """A slice of a disc between two angles (radians), or a dome when it spans half a turn."""
    turn = np.linspace(first, last, 14)
    arc = np.stack([x + radius * np.cos(turn), y + radius * squash * np.sin(turn)], axis=1)
    return np.concatenate([arc, [(x, y)]])


def petal(x: float, y: float, length: float, width: float, angle: float) -> Outline:
    """A leaf that starts at (x, y) and points along `angle`, pointed at both ends."""
    return rotated(_PETAL * (length, width), angle) + (x, y)


def star(x: float, y: float, outer: float, inner: float, points: int, angle: float = 0.0) -> Outline:
    """A star with `points` tips."""
    turn = angle + np.arange(2 * points) * math.pi / points
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def rotated(points: Outline, angle: float) -> Outline:
    """Turns points about the origin by `angle` radians (clockwise on screen, since y points down)."""
    if angle == 0.0:
        return points
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ np.array([(cos, sin), (-sin, cos)])


def step(start: Point, angle: float, length: float) -> Point:
    """The joint `length` away from `start` along `angle` radians."""
    return start[0] + length * math.cos(angle), start[1] + length * math.sin(angle)


def part(role: str, *outlines: Outline) -> Part:
    """A part of the role given, with further outlines as holes."""
    return Part(outlines, role)


def between(start: Point, end: Point, share: float) -> Point:
    """The point that share of the way from start to end."""
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
