"""COCO evaluation, ours beside pycocotools: the same twelve numbers in less time."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import measure

TARGET, TOLERANCE = 20.0, 1e-9
IMAGES, DETECTIONS, CLASSES = 5000, 100, 80  # COCO's validation set, and what a detector gives for each image
_HEIGHT, _WIDTH = 480, 640


def make_images(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Returns the arguments of `CocoEvaluator.add` for `count` images of boxes.

    COCO has 7.3 instances an image; here 0 to 14, a crowd now and then, found with an error of some pixels by
    a third of the detections. The other two thirds lie anywhere.
    """
    rng = np.random.default_rng(seed)
    made = []
    for number in range(1, count + 1):
        instances = int(rng.integers(0, 15))
        truth, found = _boxes(rng, instances), _boxes(rng, DETECTIONS)
        truth_classes = rng.integers(1, CLASSES + 1, instances)
        classes = rng.integers(1, CLASSES + 1, DETECTIONS)
        if instances:
            near = rng.integers(0, instances, DETECTIONS // 3)
            found[: len(near)] = _ordered(truth[near] + rng.normal(0, 6, (len(near), 4)))
            classes[: len(near)] = truth_classes[near]
        made.append(
            {
                'image_id': number,
                'height': _HEIGHT,
                'width': _WIDTH,
                'truth_boxes': truth,
                'truth_classes': truth_classes,
                'truth_areas': (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]) * 0.6,
                'truth_is_crowd': rng.random(instances) < 0.02,
                'boxes': found.astype(np.float32),
                'scores': rng.random(DETECTIONS).astype(np.float32),
                'classes': classes,
            }
        )
    return made


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    center = rng.random((count, 2)) * [_HEIGHT, _WIDTH]
    half = np.exp(rng.normal(3.5, 0.9, (count, 2)))
    return np.clip(np.concatenate([center - half, center + half], axis=1), 0, [_HEIGHT, _WIDTH] * 2)


def _ordered(boxes: np.ndarray) -> np.ndarray:
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def ours(images: Sequence[dict[str, Any]]) -> np.ndarray:
    """Returns the twelve numbers of our evaluator, adding the images one by one as training does."""
    from official_rethink.evaluation import coco

    evaluator = coco.CocoEvaluator({number: str(number) for number in range(1, CLASSES + 1)})
    for image in images:
        evaluator.add(**image)
    metrics = evaluator.evaluate()
    return np.array([metrics[name] for name in coco.metric_names()])


def reference(images: Sequence[dict[str, Any]]) -> np.ndarray:
    """Returns the twelve numbers of pycocotools, from lists of annotations as its own users give them."""
    from pycocotools import coco, cocoeval

    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image in images:
        rows = zip(_sides(image['truth_boxes']), image['truth_classes'].tolist(), strict=True)
        for row, (box, label) in enumerate(rows):
            entry = {'id': len(truth) + 1, 'image_id': image['image_id'], 'category_id': label, 'bbox': box}
            entry |= {'area': float(image['truth_areas'][row]), 'iscrowd': int(image['truth_is_crowd'][row])}
            truth.append(entry)
        columns = _sides(image['boxes']), image['scores'].tolist(), image['classes'].tolist()
        for box, score, label in zip(*columns, strict=True):
            found.append({'image_id': image['image_id'], 'category_id': label, 'bbox': box, 'score': score})
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            'images': [{'id': image['image_id'], 'height': _HEIGHT, 'width': _WIDTH} for image in images],
            'categories': [{'id': number, 'name': str(number)} for number in range(1, CLASSES + 1)],
            'annotations': truth,
        }
        data.createIndex()
        evaluation = cocoeval.COCOeval(data, data.loadRes(found), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


def _sides(boxes: np.ndarray) -> list[list[float]]:
    wide = boxes.astype(np.float64)
    return np.column_stack(
        [wide[:, 1], wide[:, 0], wide[:, 3] - wide[:, 1], wide[:, 2] - wide[:, 0]]
    ).tolist()


def run(num_images: int = IMAGES, rounds: int = 2) -> list[dict[str, Any]]:
    """Measures both on `num_images` images; the same twelve numbers are what makes it a comparison.

    Raises:
        ValueError: the twelve numbers differ.
    """
    images = make_images(num_images)
    numbers: dict[str, np.ndarray] = {}
    compared = measure.in_turn(
        lambda: numbers.update(ours=ours(images)),
        lambda: numbers.update(reference=reference(images)),
        rounds=rounds,
        warm_up=0,
    )
    difference = float(np.abs(numbers['ours'] - numbers['reference']).max())
    if difference > TOLERANCE:
        raise ValueError(f'the twelve numbers differ by up to {difference}: {numbers}')
    note = f'pycocotools, {num_images} images x {DETECTIONS} detections; numbers equal to {difference:.0e}'
    found = measure.measures(compared)
    return [measure.row('COCO evaluation', found, target=TARGET, unit='s', note=note)]
