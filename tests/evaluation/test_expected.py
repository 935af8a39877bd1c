"""The check of expected metrics."""

import math

import pytest

from official_rethink.common import errors
from official_rethink.evaluation import expected


def test_within_tolerance_passes() -> None:
    expected.check({'AP': 0.31, 'other': math.nan}, {'AP': 0.30}, 0.0101)
    expected.check({'AP': 0.25, 'AP50': 0.5}, {'AP': 0.2, 'AP50': 0.5}, {'AP': 0.06, 'AP50': 0})
    expected.check({}, {}, 0)


def test_every_drift_is_listed() -> None:
    metrics = {'AP': 0.25, 'AP50': 0.5, 'ARmax100': math.nan}
    with pytest.raises(errors.UserError) as raised:
        expected.check(metrics, {'AP': 0.3, 'AP50': 0.5, 'AP57': 0.1, 'ARmax100': 0.2}, 0.02)
    text = str(raised.value)
    assert text.startswith('3 of 4 expected metrics drifted')
    assert 'AP is 0.25, expected 0.3 +- 0.02 (-0.05)' in text
    assert "AP57 is missing (did you mean 'AP50'?)" in text
    assert 'ARmax100 is nan' in text
    assert 'AP50 is' not in text


def test_drift_in_both_directions() -> None:
    assert (
        len(expected.drifts({'AP': 0.5}, {'AP': 0.4}, 0.05))
        == len(expected.drifts({'AP': 0.3}, {'AP': 0.4}, 0.05))
        == 1
    )


def test_bad_tolerance() -> None:
    with pytest.raises(errors.UserError, match='tolerance of AP is -1'):
        expected.check({'AP': 1}, {'AP': 1}, -1)
    with pytest.raises(errors.UserError, match="without a tolerance 'AP50'"):
        expected.check({'AP50': 1}, {'AP50': 1}, {'AP': 1})
