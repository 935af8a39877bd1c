"""One XML file of PASCAL VOC's annotations, checked: size of the image, and the box, class and flags of each object.

VOC counts pixels from 1, and its boxes end with the last pixel that belongs to them: xmin 1 and xmax 3 are the first
three columns. Boxes of records go from edge to edge, so these become 0 to 3.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple
from xml.etree import ElementTree

from official_rethink.common import errors
from official_rethink.data import problems, records
from official_rethink.data.coco_checks import BOX_TOLERANCE, Defect

_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_TOLD = 6


class Objects(NamedTuple):
    """What a file says: the image's size in pixels, its objects, and (object, defect) where one cannot be right."""

    height: int
    width: int
    annotations: list[records.Annotation]
    defects: list[tuple[str, Defect]]


def parse(data: bytes, labels: Mapping[str, int]) -> Objects:
    """Reads a file.

    Args:
        data: its bytes.
        labels: the class id of each name.

    Returns:
        Its objects; a body's parts (head, hand, foot) are none.

    Raises:
        Defect: it is no annotation at all, or says no size, so that nothing of the image can be used.
    """
    root = _root(data)
    size = root.find('size')
    if size is None:
        raise Defect('missing size', 'size', 'is missing; allowed: a <size> with <width> and <height> in pixels.')
    height, width = (_side(size, name) for name in ('height', 'width'))
    annotations, defects = [], []
    for number, element in enumerate(root.findall('object'), 1):
        name = _text(element, 'name')
        try:
            annotations.append(_annotation(element, name, height, width, labels))
        except Defect as defect:
            defects.append((f'object {number}' + (f" ('{name}')" if name else ''), defect))
    return Objects(height, width, annotations, defects)


def _root(data: bytes) -> ElementTree.Element:
    if b'<!DOCTYPE' in data or b'<!ENTITY' in data:  # VOC has none, and they can blow up to any size
        raise Defect('not an annotation', '', 'declares a document type or entities; allowed: plain XML.')
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # broken; of an unknown encoding
        raise Defect('not an annotation', '', f'is not valid XML: {error}.') from error
    if root.tag != 'annotation':
        raise Defect('not an annotation', '', f'holds <{problems.short(root.tag)[1:-1]}>; allowed: <annotation>.')
    return root


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(name) or '').strip()


def _number(element: ElementTree.Element, name: str, field: str, allowed: str) -> float:
    text = _text(element, name)
    if element.find(name) is None:
        raise Defect('missing key', field, f'is missing; allowed: {allowed}.')
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not problems.is_number(value):
        raise Defect('wrong type', field, f'is {problems.short(text)}; allowed: {allowed}.')
    return value


def _side(size: ElementTree.Element, name: str) -> int:
    allowed = 'a whole number of pixels from 1'
    value = _number(size, name, f'size/{name}', allowed)
    if value < 1 or value != int(value):
        raise Defect('bad size', f'size/{name}', f'is {value:g}; allowed: {allowed}.')
    return int(value)


def _annotation(
    element: ElementTree.Element, name: str, height: int, width: int, labels: Mapping[str, int]
) -> records.Annotation:
    if name not in labels:
        guess = errors.nearest(name, labels) if name else ''
        hint = f" Did you mean '{guess}'?" if guess else ''
        shown = ', '.join(list(labels)[:_TOLD]) + (', ...' if len(labels) > _TOLD else '')
        said = f"is '{name}'" if name else 'is missing'
        text = f'{said}.{hint} Allowed: {shown}; own classes are named with --classes.'
        raise Defect('unknown class', 'name', text)
    return records.Annotation(
        box=_box(element, height, width),
        label=labels[name],
        is_difficult=_flag(element, 'difficult'),
        is_truncated=_flag(element, 'truncated'),
        is_occluded=_flag(element, 'occluded'),
    )


def _flag(element: ElementTree.Element, flag: str) -> bool:
    if element.find(flag) is None:  # VOC2007 has no occluded, other tools none of them
        return False
    text = _text(element, flag)
    if text not in ('0', '1'):
        raise Defect('wrong type', flag, f'is {problems.short(text)}; allowed: 0, 1.')
    return text == '1'


def _box(element: ElementTree.Element, height: int, width: int) -> tuple[float, float, float, float]:
    box = element.find('bndbox')
    if box is None:
        raise Defect('missing box', 'bndbox', f'is missing; allowed: a <bndbox> with {", ".join(_SIDES)}.')
    xmin, ymin, xmax, ymax = (_number(box, side, f'bndbox/{side}', 'a number of pixels from 1') for side in _SIDES)
    said = f'is x {xmin:g} to {xmax:g}, y {ymin:g} to {ymax:g}'
    if xmax < xmin or ymax < ymin:
        raise Defect('box of no area', 'bndbox', f'{said}; allowed: an end that is not before its beginning.')
    y1, x1, y2, x2 = ymin - 1, xmin - 1, ymax, xmax
    if min(x1, y1) < -BOX_TOLERANCE or x2 > width + BOX_TOLERANCE or y2 > height + BOX_TOLERANCE:
        size = f'{height} x {width} (height x width)'
        raise Defect('box outside image', 'bndbox', f'{said}, outside the image of {size}; pixels count from 1.')
    y1, x1, y2, x2 = max(y1, 0.0), max(x1, 0.0), min(y2, float(height)), min(x2, float(width))
    if y2 <= y1 or x2 <= x1:
        raise Defect('box of no area', 'bndbox', f'{said}, of which nothing lies inside the image.')
    return y1, x1, y2, x2
