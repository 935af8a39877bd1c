"""Instance masks as COCO's run-length codes: the truth out of its shards, predictions pasted into their images."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.dataloaders import utils
from official.vision.ops import mask_ops
from PIL import Image
from pycocotools import mask as coco_mask

from official_rethink.common import errors
from official_rethink.data import records, shards

Rle = dict[str, Any]


def encode(masks: np.ndarray) -> list[Rle]:
    """Encodes masks, [N, H, W] of 0 and 1, as run lengths."""
    if not len(masks):
        return []
    return list(coco_mask.encode(np.asfortranarray(np.transpose(masks.astype(np.uint8), [1, 2, 0]))))


def decode_png(png: bytes) -> np.ndarray:
    """A stored mask, bool [H, W]."""
    return np.asarray(Image.open(io.BytesIO(png))) > 0


def code(png: bytes) -> Rle:
    """A stored mask as run lengths."""
    return encode(decode_png(png)[np.newaxis])[0]


def overlap(found: Sequence[Rle], truth: Sequence[Rle], is_crowd: np.ndarray) -> np.ndarray:
    """Returns intersection over union [D, N] of coded masks; for a crowd, intersection over the found one's area."""
    if not len(found) or not len(truth):
        return np.zeros((len(found), len(truth)))
    return np.asarray(coco_mask.iou(list(found), list(truth), [int(crowd) for crowd in is_crowd]), np.float64)


def paste(masks: np.ndarray, boxes: np.ndarray, height: int, width: int) -> list[Rle]:
    """Puts predicted masks into their image.

    Args:
        masks: float [N, S, S], probabilities over the boxes.
        boxes: float [N, 4], y1 x1 y2 x2 in pixels of the image.
        height: of the image.
        width: of the image.

    Returns:
        One code a mask, of the pixels with a probability over 0.5.
    """
    found: list[Rle] = []
    for mask, box in zip(masks, boxes, strict=True):
        # One at a time: a hundred masks of a large photograph together would take gigabytes.
        found += encode(paste_one(mask, box, height, width)[np.newaxis])
    return found


def paste_one(mask: np.ndarray, box: Sequence[float], height: int, width: int) -> np.ndarray:
    """Puts one predicted mask, float [S, S], into its image; uint8 [height, width], 1 where it is over 0.5."""
    y1, x1, y2, x2 = box
    corner_and_size = np.array([[x1, y1, x2 - x1, y2 - y1]])
    return mask_ops.paste_instance_masks(mask[np.newaxis], corner_and_size, height, width)[0]


class Truth:
    """The masks of a labelled set, by image; a few hundred bytes a mask."""

    def __init__(self, pattern: str):
        """Reads the set.

        Args:
            pattern: of its shards.

        Raises:
            UserError: an image has objects without masks.
        """
        self._codes: dict[int, list[Rle]] = {}
        for record in shards.read(pattern):
            key = int(utils.process_source_id(tf.constant(record.source_id)))
            self._codes[key] = [_code(record, annotation, pattern) for annotation in record.annotations]

    def of(self, image_id: int) -> Sequence[Rle]:
        """The codes of an image's objects, in the order of its record."""
        return self._codes[image_id]


def _code(record: records.Record, annotation: records.Annotation, pattern: str) -> Rle:
    if annotation.mask_png is None:
        raise errors.UserError(
            f"image {record.source_id} of '{pattern}' has an object without a mask, but task.model.include_mask is "
            'true; prepare the set again with --include_masks, or set it to false.'
        )
    return code(annotation.mask_png)
