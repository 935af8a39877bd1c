"""What every benchmark measures with: two pieces of work in turn, CPU and wall seconds, ratios with their spread."""

import dataclasses
import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

Work = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of a piece of work.

    Attributes:
        cpu: of all threads of this process, and of child processes that ended meanwhile.
        wall: on the clock.
    """

    cpu: float
    wall: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What two pieces of work cost, round by round.

    Attributes:
        ours: a cost a round.
        reference: a cost a round, measured right after ours of the same round.
    """

    ours: Sequence[Cost]
    reference: Sequence[Cost]


def cost_of(work: Work) -> Cost:
    """Runs the work once and returns what it cost; garbage of before is not counted."""
    gc.collect()
    children = _children_seconds()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(cpu + _children_seconds() - children, wall)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_turn(ours: Work, reference: Work, rounds: int = 5, warm_up: int = 1) -> Comparison:
    """Runs ours, the reference, ours, the reference, ..., so that both meet the same neighbours on the machine.

    Args:
        ours: one round of our work.
        reference: one round of the same work, done by the reference.
        rounds: measured rounds.
        warm_up: rounds before, which are not counted (tracing, caches).

    Returns:
        The costs of the measured rounds.
    """
    for _ in range(warm_up):
        ours()
        reference()
    costs = [(cost_of(ours), cost_of(reference)) for _ in range(rounds)]
    return Comparison([pair[0] for pair in costs], [pair[1] for pair in costs])


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median of some values and the two ends between which they lie."""
    return {'median': statistics.median(values), 'low': min(values), 'high': max(values)}


def measures(comparison: Comparison, per: float = 1) -> dict[str, dict[str, dict[str, float]]]:
    """CPU and wall seconds of both sides, and their ratio, each with its spread.

    Args:
        comparison: costs of rounds.
        per: units of work a round, such as images.

    Returns:
        'cpu' and 'wall' -> 'ours', 'reference', 'ratio' -> median, low, high. The ratio is the reference's cost over
        ours of the same round: over 1, ours is faster.
    """
    found = {}
    for kind in ('cpu', 'wall'):
        ours = [getattr(cost, kind) / per for cost in comparison.ours]
        reference = [getattr(cost, kind) / per for cost in comparison.reference]
        ratios = [theirs / mine for mine, theirs in zip(ours, reference, strict=True)]
        found[kind] = {'ours': spread(ours), 'reference': spread(reference), 'ratio': spread(ratios)}
    return found


def quantity(ours: float, reference: float, kind: str) -> dict[str, dict[str, dict[str, float]]]:
    """The measures of what has no spread, such as bytes."""
    return {
        kind: {'ours': spread([ours]), 'reference': spread([reference]), 'ratio': spread([reference / ours])}
    }


def row(
    name: str, found: dict[str, Any], *, target: float | None, unit: str, note: str, headline: str = ''
) -> dict[str, Any]:
    """One line of the table.

    Args:
        name: what was measured.
        found: see `measures` and `quantity`.
        target: the ratio to reach; None where there is none.
        unit: of ours and the reference, such as 's an image'.
        note: what was compared, in a sentence.
        headline: which of the measures is held against the target; the first by default.
    """
    headline = headline or next(iter(found))
    return {
        'name': name,
        'measures': found,
        'headline': headline,
        'unit': unit,
        'target': target,
        'reached': None if target is None else found[headline]['ratio']['median'] >= target,
        'note': note,
    }
