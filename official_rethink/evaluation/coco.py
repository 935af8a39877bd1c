"""COCO's detection metrics for boxes and instance masks, image by image, without keeping images."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from official_rethink.common import errors
from official_rethink.configs import metrics
from official_rethink.evaluation import coco_backends, images
from official_rethink.evaluation.images import ImageId

# Places in `coco_backends.curves`: IoU thresholds 0.50 and 0.75, area ranges.
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)


def metric_names(max_detections: int = 100, masks: bool = False) -> list[str]:
    """Returns the names of the twelve numbers, Model Garden's; with `masks`, the `mask_` ones after them."""
    names = metrics.coco_metric_names(max_detections)
    return names + [f'mask_{name}' for name in names] if masks else names


class CocoEvaluator:
    """Collects truth and detections image by image, then gives COCO's twelve numbers.

    The numbers are pycocotools', also where that is surprising: a metric without any truth to measure it on
    is -1, each class keeps its own best `max_detections` of an image, ties keep the order in which they were
    given. Images count in the order of their ids, whatever the order of `add`, so ties between images are
    settled alike.

    Only numbers and run-length codes are kept, 48 bytes a detection. A class of `PADDING_CLASS` (-1) marks a
    padding row, which is skipped. Detections of other classes than the categories' cannot be right or wrong
    and are left out, as pycocotools does (`ignored_detections` counts them). A score or box that is not
    finite is an error: it means the model has diverged, and any metric would hide it.
    """

    def __init__(
        self,
        categories: Mapping[int, str] | None,
        backend: str = 'auto',
        max_detections: int = 100,
        per_category: bool = False,
    ):
        """Makes an empty evaluator.

        Args:
            categories: class id to name; None: the classes that occur in the truth, named by their ids.
            backend: 'hotcoco', 'pycocotools', or 'auto' for hotcoco where it is installed.
            max_detections: how many detections an image and class may count; above 10, COCO uses 100.
            per_category: whether `evaluate` also gives each class's AP.
        """
        if isinstance(max_detections, bool) or not isinstance(max_detections, int) or max_detections <= 10:
            raise errors.bad_value('max_detections', max_detections, 'a whole number above 10')
        if categories is not None:
            names = list(categories.values())
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise errors.bad_value('categories', twice, 'each name once, for a metric is named after it')
        self._categories = (
            None if categories is None else {int(key): str(categories[key]) for key in categories}
        )
        self.backend = coco_backends.resolve(backend)
        self._max_detections = max_detections
        self._per_category = per_category
        self.reset()

    def reset(self) -> None:
        """Forgets every image."""
        self._images: dict[ImageId, _Image] = {}
        self._with_masks: bool | None = None

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, image_id: object) -> bool:
        return images.image_key(image_id) in self._images

    @property
    def ignored_detections(self) -> int:
        """How many detections have a class that is none of the categories."""
        known = self._category_names()
        unknown = (~np.isin(image.found.classes, list(known)) for image in self._images.values())
        return sum(int(rows.sum()) for rows in unknown)

    def add(
        self,
        image_id: ImageId,
        height: int,
        width: int,
        truth_boxes: Any,
        truth_classes: Any,
        truth_areas: Any | None,
        truth_is_crowd: Any | None,
        boxes: Any,
        scores: Any,
        classes: Any,
        truth_masks_rle: Sequence[Mapping[str, Any]] | None = None,
        masks_rle: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Adds one image.

        Args:
            image_id: int or str, new to this evaluator; the caller leaves out a batch's padding images.
            height: of the image, in pixels.
            width: of the image, in pixels.
            truth_boxes: y1 x1 y2 x2 in pixels [N, 4].
            truth_classes: class ids [N].
            truth_areas: what sorts instances into small, medium and large [N]; None: that of the mask, or
                without masks of the box.
            truth_is_crowd: 0 or 1 [N]; None: no crowds.
            boxes: y1 x1 y2 x2 in pixels [D, 4].
            scores: [D].
            classes: class ids [D].
            truth_masks_rle: run-length codes of the truth, one for each box; given for all images or none.
            masks_rle: run-length codes of the detections, likewise.

        Raises:
            UserError: an id given before, numbers that are not finite, lengths that differ, an unknown class.
        """
        key = images.image_key(image_id)
        where = f'image {key!r}'
        if key in self._images:
            raise errors.bad_value(
                'image id', key, 'an id that was not added before; leave out padding images'
            )
        with_masks = truth_masks_rle is not None or masks_rle is not None
        if self._with_masks is not None and with_masks != self._with_masks:
            kind = ('without', 'with')[with_masks]
            raise errors.bad_value(
                'masks', f'an image {kind} masks', 'masks for all images or for none', where
            )
        size = images.image_size(height, width, where)
        truth_codes, codes = (truth_masks_rle or [], masks_rle or []) if with_masks else (None, None)
        truth = images.Truth(
            truth_boxes, truth_classes, truth_is_crowd, where, truth_areas, truth_codes, size
        )
        found = images.Detections(boxes, scores, classes, where, codes, size)
        self._check_classes(truth, where)
        self._images[key] = _Image(size, truth, found)
        self._with_masks = with_masks

    def evaluate(self) -> dict[str, float]:
        """Returns COCO's twelve numbers, those of masks where there are any, and each class's AP on demand.

        Keys: AP AP50 AP75 APs APm APl ARmax1 ARmax10 ARmax100 ARs ARm ARl (the 100 being `max_detections`),
        `mask_` and the same, `PerCategory/<name>/AP` and `PerCategory/<name>/mask_AP`. -1: no truth to
        measure it on.

        Raises:
            UserError: no image was added.
        """
        if not self._images:
            raise errors.UserError('COCO evaluation got no image; the evaluation data is empty.')
        names = self._category_names()
        results: dict[str, float] = {}
        per_category: dict[str, float] = {}
        for prefix in ('', 'mask_') if self._with_masks else ('',):
            twelve = [f'{prefix}{name}' for name in metric_names(self._max_detections)]
            if not names:  # neither categories nor truth: there is nothing to match
                results.update(dict.fromkeys(twelve, -1.0))
                continue
            caps = [1, 10, self._max_detections]
            precision, recall = coco_backends.curves(self._columns(bool(prefix)), caps, self.backend)
            results.update(zip(twelve, _summary(precision, recall), strict=True))
            for place, number in enumerate(sorted(names)):
                value = _mean(precision[:, :, place, _ALL, -1])
                per_category[f'PerCategory/{names[number]}/{prefix}AP'] = value
        return results | per_category if self._per_category else results

    def _check_classes(self, truth: images.Truth, where: str) -> None:
        if self._categories is None or np.isin(truth.classes, list(self._categories)).all():
            return
        unknown = next(label for label in truth.classes.tolist() if label not in self._categories)
        known = ', '.join(str(number) for number in sorted(self._categories))
        raise errors.bad_value('truth class', unknown, f"one of the categories' ids: {known}", where)

    def _category_names(self) -> dict[int, str]:
        if self._categories is not None:
            return self._categories
        found = {label for image in self._images.values() for label in image.truth.classes.tolist()}
        return {label: str(label) for label in sorted(found)}

    def _columns(self, masks: bool) -> coco_backends.Columns:
        order = [
            self._images[key] for key in sorted(self._images, key=lambda key: (isinstance(key, str), key))
        ]
        truths, founds = [image.truth for image in order], [image.found for image in order]
        truth_boxes, _ = images.sides_and_areas(np.concatenate([truth.boxes for truth in truths]))
        boxes, areas = images.sides_and_areas(np.concatenate([found.boxes for found in founds]))
        columns = coco_backends.Columns(
            sizes=np.array([image.size for image in order], np.int64),
            categories=sorted(self._category_names()),
            truth_image=np.repeat(np.arange(len(order)), [len(truth.classes) for truth in truths]),
            truth_class=np.concatenate([truth.classes for truth in truths]),
            truth_crowd=np.concatenate([truth.is_crowd for truth in truths]).astype(np.int64),
            truth_boxes=truth_boxes,
            truth_areas=np.concatenate([truth.areas for truth in truths]),
            image=np.repeat(np.arange(len(order)), [len(found.classes) for found in founds]),
            classes=np.concatenate([found.classes for found in founds]),
            boxes=boxes,
            scores=np.concatenate([found.scores for found in founds]),
            areas=areas,
        )
        if masks:
            columns.truth_masks = [mask for truth in truths for mask in truth.masks]
            columns.masks = [mask for found in founds for mask in found.masks]
            columns.areas = images.mask_areas(columns.masks)
        return _of_known_classes(columns)


class _Image(NamedTuple):
    size: tuple[int, int]  # height, width
    truth: images.Truth
    found: images.Detections


def _of_known_classes(columns: coco_backends.Columns) -> coco_backends.Columns:
    """Leaves out the detections of classes that are not evaluated."""
    keep = np.isin(columns.classes, columns.categories)
    if keep.all():
        return columns
    masks = columns.masks and [mask for mask, kept in zip(columns.masks, keep, strict=True) if kept]
    names = ('image', 'classes', 'boxes', 'scores', 'areas')
    return dataclasses.replace(columns, masks=masks, **{name: getattr(columns, name)[keep] for name in names})


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0


def _summary(precision: np.ndarray, recall: np.ndarray) -> list[float]:
    """Averages curves to the twelve numbers, in the order of `metric_names`.

    Args:
        precision: [T, R, K, S, C], as `coco_backends.curves` gives it.
        recall: [T, K, S, C].
    """
    best = precision[..., -1]
    values = [best[..., _ALL], best[_IOU_50, ..., _ALL], best[_IOU_75, ..., _ALL]]
    values += [best[..., size] for size in (_SMALL, _MEDIUM, _LARGE)]
    values += [recall[:, :, _ALL, cap] for cap in range(3)]
    values += [recall[:, :, size, -1] for size in (_SMALL, _MEDIUM, _LARGE)]
    return [_mean(value) for value in values]
