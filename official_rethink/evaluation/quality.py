"""How good pseudo labels are where truth is known: precision and recall against score threshold.

`D` detections, `N` truth instances of an image.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors, files
from official_rethink.evaluation import images, matching

SCORE_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # 0.05, 0.10, ..., 0.95
IOU_THRESHOLDS = (0.5, 0.75)

_COLUMNS = (
    'iou_threshold',
    'score_threshold',
    'kept',
    'ignored',
    'true_positives',
    'false_positives',
    'missed',
    'precision',
    'recall',
    'f1',
    'mean_iou',
)


class PseudoLabelQuality:
    """Compares kept boxes, or masks, with truth, image by image; keeps counts, never boxes.

    Boxes match as in COCO: class by class, best score first, to the free truth of the largest overlap. Boxes
    that match only a crowd are neither right nor wrong, and crowds cannot be missed.
    """

    def __init__(
        self,
        score_thresholds: Sequence[float] = SCORE_THRESHOLDS,
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    ):
        """Args: the score and the overlap thresholds to report, each above 0 and up to 1."""
        for name, values in (('score_thresholds', score_thresholds), ('iou_thresholds', iou_thresholds)):
            if not len(values) or not all(0 < value <= 1 for value in values):
                raise errors.bad_value(name, list(values), 'one or more numbers above 0, up to 1')
        self._scores = tuple(sorted(float(value) for value in score_thresholds))
        self._overlaps = tuple(float(value) for value in iou_thresholds)
        shape = (len(self._overlaps), len(self._scores))
        self._right, self._ignored, self._shared = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
        self._kept = np.zeros(len(self._scores), int)
        self._truth = self._crowds = self._detections = 0
        self._images: set[images.ImageId] = set()

    def add(
        self,
        image_id: images.ImageId,
        truth_boxes: Any,
        truth_classes: Any,
        truth_is_crowd: Any | None,
        boxes: Any,
        scores: Any,
        classes: Any,
        overlaps: np.ndarray | None = None,
    ) -> None:
        """Adds one image; boxes are y1 x1 y2 x2 in pixels [n, 4], the rest is [n].

        Args:
            image_id: of the image.
            truth_boxes: of the truth.
            truth_classes: class ids.
            truth_is_crowd: None: no crowds.
            boxes: what was found.
            scores: of those.
            classes: of those.
            overlaps: how far each detection and each truth are the same, [D, N]; None: their boxes' IoU.

        Raises:
            UserError: an id given before, numbers that are not finite, lengths that differ.
        """
        key = images.image_key(image_id)
        where = f'image {key!r}'
        if key in self._images:
            raise errors.bad_value('image id', key, 'an id that was not added before')
        truth = images.Truth(truth_boxes, truth_classes, truth_is_crowd, where)
        found = images.Detections(boxes, scores, classes, where)
        self._images.add(key)
        self._truth += int((~truth.is_crowd).sum())
        self._crowds += int(truth.is_crowd.sum())
        self._detections += len(found.boxes)
        for place, threshold in enumerate(self._scores):
            self._kept[place] += int(images.at_least(found.scores, threshold).sum())
        for label in np.intersect1d(found.classes, truth.classes).tolist():
            self._add_class(truth, found, label, overlaps)

    def _add_class(
        self, truth: images.Truth, found: images.Detections, label: int, given: np.ndarray | None
    ) -> None:
        mine = np.flatnonzero(found.classes == label)
        mine = mine[np.argsort(-found.scores[mine], kind='stable')]
        theirs = np.flatnonzero(truth.classes == label)
        crowd = truth.is_crowd[theirs]
        overlaps = matching.overlap(found.boxes[mine], truth.boxes[theirs], crowd)
        if given is not None:
            overlaps = given[np.ix_(mine, theirs)]
        kept = np.stack([images.at_least(found.scores[mine], threshold) for threshold in self._scores])
        for place, threshold in enumerate(self._overlaps):
            matches = matching.match_as_coco(overlaps, crowd, threshold)
            on_crowd = (matches >= 0) & crowd[matches]
            right = (matches >= 0) & ~on_crowd
            self._right[place] += (kept & right).sum(1)
            self._ignored[place] += (kept & on_crowd).sum(1)
            self._shared[place] += kept[:, right] @ overlaps[right, matches[right]]

    def result(self) -> dict[str, Any]:
        """Returns counts, the curve, and the best threshold.

        `curve` is a list of rows, one for each overlap and score threshold: kept (boxes of that score, those
        on crowds left out), ignored (those), true_positives, false_positives, missed, precision, recall, f1,
        mean_iou (of the true positives). A share of nothing is None. `best_score_threshold` has the largest
        F1 at the first overlap threshold; None without a true positive.
        """
        curve = [
            self._row(overlap, score)
            for overlap in range(len(self._overlaps))
            for score in range(len(self._scores))
        ]
        first = [row for row in curve[: len(self._scores)] if row['true_positives']]
        best = max(first, key=lambda row: row['f1'])['score_threshold'] if first else None
        return {
            'images': len(self._images),
            'truth': self._truth,
            'crowds': self._crowds,
            'detections': self._detections,
            'best_score_threshold': best,
            'curve': curve,
        }

    def _row(self, overlap: int, score: int) -> dict[str, Any]:
        right, ignored = int(self._right[overlap, score]), int(self._ignored[overlap, score])
        kept = int(self._kept[score]) - ignored
        both = kept + self._truth
        values = (
            self._overlaps[overlap],
            self._scores[score],
            kept,
            ignored,
            right,
            kept - right,
            self._truth - right,
            right / kept if kept else None,
            right / self._truth if self._truth else None,
            2 * right / both if both else None,
            float(self._shared[overlap, score]) / right if right else None,
        )
        return dict(zip(_COLUMNS, values, strict=True))

    def write(self, json_path: str, csv_path: str = '') -> dict[str, Any]:
        """Writes the result as JSON and, where a path is given, the curve as CSV; returns the result."""
        result = self.result()
        files.write_json(json_path, result)
        if csv_path:
            files.write_text(csv_path, curve_as_csv(result))
        return result


def curve_as_csv(result: dict[str, Any]) -> str:
    """Returns the curve of a result as CSV; an undefined share is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(result['curve'])
    return text.getvalue()
