"""What benchmarks measure with: turns, costs, ratios."""

import subprocess
import sys
import time

import pytest

from benchmarks import measure


def test_turns_are_taken_after_the_warm_up():
    calls = []
    found = measure.in_turn(lambda: calls.append('ours'), lambda: calls.append('reference'), rounds=2, warm_up=1)
    assert calls == ['ours', 'reference'] * 3
    assert (len(found.ours), len(found.reference)) == (2, 2)


def test_sleeping_costs_wall_time_alone():
    cost = measure.cost_of(lambda: time.sleep(0.2))
    assert cost.wall >= 0.2
    assert cost.cpu < 0.1


def test_what_a_child_process_costs_is_counted():
    burn = 'import time\nwhile time.process_time() < 0.3: pass'
    cost = measure.cost_of(lambda: subprocess.run([sys.executable, '-c', burn], check=True))
    assert cost.cpu >= 0.3


def test_ratios_are_of_the_same_round():
    compared = measure.Comparison(
        ours=[measure.Cost(1.0, 1.0), measure.Cost(2.0, 1.0)],
        reference=[measure.Cost(4.0, 3.0), measure.Cost(2.0, 5.0)],
    )
    found = measure.measures(compared, per=10)
    assert found['cpu']['ratio'] == {'median': 2.5, 'low': 1.0, 'high': 4.0}
    assert found['wall']['ratio'] == pytest.approx({'median': 4.0, 'low': 3.0, 'high': 5.0})
    assert found['cpu']['ours'] == pytest.approx({'median': 0.15, 'low': 0.1, 'high': 0.2})


@pytest.mark.parametrize(('target', 'reached'), [(2.0, True), (2.1, False), (None, None)])
def test_a_target_is_reached_by_the_median_of_its_headline(target, reached):
    found = {**measure.quantity(1.0, 9.0, 'wall'), **measure.quantity(5.0, 10.0, 'cpu')}
    row = measure.row('x', found, target=target, unit='s', note='', headline='cpu')
    assert row['reached'] is reached
