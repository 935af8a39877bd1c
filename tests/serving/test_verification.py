"""Comparing detections: what counts as equal, what does not; by hand."""

import numpy as np
import pytest

from official_rethink.serving import verification


def _found(*rows: tuple[float, float, float, float, float, int]) -> verification.Found:
    values = np.array(rows, np.float32).reshape(-1, 6)
    return verification.Found(values[:, :4], values[:, 4], values[:, 5].astype(np.int32))


FIRST, SECOND = (0.0, 0.0, 10.0, 10.0, 0.9, 1), (5.0, 5.0, 20.0, 30.0, 0.6, 2)


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        ([FIRST, SECOND], (0, 0, 0)),
        ([SECOND, FIRST], (0, 0, 0)),
        ([(0.0, 0.0, 10.0, 10.005, 0.9, 1), SECOND], (0.005, 0, 0)),
        ([(0.0, 0.0, 14.0, 10.0, 0.8, 1), SECOND], (4, 0.1, 0)),
        ([FIRST], (0, 0, 1)),
        ([FIRST, SECOND, (0.0, 0.0, 3.0, 3.0, 0.4, 1)], (0, 0, 1)),
        ([FIRST, (*SECOND[:5], 3)], (0, 0, 2)),
        ([], (0, 0, 2)),
    ],
)
def test_compare(found: list, expected: tuple[float, float, int]) -> None:
    result = verification.compare(_found(FIRST, SECOND), _found(*found), cut=0.05, most=100)
    assert (result.boxes, result.scores, result.mismatches) == pytest.approx(expected, abs=1e-6)
    assert result.passes == (expected[0] <= 0.01 and expected[1] == 0 and expected[2] == 0)


def test_one_detection_is_no_partner_of_two() -> None:
    result = verification.compare(_found(FIRST, FIRST), _found(FIRST, SECOND), cut=0.05, most=100)
    assert (result.boxes, result.mismatches) == (0, 2)


def test_the_nearest_is_the_partner() -> None:
    near, far = (0.0, 0.0, 10.0, 10.001, 0.9, 1), (0.0, 0.0, 10.0, 12.0, 0.9, 1)
    result = verification.compare(_found(far, near), _found(FIRST, far), cut=0.05, most=100)
    assert result.boxes == pytest.approx(0.001, abs=1e-5) and result.passes


def test_the_edge_does_not_count() -> None:
    edge = (1.0, 1.0, 2.0, 2.0, 0.05005, 1)
    assert verification.compare(_found(FIRST, edge), _found(FIRST), cut=0.05, most=100).passes
    assert verification.compare(_found(FIRST), _found(FIRST, edge), cut=0.05, most=100).passes
    # Both give all they may; which of two equal ones is the last is chance.
    last, other = (1.0, 1.0, 2.0, 2.0, 0.5, 1), (7.0, 7.0, 9.0, 9.0, 0.5, 2)
    assert verification.compare(_found(FIRST, last), _found(FIRST, other), cut=0.05, most=2).passes
    assert verification.compare(_found(FIRST, last), _found(FIRST, other), cut=0.05, most=3).mismatches == 2


@pytest.mark.parametrize('place', [0, 4])
def test_not_a_number_never_passes(place: int) -> None:
    broken = list(FIRST)
    broken[place] = np.nan
    assert not verification.compare(_found(FIRST), _found(tuple(broken)), cut=0.05, most=1).passes
    assert not verification.compare(_found(tuple(broken)), _found(FIRST), cut=0.05, most=1).passes


def test_nothing_equals_nothing() -> None:
    assert verification.compare(_found(), _found(), cut=0.05, most=100).passes


def test_difference_adds_up() -> None:
    total = verification.Difference(1.0, 0.2, 1)
    total.add(verification.Difference(0.5, 0.3, 2))
    assert (total.boxes, total.scores, total.mismatches) == (1.0, 0.3, 3)
