"""How far a variant finds what its checkpoint finds, by hand."""

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.serving import likeness, verification


def found(*rows: tuple[list[float], float, int]) -> verification.Found:
    boxes, scores, classes = zip(*rows, strict=True) if rows else ((), (), ())
    return verification.Found(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int32)
    )


LEFT, RIGHT = [0.0, 0.0, 10.0, 10.0], [0.0, 20.0, 10.0, 30.0]


def test_the_same_is_the_same() -> None:
    sides = [found((LEFT, 0.9, 1), (RIGHT, 0.4, 2)), found()]
    report = likeness.compare(sides, sides)
    assert report == {
        'images': 2,
        'score_threshold': 0.3,
        'detections': 2,
        'variant_detections': 2,
        'found': 1.0,
        'confirmed': 1.0,
        'mean_iou': 1.0,
        'mean_score_difference': 0.0,
    }
    assert likeness.passes(report, 1.0)


def test_what_is_missed_moved_and_invented() -> None:
    """The left box half as high, IoU 0.5, and less sure; the right one of another class; a third box alone."""
    checkpoint = [found((LEFT, 0.8, 1), (RIGHT, 0.6, 2), (RIGHT, 0.1, 1))]
    variant = [found(([0.0, 0.0, 5.0, 10.0], 0.6, 1), (RIGHT, 0.6, 3), ([40.0, 40.0, 50.0, 50.0], 0.5, 1))]
    report = likeness.compare(checkpoint, variant)
    assert (report['detections'], report['variant_detections']) == (2, 3)
    assert (report['found'], report['confirmed']) == (0.5, pytest.approx(1 / 3, abs=1e-4))
    assert (report['mean_iou'], report['mean_score_difference']) == (0.5, pytest.approx(0.2, abs=1e-4))
    assert likeness.passes(report, 0.33) and not likeness.passes(report, 0.34)
    assert "50.0% of the checkpoint's 2 detections over 0.3 found" in likeness.words(report)


def test_a_score_over_the_threshold_may_fall_to_half_of_it() -> None:
    """The threshold follows a checkpoint that is never sure: half of 0.2."""
    checkpoint = [found((LEFT, 0.2, 1))]
    for score, share in ((0.051, 1.0), (0.049, 0.0)):
        report = likeness.compare(checkpoint, [found((LEFT, score, 1))])
        assert (report['score_threshold'], report['found']) == (0.1, share)
        assert not likeness.passes(report, 0.5)  # the variant is sure of nothing


def test_nothing_to_compare() -> None:
    with pytest.raises(errors.UserError, match='the checkpoint finds nothing on 2 images'):
        likeness.compare([found(), found()], [found((LEFT, 0.9, 1)), found()])


def test_boxes_without_extent_do_not_count() -> None:
    """What is found in the padding is clipped to the image's edge, on both sides."""
    flat = [0.0, 50.0, 10.0, 50.0]
    report = likeness.compare([found((LEFT, 0.9, 1), (flat, 0.8, 1))], [found((LEFT, 0.9, 1), (flat, 0.7, 1))])
    assert (report['detections'], report['found'], report['confirmed']) == (1, 1.0, 1.0)
    with pytest.raises(errors.UserError, match='the checkpoint finds nothing'):
        likeness.compare([found((flat, 0.8, 1))], [found((LEFT, 0.9, 1))])


def test_what_is_not_a_number_is_not_found() -> None:
    report = likeness.compare([found((LEFT, 0.9, 1))], [found((LEFT, float('nan'), 1))])
    assert (report['found'], report['confirmed']) == (0.0, 0.0)
