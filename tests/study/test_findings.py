"""The papers' findings against made-up arms whose answer is known beforehand."""

import html

import pytest

from official_rethink.study import findings, report_findings, statistics

# Three values around 0, and others: paired differences of equal lists are exact, of these two they spread.
FLAT, NOISE = (0.0, 0.0, 0.0), (0.004, -0.006, 0.002)


def _arm(name, mean, start='random', *, noise=FLAT, **traits):
    values = [mean + part for part in noise]
    return {
        'name': name,
        'initialization': start,
        'pretraining': None if start == 'random' else 'classification',
        'augmentation': 'S1',
        'label_fraction': 1.0,
        'self_training': False,
        'joint': False,
        'rounds': int(traits.get('self_training', False)),
        'mean': statistics.mean(values),
        'seeds': [{'value': value} for value in values],
        **traits,
    }


def _found(key, *arms):
    return next(finding for finding in findings.find(arms) if finding.key == key)


def test_pretraining_is_worth_less_with_strong_augmentation():
    """+2 points with S1, -1 with S4, so 3 more with S1; S2 in between is not an end and does not count."""
    found = _found(
        'pre-training and augmentation',
        _arm('r1', 0.20),
        _arm('p1', 0.22, 'net'),
        _arm('r2', 0.30, augmentation='S2'),
        _arm('p2', 0.90, 'net', augmentation='S2'),
        _arm('r4', 0.26, augmentation='S4'),
        _arm('p4', 0.25, 'net', augmentation='S4'),
    )
    assert found.word == findings.CONFIRMED
    (evidence,) = found.evidence
    assert evidence.difference.mean == pytest.approx(0.03)
    assert evidence.arms == ('p1', 'r1', 'p4', 'r4')
    assert '+2.0 at S1' in evidence.words and '\N{MINUS SIGN}1.0 at S4' in evidence.words


def test_the_interval_of_a_trend_is_that_of_the_paired_gains():
    """Gains per seed 2, 1 and 3 points at 20 % and 0 at all labels: mean 2, deviation 1, t(2) = 4.3027."""
    pretrained = _arm('p', 0.22, 'net', label_fraction=0.2, noise=(0.0, -0.01, 0.01))
    found = _found(
        'pre-training and labels',
        _arm('r', 0.20, label_fraction=0.2),
        pretrained,
        _arm('ra', 0.30),
        _arm('pa', 0.30, 'net'),
    )
    difference = found.evidence[0].difference
    assert difference.mean == pytest.approx(0.02) and difference.std == pytest.approx(0.01)
    assert difference.high - difference.mean == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    assert found.word == findings.OPEN  # 2.0 +- 2.5 points


def test_the_other_way_round_is_a_contradiction():
    found = _found(
        'pre-training and labels',
        _arm('r', 0.20, label_fraction=0.2),
        _arm('p', 0.20, 'net', label_fraction=0.2),
        _arm('ra', 0.30),
        _arm('pa', 0.33, 'net'),
    )
    assert found.word == findings.CONTRADICTED


@pytest.mark.parametrize(
    ('gains', 'word'),
    [
        ((0.02, 0.01), findings.CONFIRMED),
        ((0.02, 0.0), findings.PARTLY),
        ((0.02, -0.01), findings.MIXED),
        ((-0.02, 0.0), findings.CONTRADICTED),
        ((0.0, 0.0), findings.OPEN),
    ],
)
def test_self_training_is_asked_of_every_regime(gains, word):
    arms = []
    for index, gain in enumerate(gains):
        regime = {'augmentation': f'S{1 + index}', 'noise': NOISE if gain == 0.0 else FLAT}
        arms += [
            _arm(f's{index}', 0.2 + gain, self_training=True, **regime),
            _arm(f'b{index}', 0.2, **{**regime, 'noise': FLAT}),
        ]
    found = _found('self-training everywhere', *arms)
    assert found.word == word
    assert [item.arms for item in found.evidence] == [('s0', 'b0'), ('s1', 'b1')]


def test_more_rounds_are_no_second_finding():
    arms = [_arm('b', 0.2), _arm('s', 0.22, self_training=True), _arm('s3', 0.3, self_training=True, rounds=3)]
    assert [item.arms for item in _found('self-training everywhere', *arms).evidence] == [('s', 'b')]


def test_additivity_takes_both_parts():
    parts = [_arm('r', 0.20), _arm('p', 0.23, 'net'), _arm('rs', 0.24, self_training=True)]
    both = _arm('ps', 0.26, 'net', self_training=True)
    found = _found('additivity', *parts, both)
    assert found.word == findings.CONFIRMED
    assert [(item.arms, round(item.difference.mean, 6)) for item in found.evidence] == [
        (('ps', 'p'), 0.03),
        (('ps', 'rs'), 0.02),
    ]
    assert _found('additivity', *parts, _arm('ps', 0.235, 'net', self_training=True)).word == findings.MIXED
    silent = _found('additivity', *parts[:2], both)
    assert silent.word == findings.SILENT and 'ps lacks a counterpart' in silent.sentence


def test_joint_training_alone_and_on_top_of_self_training():
    arms = [
        _arm('r', 0.307),
        _arm('s', 0.341, self_training=True),
        _arm('j', 0.336, joint=True),
        _arm('sj', 0.351, self_training=True, joint=True),
    ]
    found = _found('joint training', *arms)
    assert found.word == findings.CONFIRMED
    assert [item.arms for item in found.evidence] == [('j', 'r'), ('sj', 's'), ('sj', 'j')]
    assert [round(item.difference.mean, 3) for item in found.evidence] == [0.029, 0.01, 0.015]


def test_alignment_is_held_against_self_training_of_the_same_regime():
    aligned = _arm('a', 0.21, 'boxes', pretraining='alignment')
    student = _arm('s', 0.24, self_training=True)
    found = _found('task alignment', _arm('r', 0.2), aligned, student)
    assert found.word == findings.CONFIRMED and found.evidence[0].arms == ('s', 'a')
    # It is no start from a backbone that the findings on pre-training speak of.
    other = _arm('a4', 0.1, 'boxes', pretraining='alignment', augmentation='S4')
    found = _found('pre-training and augmentation', _arm('r', 0.2), _arm('r4', 0.2, augmentation='S4'), aligned, other)
    assert found.word == findings.SILENT


def test_what_a_study_does_not_ask_is_said_with_what_is_missing():
    silent = {finding.key: finding for finding in findings.find([_arm('b', 0.2)])}
    assert {finding.word for finding in silent.values()} == {findings.SILENT}
    assert len(silent) == 13 and not any(finding.evidence for finding in silent.values())
    assert 'no arm self-trains' in silent['self-training everywhere'].sentence
    assert 'no arm trains jointly' in silent['joint training'].sentence
    assert "kind 'alignment'" in silent['task alignment'].sentence
    lone = _found('pre-training and labels', _arm('b', 0.2), _arm('p', 0.3, 'net'))
    assert lone.word == findings.SILENT and 'two values of label_fraction' in lone.sentence and 'has p' in lone.sentence
    arms = [_arm('j', 0.2, joint=True), _arm('j2', 0.2, joint=True, self_training=True, rounds=2)]
    assert 'no arm of one round is like j, j2 but without joint' in _found('joint training', *arms).sentence


def test_students_of_other_settings_are_no_counterparts():
    student = {'self_training': True, 'student_init': 'teacher'}
    arms = [
        _arm('p', 0.2, 'net'),
        _arm('ps', 0.3, 'net', score_threshold=0.5, **student),
        _arm('rs', 0.2, score_threshold=0.3, **student),
    ]
    assert _found('additivity', *arms).word == findings.SILENT
    arms[2] = _arm('rs', 0.2, score_threshold=0.5, **student)
    assert _found('additivity', *arms).word == findings.CONFIRMED


def test_one_seed_settles_nothing():
    arms = [_arm('b', 0.2, noise=(0.0,)), _arm('s', 0.3, noise=(0.0,), self_training=True)]
    found = _found('self-training everywhere', *arms)
    assert found.word == findings.OPEN and 'One seed settles nothing' in found.sentence
    page = report_findings.section({'findings': findings.as_records([found])})
    assert 'one run' in page and 't-interval' not in page


def test_the_section_names_arms_differences_and_intervals():
    arms = [_arm('b', 0.2), _arm('s<1>', 0.23, noise=NOISE, self_training=True)]
    found = findings.find(arms)
    page = report_findings.section({'findings': findings.as_records(found)})
    assert page.count('<h3>') == 2 and page.count('<h4>') == 13 and 's<1>' not in page
    assert 'Five more findings not asked here' in page and 'Seven findings not asked here' in page
    difference = found[2].evidence[0].difference
    expected = f'{html.escape("s<1> over b")}: +3.0 [+{100 * difference.low:.1f}, +{100 * difference.high:.1f}]'
    assert expected in page
    assert 'This study does not ask: no arm trains jointly.' in page
    assert report_findings.section({}) == ''
