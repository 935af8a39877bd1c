"""How far two models agree on the classes of pixels, such as teacher and student; there is no truth in it."""

from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.data import label_maps
from official_rethink.evaluation import segmentation


class LabelMapAgreement:
    """Compares two label maps of each image; keeps counts, never pixels. Swapping the models changes nothing."""

    def __init__(self, num_classes: int):
        """Args: K, background included."""
        self._num_classes = num_classes
        self._counts = np.zeros((num_classes, num_classes), np.int64)
        self._images = 0

    def add(self, image_id: int | str, teacher: np.ndarray, student: np.ndarray) -> None:
        """Adds an image: two label maps, uint8 [H, W]; a pixel that one of them leaves open (255) counts nowhere.

        Raises:
            UserError: shapes that differ, or a class over the highest.
        """
        if teacher.shape != student.shape:
            shapes = [list(teacher.shape), list(student.shape)]
            raise errors.bad_value('shapes of two label maps', shapes, 'equal ones', f'image {image_id}')
        both = (teacher != label_maps.IGNORE) & (student != label_maps.IGNORE)
        highest = max((int(one[both].max()) for one in (teacher, student) if both.any()), default=0)
        if highest >= self._num_classes:
            allowed = f'0 to {self._num_classes - 1}, or {label_maps.IGNORE}'
            raise errors.bad_value('class in a label map', highest, allowed, f'image {image_id}')
        cell = teacher[both].astype(np.int64) * self._num_classes + student[both]
        self._counts += np.bincount(cell, minlength=self._counts.size).reshape(self._counts.shape)
        self._images += 1

    def result(self) -> dict[str, Any]:
        """Returns images, pixels, the share of equal pixels and the mean IoU of the two; None of nothing."""
        pixels = int(self._counts.sum())
        return {
            'images': self._images,
            'pixels': pixels,
            'equal': int(np.trace(self._counts)) / pixels if pixels else None,
            'mIoU': segmentation.scores(self._counts)['mIoU'] if pixels else None,
        }
