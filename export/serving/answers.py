"""What a model finds, as the JSON of an answer."""

import base64
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from export.serving import parameters

Outputs = dict[str, np.ndarray]


class NotFiniteError(Exception):
    """The model gives what is no number."""


def prediction(found: Outputs, height: int, width: int, wanted: parameters.Parameters, model: Any) -> dict[str, Any]:
    """One image's part of the answer.

    Args:
        found: the model's outputs for it, without padding.
        height: of the image.
        width: of the image.
        wanted: how much, and in what form.
        model: class names, and whether boxes are shares.

    Raises:
        NotFiniteError: an output has a NaN or an infinity.
    """
    answer = {'image_size': [height, width]}
    tell = _detections if model.kind == 'detection' else _maps
    return answer | tell(found, height, width, wanted, model)


def _detections(
    found: Outputs, height: int, width: int, wanted: parameters.Parameters, model: Any
) -> dict[str, Any]:
    # A score of -1 is padding too, should a detector count it.
    kept = np.flatnonzero(found['scores'] >= wanted.score_threshold)[: wanted.max_detections]
    rows = {name: value[kept] for name, value in found.items()}
    for name, value in rows.items():
        if not np.isfinite(value).all():
            raise NotFiniteError(f'detection_{name}')
    classes = [int(label) for label in rows['classes']]
    answer: dict[str, Any] = {
        'num_detections': len(kept),
        'detection_boxes': _rounded(rows['boxes'], 6 if model.normalized else 3),
        'detection_scores': _rounded(rows['scores'], 6),
        'detection_classes': classes,
        'detection_class_names': [_name(model, label) for label in classes],
    }
    if 'keypoints' in rows:
        answer['detection_keypoints'] = _rounded(rows['keypoints'], 6 if model.normalized else 3)
    if wanted.masks != 'none':
        boxes = rows['boxes'] * np.tile([height, width], 2) if model.normalized else rows['boxes']
        tell = _rle if wanted.masks == 'rle' else polygons
        pasted = (_paste(mask, box, height, width) for mask, box in zip(rows['masks'], boxes, strict=True))
        answer['detection_masks'] = [tell(mask) for mask in pasted]  # one mask at a time in memory
    return answer


def _paste(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    from official_rethink.evaluation import instance_masks  # noqa: PLC0415 (Model Garden; only masks need it)

    return instance_masks.paste_one(mask, box.tolist(), height, width)


def _maps(found: Outputs, height: int, width: int, wanted: parameters.Parameters, model: Any) -> dict[str, Any]:
    classes = found['class_map']
    present, counts = np.unique(classes, return_counts=True)
    rows = []
    for label, pixels in zip(present.tolist(), counts.tolist(), strict=True):
        row = {'class': label, 'name': _name(model, label), 'pixels': pixels}
        if wanted.class_map == 'rle':
            row['mask'] = _rle((classes == label).astype(np.uint8))
        rows.append(row)
    answer: dict[str, Any] = {'classes': rows}
    if wanted.class_map == 'png':
        answer['class_map'] = _png(classes)
    if wanted.score_map:
        answer['score_map'] = _png(found['score_map'])
    return answer


def polygons(mask: np.ndarray) -> list[list[float]]:
    """The outlines of a mask's parts.

    Args:
        mask: uint8 [H, W], 1 on the object.

    Returns:
        A list x1 y1 x2 y2 ... for each part that touches no other, through the middles of its border's pixels, as
        OpenCV's fillPoly fills it again. Holes are not told.
    """
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines:
        points = outline.reshape(-1, 2).tolist()
        points += [points[-1]] * (3 - len(points))  # a polygon has three corners, if of one pixel
        found.append([value for point in points for value in point])
    return found


def _rle(mask: np.ndarray) -> dict[str, Any]:
    """A mask as COCO's compressed run lengths."""
    code = coco_mask.encode(np.asfortranarray(mask))
    return {'size': [int(side) for side in code['size']], 'counts': code['counts'].decode('ascii')}


def _png(plane: np.ndarray) -> dict[str, str]:
    _, encoded = cv2.imencode('.png', plane)
    return {'b64': base64.b64encode(encoded.tobytes()).decode('ascii')}


def _name(model: Any, label: int) -> str:
    """A class's name; 255 is no class."""
    return model.class_names[label] if 0 <= label < len(model.class_names) else ''


def _rounded(values: np.ndarray, digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()
