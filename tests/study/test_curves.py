"""Where learning curves meet, by hand."""

import pytest

from official_rethink.study import curves, evidence_starts
from tests.study import fabricated_starts

LOW, HIGH = [(10, 0.1), (20, 0.2), (30, 0.35), (40, 0.4)], [(10, 0.2), (20, 0.3), (30, 0.33), (40, 0.35)]


def test_curves_meet_where_the_one_behind_stays_over_to_the_end():
    assert curves.overtakes(LOW, HIGH) == 30 and curves.overtakes(HIGH, LOW) is None


def test_a_crossing_that_does_not_last_is_none():
    assert curves.overtakes([(10, 0.1), (20, 0.4), (30, 0.3)], HIGH[:3]) is None
    # Over at 20, under at 30, over at 40: from 40 on.
    assert curves.overtakes([(10, 0.1), (20, 0.4), (30, 0.3), (40, 0.36)], HIGH) == 40


def test_equal_is_met():
    assert curves.overtakes([(10, 0.1), (20, 0.3)], HIGH[:2]) == 20 and curves.overtakes(HIGH, HIGH) == 10


def test_between_validations_a_curve_is_a_line_and_after_its_end_level():
    """0.25 at 15 and 0.3 from 20 on: 0.24 is under, 0.3 at 100 is met."""
    short = HIGH[:2]
    assert curves.at(short, 15) == pytest.approx(0.25) and curves.at(short, 99) == 0.3 and curves.at(short, 1) == 0.2
    assert curves.overtakes([(10, 0.1), (15, 0.24), (100, 0.3)], short) == 100


def test_validations_before_the_other_s_first_are_left_out():
    assert curves.overtakes([(5, 0.9), (10, 0.9), (20, 0.9)], HIGH[:2]) == 10
    assert curves.meetings([(_arm('r', [(1, 0.1), (2, 0.2)]), _arm('p', HIGH, start='x'))], 'AP') == []


def test_reaching_a_level_for_good():
    assert curves.reach(LOW, 0.2) == 20 and curves.reach(LOW, 0.0) == 10 and curves.reach(LOW, 0.5) is None
    assert curves.reach([(10, 0.3), (20, 0.1), (30, 0.3)], 0.2) == 30 and curves.reach([], 0.1) is None


def test_the_mean_is_over_what_all_seeds_were_validated_at():
    assert curves.mean([[(10, 0.1), (20, 0.2)], [(20, 0.4), (30, 0.5)]]) == [(20, pytest.approx(0.3))]
    assert curves.mean([]) == []


def _arm(name, *seeds, start='random'):
    arm = fabricated_starts.arm(name, 400, start != 'random', seeds=len(seeds))
    for seed, line in zip(arm['seeds'], seeds, strict=True):
        seed['stages'][-1]['curves'] = {'AP': [list(point) for point in line]}
    return arm


def test_the_record_has_the_means_meeting_and_each_seed_s():
    """Means of the random arm 0.1, 0.2, 0.35, 0.4 as above; its second seed alone never gets there."""
    up = [(10, 0.1), (20, 0.3), (30, 0.5), (40, 0.6)]
    down = [(10, 0.1), (20, 0.1), (30, 0.2), (40, 0.2)]
    (found,) = curves.meetings([(_arm('r', up, down), _arm('p', HIGH, HIGH, start='x'))], 'AP')
    assert (found['random'], found['pretrained'], found['step'], found['steps']) == ('r', 'p', 30, 400)
    assert found['images'] == 30 * 8 and found['pixels'] == 30 * 8 * 64 * 64
    assert found['gap'] == pytest.approx(0.05) and found['seeds'] == [20, None] and not found['from_the_first']


def test_the_question_is_whether_the_random_start_catches_up():
    """It is ahead at first and behind in the end: it does not; level or over all along: from the first."""
    (found,) = curves.meetings([(_arm('r', HIGH), _arm('p', LOW, start='x'))], 'AP')
    assert found['random'] == 'r' and found['step'] is None and found['images'] is None
    assert found['gap'] == pytest.approx(-0.05) and not found['from_the_first']
    (found,) = curves.meetings([(_arm('r', HIGH), _arm('p', HIGH, start='x'))], 'AP')
    assert found['step'] == 10 and found['from_the_first'] and found['gap'] == 0


def test_each_metric_has_its_own():
    assert curves.meetings([(_arm('r', LOW), _arm('p', HIGH, start='x'))], 'AP', 'mask_AP')[0]['metric'] == 'AP'
    made = fabricated_starts.results()['meetings']
    assert [item['metric'] for item in made] == ['AP'] * 5 + ['mask_AP'] * 5


def test_arms_without_validations_have_no_meeting():
    bare = _arm('p', HIGH, start='x')
    bare['seeds'][0]['stages'][-1].pop('curves')
    assert curves.meetings([(_arm('r', LOW), bare)], 'AP') == []
    assert curves.meetings([(_arm('r', LOW), {**bare, 'seeds': [{'value': 0.1}]})], 'AP') == []


def test_drops_outside_the_run_are_none():
    arm = fabricated_starts.arm('a', 100)
    assert curves.drops(arm) == [40]  # 200 before the end is before the start
    assert curves.drops({'seeds': [{'value': 1.0}]}) == []


def test_pairs_are_of_one_length_and_one_regime():
    found = evidence_starts.pairs(fabricated_starts.arms())
    names = [(random['name'], start['name']) for random, start in found]
    kinds = ('1x', '2x', '4x', 'tenth', 'fiftieth')
    assert names == [(f'random_{kind}', f'pretrained_{kind}') for kind in kinds]
