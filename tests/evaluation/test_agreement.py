"""Teacher-student agreement by hand."""

import math

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import agreement

SQUARE = [0, 0, 10, 10]


def test_two_images_by_hand() -> None:
    """Three teacher boxes, four student boxes, two pairs.

    Image 1: the square is found exactly (IoU 1), a box of 10 x 8 matches a box of 10 x 10 at IoU 0.8; the
    student's second exact copy of the square finds nothing left. Image 2: same box, other class, no match.
    So 2/3 of the teacher's, 2/4 of the student's, mean IoU (1 + 0.8) / 2.
    """
    measured = agreement.Agreement()
    wide = [50, 50, 60, 60]
    measured.add(
        1, [SQUARE, wide], [0.9, 0.8], [1, 2], [SQUARE, SQUARE, [50, 50, 60, 58]], [0.5, 0.9, 0.4], [1, 1, 2]
    )
    measured.add('second', [SQUARE], [0.9], [1], [SQUARE], [0.9], [2])
    result = measured.result()
    assert (result['images'], result['teacher_boxes'], result['student_boxes'], result['matched']) == (
        2,
        3,
        4,
        2,
    )
    assert result['teacher_found_by_student'] == pytest.approx(2 / 3)
    assert result['student_found_by_teacher'] == pytest.approx(1 / 2)
    assert result['mean_iou'] == pytest.approx(0.9)


def test_swapping_the_sets_swaps_the_shares() -> None:
    rng = np.random.default_rng(0)
    ways = agreement.Agreement(0.3), agreement.Agreement(0.3)
    for number in range(10):
        corner = rng.random((2, 12, 2)) * 30
        boxes = np.concatenate([corner, corner + 5 + rng.random((2, 12, 2)) * 20], axis=2)
        scores, classes = rng.random((2, 12)), rng.integers(1, 3, (2, 12))
        for way, (first, second) in zip(ways, ((0, 1), (1, 0)), strict=True):
            sides = [
                (boxes[side, : 12 - 4 * side], scores[side, : 12 - 4 * side]) for side in (first, second)
            ]
            labels = [classes[side, : 12 - 4 * side] for side in (first, second)]
            way.add(number, *sides[0], labels[0], *sides[1], labels[1])
    one, other = (way.result() for way in ways)
    assert one['matched'] == other['matched']
    assert one['matched'] not in (0, None)
    assert one['teacher_found_by_student'] == other['student_found_by_teacher']
    assert one['student_found_by_teacher'] == other['teacher_found_by_student']
    assert one['mean_iou'] == pytest.approx(other['mean_iou'])


def test_low_scores_are_left_out_on_both_sides() -> None:
    """Of two teacher boxes and one student box, one and none reach 0.5; float32 0.7 reaches 0.7."""
    measured = agreement.Agreement(score_threshold=0.7)
    scores = np.array([0.7, 0.2], np.float32)
    measured.add(1, [SQUARE, SQUARE], scores, [1, 1], [SQUARE], [0.4], [1])
    result = measured.result()
    assert (result['teacher_boxes'], result['student_boxes']) == (1, 0)
    assert (result['teacher_found_by_student'], result['student_found_by_teacher']) == (0, None)
    assert result['mean_iou'] is None


def test_nothing_agrees_about_nothing() -> None:
    measured = agreement.Agreement()
    measured.add(1, [], [], [], [], [], [])
    result = measured.result()
    assert result['images'] == 1
    assert (
        result['teacher_found_by_student'] is result['student_found_by_teacher'] is result['mean_iou'] is None
    )


def test_bad_input_names_image_and_side() -> None:
    measured = agreement.Agreement()
    with pytest.raises(errors.UserError, match="image 'a', student"):
        measured.add('a', [SQUARE], [0.5], [1], [SQUARE], [math.nan], [1])
    assert measured.result()['images'] == 0
    with pytest.raises(errors.UserError, match='iou_threshold is 0'):
        agreement.Agreement(iou_threshold=0)
    with pytest.raises(errors.UserError, match='score_threshold is 2'):
        agreement.Agreement(score_threshold=2)
