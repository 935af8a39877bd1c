"""COCO segmentations (polygons, run lengths, compressed run lengths) checked and turned into PNG masks."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from official_rethink.data import png, problems

_MIN_VALUES = 6  # three points; pycocotools takes four values for a box


def defect(segmentation: Any, height: int, width: int) -> str:
    """Returns what is wrong with a segmentation, in words; '' if it can be decoded.

    The check comes before pycocotools sees it, whose C code writes past its buffers on run lengths
    that do not add up, and takes memory in proportion to the length of an outline.

    Args:
        segmentation: a list of polygons (x1 y1 x2 y2 ...), or {'size': [h, w], 'counts': list or str}.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    if isinstance(segmentation, dict):
        return _run_length_defect(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        shown = problems.short(segmentation)
        return f'is {shown}; allowed: a list of polygons, or run lengths with size and counts.'
    for polygon in segmentation:
        if not _is_flat(polygon):
            shown = problems.short(polygon.tolist() if isinstance(polygon, array) else polygon)
            return f'holds the polygon {shown}; allowed: a flat list of finite numbers x1 y1 x2 y2 ...'
        if len(polygon) < _MIN_VALUES or len(polygon) % 2:
            allowed = f'an even number, at least {_MIN_VALUES}'
            return f'holds a polygon of {len(polygon)} values; allowed: {allowed}.'
        for values, side, name in ((polygon[0::2], width, 'x'), (polygon[1::2], height, 'y')):
            low, high = min(values), max(values)
            # Outlines cross the border by a little in real data and are cut there; this far is a mistake.
            if low < -side or high > 2 * side:
                return f'has {name} from {low:g} to {high:g} in an image of height {height}, width {width}.'
    return ''


def _run_length_defect(segmentation: dict[str, Any], height: int, width: int) -> str:
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if not isinstance(size, list) or list(size) != [height, width]:
        return f"has size {problems.short(size)}; allowed: the image's height and width, [{height}, {width}]."
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        shown = problems.short(segmentation.get('counts'))
        return f'has counts {shown}; allowed: whole numbers from 0, or their compressed form.'
    if sum(counts) != height * width:
        return f'has run lengths that add up to {sum(counts)}; allowed: height x width = {height * width}.'
    return ''


def _is_flat(polygon: Any) -> bool:
    if isinstance(polygon, array):  # numbers already; NaN and infinity carry through a sum
        return problems.is_number(sum(polygon))
    return isinstance(polygon, list) and all(map(problems.is_number, polygon))


def _uncompressed(text: str) -> list[int] | None:
    """Reads compressed run lengths, None if they are broken.

    Five bits a character, the sixth says that more follow; from the fourth count on a count stands as
    its difference to the last but one.
    """
    counts: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position >= len(text) or not 48 <= ord(text[position]) < 112:
                return None
            code = ord(text[position]) - 48
            value |= (code & 0x1F) << shift
            more = bool(code & 0x20)
            position, shift = position + 1, shift + 5
            if not more and code & 0x10:
                value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def decode(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Returns the mask, uint8 [height, width] of 0 and 1; `defect` must have found none."""
    return coco_mask.decode(_runs(segmentation, height, width))


def _runs(segmentation: Any, height: int, width: int) -> Any:
    """The mask as pycocotools' compressed run lengths."""
    if not isinstance(segmentation, dict):
        return coco_mask.merge(coco_mask.frPyObjects([list(p) for p in segmentation], height, width))
    if isinstance(segmentation['counts'], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def encode(segmentation: Any, height: int, width: int) -> tuple[bytes, float]:
    """Encodes a mask as `to_png` does, without looking at the pixels beyond its object; `defect` must have found none.

    Args:
        segmentation: see `defect`.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        The PNG, and the mask's area in pixels.
    """
    runs = _runs(segmentation, height, width)
    left, top, wide, high = (int(value) for value in coco_mask.toBbox(runs))
    part = coco_mask.decode(runs)[top : top + high, left : left + wide]
    return png.encode(part, top, left, height, width), float(coco_mask.area(runs))


def to_png(mask: np.ndarray) -> bytes:
    """Encodes uint8 [height, width] of 0 and 1 as PNG, as Model Garden's decoder expects masks."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = (int(ones[0]) if len(ones) else 0 for ones in (rows, columns))
    bottom, right = (int(ones[-1]) + 1 if len(ones) else 0 for ones in (rows, columns))
    return png.encode(mask[top:bottom, left:right], top, left, *mask.shape)


def compact(segmentation: Any) -> Any:
    """Packs polygons into arrays, a quarter of the memory; anything odd stays for `defect` to name."""
    if not isinstance(segmentation, list):
        return segmentation
    return [_packed(polygon) for polygon in segmentation]


def _packed(polygon: Sequence[Any]) -> Any:
    if not isinstance(polygon, list) or not all(type(value) in (int, float) for value in polygon):
        return polygon
    try:
        return array('d', polygon)
    except OverflowError:
        return polygon
