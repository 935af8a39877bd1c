"""The answer's wording: never surer than the seeds allow."""

import dataclasses

import pytest

from official_rethink.study import statistics, verdict, words


def _results(baseline, *others):
    def arm(name, values, **traits):
        gain = None
        if values is not baseline:
            gain = dataclasses.asdict(statistics.paired_difference(values, baseline))
        return {
            'name': name,
            'initialization': 'random',
            'augmentation': 'S1',
            'label_fraction': 1.0,
            'self_training': name.startswith('student'),
            'mean': statistics.mean(values),
            'seeds': [{'value': value} for value in values],
            'difference': gain,
            **traits,
        }

    arms = [arm('plain', baseline), *(arm(name, values, **traits) for name, values, traits in others)]
    return {'study': 'x', 'metric': 'AP', 'baseline': 'plain', 'arms': arms}


def test_a_clear_gain_says_what_to_do_and_by_how_much():
    found = verdict.conclude(_results([0.20, 0.21, 0.22], ('student', [0.24, 0.25, 0.261], {})))
    assert found.clear
    assert found.headline == (
        'Self-train: on this data it reaches 25.0 AP against 21.0 for plain, a gain of 4.0 points.'
    )
    assert 'three seeds' in found.certainty and '95 % t-interval' in found.certainty
    assert 'spans zero' not in found.certainty and 'chosen after' not in found.certainty


def test_a_gain_within_the_spread_is_not_called_one():
    found = verdict.conclude(_results([0.20, 0.24, 0.22], ('student', [0.24, 0.22, 0.23], {})))
    assert not found.clear
    assert found.headline.startswith('No arm is clearly ahead: student came out 1.0 points over plain')
    assert 'spans zero' in found.certainty and 'more seeds' in found.certainty


def test_one_seed_is_said_to_be_one():
    found = verdict.conclude(_results([0.2], ('student', [0.3], {})))
    assert not found.clear
    assert (
        found.headline == 'student came out 10.0 points over plain (30.0 AP against 20.0), in a single run.'
    )
    assert 'nothing about the spread' in found.certainty


def test_a_clear_loss_keeps_the_baseline():
    found = verdict.conclude(_results([0.30, 0.31, 0.32], ('student', [0.20, 0.21, 0.221], {})))
    assert found.clear
    assert found.headline.startswith('Stay with plain: on this data, student came out 10.0 points lower')


@pytest.mark.parametrize(('values', 'words'), [([0.2, 0.21], '0.5 points lower'), ([0.21, 0.21], 'level')])
def test_an_unclear_loss_is_no_verdict_against(values, words):
    found = verdict.conclude(_results([0.21, 0.21], ('student', values, {})))
    assert not found.clear
    assert (
        found.headline.startswith('Nothing here speaks against plain: student came out')
        and words in found.headline
    )


def test_one_seed_that_loses():
    found = verdict.conclude(_results([0.3], ('student', [0.2], {})))
    assert found.headline.endswith('It is a single run.') and not found.clear


def test_the_best_of_several_is_said_to_be_chosen():
    others = ('student', [0.24, 0.25, 0.261], {}), ('S4', [0.23, 0.23, 0.24], {'augmentation': 'S4'})
    assert (
        'best of 2 arms, chosen after the fact'
        in verdict.conclude(_results([0.2, 0.21, 0.22], *others)).certainty
    )


def test_advice_names_what_differs_from_the_baseline():
    traits = {'augmentation': 'S4', 'initialization': 'weights/ckpt', 'label_fraction': 0.5}
    found = verdict.conclude(_results([0.1, 0.1], ('pre', [0.2, 0.2], traits)))
    assert found.headline.startswith(
        'Train from the pre-trained weights with Augment-S4 '
        'with 50 % of the labels:'
    )


def test_a_single_arm_has_nothing_to_compare():
    found = verdict.conclude(_results([0.2]))
    assert 'nothing to compare' in found.headline and not found.clear


def test_points_have_one_digit_and_a_true_minus():
    assert words.points(-0.0123, sign=True) == '\N{MINUS SIGN}1.2'
    assert words.points(0.0123, sign=True) == '+1.2'
    assert words.points(-0.0001, sign=True) == words.points(0.0001, sign=True) == '0.0'
