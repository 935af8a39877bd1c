"""The entries of a COCO file checked one by one: what can be right becomes slim, what cannot is named."""

import dataclasses
from collections.abc import Callable
from typing import Any

from official_rethink.data import masks, problems

BOX_TOLERANCE = 1.0  # pixels a box may stick out, from rounding; it is clipped


@dataclasses.dataclass(slots=True)
class Instance:
    """One checked annotation; `box` is y1 x1 y2 x2 in pixels, `segmentation` None if not asked for."""

    box: tuple[float, float, float, float]
    label: int
    is_crowd: bool
    area: float | None
    keypoints: list[tuple[float, float, int]] | None
    segmentation: Any


class Defect(Exception):  # noqa: N818 (it is reported, not raised to the user)
    """An entry that cannot be right: kind, field and message of the `Problem` it becomes."""

    def __init__(self, kind: str, field: str, message: str):
        """Args: as of `problems.Problem`."""
        super().__init__(message)
        self.kind, self.field, self.message = kind, field, message


def get(entry: dict[str, Any], field: str, allowed: str, accept: Callable[[Any], bool]) -> Any:
    """Returns a required field's value; a missing or unacceptable one is a Defect."""
    if field not in entry:
        raise Defect('missing key', field, f'is missing; allowed: {allowed}.')
    value = entry[field]
    if not accept(value):
        raise Defect('wrong type', field, f'is {problems.short(value)}; allowed: {allowed}.')
    return value


def identifier(entry: dict[str, Any], field: str) -> int | str:
    """Returns an id: a whole number from 0 or a text that is not empty."""

    def accept(value: Any) -> bool:
        return (type(value) is int and value >= 0) or (isinstance(value, str) and bool(value))

    return get(entry, field, 'a whole number from 0, or a text', accept)


def side(entry: dict[str, Any], field: str) -> int:
    """Returns an image's height or width."""

    def accept(value: Any) -> bool:
        return problems.is_number(value) and value >= 1 and value == int(value)

    return int(get(entry, field, 'a whole number of pixels from 1', accept))


def instance(
    entry: dict[str, Any],
    height: int,
    width: int,
    labels: dict[Any, int],
    points: dict[Any, int],
    include_masks: bool,
    include_keypoints: bool = False,
) -> Instance:
    """Checks an annotation whose image is known.

    Args:
        entry: from the file's list 'annotations'.
        height: of its image.
        width: of its image.
        labels: the class id of every category id of the file.
        points: the number of key points of the categories that name them.
        include_masks: keep the segmentation, and check it; it is not looked at otherwise.
        include_keypoints: keep the key points of such categories, which must be there; they are checked either way.

    Raises:
        Defect: the entry cannot be right.
    """
    category = identifier(entry, 'category_id')
    if category not in labels:
        known = ', '.join(str(key) for key in list(labels)[:10]) + (', ...' if len(labels) > 10 else '')
        text = f'is {category!r}; the file has the categories {known}.'
        raise Defect('unknown category', 'category_id', text)
    segmentation = None
    if include_masks:
        segmentation = get(entry, 'segmentation', 'polygons or run lengths, with --include_masks', bool)
        if wrong := masks.defect(segmentation, height, width):
            raise Defect('bad segmentation', 'segmentation', wrong)
    expected = points.get(category)
    found = _keypoints(entry, height, width, expected)
    if include_keypoints and expected and found is None:
        text = f'is missing; allowed: x y v of each of its {expected} points, 0 0 0 of one that is not labelled.'
        raise Defect('missing key', 'keypoints', text)
    return Instance(
        box=_box(entry, height, width),
        label=labels[category],
        is_crowd=_is_crowd(entry),
        area=_area(entry),
        keypoints=_pixel_centres(found) if include_keypoints and expected and found else None,
        segmentation=segmentation,
    )


def _box(entry: dict[str, Any], height: int, width: int) -> tuple[float, float, float, float]:
    def accept(value: Any) -> bool:
        return isinstance(value, list) and len(value) == 4 and all(map(problems.is_number, value))

    x, y, w, h = get(entry, 'bbox', 'four finite numbers x y width height', accept)
    if w <= 0 or h <= 0:
        raise Defect('box of no area', 'bbox', f'is {[x, y, w, h]}; allowed: width and height above 0.')
    if min(x, y) < -BOX_TOLERANCE or x + w > width + BOX_TOLERANCE or y + h > height + BOX_TOLERANCE:
        text = f'is {[x, y, w, h]}, x up to {x + w:g} and y up to {y + h:g}'
        raise Defect('box outside image', 'bbox', f'{text}, outside the image of {_size(height, width)}.')
    y1, x1 = max(float(y), 0.0), max(float(x), 0.0)
    y2, x2 = min(float(y + h), float(height)), min(float(x + w), float(width))
    if y2 <= y1 or x2 <= x1:
        raise Defect('box of no area', 'bbox', f'is {[x, y, w, h]}, of which nothing lies inside the image.')
    return y1, x1, y2, x2


def _size(height: int, width: int) -> str:
    return f'{height} x {width} (height x width)'


def _is_crowd(entry: dict[str, Any]) -> bool:
    value = entry.get('iscrowd', 0)  # many exporters leave it out
    if value not in (0, 1) or isinstance(value, float):
        raise Defect('wrong type', 'iscrowd', f'is {problems.short(value)}; allowed: 0, 1.')
    return bool(value)


def _area(entry: dict[str, Any]) -> float | None:
    value = entry.get('area')
    if value is None:
        return None
    if not problems.is_number(value) or value <= 0:
        text = f'is {problems.short(value)}; allowed: a number above 0, or left out.'
        raise Defect('bad area', 'area', text)
    return float(value)


def _keypoints(
    entry: dict[str, Any], height: int, width: int, expected: int | None
) -> list[tuple[float, float, int]] | None:
    flat = entry.get('keypoints')
    if not flat:
        return None
    if expected and isinstance(flat, list) and len(flat) == 2 * expected:
        text = f'is {problems.short(flat)}, {len(flat)} numbers for {expected} points; allowed: x y v of each, v 0 '
        raise Defect('key points without visibility', 'keypoints', text + 'not labelled, 1 hidden, 2 visible.')
    if not isinstance(flat, list) or len(flat) % 3 or not all(map(problems.is_number, flat)):
        text = f'is {problems.short(flat)}; allowed: numbers x y v for each point.'
        raise Defect('bad key points', 'keypoints', text)
    found = list(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    if expected is not None and len(found) != expected:
        text = f'has {len(found)} points; its category names {expected}.'
        raise Defect('bad key points', 'keypoints', text)
    for x, y, visible in found:
        if visible not in (0, 1, 2):
            raise Defect('bad key points', 'keypoints', f'has the visibility {visible}; allowed: 0, 1, 2.')
        outside = not (-1 <= x <= width + 1 and -1 <= y <= height + 1)
        if visible and outside:
            text = f'has a labelled point at x {x:g}, y {y:g}, outside the image of {_size(height, width)}.'
            raise Defect('bad key points', 'keypoints', text)
    labelled = sum(bool(point[2]) for point in found)
    if entry.get('num_keypoints', labelled) != labelled:
        raise Defect(
            'bad key points',
            'num_keypoints',
            f'is {problems.short(entry["num_keypoints"])}, but {labelled} points have a visibility above 0.',
        )
    return [(float(x), float(y), int(visible)) for x, y, visible in found]


def _pixel_centres(points: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """From COCO's indices of pixels to coordinates as boxes have them, in which pixel i covers i to i + 1."""
    return [(x + 0.5, y + 0.5, visible) if visible else (0.0, 0.0, 0) for x, y, visible in points]
