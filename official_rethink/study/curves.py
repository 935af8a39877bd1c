"""Learning curves of a study's record, and where a random start catches up with a pre-trained one.

Two curves meet at the first validation from which on the random start is at or over the pre-trained one, to the end. A
curve that ends earlier stays at its last value; between validations it is a line.
"""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any

from official_rethink.study import samples, statistics

Points = list[tuple[float, float]]
Arm = dict[str, Any]


def of_seeds(arm: Arm, metric: str) -> list[Points]:
    """The validations of an arm's last training, a list of (step, value) for each seed; none if they are not kept."""
    found = [seed['stages'][-1].get('curves', {}).get(metric, []) for seed in arm['seeds'] if seed.get('stages')]
    return [[(step, value) for step, value in points] for points in found if points]


def mean(seeds: Sequence[Points]) -> Points:
    """The mean over seeds, at the steps that all of them were validated at."""
    if not seeds:
        return []
    tables = [dict(points) for points in seeds]
    common = sorted(set.intersection(*(set(table) for table in tables)))
    return [(step, statistics.mean([table[step] for table in tables])) for step in common]


def drops(arm: Arm) -> list[int]:
    """Steps at which the learning rate of an arm's last training dropped, within its length."""
    last = arm['seeds'][0]['stages'][-1] if arm['seeds'][0].get('stages') else {}
    length = last.get('cost', {}).get('steps', 0)
    return [at for at in last.get('drops', []) if 0 < at < length]


def at(points: Points, place: float) -> float:
    """A curve's value at a place: on the line between two validations, and past either end that end's."""
    index = bisect.bisect_left([x for x, _ in points], place)
    if index == len(points) or index == 0:
        return points[min(index, len(points) - 1)][1]
    (left, low), (right, high) = points[index - 1], points[index]
    return low + (high - low) * (place - left) / (right - left)


def overtakes(low: Points, high: Points) -> float | None:
    """The validation of one curve from which on it is at or over the other, to its end; None if it ends under it.

    Validations before the other's first are left out.
    """
    found = None
    for place, value in reversed(low):
        if place < high[0][0] or value < at(high, place):
            break
        found = place
    return found


def reach(points: Points, level: float) -> float | None:
    """The first validation from which on a curve is at or over a level, to the end; None if there is none."""
    return overtakes(points, [(points[0][0], level)]) if points else None


def meetings(pairs: Sequence[tuple[Arm, Arm]], *metrics: str) -> list[dict[str, Any]]:
    """Where the curves of random starts meet those of pre-trained ones, as results.json holds it.

    Args:
        pairs: (random, pre-trained) arms that are alike but for their start.
        metrics: of the curves.

    Returns:
        for each metric and each pair that has its curves: 'metric'; 'random' and 'pretrained', names of arms; 'step',
        None if the means over seeds do not meet; 'steps', the length; 'images', 'instances' and 'pixels' that the
        random arm had seen by then; 'gap', how far over the other it ends; 'from_the_first', whether it was at or over
        it all the time; 'seeds', the step for each seed alone.
    """
    found = []
    for metric, (random, start) in itertools.product(metrics, pairs):
        low, high = (mean(of_seeds(arm, metric)) for arm in (random, start))
        if low and high and low[-1][0] >= high[0][0]:
            found.append(_record(random, start, metric))
    return found


def _record(random: Arm, start: Arm, metric: str) -> dict[str, Any]:
    seeds = zip(of_seeds(random, metric), of_seeds(start, metric), strict=False)
    low, high = (mean(of_seeds(arm, metric)) for arm in (random, start))
    step = overtakes(low, high)
    seen = dict.fromkeys(samples.QUANTITIES) if step is None else {
        name: round(step * samples.rate(random, name)) for name in samples.QUANTITIES
    }
    return {
        'metric': metric,
        'random': random['name'],
        'pretrained': start['name'],
        'step': step,
        'steps': samples.steps(random),
        **seen,
        'gap': low[-1][1] - at(high, low[-1][0]),
        'from_the_first': step is not None and step == next(place for place, _ in low if place >= high[0][0]),
        'seeds': [overtakes(*pair) for pair in seeds],
    }
