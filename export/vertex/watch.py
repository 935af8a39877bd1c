"""Watching a job until it ends: its state and for how long, one line for each change in a log file."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from export.vertex import client as client_module
from export.vertex import grid
from official_rethink.common import progress

SUCCEEDED = 'JOB_STATE_SUCCEEDED'
_ENDED = (
    *(SUCCEEDED, 'JOB_STATE_FAILED', 'JOB_STATE_CANCELLED', 'JOB_STATE_EXPIRED'),
    'JOB_STATE_PARTIALLY_SUCCEEDED',
)
_TRIAL_ENDED = ('SUCCEEDED', 'INFEASIBLE')


def word(state: str) -> str:
    """JOB_STATE_RUNNING is 'running'."""
    return state.removeprefix('JOB_STATE_').lower().replace('_', ' ') or 'unknown'


class Screen:
    """Lines that stay, and on a terminal a last line that is drawn anew."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()

    def say(self, text: str) -> None:
        """Writes a line with the time of day."""
        stamp = time.strftime('%H:%M:%S')
        self._stream.write(('\r\x1b[K' if self._live else '') + f'{stamp} {text}\n')
        self._stream.flush()

    def draw(self, text: str) -> None:
        """Draws the last line; a log file gets none."""
        if self._live:
            self._stream.write('\r\x1b[K' + text)
            self._stream.flush()


def follow(
    client: client_module.Client,
    name: str,
    screen: Screen,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Looks at a job until it has ended, and returns it.

    Args:
        client: calls the service.
        name: the job's.
        screen: where its states are shown.
        interval: seconds between two looks.
        sleep: waits, in seconds.
        clock: seconds, from anywhere.

    Raises:
        LostError: the service does not answer any more.
        RefusedError: it will not say, such as of a job that does not exist.
    """
    state, told, since = '', '', clock()
    while True:
        job = client.get(name)
        now = clock()
        found, trials = str(job.get('state', 'JOB_STATE_UNSPECIFIED')), _trials(job)
        if found != state:
            after = f', after {progress.duration(now - since)} {word(state)}' if state else ''
            screen.say(f'{word(found)}{after}')
            state, since = found, now
        if trials and trials != told:
            screen.say(trials)
            told = trials
        if state in _ENDED:
            return job
        screen.draw(f'{word(state)} for {progress.duration(now - since)}{", " + trials if trials else ""}')
        sleep(interval)


def reason(job: Mapping[str, Any]) -> str:
    """The service's words on why a job ended as it did."""
    message = job.get('error', {}).get('message', '')
    return str(message) or 'no reason given'


def _metric(job: Mapping[str, Any]) -> tuple[str, str]:
    """The metric of a tuning job, and MAXIMIZE or MINIMIZE."""
    first = (job.get('studySpec', {}).get('metrics') or [{}])[0]
    return str(first.get('metricId', '')), str(first.get('goal', 'MAXIMIZE'))


def _value(trial: Mapping[str, Any], metric: str) -> float | None:
    for found in trial.get('finalMeasurement', {}).get('metrics', []):
        if found.get('metricId') == metric:
            return float(found.get('value', 0.0))
    return None


def ranked(job: Mapping[str, Any]) -> list[tuple[dict[str, Any], float | None]]:
    """A tuning job's trials with their measurements, the best first, those without one last."""
    metric, goal = _metric(job)
    pairs = [(dict(trial), _value(trial, metric)) for trial in job.get('trials', [])]
    sign = -1 if goal != 'MINIMIZE' else 1
    return sorted(pairs, key=lambda pair: (pair[1] is None, sign * (pair[1] or 0.0)))


def settings_of(trial: Mapping[str, Any]) -> str:
    """A trial's settings, with their dotted keys."""
    return ', '.join(
        f"{grid.key_of(str(item.get('parameterId', '')))}={item.get('value')}" for item in trial.get('parameters', [])
    )


def _trials(job: Mapping[str, Any]) -> str:
    """How far a tuning job is, in words; '' of other jobs."""
    trials = job.get('trials', [])
    if not trials:
        return ''
    metric, _ = _metric(job)
    done = sum(trial.get('state') in _TRIAL_ENDED for trial in trials)
    failed = sum(trial.get('state') == 'INFEASIBLE' for trial in trials)
    text = f'{done} of {job.get("maxTrialCount", len(trials))} trials done'
    text += f', {failed} of them without a result' if failed else ''
    best, value = ranked(job)[0]
    return text + (f'; best: {metric} {value:.4f}, {settings_of(best)}' if value is not None else '')


def table(job: Mapping[str, Any]) -> str:
    """The trials of a tuning job, the best first; '' of other jobs."""
    metric, _ = _metric(job)
    lines = []
    for trial, value in ranked(job):
        number = 'no result' if value is None else f'{value:.4f}'
        why = f' ({trial["infeasibleReason"]})' if trial.get('infeasibleReason') else ''
        lines.append(f'  trial {trial.get("id", "?"):<4} {metric} {number:<9}  {settings_of(trial)}{why}\n')
    return ''.join(lines)
