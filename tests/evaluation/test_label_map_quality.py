"""Pseudo label maps against truth, and two models against each other: counted by hand."""

import json
import pathlib

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import label_map_agreement, label_map_quality

NAMES = {0: 'background', 1: 'cat', 2: 'dog'}


def _uint8(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def _measured() -> label_map_quality.LabelMapQuality:
    """Truth 0 0 1 1 1 void; the teacher says 0 1 1 1 0 2 with scores 255 102 128 255 26 255."""
    quality = label_map_quality.LabelMapQuality(3, (0.0, 0.4, 0.5, 1.0))
    quality.add('a', _uint8(0, 0, 1, 1, 1, 255), _uint8(0, 1, 1, 1, 0, 2), _uint8(255, 102, 128, 255, 26, 255))
    quality.add('b', _uint8(255, 255), _uint8(1, 1), _uint8(255, 255))  # nothing is known of it
    return quality


def test_by_hand() -> None:
    """At 0: 3 of 5 right, IoU 1/3 and 2/4. At 0.4 (102 = 255 * 0.4 is kept): 3 of 4 right, IoU 1/2 and 2/3."""
    found = _measured().result(NAMES)
    assert (found['images'], found['labelled_pixels']) == (2, 5)
    at = {row['score_threshold']: row for row in found['curve']}
    assert (at[0]['kept'], at[0]['coverage'], at[0]['pixel_accuracy']) == (5, 1.0, 0.6)
    assert at[0]['mIoU'] == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert (at[0.4]['kept'], at[0.4]['coverage'], at[0.4]['pixel_accuracy']) == (4, 0.8, 0.75)
    assert at[0.4]['mIoU'] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # 128 is at or over 255 / 2, 102 is under it: 0 1 1 are left, all right.
    assert (at[0.5]['kept'], at[0.5]['pixel_accuracy'], at[0.5]['mIoU'], at[0.5]['found']) == (3, 1.0, 1.0, 0.6)
    assert (at[1.0]['kept'], at[1.0]['found']) == (2, 0.4)
    cat = {row['score_threshold']: row for row in found['per_category']['cat']}
    assert (cat[0]['IoU'], cat[0]['coverage'], cat[0]['precision']) == (0.5, 1.0, pytest.approx(2 / 3))
    assert (cat[0.5]['coverage'], cat[0.5]['precision']) == (pytest.approx(2 / 3), 1.0)
    dog = found['per_category']['dog'][0]
    assert (dog['IoU'], dog['coverage'], dog['precision']) == (None, None, None)


def test_against_counting_pixel_by_pixel() -> None:
    draw = np.random.default_rng(0)
    quality = label_map_quality.LabelMapQuality(4)
    kept = {0.0: [0, 0], 0.35: [0, 0], 0.95: [0, 0]}
    for number in range(3):
        truth, classes = (draw.integers(0, 4, (5, 7)).astype(np.uint8) for _ in range(2))
        truth[draw.random((5, 7)) < 0.2] = 255
        classes[draw.random((5, 7)) < 0.1] = 255
        scores = draw.integers(0, 256, (5, 7)).astype(np.uint8)
        quality.add(str(number), truth, classes, scores)
        for threshold, sums in kept.items():
            for one, other, score in zip(truth.flat, classes.flat, scores.flat, strict=True):
                if one != 255 and other != 255 and score >= 255 * threshold:
                    sums[0] += 1
                    sums[1] += int(one == other)
    rows = {row['score_threshold']: row for row in quality.result(dict(enumerate('abcd')))['curve']}
    for threshold, (count, right) in kept.items():
        assert rows[threshold]['kept'] == count and rows[threshold]['pixel_accuracy'] == right / count


def test_nothing_is_none(tmp_path: pathlib.Path) -> None:
    quality = label_map_quality.LabelMapQuality(2)
    written = quality.write(str(tmp_path / 'quality.json'), {0: 'background', 1: 'cat'})
    assert written == json.loads((tmp_path / 'quality.json').read_text())
    row = written['curve'][0]
    assert (row['kept'], row['coverage'], row['pixel_accuracy'], row['mIoU']) == (0, None, None, None)


@pytest.mark.parametrize(
    ('truth', 'classes', 'told'),
    [
        (_uint8(0, 3), _uint8(0, 0), r'class in truth is 3 \(set in image x\); allowed: 0 to 2, or 255'),
        (_uint8(0, 0), _uint8(0, 9), 'class in classes is 9'),
        (_uint8(0), _uint8(0, 0), 'shapes of truth, classes and scores'),
    ],
)
def test_refusals(truth: np.ndarray, classes: np.ndarray, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        label_map_quality.LabelMapQuality(3).add('x', truth, classes, _uint8(0, 0))


def test_agreement_by_hand() -> None:
    """Three of four pixels equal; background meets 1 of 2, class 1 2 of 3. The void pixel counts nowhere."""
    one = label_map_agreement.LabelMapAgreement(2)
    other = label_map_agreement.LabelMapAgreement(2)
    teacher, student = _uint8(0, 0, 1, 1, 255), _uint8(0, 1, 1, 1, 1)
    one.add('a', teacher, student)
    other.add('a', student, teacher)
    assert one.result() == other.result()
    assert one.result() == {'images': 1, 'pixels': 4, 'equal': 0.75, 'mIoU': pytest.approx((1 / 2 + 2 / 3) / 2)}
    empty = label_map_agreement.LabelMapAgreement(2)
    empty.add('b', _uint8(255), _uint8(1))
    assert empty.result() == {'images': 1, 'pixels': 0, 'equal': None, 'mIoU': None}
    with pytest.raises(errors.UserError, match='class in a label map is 2 .*image c.*0 to 1'):
        one.add('c', _uint8(2), _uint8(0))
    with pytest.raises(errors.UserError, match='shapes of two label maps'):
        one.add('c', _uint8(0), teacher)
