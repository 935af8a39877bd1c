"""Several protocols over the same detections: each image goes to every evaluator, and their numbers are joined."""

from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.configs import metrics
from official_rethink.evaluation import coco, keypoints, voc


class Evaluator:
    """COCO's numbers, and beside them PASCAL VOC's where they are asked for, and those of key points."""

    def __init__(
        self,
        protocols: Sequence[str],
        categories: Mapping[int, str] | None,
        per_category: bool = False,
        of_keypoints: keypoints.KeypointEvaluator | None = None,
    ):
        """Makes an empty evaluator.

        Args:
            protocols: of 'coco', 'voc07' and 'voc12'.
            categories: class id to name; None: the classes that occur in the truth, named by their ids.
            per_category: whether each class's AP is given too.
            of_keypoints: for a model that finds them.
        """
        self._keypoints = of_keypoints
        pascal = [name for name in protocols if name in metrics.VOC]
        self._coco = coco.CocoEvaluator(categories, per_category=per_category) if 'coco' in protocols else None
        self._voc = voc.VocEvaluator(categories, pascal, per_category) if pascal else None

    def add(
        self,
        *,
        image_id: Any,
        truth_boxes: Any,
        truth_classes: Any,
        truth_is_crowd: Any,
        truth_is_difficult: Any,
        boxes: Any,
        scores: Any,
        classes: Any,
        **of_coco: Any,
    ) -> None:
        """Adds one image; see `coco.CocoEvaluator.add` and `voc.VocEvaluator.add`.

        Args:
            image_id: new to this evaluator.
            truth_boxes: y1 x1 y2 x2 in pixels [N, 4].
            truth_classes: class ids [N].
            truth_is_crowd: 0 or 1 [N].
            truth_is_difficult: 0 or 1 [N]; COCO's numbers count difficult objects like all others.
            boxes: y1 x1 y2 x2 in pixels [D, 4].
            scores: [D].
            classes: class ids [D].
            **of_coco: what COCO's evaluation alone takes: the image's size, areas, masks; and truth_keypoints and
                keypoints, see `keypoints.KeypointEvaluator.add`.
        """
        truth = {
            'truth_boxes': truth_boxes, 'truth_classes': truth_classes, 'truth_is_crowd': truth_is_crowd,
        }  # fmt: skip
        found = {'boxes': boxes, 'scores': scores, 'classes': classes}
        points = {name: of_coco.pop(name) for name in ('truth_keypoints', 'keypoints') if name in of_coco}
        if self._keypoints is not None:
            areas = of_coco.get('truth_areas')
            self._keypoints.add(image_id=image_id, truth_areas=areas, **truth, **found, **points)
        if self._coco is not None:
            self._coco.add(image_id=image_id, **truth, **found, **of_coco)
        if self._voc is not None:
            self._voc.add(image_id=image_id, truth_is_difficult=truth_is_difficult, **truth, **found)

    def evaluate(self) -> dict[str, float]:
        """Returns every evaluator's numbers.

        Raises:
            UserError: no image was added.
        """
        results: dict[str, float] = {}
        for evaluator in (self._coco, self._keypoints, self._voc):
            results |= evaluator.evaluate() if evaluator is not None else {}
        return results
