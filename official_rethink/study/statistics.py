"""How sure a study is: means, spreads and paired differences over seeds."""

import dataclasses
import math
from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference of two arms over the seeds both have.

    Attributes:
        count: pairs.
        mean: of the differences.
        std: sample standard deviation of the differences; None for one pair.
        low: lower end of the 95 % t-interval of the mean; None for one pair.
        high: its upper end.
    """

    count: int
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def std(values: Sequence[float]) -> float | None:
    """The sample standard deviation (divisor n - 1); None for a single value, which has no spread."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> Difference:
    """Compares two arms seed by seed: mean difference and its t-interval.

    The seed fixes which labels a fraction holds, the initial weights and the order of examples in both
    arms, so differences within a seed spread less than the arms themselves.

    Args:
        values: of the arm, one a seed.
        baseline: of the baseline, in the same order of seeds.
    """
    differences = [value - base for value, base in zip(values, baseline, strict=True)]
    count, middle, spread = len(differences), mean(differences), std(differences)
    if spread is None:
        return Difference(count, middle, None, None, None)
    half = t_quantile(count - 1) * spread / math.sqrt(count)
    return Difference(count, middle, spread, middle - half, middle + half)


def t_quantile(degrees: int) -> float:
    """The two-sided 95 % point of Student's t with that many degrees of freedom."""
    from scipy import stats  # noqa: PLC0415  (slow to import, and only a finished study needs it)

    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees))
