"""He et al.'s findings against made-up arms whose answer is known beforehand."""

import pytest

from official_rethink.study import findings
from tests.study import fabricated_starts

_EXACT = (0.0, 0.0)
_SPREAD = (0.02, -0.02)


def _arm(name, length, value, share=1.0, noise=_EXACT, pixels=None, **numbers):
    start = name.startswith('p')
    arm = fabricated_starts.arm(name, length, start, share, seeds=len(noise))
    for seed, shift in zip(arm['seeds'], noise, strict=True):
        seed['value'] = value + shift
        seed['metrics'] = {'AP': value + shift, **{key: number + shift for key, number in numbers.items()}}
        if pixels is not None:
            seed['pixels'] = pixels
            seed['pretraining_pixels'] = 1000 if start else 0
    arm['own_steps'] = length
    return arm


def _found(key, *arms):
    return next(finding for finding in findings.find(arms) if finding.key == key)


def _four(random, start, **traits):
    """Both starts at 100 and 400 steps; values for each length."""
    arms = [_arm(f'r{length}', length, value, **traits) for length, value in zip((100, 400), random, strict=True)]
    return arms + [_arm(f'p{length}', length, value, **traits) for length, value in zip((100, 400), start, strict=True)]


def test_the_papers_own_first_table():
    """ResNet-50: 36.8 and 40.3 at 2x, 41.3 and 41.1 at 6x: pre-training gains 3.5, then -0.2: 3.7 less."""
    arms = _four((0.368, 0.413), (0.403, 0.411))
    found = _found('longer schedules', *arms)
    assert found.word == findings.CONFIRMED and found.paper == findings.HE
    assert found.evidence[0].difference.mean == pytest.approx(0.037)
    words = found.evidence[0].words
    assert '+3.5 at 100 steps' in words and '\N{MINUS SIGN}0.2 at 400 steps' in words
    found = _found('catching up', *arms)
    assert found.word == findings.CONFIRMED and found.evidence[0].arms == ('r400', 'p400')


def test_the_best_of_each_start_is_compared():
    """The pre-trained start is best at the shorter length."""
    assert _found('catching up', *_four((0.2, 0.3), (0.31, 0.29))).evidence[0].arms == ('r400', 'p100')


@pytest.mark.parametrize(
    ('gap', 'noise', 'word'),
    [
        (-0.009, _EXACT, findings.CONFIRMED),  # behind by less than the margin
        (-0.011, _EXACT, findings.CONTRADICTED),
        (0.05, _EXACT, findings.CONFIRMED),  # better is no worse
        (-0.011, _SPREAD, findings.OPEN),
        (0.0, _SPREAD, findings.OPEN),  # level in the mean, but two seeds leave it open
        # Two seeds: half the interval is 12.7 times 0.001, so it goes from -0.0277 to -0.0023: behind, but by how much?
        (-0.015, (-0.001, 0.001), findings.OPEN),
        (-0.03, (-0.001, 0.001), findings.CONTRADICTED),  # to -0.0173: by more than the margin
    ],
)
def test_level_is_within_a_point(gap, noise, word):
    arms = _four((0.2, 0.3 + gap), (0.2, 0.3))
    arms[1] = _arm('r400', 400, 0.3 + gap, noise=noise)
    assert _found('catching up', *arms).word == word


def test_masks_are_a_comparison_of_their_own():
    found = _found('catching up', *_four((0.2, 0.3), (0.2, 0.3), mask_AP=0.25, keypoint_AP=-1.0))
    assert [item.words for item in found.evidence] == ['r400 over p400, AP', 'r400 over p400, mask_AP']


def test_close_fit_asks_for_a_gain():
    arms = _four((0.2, 0.3), (0.2, 0.3), AP75=0.2)
    assert _found('closely fitting boxes', *arms).word == findings.OPEN
    arms[1] = _arm('r400', 400, 0.3, AP75=0.21)
    assert _found('closely fitting boxes', *arms).word == findings.CONFIRMED


def test_one_length_says_nothing_of_lengths():
    arms = [_arm('r', 100, 0.2), _arm('p', 100, 0.3)]
    for key in ('longer schedules', 'catching up', 'closely fitting boxes'):
        found = _found(key, *arms)
        assert found.word == findings.SILENT and 'two lengths' in found.sentence


def test_pixels_count_the_pretraining():
    """1,000 before and 500 of training allow a random arm 1,500, not 1,600."""
    start, short = _arm('p100', 100, 0.30, pixels=500), _arm('r100', 100, 0.20, pixels=500)
    found = _found('no more pixels', start, short, _arm('r300', 300, 0.30, pixels=1500))
    assert found.word == findings.CONFIRMED and found.evidence[0].arms == ('r300', 'p100')
    silent = _found('no more pixels', start, short, _arm('r300', 300, 0.30, pixels=1600))
    assert silent.word == findings.SILENT and 'no arm of random start trains longer' in silent.sentence


def test_weights_from_elsewhere_have_no_pixels_to_compare():
    arms = [_arm('p100', 100, 0.3), _arm('r100', 100, 0.3), _arm('r300', 300, 0.3)]
    arms[0]['pretraining'] = None
    silent = _found('no more pixels', *arms)
    assert silent.word == findings.SILENT and 'came from elsewhere' in silent.sentence


@pytest.mark.parametrize(
    ('share', 'tenth', 'hundredth'),
    [
        (0.3, findings.CONTRADICTED, findings.SILENT),
        (0.08, findings.CONTRADICTED, findings.SILENT),
        (0.05, findings.SILENT, findings.SILENT),
        (0.03, findings.SILENT, findings.CONFIRMED),
    ],
)
def test_less_data_is_two_findings(share, tenth, hundredth):
    arms = [_arm('r', 100, 0.093, share), _arm('p', 100, 0.160, share)]
    assert _found('a tenth of the labels', *arms).word == tenth
    assert _found('a hundredth of the labels', *arms).word == hundredth
    assert _found('longer schedules', *arms).word == findings.SILENT


def test_the_start_is_faster_at_the_first_validation_of_both():
    arms = [_arm('r', 300, 0.2), _arm('p', 300, 0.2)]
    found = _found('a faster start', *arms)
    assert found.word == findings.CONFIRMED and found.evidence[0].words == 'p over r, validation at step 100'
    first = [[seed['stages'][-1]['curves']['AP'][0][1] for seed in arm['seeds']] for arm in reversed(arms)]
    expected = sum(a - b for a, b in zip(*first, strict=True)) / 2
    assert found.evidence[0].difference.mean == pytest.approx(expected)
    arms[0]['seeds'][0]['stages'][-1]['curves'] = {}
    assert _found('a faster start', *arms).word == findings.SILENT


def test_no_start_is_no_finding():
    for finding in findings.find([_arm('r', 100, 0.2), _arm('r2', 200, 0.3)]):
        if finding.paper == findings.HE:
            assert finding.word == findings.SILENT and 'counterpart of random start' in finding.sentence


def test_settings_of_its_own_make_another_regime():
    arms = [_arm('r', 100, 0.2, 0.02), _arm('p', 100, 0.3, 0.02)]
    arms[1]['params_override'] = {'trainer.schedule.base_learning_rate': 0.01}
    assert _found('a hundredth of the labels', *arms).word == findings.SILENT
    arms[0]['params_override'] = dict(arms[1]['params_override'])
    assert _found('a hundredth of the labels', *arms).word == findings.CONFIRMED
