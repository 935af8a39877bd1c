"""Whether a run gave the metrics that its config says it gives, within a tolerance."""

import math
from collections.abc import Mapping

from official_rethink.common import errors


def drifts(
    metrics: Mapping[str, float], expected: Mapping[str, float], tolerance: float | Mapping[str, float]
) -> list[str]:
    """Returns a sentence for each expected metric that is missing, not a number, or too far away.

    Args:
        metrics: what the run gave.
        expected: name to value; metrics that are not named may be anything.
        tolerance: the largest allowed difference, one for all or one for each expected name.
    """
    found = []
    for name, wanted in expected.items():
        allowed = _tolerance(name, tolerance)
        if name not in metrics:
            guess = errors.nearest(name, metrics)
            found.append(f'{name} is missing' + (f" (did you mean '{guess}'?)" if guess else ''))
            continue
        value = float(metrics[name])
        if not math.isfinite(value) or abs(value - wanted) > allowed:
            found.append(
                f'{name} is {value:.6g}, expected {wanted:.6g} +- {allowed:.6g} ({value - wanted:+.6g})'
            )
    return found


def check(
    metrics: Mapping[str, float], expected: Mapping[str, float], tolerance: float | Mapping[str, float]
) -> None:
    """Raises UserError listing every drift; see `drifts`."""
    found = drifts(metrics, expected, tolerance)
    if found:
        raise errors.UserError(
            f'{len(found)} of {len(expected)} expected metrics drifted: ' + '; '.join(found) + '.'
        )


def _tolerance(name: str, tolerance: float | Mapping[str, float]) -> float:
    if isinstance(tolerance, Mapping):
        if name not in tolerance:
            raise errors.unknown_name('expected metric without a tolerance', name, tolerance)
        tolerance = tolerance[name]
    if not math.isfinite(tolerance) or tolerance < 0:
        raise errors.bad_value(f'tolerance of {name}', tolerance, 'a finite number, 0 or above')
    return float(tolerance)
