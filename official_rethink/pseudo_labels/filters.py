"""Which detections are stored, and what each reading-time threshold would keep of them.

A student's threshold is applied where it reads (`dataloaders/detection.py`); here stands what the store
takes in, and counts that tell beforehand what a threshold leaves.
"""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from official_rethink.data import label_maps, masks, records
from official_rethink.evaluation import images, instance_masks

BINS = 20
EDGES = tuple(round(number / BINS, 2) for number in range(BINS + 1))
BACKGROUND = 'background'  # what class 0 of a label map is called
THRESHOLDS = tuple(round(number / 10, 1) for number in range(1, 10))


@dataclasses.dataclass
class Detections:
    """What was found on one image.

    Attributes:
        boxes: float32 [n, 4], y1 x1 y2 x2 in pixels of the original image.
        scores: float32 [n].
        classes: int [n].
        masks: float32 [n, S, S], probabilities over the boxes; None of a teacher without masks.
        keypoints: float32 [n, P, 3], y, x in pixels of the original image and score; None of a teacher without them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None


class Points(NamedTuple):
    """Which key points count.

    Attributes:
        classes: ids of the classes that have any.
        threshold: a point of at least this score is stored as visible; any other as not labelled.
    """

    classes: Collection[int]
    threshold: float


class Kept(NamedTuple):
    """What is stored of an image's labels.

    Attributes:
        annotations: boxes with classes and scores.
        unlisted: how many boxes had a class that the data does not have.
        empty: how many were empty within the image.
        class_label: the image's one class, from a classifier.
        class_probabilities: of all classes, class 1 first.
        label_map: the class of each pixel, uint8 [H, W], from a segmentation network; 255 is ignored. Of it,
            `unlisted` counts pixels.
        score_map: the score of each pixel, uint8 [H, W], as round(255 score).
        empty_masks: how many of the annotations have a mask without a pixel.
    """

    annotations: list[records.Annotation]
    unlisted: int = 0
    empty: int = 0
    class_label: int | None = None
    class_probabilities: Sequence[float] | None = None
    label_map: np.ndarray | None = None
    score_map: np.ndarray | None = None
    empty_masks: int = 0

    def scored(self) -> list[tuple[int, float]]:
        """Class and score of each label."""
        if self.class_label is not None and self.class_probabilities is not None:
            return [(self.class_label, self.class_probabilities[self.class_label - 1])]
        return [(annotation.label, annotation.score or 0.0) for annotation in self.annotations]

    def num_labels(self) -> int:
        """How many labels there are; a teacher that gives none to any image is of no use."""
        if self.label_map is not None:
            return int(((self.label_map != 0) & (self.label_map != label_maps.IGNORE)).sum())
        return len(self.scored())


def keep(
    found: Detections,
    floor: float,
    classes: Collection[int],
    height: int,
    width: int,
    points: Points | None = None,
) -> Kept:
    """Turns detections of at least `floor` into annotations, in the order in which they were found.

    Args:
        found: on one image.
        floor: lowest score that is stored.
        classes: ids that the data has; ids between them (COCO's 80 classes lie in 90 ids) name nothing.
        height: of the image; boxes are clipped to it.
        width: likewise.
        points: of a teacher with key points.
    """
    boxes = np.clip(found.boxes.reshape(-1, 4), 0, np.array([height, width, height, width], np.float32))
    high = images.at_least(found.scores, floor)
    listed = np.isin(found.classes, list(classes))
    # Compared as they are stored, as float32 shares of the image.
    stored = (boxes / np.array([height, width, height, width])).astype(np.float32)
    full = (stored[:, 2] > stored[:, 0]) & (stored[:, 3] > stored[:, 1])
    annotations = [
        records.Annotation(
            box=(float(y1), float(x1), float(y2), float(x2)),
            label=int(found.classes[row]),
            score=float(found.scores[row]),
            keypoints=_keypoints(found, row, points),
            **_mask(found, row, height, width),
        )
        for row in np.flatnonzero(high & listed & full)
        for y1, x1, y2, x2 in [boxes[row]]
    ]
    empty_masks = sum(annotation.area == 0 for annotation in annotations)
    return Kept(
        annotations, int((high & ~listed).sum()), int((high & listed & ~full).sum()), empty_masks=empty_masks
    )


def _keypoints(found: Detections, row: int, points: Points | None) -> list[tuple[float, float, int]] | None:
    """A detection's key points as human labels have them: x, y, visibility, and zeros of what is not labelled."""
    if found.keypoints is None or points is None or int(found.classes[row]) not in points.classes:
        return None
    seen = images.at_least(found.keypoints[row, :, 2], points.threshold)
    places = zip(found.keypoints[row].tolist(), seen.tolist(), strict=True)
    return [(x, y, 2) if visible else (0.0, 0.0, 0) for (y, x, _), visible in places]


def _mask(found: Detections, row: int, height: int, width: int) -> dict[str, Any]:
    """A detection's mask as human labels have it: a PNG of the image's size, and its pixels as area.

    A mask of which no pixel is over 0.5 is stored as that: the box counts, and the teacher saw nothing in it.
    """
    if found.masks is None:
        return {}
    mask = instance_masks.paste_one(found.masks[row], found.boxes[row], height, width)
    return {'mask_png': masks.to_png(mask), 'area': float(mask.sum())}


def histogram(scores: Sequence[float]) -> np.ndarray:
    """Counts scores in the bins between `EDGES`; a score on an edge lies above it, 1.0 in the last bin."""
    edges = np.array(EDGES[1:-1], np.float32)
    places = np.searchsorted(edges, np.asarray(scores, np.float32), side='right')
    return np.bincount(places, minlength=BINS).astype(np.int64)


def over(counts: Sequence[int], threshold: float) -> int:
    """How many of a histogram lie at or over a threshold; a bin that the threshold cuts counts whole."""
    uppers = np.array(EDGES[1:], np.float32)
    first = int(np.searchsorted(uppers, np.float32(threshold), side='right'))
    return int(sum(counts[min(first, BINS - 1) :]))


def threshold_for(counts: Sequence[int], wanted: float) -> float:
    """The edge over which the number of scores is closest to `wanted`."""
    return min(EDGES[:-1], key=lambda edge: (abs(over(counts, edge) - wanted), -edge))


def table(scores: Sequence[int], best_scores: Sequence[int], num_images: int) -> list[dict[str, float]]:
    """What each threshold would keep.

    Args:
        scores: histogram of all boxes' scores.
        best_scores: histogram of the best score of each image that has a box.
        num_images: with and without boxes.

    Returns:
        rows of threshold, boxes, boxes_per_image, images_with_boxes.
    """
    return [
        {
            'threshold': threshold,
            'boxes': over(scores, threshold),
            'boxes_per_image': round(over(scores, threshold) / num_images, 4),
            'images_with_boxes': over(best_scores, threshold),
        }
        for threshold in THRESHOLDS
    ]
