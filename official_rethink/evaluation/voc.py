"""PASCAL VOC's average precision of boxes, by the rule of the development kit's `VOCevaldet`.

The rule. Of one class, the detections of all images are taken in falling order of score. Each is compared with the
truth of its image: with the object it overlaps most, the first of equals, if that overlap is at least 0.5. If the
object is difficult, the detection counts nowhere; if nobody has found it yet, the detection is right; else it is
wrong, even where another object is free (COCO would take that one). Recall counts the objects that are not difficult.

The kit's boxes are 1-based and end with the last pixel that belongs to them, so it adds 1 to every side. Boxes here are
y1 x1 y2 x2, from edge to edge: the kit's xmin is x1 + 1 and its xmax is x2, its side xmax - xmin + 1 is x2 - x1, and
overlaps are the same numbers without the 1.

AP is, in the kit of 2007 to 2009 ('voc07'), the mean over recall 0, 0.1, ..., 1 of the best precision at that recall or
over it; since 2010 ('voc12') the whole area under that curve. Recalls are compared as whole numbers of objects; in the
kit's floating point 3 of 10 objects are a hair less than the level of 0.3.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from official_rethink.common import errors
from official_rethink.configs import metrics
from official_rethink.evaluation import images, matching
from official_rethink.evaluation.images import ImageId

IOU_THRESHOLD = 0.5
NOT_MEASURED = -1.0
_LEVELS = 10


class _Image(NamedTuple):
    truth: images.Truth
    ignored: np.ndarray  # bool [N]
    found: images.Detections


class VocEvaluator:
    """Collects truth and detections image by image, then gives each protocol's mean AP.

    Images count in the order of their ids, whatever the order of `add`, and detections of one score in the order in
    which they were given. A class whose truth is all difficult, or that has none, has no AP (-1) and no part in the
    mean. Detections of other classes than the categories' are left out. A class of -1 marks a padding row.
    """

    def __init__(
        self,
        categories: Mapping[int, str] | None,
        protocols: Sequence[str] = ('voc12',),
        per_category: bool = False,
    ):
        """Makes an empty evaluator.

        Args:
            categories: class id to name; None: the classes that occur in the truth, named by their ids.
            protocols: 'voc07', 'voc12' or both.
            per_category: whether `evaluate` also gives each class's AP.

        Raises:
            UserError: an unknown protocol, or none.
        """
        for name in protocols:
            if name not in metrics.VOC:
                raise errors.unknown_name('protocol of PASCAL VOC', name, metrics.VOC)
        if not protocols:
            raise errors.bad_value('protocols', list(protocols), f'one or more of {", ".join(metrics.VOC)}')
        self._categories = None if categories is None else {int(key): str(categories[key]) for key in categories}
        self._protocols = tuple(protocols)
        self._per_category = per_category
        self._images: dict[ImageId, _Image] = {}

    def __len__(self) -> int:
        return len(self._images)

    def add(
        self,
        image_id: ImageId,
        truth_boxes: Any,
        truth_classes: Any,
        truth_is_difficult: Any | None,
        truth_is_crowd: Any | None,
        boxes: Any,
        scores: Any,
        classes: Any,
    ) -> None:
        """Adds one image.

        Args:
            image_id: int or str, new to this evaluator.
            truth_boxes: y1 x1 y2 x2 in pixels [N, 4].
            truth_classes: class ids [N].
            truth_is_difficult: 0 or 1 [N]; None: none is.
            truth_is_crowd: 0 or 1 [N]; None: none is. VOC has no crowds; those of other sets count as difficult.
            boxes: y1 x1 y2 x2 in pixels [D, 4].
            scores: [D].
            classes: class ids [D].

        Raises:
            UserError: an id given before, numbers that are not finite, lengths that differ, an unknown class.
        """
        key = images.image_key(image_id)
        where = f'image {key!r}'
        if key in self._images:
            raise errors.bad_value('image id', key, 'an id that was not added before; leave out padding images')
        truth = images.Truth(truth_boxes, truth_classes, truth_is_crowd, where)
        labels = np.asarray(truth_classes).reshape(-1)
        difficult = np.zeros(len(labels)) if truth_is_difficult is None else truth_is_difficult
        flags = images.column(difficult, 'truth_is_difficult', where, len(labels)) != 0
        ignored = flags[labels != images.PADDING_CLASS] | truth.is_crowd
        if self._categories is not None:
            unknown = [label for label in truth.classes.tolist() if label not in self._categories]
            if unknown:
                known = ', '.join(str(number) for number in sorted(self._categories))
                raise errors.bad_value('truth class', unknown[0], f"one of the categories' ids: {known}", where)
        self._images[key] = _Image(truth, ignored, images.Detections(boxes, scores, classes, where))

    def evaluate(self) -> dict[str, float]:
        """Returns the mean AP of each protocol, 'VOC07_mAP' and 'VOC12_mAP', from 0 to 1, and on demand each class's.

        Those are 'PerCategory/<name>/VOC07_AP' and 'PerCategory/<name>/VOC12_AP'. -1: no truth to measure it on.

        Raises:
            UserError: no image was added.
        """
        if not self._images:
            raise errors.UserError("PASCAL VOC's evaluation got no image; the evaluation data is empty.")
        ordered = [self._images[key] for key in sorted(self._images, key=lambda key: (isinstance(key, str), key))]
        names, classes = self._category_names(), _outcomes(ordered)
        values: dict[str, list[float]] = {
            protocol: [classes.get(label, _Outcomes()).average_precision(protocol) for label in names]
            for protocol in self._protocols
        }
        results = {metrics.VOC[protocol]: _mean(found) for protocol, found in values.items()}
        if self._per_category:
            for protocol, found in values.items():
                kind = metrics.VOC[protocol].removesuffix('_mAP')
                named = zip(names.values(), found, strict=True)
                results |= {f'PerCategory/{name}/{kind}_AP': value for name, value in named}
        return results

    def _category_names(self) -> dict[int, str]:
        if self._categories is not None:
            return {label: self._categories[label] for label in sorted(self._categories)}
        found = {label for image in self._images.values() for label in image.truth.classes.tolist()}
        return {label: str(label) for label in sorted(found)}


class _Outcomes:
    """One class's detections, image by image: scores, whether each is right, whether it counts; and objects to find."""

    def __init__(self) -> None:
        self.scores: list[np.ndarray] = []
        self.right: list[np.ndarray] = []
        self.counted: list[np.ndarray] = []
        self.number = 0

    def average_precision(self, protocol: str) -> float:
        """Puts the images together in falling order of score; where a detection does not count, the curve stands."""
        if not self.scores:
            return average_precision(np.zeros(0, bool), self.number, protocol)
        order = np.argsort(-np.concatenate(self.scores), kind='stable')
        counted = np.concatenate(self.counted)[order]
        return average_precision(np.concatenate(self.right)[order][counted], self.number, protocol)


def _outcomes(ordered: Sequence[_Image]) -> dict[int, _Outcomes]:
    """Returns, of each class that is there or detected, what became of its detections."""
    classes: dict[int, _Outcomes] = {}
    for image in ordered:
        for label in np.union1d(image.truth.classes, image.found.classes).tolist():
            outcomes = classes.setdefault(label, _Outcomes())
            mine, theirs = image.found.classes == label, image.truth.classes == label
            ignored = image.ignored[theirs]
            outcomes.number += int((~ignored).sum())
            scores = image.found.scores[mine]
            order = np.argsort(-scores, kind='stable')
            hits = _match(matching.overlap(image.found.boxes[mine][order], image.truth.boxes[theirs]))
            # A detection without a hit, -1, takes the last: it is on nothing.
            on_ignored = np.append(ignored, False)[hits]
            outcomes.scores.append(scores[order])
            outcomes.right.append(_first_of_each(hits) & ~on_ignored)
            outcomes.counted.append(~on_ignored)
    return classes


def _match(overlaps: np.ndarray) -> np.ndarray:
    """Returns for each detection [D, N] the truth it overlaps most, the first of equals, or -1."""
    if not overlaps.shape[1]:
        return np.full(len(overlaps), -1)
    best = overlaps.argmax(axis=1)
    return np.where(overlaps[np.arange(len(overlaps)), best] >= IOU_THRESHOLD, best, -1)


def _first_of_each(hits: np.ndarray) -> np.ndarray:
    """Marks the first detection of each truth; -1 is none."""
    first = np.zeros(len(hits), bool)
    found, places = np.unique(hits, return_index=True)
    first[places[found >= 0]] = True
    return first


def average_precision(right: np.ndarray, number: int, protocol: str) -> float:
    """Returns one class's AP.

    Args:
        right: bool [D], of the detections that count, in falling order of score: whether each is right.
        number: of objects to be found.
        protocol: 'voc07', the mean at eleven recalls, or 'voc12', the area.

    Returns:
        From 0 to 1; -1 if there is nothing to find.
    """
    if not number:
        return NOT_MEASURED
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or over it
    if protocol == 'voc12':
        return float(best[right].sum() / number)
    # Recall hits / number reaches level / 10, in whole numbers.
    places = np.searchsorted(_LEVELS * hits, number * np.arange(_LEVELS + 1))
    return float(np.append(best, 0.0)[places].mean())


def _mean(values: Sequence[float]) -> float:
    measured = [value for value in values if value != NOT_MEASURED]
    return float(np.mean(measured)) if measured else NOT_MEASURED
