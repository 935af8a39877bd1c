"""Pairs of a study's arms that differ in nothing but what a finding is about, and their differences.

Every difference is taken seed by seed, and put so that a positive one speaks for the paper.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from official_rethink.study import statistics
from official_rethink.study.words import points

RANDOM, ALIGNMENT = 'random', 'alignment'
_OFTEN_ALIKE = ('network', 'own_steps', 'params_override', 'grid')
Arm = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One difference that a finding rests on.

    Attributes:
        words: what is compared, with what it comes to in points.
        arms: names of the arms in it.
        difference: positive where it speaks for the paper.
        margin: where a paper says "no worse": an interval that lies over minus this speaks for it, one that lies under
            it against.
    """

    words: str
    arms: tuple[str, ...]
    difference: statistics.Difference
    margin: float = 0.0

    @property
    def sign(self) -> int:
        """1 if it clearly speaks for the paper, -1 if clearly against it, 0 if the seeds do not tell."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return 0
        # A bound at the border itself tells nothing.
        border = -self.margin
        return 1 if low > border else -1 if high < border else 0


def values(arm: Arm) -> list[float]:
    """The arm's result of each seed."""
    return [seed['value'] for seed in arm['seeds']]


def minus(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """Differences, seed by seed."""
    return [a - b for a, b in zip(left, right, strict=True)]


def of(arms: list[Arm], **traits: Any) -> list[Arm]:
    """Arms with these traits; of self-training ones those of a single round."""
    return [
        arm
        for arm in arms
        if all(_trait(arm, name) == value for name, value in traits.items()) and arm.get('rounds', 1) <= 1
    ]


def _trait(arm: Arm, name: str) -> Any:
    # Arms of a study without these, and of a record of before there were any, have the same ones.
    return json.dumps(arm.get(name) or None, sort_keys=True) if name in _OFTEN_ALIKE else arm[name]


def regime(arm: Arm, *without: str) -> dict[str, Any]:
    """What an arm's counterpart has in common with it."""
    names = ('initialization', 'augmentation', 'label_fraction', 'self_training', 'joint', *_OFTEN_ALIKE)
    return {name: _trait(arm, name) for name in names if name not in without}


def pretrained(arms: list[Arm]) -> list[Arm]:
    """Arms from a pre-trained backbone; a detector of other classes is another finding's."""
    return [arm for arm in arms if arm['initialization'] != RANDOM and arm.get('pretraining') != ALIGNMENT]


def _simple(better: Arm, worse: Arm) -> Evidence:
    """That one arm is better than the other."""
    difference = statistics.paired_difference(values(better), values(worse))
    words = f'{better["name"]} over {worse["name"]}'
    return Evidence(words, (better['name'], worse['name']), difference)


def _gain(pretrained: Arm, plain: Arm) -> str:
    return f'{points(statistics.mean(minus(values(pretrained), values(plain))), sign=True)}'


def trend(
    arms: list[Arm], field: str, value_words: Callable[[Any], str], value: Callable[[Arm], Any] | None = None
) -> list[Evidence]:
    """That pre-training gains more at one end of `field` than at the other, by the ends the study has.

    Args:
        arms: of the study.
        field: the trait in which pairs differ.
        value_words: a value of it for people.
        value: where an arm's is found, if not under the trait's name.
    """
    found = []
    supervised = of(pretrained(arms), self_training=False, joint=False)
    starts = {tuple(sorted(regime(arm, field).items())): arm for arm in supervised}
    for arm in starts.values():
        same = of(supervised, **regime(arm, field))
        pairs: dict[Any, tuple[Arm, Arm]] = {}
        for one in same:
            random = of(arms, **{**regime(one), 'initialization': RANDOM})
            if random:
                pairs.setdefault(value(one) if value else one[field], (one, random[0]))
        if len(pairs) < 2:
            continue
        more, less = min(pairs), max(pairs)
        (one, plain), (other, other_plain) = pairs[more], pairs[less]
        network = f' with {arm["network"]}' if arm.get('network') else ''
        words = (
            f'pre-training {arm["initialization"]}{network}: {_gain(one, plain)} at {value_words(more)} '
            f'({one["name"]} less {plain["name"]}), {_gain(other, other_plain)} at {value_words(less)} '
            f'({other["name"]} less {other_plain["name"]})'
        )
        gains = (minus(values(a), values(b)) for a, b in ((one, plain), (other, other_plain)))
        names = (one['name'], plain['name'], other['name'], other_plain['name'])
        found.append(Evidence(words, names, statistics.paired_difference(*gains)))
    return found


def against_augmentation(arms: list[Arm]) -> list[Evidence]:
    """That pre-training gains more with the weakest augmentation than with the strongest."""
    return trend(arms, 'augmentation', str)


def against_labels(arms: list[Arm]) -> list[Evidence]:
    """That pre-training gains more with the fewest labels than with the most."""
    return trend(arms, 'label_fraction', lambda value: f'{100 * value:g} % of the labels')


def _without(arms: list[Arm], arm: Arm, field: str, value: Any) -> list[Arm]:
    """The arm's counterpart with another value of `field`; of students those alike in all that students have."""
    found = of(arms, **{**regime(arm), field: value})
    alike = ('score_threshold', 'student_init')
    if arm['self_training'] and field != 'self_training':
        found = [other for other in found if all(other.get(name) == arm.get(name) for name in alike)]
    return found[:1]


def supervised_counterpart(arms: list[Arm], arm: Arm) -> Arm | None:
    """The arm that is like a self-training one in all else, its network too; None if the study has none."""
    return next(iter(_without(arms, arm, 'self_training', False)), None)


def self_training(arms: list[Arm]) -> list[Evidence]:
    """That every student is better than the supervised arm of its regime."""
    students = [arm for arm in arms if arm['self_training'] and arm.get('rounds', 1) <= 1]
    return [_simple(arm, other) for arm in students for other in _without(arms, arm, 'self_training', False)]


def additivity(arms: list[Arm]) -> list[Evidence]:
    """That both together are better than either alone."""
    found = []
    for arm in of(pretrained(arms), self_training=True, joint=False):
        alone = _without(arms, arm, 'self_training', False), _without(arms, arm, 'initialization', RANDOM)
        if all(alone):
            found += [_simple(arm, others[0]) for others in alone]
    return found


def joint(arms: list[Arm]) -> list[Evidence]:
    """That joint training gains alone, on top of self-training, and self-training on top of it."""
    found = []
    for arm in of(arms, joint=True):
        found += [_simple(arm, other) for other in _without(arms, arm, 'joint', False)]
        if arm['self_training']:
            found += [_simple(arm, other) for other in _without(arms, arm, 'self_training', False)]
    return found


def alignment(arms: list[Arm]) -> list[Evidence]:
    """That self-training from a random start is better than the start from an aligned task."""
    found = []
    for arm in of(arms, pretraining=ALIGNMENT, self_training=False, joint=False):
        students = of(arms, **{**regime(arm), 'initialization': RANDOM, 'self_training': True})
        found += [_simple(student, arm) for student in students]
    return found
