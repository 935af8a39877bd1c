"""What one image brings to an evaluation: checked, compact arrays of its truth and its detections."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors

PADDING_CLASS = -1
_COUNTED = 255  # masks in one call

ImageId = int | str
Rle = dict[str, Any]


def image_key(image_id: Any) -> ImageId:
    """Returns an image id as int or str; TensorFlow's bytes and numpy's integers become these."""
    if isinstance(image_id, np.ndarray) and image_id.ndim == 0:
        image_id = image_id.item()
    if isinstance(image_id, bytes):
        return image_id.decode('utf-8', errors='replace')
    if isinstance(image_id, (int, np.integer)) and not isinstance(image_id, bool):
        return int(image_id)
    if isinstance(image_id, str):
        return str(image_id)
    raise errors.bad_value('image id', image_id, 'an integer or a string')


def column(values: Any, what: str, where: str, count: int | None = None) -> np.ndarray:
    """Returns one finite float64 number a row.

    Args:
        values: a sequence or array, [n].
        what: what it holds, for the error.
        where: the image, for the error.
        count: how many rows there must be; None: any number.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = 'one dimension' if count is None else f'[{count}], one for each box'
        raise errors.bad_value(f'shape of {what}', list(array.shape), wanted, where)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise errors.bad_value(f'{what}[{row}]', float(array[row]), 'finite numbers', where)
    return array


def integers(values: Any, what: str, where: str, count: int) -> np.ndarray:
    """Returns one int64 a row; a fraction is an error, not rounded."""
    array = column(values, what, where, count)
    whole = array.astype(np.int64)
    if (whole != array).any():
        row = int(np.flatnonzero(whole != array)[0])
        raise errors.bad_value(f'{what}[{row}]', float(array[row]), 'whole numbers', where)
    return whole


def box_rows(values: Any, what: str, where: str) -> np.ndarray:
    """Returns boxes y1 x1 y2 x2 as float64 [n, 4]; not finite, or ends before it starts, is an error."""
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise errors.bad_value(f'shape of {what}', list(array.shape), '[n, 4], y1 x1 y2 x2 in pixels', where)
    bad = ~np.isfinite(array).all(1) | (array[:, 2] < array[:, 0]) | (array[:, 3] < array[:, 1])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        allowed = 'finite y1 x1 y2 x2 with y1 <= y2 and x1 <= x2'
        raise errors.bad_value(f'{what}[{row}]', array[row].tolist(), allowed, where)
    return array


def image_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Returns height and width in pixels as integers above 0."""
    for name, value in (('height', height), ('width', width)):
        if int(value) != value or value < 1:
            raise errors.bad_value(name, value, 'a whole number of pixels above 0', where)
    return int(height), int(width)


def sides_and_areas(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns COCO's x y width height [n, 4] and the areas [n] of y1 x1 y2 x2 boxes."""
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.column_stack([boxes[:, 1], boxes[:, 0], width, height]), width * height


def masks_checked(
    masks: Sequence[Mapping[str, Any]], count: int, size: tuple[int, int], where: str
) -> list[Rle]:
    """Returns compressed run-length codes, after checking their number and size.

    Args:
        masks: run-length codes as pycocotools has them, compressed or not.
        count: how many boxes they belong to.
        size: height, width of the image.
        where: the image, for the error.
    """
    if len(masks) != count:
        raise errors.bad_value('number of masks', len(masks), f'{count}, one for each box', where)
    checked = []
    for row, mask in enumerate(masks):
        if tuple(int(side) for side in mask['size']) != size:
            allowed = f'the image size, {list(size)} (height, width)'
            raise errors.bad_value(f'size of mask {row}', list(mask['size']), allowed, where)
        checked.append(_compressed(mask, size))
    return checked


def _compressed(mask: Mapping[str, Any], size: tuple[int, int]) -> Rle:
    counts = mask['counts']
    if isinstance(counts, str):
        counts = counts.encode()
    elif not isinstance(counts, bytes):
        from pycocotools import mask as codec  # only for the uncompressed form

        runs = {'size': list(size), 'counts': [int(run) for run in counts]}
        counts = codec.frPyObjects(runs, *size)['counts']
    return {'size': list(size), 'counts': counts}


def mask_areas(masks: Sequence[Rle]) -> np.ndarray:
    """Returns the number of pixels of each run-length code, float64 [n]."""
    from pycocotools import mask as codec  # only where masks are evaluated

    # pycocotools 2.0.11 puts the number of masks through a uint8, at which NumPy 2 stops.
    parts = [codec.area(list(masks[start : start + _COUNTED])) for start in range(0, len(masks), _COUNTED)]
    return np.concatenate([np.zeros(0), *(np.asarray(part, np.float64).reshape(-1) for part in parts)])


def at_least(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Returns which scores reach the threshold, compared in float32 as a student's input pipeline does it.

    In float64 a score stored as float32 0.7 would lie below 0.7.
    """
    return scores.astype(np.float32) >= np.float32(threshold)


class Truth:
    """One image's truth without padding: boxes y1 x1 y2 x2 [N, 4], classes [N], is_crowd bool [N]."""

    __slots__ = ('areas', 'boxes', 'classes', 'is_crowd', 'masks')

    def __init__(
        self,
        boxes: Any,
        classes: Any,
        is_crowd: Any | None,
        where: str,
        areas: Any | None = None,
        masks: Sequence[Mapping[str, Any]] | None = None,
        size: tuple[int, int] = (0, 0),
    ):
        """Checks and keeps; without `areas` they are the masks', without masks the boxes'.

        Args:
            boxes: y1 x1 y2 x2 in pixels [N, 4].
            classes: class ids [N], PADDING_CLASS for padding.
            is_crowd: 0 or 1 [N]; None: no crowds.
            where: the image, for errors.
            areas: [N] or None.
            masks: run-length codes [N] or None.
            size: height, width of the image, which the masks must have.
        """
        rows = box_rows(boxes, 'truth_boxes', where)
        count = len(rows)
        labels = integers(classes, 'truth_classes', where, count)
        crowd = np.zeros(count) if is_crowd is None else column(is_crowd, 'truth_is_crowd', where, count)
        keep = labels != PADDING_CLASS
        self.boxes, self.classes, self.is_crowd = rows[keep], labels[keep], crowd[keep] != 0
        self.masks = _masks_kept(masks, keep, size, where)
        self.areas = sides_and_areas(self.boxes)[1] if masks is None else mask_areas(self.masks)
        if areas is not None:
            self.areas = column(areas, 'truth_areas', where, count)[keep]


class Detections:
    """One image's detections without padding: boxes y1 x1 y2 x2 [D, 4], scores [D], classes [D]."""

    __slots__ = ('boxes', 'classes', 'masks', 'scores')

    def __init__(
        self,
        boxes: Any,
        scores: Any,
        classes: Any,
        where: str,
        masks: Sequence[Mapping[str, Any]] | None = None,
        size: tuple[int, int] = (0, 0),
    ):
        """Checks and keeps; the arguments are those of `Truth`."""
        rows = box_rows(boxes, 'boxes', where)
        labels = integers(classes, 'classes', where, len(rows))
        keep = labels != PADDING_CLASS
        self.boxes, self.classes = rows[keep], labels[keep]
        self.scores = column(scores, 'scores', where, len(rows))[keep]
        self.masks = _masks_kept(masks, keep, size, where)


def _masks_kept(
    masks: Sequence[Mapping[str, Any]] | None, keep: np.ndarray, size: Any, where: str
) -> list[Rle]:
    if masks is None:
        return []
    codes = masks_checked(masks, len(keep), size, where)
    return [code for code, kept in zip(codes, keep, strict=True) if kept]
