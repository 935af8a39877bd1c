"""Pictures of label maps: an image tinted by its classes, in PASCAL's colours, with the names beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from official_rethink.common import errors
from official_rethink.data import label_maps
from official_rethink.evaluation import gallery

BACKGROUND, VOID = 'background', 'ignored'
_ALPHA = 0.6
_OUTLINE = (255, 255, 255)
_HATCH = 6  # pixels from one stripe over what is ignored to the next


def overlay(
    image: np.ndarray, label_map: np.ndarray, alpha: float = _ALPHA, outline: bool = True
) -> np.ndarray:
    """Tints an image by the class of each pixel.

    Background is left as it is. What is ignored is greyed and hatched in the palette's last colour, so that it
    cannot be taken for a class.

    Args:
        image: uint8 RGB [H, W, 3].
        label_map: uint8 [H, W].
        alpha: share of the class's colour in a tinted pixel, 0 to 1.
        outline: draw a white line, a pixel wide, where classes meet.

    Returns:
        uint8 RGB [H, W, 3].
    """
    image, label_map = _checked(image, label_map)
    if not 0 <= alpha <= 1:
        raise errors.bad_value('alpha', alpha, '0 to 1')
    colors = label_maps.palette().astype(np.float32)
    void, tinted = label_map == label_maps.IGNORE, label_map != 0
    picture = image.astype(np.float32)
    picture[void] = picture[void].mean(axis=-1, keepdims=True)
    share = np.where(tinted, alpha, 0.0).astype(np.float32)
    stripes = np.add.outer(np.arange(label_map.shape[0]), np.arange(label_map.shape[1])) % _HATCH < 2
    share[void] = np.where(stripes[void], alpha, alpha / 2)
    picture += share[..., np.newaxis] * (colors[label_map] - picture)
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if outline:
        picture[_borders(label_map)] = _OUTLINE
    return picture


def _borders(label_map: np.ndarray) -> np.ndarray:
    """Where a pixel's class is not that of the one above or left of it; the rim of what is ignored does not count."""
    border, known = np.zeros(label_map.shape, bool), label_map != label_maps.IGNORE
    border[1:] |= (label_map[1:] != label_map[:-1]) & known[1:] & known[:-1]
    border[:, 1:] |= (label_map[:, 1:] != label_map[:, :-1]) & known[:, 1:] & known[:, :-1]
    return border


def _checked(image: Any, label_map: Any) -> tuple[np.ndarray, np.ndarray]:
    image, label_map = np.asarray(image), np.asarray(label_map)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        found = f'{image.dtype} {list(image.shape)}'
        raise errors.bad_value('image', found, 'uint8 RGB of shape [height, width, 3]')
    if label_map.dtype != np.uint8 or label_map.shape != image.shape[:2]:
        found = f'{label_map.dtype} {list(label_map.shape)}'
        raise errors.bad_value('label map', found, f'uint8 {list(image.shape[:2])}, a value for each pixel')
    return image, label_map


def draw(
    images: Sequence[np.ndarray], maps: Sequence[np.ndarray], side: int = gallery.SIDE, alpha: float = _ALPHA
) -> list[np.ndarray]:
    """Enlarges (or reduces) images and their label maps, and tints them.

    Args:
        images: uint8 RGB [H, W, 3], of any sizes.
        maps: for each its label map, uint8 [H, W].
        side: the longer side of the pictures, in pixels.
        alpha: as of `overlay`.

    Returns:
        for each image a picture, uint8 RGB, its longer side `side`.
    """
    if len(images) != len(maps):
        raise errors.bad_value('number of label maps', len(maps), f'{len(images)}, one for each image')
    pictures = []
    for number, (image, label_map) in enumerate(zip(images, maps, strict=True)):
        image, label_map = _checked(image, label_map)
        larger, _ = gallery.resized(image, side, f'picture {number}')
        classes = Image.fromarray(label_map).resize((larger.shape[1], larger.shape[0]), Image.Resampling.NEAREST)
        pictures.append(overlay(larger, np.asarray(classes), alpha))
    return pictures


def present(maps: Iterable[np.ndarray]) -> list[int]:
    """Returns the values that occur in any of the label maps, in order, what is ignored (255) among them."""
    counts = sum((label_maps.pixels(label_map) for label_map in maps), np.zeros(256, np.int64))
    return np.flatnonzero(counts).tolist()


def legend(labels: Sequence[int], names: Mapping[int, str], width: int) -> np.ndarray:
    """Returns a picture of the classes' colours and names, uint8 RGB [height, width, 3].

    Args:
        labels: class ids, in the order in which they are to stand; 255 for what is ignored.
        names: class id to name; a class without a name shows its id.
        width: in pixels; names go on in a new line where it is full.
    """
    font = gallery.font(max(12, min(18, width // 40)))
    size = font.size + 4
    known = {0: BACKGROUND, label_maps.IGNORE: VOID} | dict(names)
    colors = label_maps.palette()
    places, x, y = [], 4, 4
    for label in labels:
        name = known.get(label, str(label))
        length = size + 6 + int(font.getlength(name)) + 16
        if x > 4 and x + length > width:
            x, y = 4, y + size + 6
        places.append((x, y, label, name))
        x += length
    sheet = Image.new('RGB', (width, y + size + 8), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for left, top, label, name in places:
        pen.rectangle((left, top, left + size, top + size), fill=tuple(colors[label].tolist()), outline=(0, 0, 0))
        pen.text((left + size + 6, top), name, font=font, fill=(30, 30, 30))
    return np.asarray(sheet)


def sheet(
    rows: Sequence[Sequence[np.ndarray]],
    maps: Iterable[np.ndarray],
    names: Mapping[int, str],
    column_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = '',
) -> bytes:
    """Puts drawn pictures on one sheet, with the legend of what is on them below.

    Args:
        rows: pictures, as of `gallery.grid`.
        maps: the label maps that are drawn, for the legend.
        names: class id to name.
        column_titles: as of `gallery.grid`.
        captions: likewise.
        title: likewise.

    Returns:
        PNG.
    """
    body = gallery.sheet(rows, column_titles, captions, title)
    labels = [label for label in present(maps) if label]  # the background has no colour
    parts = [body, legend(labels, names, body.shape[1])] if labels else [body]
    return gallery.png(np.concatenate(parts))


def side_by_side(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[np.ndarray]],
    names: Mapping[int, str],
    captions: Sequence[str] = (),
    side: int = gallery.SIDE,
    title: str = '',
) -> bytes:
    """Shows each image once in every column, such as truth, teacher and student, a row an image.

    Args:
        images: uint8 RGB [H, W, 3].
        columns: title to the label map of each image.
        names: class id to name.
        captions: what stands below each row's first picture.
        side: the longer side of the pictures.
        title: what stands above all.

    Returns:
        the sheet as PNG, a legend below.
    """
    drawn = [draw(images, maps, side) for maps in columns.values()]
    rows = [list(row) for row in zip(*drawn, strict=True)]
    below = [[caption] + [''] * (len(columns) - 1) for caption in captions]
    every = [label_map for maps in columns.values() for label_map in maps]
    return sheet(rows, every, names, list(columns), below, title)
