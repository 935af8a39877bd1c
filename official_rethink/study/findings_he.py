"""The findings of He et al., "Rethinking ImageNet Pre-training", and what a study needs in order to ask them."""

from collections.abc import Callable

from official_rethink.study import evidence_starts, samples
from official_rethink.study.evidence import Arm, Evidence
from official_rethink.study.evidence_starts import ENOUGH, FEW, LEVEL

_LEVEL = f'level: no more than {100 * LEVEL:g} point behind, a margin of ours'
_MINUS = '\N{MINUS SIGN}'


def _lacks_starts(arms: list[Arm]) -> str:
    """What is missing for any comparison of starts; '' if nothing is."""
    if evidence_starts.families(arms):
        return ''
    return 'no supervised arm from a pre-training has a counterpart of random start that is alike in all but length'


def _lacks_lengths(arms: list[Arm]) -> str:
    names = ', '.join(arm['name'] for _, starts in evidence_starts.families(arms) for arm in starts)
    return _lacks_starts(arms) or (
        f'it takes both starts at two lengths (arms.<name>.steps) with the same labels, of which {names} has one'
    )


def _lacks_pixels(arms: list[Arm]) -> str:
    found = [arm for _, starts in evidence_starts.families(arms) for arm in starts]
    if found and all(map(samples.uncounted, found)):
        return 'the pre-trained weights came from elsewhere, and nobody here counted what they were trained on'
    return _lacks_starts(arms) or (
        'no arm of random start trains longer than a pre-trained one on no more pixels than pre-training and training '
        'had together'
    )


def _lacks_share(words: str) -> Callable[[list[Arm]], str]:
    def missing(arms: list[Arm]) -> str:
        return _lacks_starts(arms) or f'no pair of starts learns from {words} of the labels'

    return missing


def _lacks_curves(arms: list[Arm]) -> str:
    return _lacks_starts(arms) or 'no two starts of one length have their validations in the record'


def _plain(collect: Callable[[list[Arm]], list[Evidence]]) -> Callable[[list[Arm], str], list[Evidence]]:
    return lambda arms, metric: collect(arms)


_Row = tuple[str, str, Callable[[list[Arm], str], list[Evidence]], Callable[[list[Arm]], str]]
FINDINGS: tuple[_Row, ...] = (
    (
        'a faster start',
        'Pre-training speeds up convergence early in training (He et al., in words).',
        evidence_starts.early,
        _lacks_curves,
    ),
    (
        'longer schedules',
        'What pre-training gains shrinks as the schedule grows (He et al., Table 1, ResNet-50: +3.5 at two times the '
        f'usual schedule, {_MINUS}0.2 at six times).',
        _plain(evidence_starts.length),
        _lacks_lengths,
    ),
    (
        'catching up',
        'Trained long enough, a random start is no worse, in boxes, masks and key points (He et al., Table 2 and '
        f'Figure 6, best of each: +0.2, +0.2 and +0.1 with ResNet-50; {_LEVEL}).',
        _plain(evidence_starts.catching_up),
        _lacks_lengths,
    ),
    (
        'no more pixels',
        'A random start that trains longer is as good on about as many pixels as pre-training and training had '
        f'together, and on far fewer images (He et al., Figure 2; {_LEVEL}).',
        _plain(evidence_starts.same_pixels),
        _lacks_pixels,
    ),
    (
        'closely fitting boxes',
        'A random start is better where boxes have to fit closely (He et al., Table 2, AP75, best of each: +1.0 and '
        '+0.8).',
        _plain(evidence_starts.close_fit),
        _lacks_lengths,
    ),
    (
        'a tenth of the labels',
        "With a third and with a tenth of COCO's labels a random start still catches up (He et al., 35,000 images: "
        f'36.3 and 36.3; 10,000: 25.9 against 26.0; {_LEVEL}). A tenth of a smaller set is fewer images than that.',
        _plain(evidence_starts.less_data),
        _lacks_share(f'{100 * ENOUGH:g} % to less than all'),
    ),
    (
        'a hundredth of the labels',
        "With a few hundredths of COCO's labels it does not, and pre-training is far ahead (He et al., 3,500 images: "
        '16.0 against 9.3; 1,000: 9.9 against 3.5).',
        _plain(evidence_starts.few_labels),
        _lacks_share(f'{100 * FEW:g} % or less'),
    ),
)
