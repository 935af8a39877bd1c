"""COCO evaluation, ours beside pycocotools: `python -m benchmarks.coco_evaluation [--images=5000]`."""

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from official_rethink.common import entry_point, errors

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


def _timed(
    work: Callable[[Sequence[dict[str, Any]]], np.ndarray], images: Any
) -> tuple[np.ndarray, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work(images)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def run(num_images: int = IMAGES) -> dict[str, Any]:
    """Measures both on `num_images` images; the ratio is of CPU seconds, which other processes disturb less.

    Returns:
        name, ours_seconds and reference_seconds (CPU), the same with `wall`, ratio (how many times faster
        ours is), max_difference of the twelve numbers, note (a sentence).
    """
    images = make_images(num_images)
    ours(images[:2])  # imports are not what is measured
    reference(images[:2])
    numbers, wall, cpu = _timed(ours, images)
    wanted, reference_wall, reference_cpu = _timed(reference, images)
    difference = float(np.abs(numbers - wanted).max())
    return {
        'name': 'COCO evaluation',
        'ours_seconds': cpu,
        'reference_seconds': reference_cpu,
        'ours_wall_seconds': wall,
        'reference_wall_seconds': reference_wall,
        'ratio': reference_cpu / cpu,
        'max_difference': difference,
        'note': f'against pycocotools, {num_images} images x {DETECTIONS} detections; '
        f'largest difference of the twelve numbers {difference:.1e}',
    }


def main(argv: Sequence[str]) -> int:
    """Prints both times, their ratio, and the largest difference of the twelve numbers."""
    parser = entry_point.Parser(prog='python -m benchmarks.coco_evaluation', description=__doc__)
    parser.add_argument('--images', type=int, default=IMAGES, help='how many images (default: %(default)s)')
    arguments = parser.parse_args(argv)
    if arguments.images < 2:
        raise errors.bad_value('--images', arguments.images, 'a whole number above 1')
    found = run(arguments.images)
    print(f'{found["note"]}')
    for who, cpu, wall in (
        ('ours', found['ours_seconds'], found['ours_wall_seconds']),
        ('pycocotools', found['reference_seconds'], found['reference_wall_seconds']),
    ):
        print(f'{who:12} {cpu:8.2f} s CPU {wall:8.2f} s wall')
    wall_ratio = found['reference_wall_seconds'] / found['ours_wall_seconds']
    print(f'{"ratio":12} {found["ratio"]:8.1f}   CPU {wall_ratio:8.1f}   wall')
    return 0


if __name__ == '__main__':
    entry_point.run(main)
