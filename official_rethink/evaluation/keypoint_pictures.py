"""Key points on a picture: a dot a point, lines between those that belong together, in the object's colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from official_rethink.common import errors
from official_rethink.evaluation import gallery

_INK = (0, 0, 0)


def draw(
    pictures: Sequence[np.ndarray],
    images: Sequence[np.ndarray],
    keypoints: Sequence[Sequence[Any]],
    classes: Sequence[Sequence[int]],
    skeleton: Sequence[Sequence[int]] = (),
    threshold: float = 0.0,
) -> list[np.ndarray]:
    """Draws the objects' points on pictures, such as `gallery.draw` makes of images.

    Args:
        pictures: uint8 RGB, each its image at another size.
        images: the images, in whose pixels the points are.
        keypoints: for each image, for each object [P, 3]: y, x and visibility or score; or None of one without.
        classes: for each image the objects' classes, which give them the colours of their boxes.
        skeleton: pairs of points with a line between them.
        threshold: points over it are drawn: 0 of human labels, a score of a model's.

    Returns:
        new pictures, uint8 RGB.
    """
    for what, values in (('images', images), ('key point lists', keypoints), ('class lists', classes)):
        if len(values) != len(pictures):
            raise errors.bad_value(f'number of {what}', len(values), f'{len(pictures)}, one for each picture')
    drawn = []
    for picture, image, points, labels in zip(pictures, images, keypoints, classes, strict=True):
        scale = max(picture.shape[:2]) / max(image.shape[:2])
        canvas = Image.fromarray(picture)
        pen = ImageDraw.Draw(canvas)
        radius = max(2, max(canvas.size) // 120)
        # The first object lies on top, as the best scored box does.
        for placed, label in reversed(list(zip(points, labels, strict=True))):
            if placed is not None:
                color = gallery._color(int(label))
                _mark(pen, np.asarray(placed, np.float64), scale, color, radius, skeleton, threshold)
        drawn.append(np.asarray(canvas))
    return drawn


def _mark(
    pen: Any,
    points: np.ndarray,
    scale: float,
    color: tuple[int, int, int],
    radius: int,
    skeleton: Sequence[Sequence[int]],
    threshold: float,
) -> None:
    """Draws one object's lines and, over them, its dots; what is not finite is left out."""
    shown = (points[:, 2] > threshold) & np.isfinite(points).all(1)
    places = [(float(x) * scale, float(y) * scale) for y, x in points[:, :2]]
    for first, second in skeleton:
        if max(first, second) < len(points) and shown[first] and shown[second]:
            pen.line([places[first], places[second]], fill=_INK, width=radius + 2)
            pen.line([places[first], places[second]], fill=color, width=radius)
    for (x, y), seen in zip(places, shown, strict=True):
        if seen:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=_INK)
