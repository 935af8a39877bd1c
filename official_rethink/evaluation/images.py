"""What one image brings to an evaluation: checked, compact arrays of its truth and its detections."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors

PADDING_CLASS = -1

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


def sides_and_areas(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns COCO's x y width height [n, 4] and the areas [n] of y1 x1 y2 x2 boxes."""
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.column_stack([boxes[:, 1], boxes[:, 0], width, height]), width * height


def masks_checked(masks: Sequence[Mapping[str, Any]], count: int, size: tuple[int, int], where: str) -> list[Rle]:
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

        counts = codec.frPyObjects({'size': list(size), 'counts': [int(run) for run in counts]}, *size)['counts']
    return {'size': list(size), 'counts': counts}


def mask_areas(masks: Sequence[Rle]) -> np.ndarray:
    """Returns the number of pixels of each run-length code, float64 [n]."""
    from pycocotools import mask as codec  # only where masks are evaluated

    return np.asarray(codec.area(list(masks)), np.float64).reshape(-1) if masks else np.zeros(0)


class Instances:
    """Truth and detections of one image; boxes are y1 x1 y2 x2 in pixels, rows of padding are left out."""

    __slots__ = (
        'boxes',
        'classes',
        'masks',
        'scores',
        'size',
        'truth_areas',
        'truth_boxes',
        'truth_classes',
        'truth_crowd',
        'truth_masks',
        'where',
    )

    def __init__(self, where: str, height: int, width: int):
        """Args: the image's name in errors; its height and width in pixels."""
        for name, value in (('height', height), ('width', width)):
            if int(value) != value or value < 1:
                raise errors.bad_value(name, value, 'a whole number of pixels above 0', where)
        self.where = where
        self.size = (int(height), int(width))
        self.truth_masks: list[Rle] = []
        self.masks: list[Rle] = []

    def set_truth(
        self, boxes: Any, classes: Any, areas: Any | None, is_crowd: Any | None, masks: Sequence[Any] | None
    ) -> None:
        """Takes the truth; without `areas` they are the masks', without masks the boxes'."""
        rows = box_rows(boxes, 'truth_boxes', self.where)
        count = len(rows)
        labels = integers(classes, 'truth_classes', self.where, count)
        crowd = np.zeros(count) if is_crowd is None else column(is_crowd, 'truth_is_crowd', self.where, count)
        keep = labels != PADDING_CLASS
        self.truth_boxes, self.truth_classes, self.truth_crowd = rows[keep], labels[keep], crowd[keep] != 0
        self.truth_areas = sides_and_areas(self.truth_boxes)[1]
        if masks is not None:
            codes = masks_checked(masks, count, self.size, self.where)
            self.truth_masks = [code for code, kept in zip(codes, keep, strict=True) if kept]
            self.truth_areas = mask_areas(self.truth_masks)
        if areas is not None:
            self.truth_areas = column(areas, 'truth_areas', self.where, count)[keep]

    def set_detections(self, boxes: Any, scores: Any, classes: Any, masks: Sequence[Any] | None) -> None:
        """Takes the detections."""
        rows = box_rows(boxes, 'boxes', self.where)
        count = len(rows)
        labels = integers(classes, 'classes', self.where, count)
        keep = labels != PADDING_CLASS
        self.boxes, self.classes = rows[keep], labels[keep]
        self.scores = column(scores, 'scores', self.where, count)[keep]
        if masks is not None:
            codes = masks_checked(masks, count, self.size, self.where)
            self.masks = [code for code, kept in zip(codes, keep, strict=True) if kept]
