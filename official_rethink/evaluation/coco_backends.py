"""Two engines for COCO's matching, hotcoco and pycocotools, behind one function."""

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors

BACKENDS = ('auto', 'hotcoco', 'pycocotools')

# Units: `N` truth instances, `D` detections, `K` classes; `T` IoU thresholds 0.50, 0.55, ..., 0.95, `R`
# recall thresholds 0.00, 0.01, ..., 1.00, `S` area ranges (all, small, medium, large), `C` caps on
# detections.


@dataclasses.dataclass
class Columns:
    """Truth and detections of a whole data set, a row an instance; boxes are x y width height in pixels.

    Attributes:
        sizes: height, width of each image [images, 2]; image numbers count these rows from 0.
        categories: the class ids that are evaluated, increasing [K].
        truth_image, truth_class, truth_crowd: int64 [N].
        truth_boxes: float64 [N, 4].
        truth_areas: float64 [N], what sorts an instance into small, medium and large.
        image, classes: int64 [D].
        boxes: float64 [D, 4].
        scores, areas: float64 [D].
        truth_masks, masks: run-length codes, or None to match boxes.
    """

    sizes: np.ndarray
    categories: Sequence[int]
    truth_image: np.ndarray
    truth_class: np.ndarray
    truth_crowd: np.ndarray
    truth_boxes: np.ndarray
    truth_areas: np.ndarray
    image: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    truth_masks: list[Any] | None = None
    masks: list[Any] | None = None

    def images(self) -> list[dict[str, int]]:
        """Returns COCO's image entries, ids from 1."""
        sizes = self.sizes.tolist()
        return [{'id': n, 'height': height, 'width': width} for n, (height, width) in enumerate(sizes, 1)]


def resolve(backend: str) -> str:
    """Returns the engine to use: hotcoco where it is installed, unless pycocotools is asked for."""
    if backend not in BACKENDS:
        raise errors.unknown_name('COCO evaluation backend', backend, BACKENDS)
    if backend == 'pycocotools':
        return backend
    if importlib.util.find_spec('hotcoco') is not None:
        return 'hotcoco'
    if backend == 'hotcoco':
        raise errors.UserError(
            "COCO evaluation backend 'hotcoco' is not installed; install it, or use 'auto' or 'pycocotools'."
        )
    return 'pycocotools'


def curves(columns: Columns, caps: Sequence[int], backend: str) -> tuple[np.ndarray, np.ndarray]:
    """Matches detections to truth.

    Args:
        columns: the data set; its masks are matched if it has them, its boxes otherwise.
        caps: how many detections an image and class may count, increasing.
        backend: 'hotcoco' or 'pycocotools'.

    Returns:
        precision [T, R, K, S, C] and recall [T, K, S, C], -1 for a class without truth in an area range.
    """
    engine = _hotcoco if backend == 'hotcoco' else _pycocotools
    return engine(columns, list(caps), 'bbox' if columns.masks is None else 'segm')


def _category_entries(columns: Columns) -> list[dict[str, Any]]:
    return [{'id': int(number), 'name': str(number)} for number in columns.categories]


def _hotcoco(columns: Columns, caps: list[int], kind: str) -> tuple[np.ndarray, np.ndarray]:
    import hotcoco  # optional: pycocotools stands in for it

    truth = hotcoco.COCO.from_arrays(
        columns.images(),
        _category_entries(columns),
        columns.truth_image + 1,
        columns.truth_class,
        columns.truth_boxes,
        area=columns.truth_areas,
        iscrowd=columns.truth_crowd.astype(np.uint8),
        segmentation=columns.truth_masks,
    )
    rows = np.column_stack([columns.image + 1, columns.boxes, columns.scores, columns.classes])
    found = truth.load_res(rows.astype(np.float64), segmentation=columns.masks)
    if len(rows):
        found.update_anns(ids=np.arange(1, len(rows) + 1), area=columns.areas)
    run = hotcoco.COCOeval(truth, found, kind)
    run.params.max_dets = caps
    run.evaluate()
    run.accumulate()
    arrays: Any = run.eval
    return np.asarray(arrays['precision']), np.asarray(arrays['recall'])


def _pycocotools(columns: Columns, caps: list[int], kind: str) -> tuple[np.ndarray, np.ndarray]:
    from pycocotools import coco, cocoeval  # not needed where hotcoco is

    def data_set(entries: list[dict[str, Any]], masks: list[Any] | None) -> Any:
        if masks is not None:
            for entry, mask in zip(entries, masks, strict=True):
                entry['segmentation'] = mask
        built = coco.COCO()
        built.dataset = {
            'images': columns.images(),
            'categories': _category_entries(columns),
            'annotations': entries,
        }
        built.createIndex()
        return built

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        # Not by loadRes: it fails on an empty list, and takes a mask's area from its box.
        truth = data_set(_truth_entries(columns), columns.truth_masks)
        found = data_set(_detection_entries(columns), columns.masks)
        run = cocoeval.COCOeval(truth, found, kind)
        run.params.maxDets = caps
        run.evaluate()
        run.accumulate()
    return run.eval['precision'], run.eval['recall']


def _truth_entries(columns: Columns) -> list[dict[str, Any]]:
    table = zip(
        (columns.truth_image + 1).tolist(),
        columns.truth_class.tolist(),
        columns.truth_crowd.tolist(),
        columns.truth_boxes.tolist(),
        columns.truth_areas.tolist(),
        strict=True,
    )
    # ids count from 1: pycocotools takes a match with id 0 for no match.
    return [
        {'id': n, 'image_id': image, 'category_id': label, 'iscrowd': crowd, 'bbox': box, 'area': area}
        for n, (image, label, crowd, box, area) in enumerate(table, 1)
    ]


def _detection_entries(columns: Columns) -> list[dict[str, Any]]:
    table = zip(
        (columns.image + 1).tolist(),
        columns.classes.tolist(),
        columns.scores.tolist(),
        columns.boxes.tolist(),
        columns.areas.tolist(),
        strict=True,
    )
    return [
        {
            'id': n,
            'image_id': image,
            'category_id': label,
            'iscrowd': 0,
            'score': score,
            'bbox': box,
            'area': area,
        }
        for n, (image, label, score, box, area) in enumerate(table, 1)
    ]
