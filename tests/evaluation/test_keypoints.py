"""COCO's AP of key points against a computation of its own here, by hand, and on what is not worth measuring."""

import json

import numpy as np
import pytest
from pycocotools import coco, cocoeval

from official_rethink.common import errors
from official_rethink.configs import metrics
from official_rethink.data import keypoints as layouts
from official_rethink.evaluation import keypoints

LAYOUT = layouts.make(['a', 'b', 'c'], [1, 4], sigmas=[0.05, 0.1, 0.2])
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def scenario(seed, count=12):
    """Images with objects of classes 1, 2 and 4, some crowds, some unlabelled; detections near and far."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(count):
        objects = int(generator.integers(0, 5))
        corner = generator.uniform(0, 200, [objects, 2])
        boxes = np.concatenate([corner, corner + generator.uniform(20, 150, [objects, 2])], axis=1)
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        places = boxes[:, None, :2] + generator.uniform(0, 1, [objects, 3, 2]) * size
        visible = generator.choice([0, 1, 2], [objects, 3, 1], p=[0.3, 0.2, 0.5])
        picked = generator.integers(0, max(objects, 1), int(generator.integers(0, 30)) if objects else 0)
        noise = generator.normal(0, 1, [len(picked), 3, 2]) * 15 * generator.uniform(0, 1, [len(picked), 1, 1])
        made.append(
            {
                'image_id': 100 - number,
                'truth_boxes': boxes,
                'truth_classes': generator.choice([1, 2, 4], objects),
                'truth_areas': np.prod(size[:, 0], axis=1) * 0.7,
                'truth_is_crowd': generator.uniform(size=objects) < 0.15,
                'truth_keypoints': np.concatenate([places * (visible > 0), visible], axis=2),
                'boxes': boxes[picked],
                'scores': np.round(generator.uniform(size=len(picked)), 2),  # with ties
                'classes': generator.choice([1, 2, 4], len(picked)),
                'keypoints': np.concatenate([places[picked] + noise, np.ones([len(picked), 3, 1])], axis=2),
            }
        )
    return made


def evaluated(images, layout=LAYOUT):
    evaluator = keypoints.KeypointEvaluator(layout)
    for image in images:
        evaluator.add(**image)
    return evaluator.evaluate()


def similarity(found, points, box, area):
    """OKS as its definition has it; of an object without a labelled point the distance to its doubled box."""
    labelled = points[:, 2] > 0
    if labelled.any():
        squared = ((found[:, :2] - points[:, :2]) ** 2).sum(1)[labelled]
        spread = (2 * np.array(LAYOUT.sigmas)[labelled]) ** 2
    else:
        low, high = box[:2] - (box[2:] - box[:2]), box[2:] + (box[2:] - box[:2])
        squared = (np.maximum(np.maximum(low - found[:, :2], found[:, :2] - high), 0) ** 2).sum(1)
        spread = (2 * np.array(LAYOUT.sigmas)) ** 2
    return np.exp(-squared / (2 * spread * area)).mean()


def rows_of(image, label, low, high, threshold):
    """Scores and verdicts (1 hit, 0 miss) of an image's detections, and how many objects count."""
    objects = np.flatnonzero(image['truth_classes'] == label)
    labelled = (image['truth_keypoints'][objects, :, 2] > 0).any(1)
    areas = image['truth_areas'][objects]
    ignored = image['truth_is_crowd'][objects] | ~labelled | (areas < low) | (areas > high)
    found = np.flatnonzero(image['classes'] == label)
    found = found[np.argsort(-image['scores'][found], kind='stable')][:20]
    taken, rows = set(), []
    for one in found:
        points = image['keypoints'][one]
        values = [
            similarity(points, image['truth_keypoints'][o], image['truth_boxes'][o], image['truth_areas'][o])
            for o in objects
        ]
        free = [place for place in range(len(objects)) if values[place] >= threshold
                and (place not in taken or image['truth_is_crowd'][objects[place]])]  # fmt: skip
        counted = [place for place in free if not ignored[place]]
        # The best match; of objects that do not count only where none that counts is left.
        best = max(counted or free, key=lambda place: (values[place], place), default=None)
        area = np.prod(np.ptp(points[:, :2], axis=0))
        if best is None:
            rows += [] if area < low or area > high else [(image['scores'][one], 0)]
        else:
            taken.add(best)
            rows += [] if ignored[best] else [(image['scores'][one], 1)]
    return rows, int((~ignored).sum())


def oracle(images, low=0.0, high=1e10, thresholds=THRESHOLDS):
    """AP and AR, a share of 1: mean over classes, thresholds and 101 recalls; and over classes and thresholds."""
    precisions, recalls = [], []
    for label in LAYOUT.categories:
        for threshold in thresholds:
            rows, count = [], 0
            for image in sorted(images, key=lambda image: image['image_id']):
                added, objects = rows_of(image, label, low, high, threshold)
                rows, count = rows + added, count + objects
            if not count:
                continue
            order = np.argsort([-score for score, _ in rows], kind='stable')
            hits = np.cumsum([rows[place][1] for place in order])
            recall, precision = hits / count, hits / np.arange(1, len(rows) + 1)
            best = [max(precision[recall >= wanted - 1e-12], default=0.0) for wanted in np.linspace(0, 1, 101)]
            precisions.append(np.mean(best))
            recalls.append(recall[-1] if len(rows) else 0.0)
    return np.mean(precisions), np.mean(recalls)


@pytest.mark.parametrize('seed', [0, 1])
def test_numbers_equal_an_independent_computation(seed):
    images = scenario(seed)
    found = evaluated(images)
    assert list(found) == metrics.keypoint_metric_names()
    cases = {
        '': {}, '50': {'thresholds': [0.5]}, '75': {'thresholds': [0.75]},
        'm': {'low': 32**2, 'high': 96**2}, 'l': {'low': 96**2},
    }  # fmt: skip
    for end, options in cases.items():
        expected = oracle(images, **options)
        measured = found[f'keypoint_AP{end}'], found[f'keypoint_AR{end}']
        np.testing.assert_allclose(measured, expected, atol=1e-9, err_msg=end)
    assert 0.05 < found['keypoint_AP'] < 0.9


def test_a_similarity_by_hand():
    """One point, sigma 0.1, area 100, off by 2 pixels: exp(-4 / (2 * 0.04 * 100)) = 0.607: right at 0.50 to 0.60."""
    layout = layouts.make(['a'], [1], sigmas=[0.1])
    image = {
        'image_id': 1, 'truth_boxes': [[0, 0, 10, 10]], 'truth_classes': [1], 'truth_areas': None,
        'truth_is_crowd': None, 'truth_keypoints': [[[5, 5, 2]]], 'boxes': [[0, 0, 10, 10]], 'scores': [0.9],
        'classes': [1], 'keypoints': [[[5, 7, 0.3]]],
    }  # fmt: skip
    found = evaluated([image], layout)
    assert found['keypoint_AP'] == pytest.approx(0.3) and found['keypoint_AP50'] == pytest.approx(1.0)
    assert found['keypoint_AP75'] == 0.0 and found['keypoint_APl'] == -1.0


def test_results_are_read_by_cocos_tools(tmp_path):
    """Written as a file and measured with pycocotools alone, they give the same numbers."""
    images = scenario(3)
    evaluator = keypoints.KeypointEvaluator(layouts.make(layouts.COCO_NAMES[:3], [1, 4], sigmas=LAYOUT.sigmas))
    truth = []
    for image in images:
        evaluator.add(**image)
        for box, label, area, crowd, points in zip(
            *(image[f'truth_{name}'] for name in ('boxes', 'classes', 'areas', 'is_crowd', 'keypoints')), strict=True
        ):
            flat = [(x - 0.5, y - 0.5, int(v)) if v else (0, 0, 0) for y, x, v in points]
            y1, x1, y2, x2 = box
            truth.append(
                {
                    'id': len(truth) + 1, 'image_id': image['image_id'], 'category_id': int(label), 'area': float(area),
                    'iscrowd': int(crowd), 'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'keypoints': [float(value) for point in flat for value in point],
                    'num_keypoints': int((points[:, 2] > 0).sum()),
                }
            )  # fmt: skip
    reference = coco.COCO()
    reference.dataset = {
        'images': [{'id': image['image_id']} for image in images],
        'categories': [{'id': label, 'name': str(label)} for label in (1, 4)],
        'annotations': [entry for entry in truth if entry['category_id'] != 2],
    }
    reference.createIndex()
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(evaluator.results()))
    run = cocoeval.COCOeval(reference, reference.loadRes(str(path)), 'keypoints')
    run.params.kpt_oks_sigmas = np.array(LAYOUT.sigmas)
    run.evaluate()
    run.accumulate()
    run.summarize()
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    np.testing.assert_allclose([run.stats[place] for place in order], list(evaluator.evaluate().values()), atol=1e-9)


def test_nothing_to_measure_and_no_detection():
    none = {name: np.zeros([0]) for name in ('truth_classes', 'classes', 'scores')}
    none |= {name: np.zeros([0, 4]) for name in ('truth_boxes', 'boxes')}
    none |= {'truth_areas': None, 'truth_is_crowd': None, 'truth_keypoints': [], 'keypoints': []}
    assert set(evaluated([{**none, 'image_id': 1}]).values()) == {-1.0}
    image = scenario(0)[3]
    empty = {'boxes': np.zeros([0, 4]), 'scores': [], 'classes': [], 'keypoints': np.zeros([0, 3, 3])}
    assert evaluated([{**image, **empty}])['keypoint_AP'] == 0.0
    with pytest.raises(errors.UserError, match='no image'):
        evaluated([])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'keypoints': np.full([1, 3, 3], np.nan)}, 'finite numbers'),
        ({'keypoints': np.zeros([1, 2, 3])}, r'\[1, 3, 3\], one row for each box'),
        ({'truth_keypoints': np.zeros([2, 3, 3])}, r'shape of truth_keypoints is \[2, 3, 3\]'),
        ({'image_id': 7}, 'not added before'),
    ],
)
def test_what_cannot_be_right_is_named(change, words):
    image = {
        'image_id': 8, 'truth_boxes': [[0, 0, 9, 9]], 'truth_classes': [1], 'truth_areas': None, 'truth_is_crowd': None,
        'truth_keypoints': np.ones([1, 3, 3]), 'boxes': [[0, 0, 9, 9]], 'scores': [0.5], 'classes': [1],
        'keypoints': np.ones([1, 3, 3]),
    }  # fmt: skip
    with pytest.raises(errors.UserError, match=words):
        evaluated([{**image, 'image_id': 7}, {**image, **change}])


def test_padding_rows_are_left_out():
    image = scenario(0)[3]
    padded = {
        **image,
        'truth_boxes': np.concatenate([image['truth_boxes'], [[0, 0, 0, 0]]]),
        'truth_classes': [*image['truth_classes'], -1],
        'truth_areas': [*image['truth_areas'], 0],
        'truth_is_crowd': [*image['truth_is_crowd'], 0],
        'truth_keypoints': np.concatenate([image['truth_keypoints'], np.zeros([1, 3, 3])]),
    }
    assert evaluated([padded]) == evaluated([image])
