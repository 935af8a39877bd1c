"""The papers' findings, held against a study's arms: confirmed, contradicted, not settled, or not asked.

Every difference is taken seed by seed, and put so that a positive one speaks for the paper; its interval is
the 95 % t-interval of `statistics.paired_difference`. A finding rests on all the pairs of arms the study has
that differ in nothing but what the finding is about.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from official_rethink.configs import study_kinds
from official_rethink.study import evidence, findings_he
from official_rethink.study.evidence import Evidence
from official_rethink.study.words import count

CONFIRMED, PARTLY, CONTRADICTED, MIXED, OPEN, SILENT = (
    'confirmed',
    'confirmed in part',
    'contradicted',
    'contradictory',
    'not settled',
    'not asked',
)
ZOPH, HE = 'Zoph et al. 2020', 'He et al. 2018'


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the paper found, and what this study says of it.

    Attributes:
        key: a short name.
        claim: the paper's finding, with its place.
        word: CONFIRMED, PARTLY, CONTRADICTED, MIXED, OPEN or SILENT.
        sentence: the answer.
        evidence: what it rests on.
        paper: whose finding it is.
    """

    key: str
    claim: str
    word: str
    sentence: str
    evidence: tuple[Evidence, ...]
    paper: str = ZOPH


def find(arms: Sequence[evidence.Arm], kind: study_kinds.Kind = study_kinds.DETECTION) -> list[Finding]:
    """Holds every finding against the arms of a study's record, whose networks are of one kind."""
    return [
        *(
            _finding(key, _claim(key, claim, kind), collect(list(arms)), missing, list(arms), ZOPH)
            for key, claim, collect, missing in _FINDINGS
        ),
        *(
            _finding(key, _of_paper(claim, kind), collect(list(arms), kind.metric), missing, list(arms), HE)
            for key, claim, collect, missing in findings_he.FINDINGS
        ),
    ]


def _claim(key: str, claim: str, kind: study_kinds.Kind) -> str:
    """The paper's finding, with its figures for this kind of networks, or that it has none."""
    if kind.boxes:
        return claim
    return _OF_LABEL_MAPS.get(key) or _of_paper(claim, kind)


def _of_paper(claim: str, kind: study_kinds.Kind) -> str:
    return claim if kind.boxes else f"{claim} The paper asks it of detectors, in COCO's AP."


def as_records(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as results.json holds them."""
    return json.loads(json.dumps([dataclasses.asdict(finding) for finding in findings]))


def judge(found: Sequence[Evidence]) -> str:
    """One word for all the evidence together."""
    signs = [item.sign for item in found]
    if not signs:
        return SILENT
    if 1 in signs and -1 in signs:
        return MIXED
    if -1 in signs:
        return CONTRADICTED
    if 1 not in signs:
        return OPEN
    return CONFIRMED if all(signs) else PARTLY


def _finding(
    key: str,
    claim: str,
    found: list[Evidence],
    missing: Callable[[list[evidence.Arm]], str],
    arms: list[evidence.Arm],
    paper: str,
) -> Finding:
    word = judge(found)
    if word == SILENT:
        return Finding(key, claim, word, f'This study does not ask: {missing(arms)}.', (), paper)
    clear = [item.sign for item in found]
    total = count(len(found), 'comparison')
    seeds = count(found[0].difference.count, 'seed')
    if found[0].difference.low is None:
        sentence = f'One seed settles nothing; {total} can be made, with the sign of a single run.'
    else:
        rest = 'that tell neither' if any(item.margin for item in found) else 'with an interval that spans zero'
        counts = f'{clear.count(1)} clearly for it, {clear.count(-1)} clearly against, {clear.count(0)} {rest}'
        sentence = f'{total[0].upper()}{total[1:]} over {seeds}: {counts}.'
    return Finding(key, claim, word, sentence, tuple(found), paper)


def _names(arms: list[evidence.Arm]) -> str:
    return ', '.join(arm['name'] for arm in arms)


def _lacks_trend(field: str) -> Callable[[list[evidence.Arm]], str]:
    def missing(arms: list[evidence.Arm]) -> str:
        found = evidence.of(evidence.pretrained(arms), self_training=False, joint=False)
        if not found:
            return 'no supervised arm starts from a pre-training'
        return (
            f'it takes arms from a pre-training at two values of {field}, each with an arm of random start that is '
            f'alike in all else; the study has {_names(found)}'
        )

    return missing


def _lacks_self_training(arms: list[evidence.Arm]) -> str:
    students = [arm for arm in arms if arm['self_training']]
    if not students:
        return 'no arm self-trains'
    return f'no arm is like {_names(students)} but supervised'


def _lacks_additivity(arms: list[evidence.Arm]) -> str:
    both = evidence.of(evidence.pretrained(arms), self_training=True, joint=False)
    if not both:
        return 'no arm self-trains from a pre-training'
    return f'{_names(both)} lacks a counterpart that is supervised, or one of random start'


def _lacks_joint(arms: list[evidence.Arm]) -> str:
    trained = [arm for arm in arms if arm['joint']]
    return f'no arm of one round is like {_names(trained)} but without joint' if trained else 'no arm trains jointly'


def _lacks_alignment(arms: list[evidence.Arm]) -> str:
    aligned = evidence.of(arms, pretraining=evidence.ALIGNMENT, self_training=False, joint=False)
    if not aligned:
        return "no supervised arm starts from a pre-training of kind 'alignment'"
    return f'no arm self-trains from a random start in the regime of {_names(aligned)}'


_Collect = Callable[[list[evidence.Arm]], list[Evidence]]
_Missing = Callable[[list[evidence.Arm]], str]
_FINDINGS: tuple[tuple[str, str, _Collect, _Missing], ...] = (
    (
        'pre-training and augmentation',
        'Pre-training is worth less, and then harms, the stronger the augmentation is (Zoph et al., Table 2: +0.3 with '
        'S1, \N{MINUS SIGN}1.0 with S4).',
        evidence.against_augmentation,
        _lacks_trend('augmentation'),
    ),
    (
        'pre-training and labels',
        'Pre-training is worth less, and then harms, the more labels there are (Zoph et al., Table 3: +2.6 with 20 %, '
        '\N{MINUS SIGN}1.0 with all).',
        evidence.against_labels,
        _lacks_trend('label_fraction'),
    ),
    (
        'self-training everywhere',
        'Self-training helps in every regime of augmentation, labels and start (Zoph et al., Tables 2 and 3: +0.8 to '
        '+3.4).',
        evidence.self_training,
        _lacks_self_training,
    ),
    (
        'additivity',
        'Pre-training, where it helps, and self-training add up: both together are better than either alone (Zoph et '
        'al., Table 3, 20 %: 36.0 against 33.3 and 34.1).',
        evidence.additivity,
        _lacks_additivity,
    ),
    (
        'joint training',
        'Training on classification as well helps the detector, and adds to self-training (Zoph et al., Table 7: +2.9; '
        '35.1 against 33.6 and 34.1).',
        evidence.joint,
        _lacks_joint,
    ),
    (
        'task alignment',
        'Self-training on images helps where pre-training a detector on boxes of other classes in them does not (Zoph '
        'et al., on Open Images; the figures are not known to us).',
        evidence.alignment,
        _lacks_alignment,
    ),
)
# What the paper says of segmentation; all its networks there start from ImageNet++.
_OF_LABEL_MAPS = {
    'self-training everywhere': (
        'Self-training helps beside a pre-training, with weak and with strong augmentation (Zoph et al., Tables 6 and '
        '13, on PASCAL VOC in mIoU: +0.8 to +1.7).'
    ),
}
