"""COCO's metrics of key points: AP and AR over object key-point similarity (OKS), by pycocotools.

Letters: N objects and D detections of an image, P key points of an object.
"""

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np

from official_rethink.common import errors
from official_rethink.configs import metrics
from official_rethink.data import keypoints as layouts
from official_rethink.evaluation import images

# Places in pycocotools' arrays: IoU thresholds 0.50 and 0.75; all areas, medium and large ones.
_IOU_50, _IOU_75 = 0, 5
_ALL, _MEDIUM, _LARGE = range(3)
# From coordinates as boxes have them to COCO's indices of pixels.
_TO_INDEX = 0.5


class _Image(NamedTuple):
    truth: images.Truth
    truth_points: np.ndarray
    found: images.Detections
    points: np.ndarray


class KeypointEvaluator:
    """Collects truth and detections image by image, then gives COCO's ten numbers of key points.

    An object without a labelled point, and a crowd, is neither rewarded nor punished; detections of classes without
    key points are left out; the 20 best of an image count. As in COCO a detection's size is that of its points.
    """

    def __init__(self, layout: layouts.Layout):
        """Args: the points of the set that is measured on; `layout.categories` empty: of every class."""
        self._layout = layout
        self._images: dict[images.ImageId, _Image] = {}

    def __len__(self) -> int:
        return len(self._images)

    def add(
        self,
        image_id: images.ImageId,
        truth_boxes: Any,
        truth_classes: Any,
        truth_areas: Any | None,
        truth_is_crowd: Any | None,
        truth_keypoints: Any,
        boxes: Any,
        scores: Any,
        classes: Any,
        keypoints: Any,
    ) -> None:
        """Adds one image.

        Args:
            image_id: new to this evaluator.
            truth_boxes: y1 x1 y2 x2 in pixels [N, 4].
            truth_classes: class ids [N].
            truth_areas: [N], which scale the similarity; None: the boxes'.
            truth_is_crowd: 0 or 1 [N]; None: no crowds.
            truth_keypoints: y, x in pixels and visibility [N, P, 3].
            boxes: y1 x1 y2 x2 in pixels [D, 4].
            scores: of the boxes [D], by which detections are ranked, as in Detectron.
            classes: class ids [D].
            keypoints: y, x in pixels and score [D, P, 3].

        Raises:
            UserError: an id given before, numbers that are not finite, shapes that differ.
        """
        key = images.image_key(image_id)
        where = f'image {key!r}'
        if key in self._images:
            raise errors.bad_value('image id', key, 'an id that was not added before; leave out padding images')
        truth = images.Truth(truth_boxes, truth_classes, truth_is_crowd, where, truth_areas)
        found = images.Detections(boxes, scores, classes, where)
        self._images[key] = _Image(
            truth,
            self._checked(truth_keypoints, 'truth_keypoints', truth_classes, where),
            found,
            self._checked(keypoints, 'keypoints', classes, where),
        )

    def _checked(self, values: Any, what: str, classes: Any, where: str) -> np.ndarray:
        """Returns float64 [n, P, 3] without padding rows."""
        labels, wanted = np.asarray(classes), len(self._layout.names)
        array = np.asarray(values, np.float64).reshape([0, wanted, 3] if not len(labels) else np.shape(values))
        if array.shape != (len(labels), wanted, 3):
            allowed = f'[{len(labels)}, {wanted}, 3], one row for each box: y, x and visibility or score of each point'
            raise errors.bad_value(f'shape of {what}', list(array.shape), allowed, where)
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all((1, 2)))[0])
            raise errors.bad_value(f'{what}[{row}]', array[row].tolist(), 'finite numbers', where)
        return array[labels != images.PADDING_CLASS]

    def evaluate(self) -> dict[str, float]:
        """Returns the ten numbers, shares of 1; -1 where there is nothing to measure on.

        Raises:
            UserError: no image was added.
        """
        if not self._images:
            raise errors.UserError('key points are evaluated on no image at all.')
        numbers = {key: place for place, key in enumerate(self._order(), 1)}
        classes = self._classes()
        truth = [entry for key, number in numbers.items() for entry in self._truth(key, number, classes)]
        found = [entry for key, number in numbers.items() for entry in self._found(key, number, classes)]
        run = self._run(truth, found, list(numbers.values()), classes)
        precision, recall = run['precision'][..., -1], run['recall'][..., -1]
        values = [
            *(precision[..., _ALL], precision[_IOU_50, ..., _ALL], precision[_IOU_75, ..., _ALL]),
            *(precision[..., _MEDIUM], precision[..., _LARGE]),
            *(recall[..., _ALL], recall[_IOU_50, ..., _ALL], recall[_IOU_75, ..., _ALL]),
            *(recall[..., _MEDIUM], recall[..., _LARGE]),
        ]
        return dict(zip(metrics.keypoint_metric_names(), map(_mean, values), strict=True))

    def results(self) -> list[dict[str, Any]]:
        """The detections as a list that COCO's tools and servers read, coordinates as COCO has them."""
        kept = ('image_id', 'category_id', 'keypoints', 'score')
        classes = self._classes()
        entries = (entry for key in self._order() for entry in self._found(key, key, classes))
        return [{name: entry[name] for name in kept} for entry in entries]

    def _order(self) -> list[images.ImageId]:
        return sorted(self._images, key=lambda key: (isinstance(key, str), key))

    def _classes(self) -> list[int]:
        if self._layout.categories:
            return list(self._layout.categories)
        return sorted({int(label) for image in self._images.values() for label in image.truth.classes})

    def _truth(self, key: images.ImageId, number: Any, classes: list[int]) -> list[dict[str, Any]]:
        truth, points = self._images[key].truth, self._images[key].truth_points
        sides, _ = images.sides_and_areas(truth.boxes)
        rows = zip(truth.classes.tolist(), sides.tolist(), truth.areas.tolist(), truth.is_crowd, points, strict=True)
        return [
            {
                'image_id': number,
                'category_id': label,
                'bbox': box,
                'area': area,
                'iscrowd': int(crowd),
                'keypoints': _flat(placed, placed[:, 2] > 0),
                'num_keypoints': int((placed[:, 2] > 0).sum()),
            }
            for label, box, area, crowd, placed in rows
            if label in classes
        ]

    def _found(self, key: images.ImageId, number: Any, classes: list[int]) -> list[dict[str, Any]]:
        found, points = self._images[key].found, self._images[key].points
        entries = []
        for label, score, placed in zip(found.classes.tolist(), found.scores.tolist(), points, strict=True):
            if label not in classes:
                continue
            low, high = placed[:, :2].min(axis=0), placed[:, :2].max(axis=0)
            entries.append(
                {
                    'image_id': number,
                    'category_id': label,
                    'score': score,
                    'keypoints': _flat(placed),
                    'bbox': [*(low[::-1] - _TO_INDEX).tolist(), *(high - low)[::-1].tolist()],
                    'area': float(np.prod(high - low)),
                    'iscrowd': 0,
                }
            )
        return entries

    def _run(
        self, truth: list[dict[str, Any]], found: list[dict[str, Any]], numbers: list[int], classes: list[int]
    ) -> dict[str, Any]:
        from pycocotools import coco, cocoeval  # only where key points are evaluated

        def data_set(entries: list[dict[str, Any]]) -> Any:
            built = coco.COCO()
            built.dataset = {
                'images': [{'id': number} for number in numbers],
                'categories': [{'id': number, 'name': str(number)} for number in classes],
                # pycocotools takes a match with id 0 for no match.
                'annotations': [{**entry, 'id': place} for place, entry in enumerate(entries, 1)],
            }
            built.createIndex()
            return built

        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            run = cocoeval.COCOeval(data_set(truth), data_set(found), 'keypoints')
            run.params.kpt_oks_sigmas = np.array(self._layout.sigmas)
            run.evaluate()
            run.accumulate()
        return run.eval


def _flat(points: np.ndarray, labelled: Any = True) -> list[float]:
    """COCO's list x, y, v of points [P, 3] y, x, v; unlabelled ones keep their zeros."""
    shifted = points[:, 1::-1] - _TO_INDEX * np.reshape(labelled, [-1, 1])
    return np.concatenate([shifted, points[:, 2:]], axis=1).reshape(-1).tolist()


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0
