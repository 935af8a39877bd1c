"""How good pseudo label maps are where truth is known: accuracy, mIoU and coverage against score threshold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors, files
from official_rethink.data import label_maps
from official_rethink.evaluation import segmentation

SCORE_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))  # 0, 0.05, ..., 0.95


def reached(values: np.ndarray | int, threshold: float) -> np.ndarray:
    """Whether a score map's values, round(255 score), are kept by a student's threshold."""
    return np.asarray(values) >= 255.0 * threshold


class LabelMapQuality:
    """Compares kept pixels with the truth, image by image; keeps counts, never pixels.

    Pixels that are void in the truth count nowhere. A pixel under the threshold is given up: it is neither right nor
    wrong. Memory is thresholds times K squared.
    """

    def __init__(self, num_classes: int, score_thresholds: Sequence[float] = SCORE_THRESHOLDS):
        """Args: K, background included; thresholds to report, each from 0 to 1."""
        if not len(score_thresholds) or not all(0 <= value <= 1 for value in score_thresholds):
            raise errors.bad_value('score_thresholds', list(score_thresholds), 'one or more numbers from 0 to 1')
        self._num_classes = num_classes
        self._thresholds = sorted({float(value) for value in score_thresholds})
        # How many of the thresholds each value of a score map reaches.
        self._reached = np.sum([reached(np.arange(256), value) for value in self._thresholds], axis=0)
        self._counts = np.zeros((len(self._thresholds) + 1, num_classes, num_classes), np.int64)
        self._truth = np.zeros(num_classes, np.int64)
        self._images = 0

    def add(self, image: str, truth: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> None:
        """Adds an image.

        Args:
            image: its name, for errors.
            truth: uint8 [H, W], 255 where void.
            classes: uint8 [H, W], 255 where the teacher had nothing to say.
            scores: uint8 [H, W], round(255 score).

        Raises:
            UserError: shapes that differ, or a class over the highest.
        """
        if not truth.shape == classes.shape == scores.shape:
            found = [list(array.shape) for array in (truth, classes, scores)]
            raise errors.bad_value('shapes of truth, classes and scores', found, 'equal ones', f'image {image}')
        labelled = truth != label_maps.IGNORE
        for what, array in (('truth', truth[labelled]), ('classes', classes[classes != label_maps.IGNORE])):
            if array.size and array.max() >= self._num_classes:
                allowed = f'0 to {self._num_classes - 1}, or {label_maps.IGNORE}'
                raise errors.bad_value(f'class in {what}', int(array.max()), allowed, f'image {image}')
        self._images += 1
        self._truth += np.bincount(truth[labelled], minlength=self._num_classes)
        both = labelled & (classes != label_maps.IGNORE)
        rank = self._reached[scores[both]]
        cell = (rank * self._num_classes + truth[both]) * self._num_classes + classes[both]
        self._counts += np.bincount(cell, minlength=self._counts.size).reshape(self._counts.shape)

    def result(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Returns counts, the curve, and the classes at each threshold.

        `curve` has a row for each threshold: kept (pixels), coverage (their share of the labelled pixels),
        pixel_accuracy (the share of the kept that are right), mIoU (of the kept pixels alone, as
        `segmentation.scores` has it), and found (the share of all labelled pixels that are kept and right).
        `per_category` has for each class, at each threshold, the IoU of the kept pixels, coverage and precision.
        A share of nothing is None.

        Args:
            names: class id to name, the background's too.
        """
        curve: list[dict[str, Any]] = []
        per_category: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
        total = int(self._truth.sum())
        for place, threshold in enumerate(self._thresholds):
            counts = self._counts[place + 1 :].sum(axis=0)
            kept, right = int(counts.sum()), int(np.trace(counts))
            curve.append(
                {
                    'score_threshold': threshold,
                    'kept': kept,
                    'coverage': _share(kept, total),
                    'pixel_accuracy': _share(right, kept),
                    'mIoU': segmentation.scores(counts)['mIoU'] if kept else None,
                    'found': _share(right, total),
                }
            )
            overlaps = segmentation.intersections_over_unions(counts)
            for label, name in names.items():
                given, said = int(counts[label].sum()), int(counts[:, label].sum())
                per_category[name].append(
                    {
                        'score_threshold': threshold,
                        'IoU': None if np.isnan(overlaps[label]) else float(overlaps[label]),
                        'coverage': _share(given, int(self._truth[label])),
                        'precision': _share(int(counts[label, label]), said),
                    }
                )
        return {'images': self._images, 'labelled_pixels': total, 'curve': curve, 'per_category': per_category}

    def write(self, path: str, names: Mapping[int, str]) -> dict[str, Any]:
        """Writes the result as JSON and returns it."""
        result = self.result(names)
        files.write_json(path, result)
        return result


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
