"""What a study says of random against pre-trained starts over schedules, samples and labels: evidence for He et al.

As in `evidence`, every difference is taken seed by seed and is positive where it speaks for the paper. Where the paper
says that a random start is no worse, a difference over minus `LEVEL` counts as that; the paper names no such margin.
"""

import collections
from collections.abc import Callable
from typing import Any

from official_rethink.study import curves, samples, statistics
from official_rethink.study.evidence import RANDOM, Arm, Evidence, of, pretrained, regime, trend, values

LEVEL = 0.01  # one point; what the paper calls comparable is within half of one
ENOUGH, FEW = 0.08, 0.03  # of COCO's images: 10,000 of 118,287 sufficed, 3,500 did not
METRICS = ('AP', 'mIoU', 'mask_AP', 'keypoint_AP')


def families(arms: list[Arm]) -> list[tuple[list[Arm], list[Arm]]]:
    """(arms of random start, arms of one pre-trained start), each by length, alike in all but start and length."""
    found: dict[tuple[Any, ...], list[Arm]] = collections.defaultdict(list)
    supervised = of(pretrained(arms), self_training=False, joint=False)
    for arm in supervised:
        found[tuple(sorted(regime(arm, 'own_steps').items()))].append(arm)
    both = []
    for group in found.values():
        random = of(arms, **{**regime(group[0], 'own_steps'), 'initialization': RANDOM})
        if random:
            both.append((sorted(random, key=samples.steps), sorted(group, key=samples.steps)))
    return both


def pairs(arms: list[Arm]) -> list[tuple[Arm, Arm]]:
    """(random, pre-trained) supervised arms of the same length that are alike in all but their start."""
    return [
        (random, start)
        for randoms, starts in families(arms)
        for start in starts
        for random in randoms
        if samples.steps(random) == samples.steps(start)
    ]


def long_enough(arms: list[Arm]) -> list[tuple[list[Arm], list[Arm]]]:
    """The families in which both starts were trained at two lengths or more."""
    return [(random, start) for random, start in families(arms) if min(len(random), len(start)) > 1]


def _labels(arm: Arm) -> float:
    return float(arm['label_fraction'])


def best(arms: list[Arm]) -> Arm:
    """The arm with the best mean, of several lengths of one start."""
    return max(arms, key=lambda arm: statistics.mean(values(arm)))


def _level(random: Arm, start: Arm, metric: str = '', margin: float = LEVEL) -> Evidence:
    """That an arm of random start is no worse than a pre-trained one, in the study's number or in another."""
    numbers = [[seed['metrics'][metric] for seed in arm['seeds']] if metric else values(arm) for arm in (random, start)]
    words = f'{random["name"]} over {start["name"]}{f", {metric}" if metric else ""}'
    return Evidence(words, (random['name'], start['name']), statistics.paired_difference(*numbers), margin)


def _measured(arms: list[Arm], metric: str) -> bool:
    return all(seed.get('metrics', {}).get(metric, -1.0) >= 0 for arm in arms for seed in arm['seeds'])


def _levels(random: Arm, start: Arm) -> list[Evidence]:
    """That it is no worse in any of the numbers that both were measured by."""
    found = [metric for metric in METRICS if _measured([random, start], metric)]
    return [_level(random, start, metric) for metric in found] or [_level(random, start)]


def length(arms: list[Arm]) -> list[Evidence]:
    """That pre-training gains more at the shortest schedule than at the longest."""
    enough = [arm for arm in arms if _labels(arm) >= ENOUGH]
    return trend(enough, 'own_steps', lambda steps: f'{steps:,} steps', samples.steps)


def catching_up(arms: list[Arm]) -> list[Evidence]:
    """That with all labels the best random arm of several lengths is no worse than the best pre-trained one."""
    found = long_enough([arm for arm in arms if _labels(arm) == 1])
    return [item for random, start in found for item in _levels(best(random), best(start))]


def same_pixels(arms: list[Arm]) -> list[Evidence]:
    """That a random arm which trains longer, but on no more pixels than pre-training and training had, is no worse."""
    found = []
    for randoms, starts in families([arm for arm in arms if _labels(arm) >= ENOUGH]):
        for start in starts:
            total = samples.seen(start, 'pixels').total
            if total is None:
                continue
            longer = [arm for arm in randoms if samples.steps(arm) > samples.steps(start)]
            within = [arm for arm in longer if samples.seen(arm, 'pixels').known <= total]
            if within:
                found.append(_level(within[-1], start))
    return found


def _best_of_each(arms: list[Arm], wanted: Callable[[float], bool]) -> list[tuple[Arm, Arm]]:
    found = families([arm for arm in arms if wanted(_labels(arm))])
    return [(best(random), best(start)) for random, start in found]


def less_data(arms: list[Arm]) -> list[Evidence]:
    """That with a part of the labels, down to about a tenth, the best random arm is no worse."""
    return [_level(random, start) for random, start in _best_of_each(arms, lambda share: ENOUGH <= share < 1)]


def few_labels(arms: list[Arm]) -> list[Evidence]:
    """That with a few hundredths of the labels the best pre-trained arm is better."""
    found = []
    for random, start in _best_of_each(arms, lambda share: share <= FEW):
        difference = statistics.paired_difference(values(start), values(random))
        found.append(Evidence(f'{start["name"]} over {random["name"]}', (start['name'], random['name']), difference))
    return found


def early(arms: list[Arm], metric: str) -> list[Evidence]:
    """That the pre-trained arm is ahead at the first validation of both."""
    found = []
    for random, start in pairs(arms):
        seeds = [curves.of_seeds(arm, metric) for arm in (start, random)]
        if not all(len(points) == len(random['seeds']) for points in seeds):
            continue
        first = max(points[0][0] for lines in seeds for points in lines)
        ahead, behind = ([curves.at(points, first) for points in lines] for lines in seeds)
        words = f'{start["name"]} over {random["name"]}, validation at step {first:,.0f}'
        difference = statistics.paired_difference(ahead, behind)
        found.append(Evidence(words, (start['name'], random['name']), difference))
    return found


def close_fit(arms: list[Arm]) -> list[Evidence]:
    """That at AP75 the best random arm of several lengths is better than the best pre-trained one."""
    chosen = [(best(random), best(start)) for random, start in long_enough(arms) if _labels(start[0]) == 1]
    return [_level(random, start, 'AP75', 0.0) for random, start in chosen if _measured([random, start], 'AP75')]
