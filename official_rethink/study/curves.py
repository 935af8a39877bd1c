"""Learning curves of a study's record, and where those of a random and of a pre-trained start meet.

Two curves meet at the first validation from which on the arm that was behind at the first validation of both is at or
over the other, to the end. A curve that ends earlier stays at its last value; between validations it is a line.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from official_rethink.study import samples, statistics

Points = list[tuple[float, float]]
Arm = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Where two curves meet.

    Attributes:
        behind: whose curve is lower at the first validation of both; the first of the two where they are equal.
        ahead: the other's.
        at: the place, in the curves' own unit; None: they do not meet.
        first: they meet at the first validation of both, so nothing was ever behind.
    """

    behind: str
    ahead: str
    at: float | None
    first: bool = False


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


def meet(one: tuple[str, Points], other: tuple[str, Points]) -> Meeting | None:
    """Finds where two named curves meet; None where no validation of one is within the other."""
    if not one[1] or not other[1]:
        return None
    start = max(one[1][0][0], other[1][0][0])
    swapped = at(one[1], start) > at(other[1], start)
    (behind, low), (ahead, high) = (other, one) if swapped else (one, other)
    common = [place for place, _ in low if place >= start]
    if not common:
        return None
    found = overtakes(low, high)
    return Meeting(behind, ahead, found, found == common[0])


def reach(points: Points, level: float) -> float | None:
    """The first validation from which on a curve is at or over a level, to the end; None if there is none."""
    return overtakes(points, [(points[0][0], level)]) if points else None


def meetings(pairs: Sequence[tuple[Arm, Arm]], *metrics: str) -> list[dict[str, Any]]:
    """Where the curves of pairs of arms meet, as results.json holds it.

    Args:
        pairs: arms that are alike but for their start.
        metrics: of the curves.

    Returns:
        for each metric and each pair that has its curves: 'metric'; 'behind' and 'ahead', names of arms; 'step', None
        if the means over seeds do not meet; 'steps', the length; 'images', 'instances' and 'pixels' that the arm behind
        had seen by then in its own training; 'gap', how far over the other it ends; 'from_the_first', whether it was
        never behind; 'seeds', the step for each seed alone.
    """
    found = []
    for metric, (one, other) in itertools.product(metrics, pairs):
        together = meet((one['name'], mean(of_seeds(one, metric))), (other['name'], mean(of_seeds(other, metric))))
        if together is None:
            continue
        behind, ahead = (one, other) if together.behind == one['name'] else (other, one)
        found.append(_record(together, behind, ahead, metric))
    return found


def _record(together: Meeting, behind: Arm, ahead: Arm, metric: str) -> dict[str, Any]:
    pairs = zip(of_seeds(behind, metric), of_seeds(ahead, metric), strict=False)
    low, high = (mean(of_seeds(arm, metric)) for arm in (behind, ahead))
    seen = dict.fromkeys(samples.QUANTITIES) if together.at is None else {
        name: round(together.at * samples.rate(behind, name)) for name in samples.QUANTITIES
    }
    return {
        'behind': behind['name'],
        'ahead': ahead['name'],
        'metric': metric,
        'step': together.at,
        'steps': samples.steps(behind),
        **seen,
        'gap': low[-1][1] - at(high, low[-1][0]),
        'from_the_first': together.first,
        'seeds': [overtakes(*pair) for pair in pairs],
    }
