"""Quality of pseudo labels: one curve by hand, and against pycocotools' own matching on random images."""

import contextlib
import csv
import io
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest
from pycocotools import coco, cocoeval

from official_rethink.common import errors
from official_rethink.evaluation import quality

SQUARE = [0, 0, 10, 10]


def row(result: dict[str, Any], score: float, overlap: float = 0.5) -> dict[str, Any]:
    (found,) = [
        one for one in result['curve'] if (one['score_threshold'], one['iou_threshold']) == (score, overlap)
    ]
    return found


def by_hand() -> quality.PseudoLabelQuality:
    """Two images: three truths and a crowd; five boxes.

    Image 1, class 1: truths A = the square and B = 10 x 10 at (50, 50), a crowd 40 x 40 at (100, 100). Boxes:
      0.9 the square (IoU 1 with A); 0.7 the square again (no truth left: wrong); 0.6 10 x 6 at B (IoU 0.6);
      0.8 10 x 10 inside the crowd (ignored).
    Image 2, class 2: one truth, missed; a box 0.3 of class 1 there (wrong).
    """
    measured = quality.PseudoLabelQuality()
    b, crowd = [50, 50, 60, 60], [100, 100, 140, 140]
    boxes = [[50, 50, 60, 56], SQUARE, SQUARE, [110, 110, 120, 120]]
    measured.add(1, [SQUARE, b, crowd], [1, 1, 1], [0, 0, 1], boxes, [0.6, 0.9, 0.7, 0.8], [1, 1, 1, 1])
    measured.add(2, [SQUARE], [2], None, [SQUARE], [0.3], [1])
    return measured


def test_curve_by_hand() -> None:
    """Right, wrong, missed and the overlap of the right ones, at several thresholds.

    At 0.05: right 0.9 and 0.6, wrong 0.7 and 0.3: precision 2/4, recall 2/3, F1 2*2/(4+3), IoU (1 + 0.6) / 2.
    At 0.6: the box of score 0.6 still counts, that of 0.3 does not: 2/3, 2/3, F1 4/6.
    At 0.75: right 0.9, the 0.8 on the crowd ignored: 1/1, 1/3, F1 2/4, IoU 1.
    At 0.95: nothing kept: precision undefined, recall 0, F1 0, IoU undefined.
    At IoU 0.75 the 0.6 box is wrong: at 0.05 1/4, 1/3.
    """
    result = by_hand().result()
    assert (result['images'], result['truth'], result['crowds'], result['detections']) == (2, 3, 1, 5)
    low = row(result, 0.05)
    assert (low['kept'], low['ignored'], low['true_positives'], low['false_positives'], low['missed']) == (
        4,
        1,
        2,
        2,
        1,
    )
    assert [low[name] for name in ('precision', 'recall', 'f1', 'mean_iou')] == pytest.approx(
        [1 / 2, 2 / 3, 4 / 7, 0.8]
    )
    middle = row(result, 0.6)
    assert [middle[name] for name in ('precision', 'recall', 'f1')] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    high = row(result, 0.75)
    assert [high[name] for name in ('precision', 'recall', 'f1', 'mean_iou')] == pytest.approx(
        [1, 1 / 3, 1 / 2, 1]
    )
    assert high['ignored'] == 1
    top = row(result, 0.95)
    assert [top[name] for name in ('precision', 'recall', 'f1', 'mean_iou')] == [None, 0, 0, None]
    strict = row(result, 0.05, 0.75)
    assert [strict[name] for name in ('precision', 'recall', 'mean_iou')] == pytest.approx([1 / 4, 1 / 3, 1])
    # F1 is 4/6 at 0.35 to 0.6 (no more of the 0.3 box); the lowest of equals is given.
    assert result['best_score_threshold'] == 0.35


def test_thresholds_are_compared_as_float32() -> None:
    """0.7 stored as float32 is 0.69999999 in float64, and yet a label of score 0.7 is kept at 0.7."""
    measured = quality.PseudoLabelQuality()
    measured.add(1, [SQUARE], [1], None, [SQUARE], np.array([0.7], np.float32), [1])
    assert row(measured.result(), 0.7)['true_positives'] == 1
    assert row(measured.result(), 0.75)['true_positives'] == 0


def reference_counts(given: list[tuple[Any, ...]], overlap: float, threshold: float) -> tuple[int, int, int]:
    """Counts right, wrong and ignored boxes of at least `threshold` by pycocotools' evaluateImg."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, boxes, labels, crowd, guesses, scores, classes in given:
        for box, label, flag in zip(boxes.tolist(), labels.tolist(), crowd.tolist(), strict=True):
            y1, x1, y2, x2 = box
            entry = {'id': len(truth) + 1, 'image_id': number, 'category_id': label, 'iscrowd': int(flag)}
            truth.append(entry | {'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': 100})
        for box, score, label in zip(guesses.tolist(), scores.tolist(), classes.tolist(), strict=True):
            y1, x1, y2, x2 = box
            if score >= threshold:
                side = [x1, y1, x2 - x1, y2 - y1]
                found.append({'image_id': number, 'category_id': label, 'bbox': side, 'score': score})
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            'images': [{'id': one[0]} for one in given],
            'categories': [{'id': 1}, {'id': 2}],
            'annotations': truth,
        }
        data.createIndex()
        run = cocoeval.COCOeval(data, data.loadRes(found), 'bbox')
        run.params.iouThrs, run.params.areaRng, run.params.areaRngLbl = (
            np.array([overlap]),
            [[0, 1e10]],
            ['all'],
        )
        run.evaluate()
    parts = [one for one in run.evalImgs if one is not None]
    matched = np.concatenate([one['dtMatches'][0] for one in parts]) > 0
    ignored = np.concatenate([one['dtIgnore'][0] for one in parts])
    return int((matched & ~ignored).sum()), int((~matched & ~ignored).sum()), int(ignored.sum())


@pytest.mark.parametrize('seed', range(6))
def test_random_images_match_as_pycocotools_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = []
    for number in range(1, 8):
        truths, guesses = int(rng.integers(0, 6)), int(rng.integers(1, 15))
        corners = np.concatenate(
            [c := rng.integers(0, 15, (truths, 2)), c + rng.integers(5, 15, (truths, 2))], axis=1
        )
        found = np.concatenate(
            [c := rng.integers(0, 15, (guesses, 2)), c + rng.integers(5, 15, (guesses, 2))], axis=1
        )
        crowd, scores = rng.random(truths) < 0.2, np.round(rng.random(guesses), 2)
        given.append(
            (number, corners, rng.integers(1, 3, truths), crowd, found, scores, rng.integers(1, 3, guesses))
        )
    measured = quality.PseudoLabelQuality(score_thresholds=[0.125, 0.5625], iou_thresholds=[0.3, 0.5])
    for one in given:
        measured.add(*one)
    for one in measured.result()['curve']:
        wanted = reference_counts(given, one['iou_threshold'], one['score_threshold'])
        assert (one['true_positives'], one['false_positives'], one['ignored']) == wanted
        assert one['true_positives'] + one['missed'] == measured.result()['truth']


def test_no_truth_and_no_labels() -> None:
    measured = quality.PseudoLabelQuality()
    measured.add(1, [], [], None, [], [], [])
    result = measured.result()
    assert result['best_score_threshold'] is None
    for one in result['curve']:
        assert [one[name] for name in ('precision', 'recall', 'f1', 'mean_iou')] == [None] * 4
    assert quality.PseudoLabelQuality().result()['images'] == 0


def test_only_crowds() -> None:
    """Nothing can be missed, and a box on the crowd is neither right nor wrong."""
    measured = quality.PseudoLabelQuality()
    measured.add(1, [SQUARE], [1], [1], [[2, 2, 6, 6]], [0.9], [1])
    found = row(measured.result(), 0.5)
    assert (found['kept'], found['ignored'], found['missed'], found['recall']) == (0, 1, 0, None)


def test_files(tmp_path: pathlib.Path) -> None:
    result = by_hand().write(str(tmp_path / 'q.json'), str(tmp_path / 'q.csv'))
    assert json.loads((tmp_path / 'q.json').read_text()) == result
    rows = list(csv.DictReader((tmp_path / 'q.csv').open()))
    assert len(rows) == 2 * 19
    assert [one['score_threshold'] for one in rows[:19]] == [str(value) for value in quality.SCORE_THRESHOLDS]
    assert rows[0]['precision'] == '0.5' and rows[18]['precision'] == ''


def test_bad_input() -> None:
    measured = by_hand()
    with pytest.raises(errors.UserError, match='image id is 2'):
        measured.add(2, [], [], None, [], [], [])
    with pytest.raises(errors.UserError, match=r'scores\[0\] is nan.*image 3'):
        measured.add(3, [], [], None, [SQUARE], [math.nan], [1])
    assert measured.result()['images'] == 2
    with pytest.raises(errors.UserError, match='score_thresholds is'):
        quality.PseudoLabelQuality(score_thresholds=[])
    with pytest.raises(errors.UserError, match='iou_thresholds is'):
        quality.PseudoLabelQuality(iou_thresholds=[1.5])
