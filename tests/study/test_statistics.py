"""Means, spreads and intervals against numbers worked out by hand."""

import math

import pytest

from official_rethink.study import statistics


def test_paired_difference_by_hand():
    """Differences 1, 2, 6: mean 3; squared distances 4, 1, 9, sum 14, over n - 1 = 2 is 7.

    The 95 % point of t with 2 degrees of freedom is 4.3027 in every table, so the interval is
    3 ± 4.3027 · sqrt(7) / sqrt(3) = 3 ± 6.5724.
    """
    found = statistics.paired_difference([11, 13, 20], [10, 11, 14])
    assert (found.count, found.mean) == (3, 3)
    assert found.std == pytest.approx(math.sqrt(7))
    assert found.low == pytest.approx(3 - 6.5724, abs=2e-4)
    assert found.high == pytest.approx(3 + 6.5724, abs=2e-4)
    assert not found.clear


def test_pairs_matter():
    """The same six values: paired they differ by 1 each time, without any spread."""
    found = statistics.paired_difference([11, 21, 31], [10, 20, 30])
    assert (found.mean, found.std, found.low, found.high) == (1, 0, 1, 1)
    assert found.clear


def test_two_seeds_use_one_degree_of_freedom():
    """Differences 1 and 3: std sqrt(2), t 12.706, half width 12.706 · sqrt(2) / sqrt(2)."""
    found = statistics.paired_difference([1, 3], [0, 0])
    assert found.high == pytest.approx(2 + 12.706, abs=1e-3)


def test_a_single_seed_has_no_spread():
    found = statistics.paired_difference([0.3], [0.2])
    assert found.mean == pytest.approx(0.1)
    assert (found.std, found.low, found.high) == (None, None, None)
    assert not found.clear
    assert statistics.std([5.0]) is None


def test_a_loss_can_be_clear():
    assert statistics.paired_difference([1, 1.1, 0.9], [3, 3, 3]).clear


def test_seeds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError):
        statistics.paired_difference([1, 2], [1])
