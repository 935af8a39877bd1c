"""Images, detections and the reference evaluation that the tests of COCO's numbers share."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools import coco as reference_coco
from pycocotools import cocoeval
from pycocotools import mask as codec

from official_rethink.evaluation import coco

BACKENDS = ['hotcoco', 'pycocotools']
CATEGORIES = {1: 'cat', 3: 'dog', 7: 'bird'}


def image(image_id: Any = 1, truth: Any = (), found: Any = (), **changes: Any) -> dict[str, Any]:
    """Makes the arguments of `add`: truth rows (box, class), found rows (box, score, class)."""
    made = {
        'image_id': image_id,
        'height': 200,
        'width': 200,
        'truth_boxes': [row[0] for row in truth],
        'truth_classes': [row[1] for row in truth],
        'truth_areas': None,
        'truth_is_crowd': None,
        'boxes': [row[0] for row in found],
        'scores': [row[1] for row in found],
        'classes': [row[2] for row in found],
    }
    return made | changes


def evaluate(
    *given: dict[str, Any], backend: str = 'auto', categories: Any = CATEGORIES, **options: Any
) -> Any:
    evaluator = coco.CocoEvaluator(categories, backend=backend, **options)
    for one in given:
        evaluator.add(**one)
    return evaluator.evaluate()


def box_entry(box: Any) -> tuple[list[float], float]:
    y1, x1, y2, x2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)


def reference(given: list[dict[str, Any]], kind: str = 'bbox') -> np.ndarray:
    """Gives the twelve numbers of pycocotools, used as its own demonstration uses it."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for one in given:
        crowds = (
            one['truth_is_crowd'] if one['truth_is_crowd'] is not None else np.zeros(len(one['truth_boxes']))
        )
        for row, (box, label) in enumerate(zip(one['truth_boxes'], one['truth_classes'], strict=True)):
            sides, area = box_entry(box)
            area = area if one['truth_areas'] is None else float(one['truth_areas'][row])
            entry = {
                'id': len(truth) + 1,
                'image_id': one['image_id'],
                'category_id': int(label),
                'bbox': sides,
            }
            entry |= {'area': area, 'iscrowd': int(crowds[row])}
            truth.append(entry if kind == 'bbox' else entry | {'segmentation': one['truth_masks_rle'][row]})
        for row, (box, score, label) in enumerate(
            zip(one['boxes'], one['scores'], one['classes'], strict=True)
        ):
            entry = {'image_id': one['image_id'], 'category_id': int(label), 'score': float(score)}
            shape = {'bbox': box_entry(box)[0]} if kind == 'bbox' else {'segmentation': one['masks_rle'][row]}
            found.append(entry | shape)
    with contextlib.redirect_stdout(io.StringIO()):
        data = reference_coco.COCO()
        data.dataset = {
            'images': [
                {'id': one['image_id'], 'height': one['height'], 'width': one['width']} for one in given
            ],
            'categories': [{'id': number, 'name': name} for number, name in CATEGORIES.items()],
            'annotations': truth,
        }
        data.createIndex()
        run = cocoeval.COCOeval(data, data.loadRes(found), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def assert_equals_reference(given: list[dict[str, Any]], kinds: tuple[str, ...] = ('bbox',)) -> None:
    for kind in kinds:
        wanted = reference(given, kind)
        for backend in BACKENDS:
            metrics = evaluate(*given, backend=backend)
            names = [('mask_' if kind == 'segm' else '') + name for name in coco.metric_names()]
            np.testing.assert_allclose(
                [metrics[name] for name in names], wanted, atol=1e-9, rtol=0, err_msg=backend
            )


def random_boxes(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    corners = rng.random((2, count, 2)) * [height, width]
    return np.concatenate([corners.min(0), corners.max(0)], axis=1)


def random_images(seed: int, with_masks: bool = False) -> list[dict[str, Any]]:
    """Makes images whose detections are partly near truth, with ties, crowds, and up to 250 detections."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(8, 400, 2))
    whole, decimals = rng.random() < 0.5, int(rng.choice([1, 6]))
    made = []
    for number in range(int(rng.integers(1, 10))):
        count = int(rng.integers(0, 8))
        many = rng.random() < 0.15 and not with_masks
        guesses = int(rng.integers(100, 250) if many else rng.integers(1, 30))
        truth, found = random_boxes(rng, count, height, width), random_boxes(rng, guesses, height, width)
        if count:
            near = truth[rng.integers(0, count, guesses)] + rng.normal(size=(guesses, 4)) * rng.choice(
                [0, 1, 10]
            )
            near = np.concatenate(
                [np.minimum(near[:, :2], near[:, 2:]), np.maximum(near[:, :2], near[:, 2:])], 1
            )
            found = np.where(rng.random((guesses, 1)) < 0.7, near, found)
        if whole:
            truth, found = np.round(truth), np.round(found)
        areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]) * 0.7
        one = image(number * 3 + 1, height=height, width=width, truth_boxes=truth, truth_areas=areas)
        one |= {
            'truth_classes': rng.choice([1, 3], count),
            'truth_is_crowd': rng.random(count) < rng.choice([0, 0.3]),
        }
        one |= {'boxes': found.astype(np.float32), 'classes': rng.choice([1, 3, 7], guesses)}
        one['scores'] = np.round(rng.random(guesses), decimals).astype(np.float32)
        if with_masks:
            one['truth_masks_rle'] = [random_mask(rng, box, height, width) for box in truth]
            one['masks_rle'] = [random_mask(rng, box, height, width) for box in found]
        made.append(one)
    return made


def random_mask(rng: np.random.Generator, box: np.ndarray, height: int, width: int) -> dict[str, Any]:
    mask = np.zeros((height, width), np.uint8, order='F')
    y1, x1, y2, x2 = np.clip(np.round(box), 0, [height, width] * 2).astype(int)
    mask[y1:y2, x1:x2] = rng.random((y2 - y1, 1)) < 0.9
    return codec.encode(mask)
