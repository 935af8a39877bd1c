"""What the terminal shows while a study runs: a table of arms and seeds, or one line a step in a log file."""

import os
import shutil
import sys
import threading
import time
from typing import TextIO

from official_rethink.common import files, progress
from official_rethink.study import estimate, outputs, runner, steps
from official_rethink.study.plan import ArmRun, Plan
from official_rethink.study.steps import Step

_REDRAW_SECONDS = 2.0
_ROWS_KEPT = 4


class Screen:
    """Follows a run; call it with a step and 'running', 'done' or 'skipped'."""

    def __init__(self, name: str, plan: Plan, out: str, stream: TextIO | None = None, jobs: int = 1):
        """Args: the study's name, plan and folder; where to write, by default the terminal; steps at a time."""
        self._name, self._plan, self._out, self._jobs = name, plan, out, jobs
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._finished: set[str] = set()
        self._running: dict[str, Step] = {}
        self._lock = threading.Lock()
        self._values: dict[str, float] = {}
        self._start = time.monotonic()
        self._drawn = float('-inf')
        self._height = 0

    def __call__(self, step: Step, event: str) -> None:
        """See the class; may be called from several threads."""
        with self._lock:
            self._follow(step, event)

    def _follow(self, step: Step, event: str) -> None:
        if event == 'running':
            self._running[step.name] = step
        else:
            self._running.pop(step.name, None)
            self._finished.add(step.name)
            # A pre-training is measured by what its kind measures, and a trial may have diverged.
            if step.trains and step.kind != 'pretraining' and not steps.ended_early(step, self._out):
                self._values[step.name] = outputs.value(step, self._out)
        if not self._live:
            if event != 'running':
                self._stream.write(self._line(step, event) + '\n')
                self._stream.flush()
            return
        now = time.monotonic()
        if event == 'running' and now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        text = self.text()
        # Up to the first line of the last picture, and clear from there on.
        move = f'\x1b[{self._height}A' if self._height else ''
        self._height = text.count('\n') + 1
        self._stream.write(f'{move}\r\x1b[J{text}\n')
        self._stream.flush()

    def _line(self, step: Step, event: str) -> str:
        place = f'[{len(self._finished)}/{len(self._plan.steps)}]'
        if event == 'skipped':
            return f'{place} {step.name}: done before'
        seconds = files.read_json(os.path.join(step.folder(self._out), runner.DONE))['seconds']
        value = self._values.get(step.name)
        reached = f', {step.metric} {100 * value:.1f}' if value is not None else ''
        reached = ', diverged' if steps.ended_early(step, self._out) else reached
        return f'{place} {step.name}: {step.total} {step.unit} in {progress.duration(seconds)}{reached}'

    def text(self) -> str:
        """The table, its head and what runs now."""
        remaining = [step for step in self._plan.steps.values() if step.name not in self._finished]
        spent = progress.duration(time.monotonic() - self._start)
        left = estimate.left(self._plan, self._out, remaining, self._jobs).words() if remaining else '0s'
        count = f'{len(self._finished)} of {len(self._plan.steps)} steps'
        head = f'{self._name}: {count}, {spent} so far, left: {left}'
        lines = [head, *self._table()]
        for step in self._running.values():
            log = os.path.join(step.folder(self._out), runner.LOG)
            lines.append(f'now: {step.name} ({step.total} {step.unit}); log: {log}')
        width, height = shutil.get_terminal_size()
        if len(lines) > height - 1:  # a table that scrolls could not be redrawn in place
            lines = [*lines[: max(2, height - _ROWS_KEPT)], '…', lines[-1]][: height - 1]
        return '\n'.join(line[: width - 1] for line in lines)

    def _table(self) -> list[str]:
        arms = list(dict.fromkeys(run.arm.name for run in self._plan.runs))
        seeds = list(dict.fromkeys(run.seed for run in self._plan.runs))
        cells = {(run.arm.name, run.seed): self._cell(run) for run in self._plan.runs}
        rows = [['arm', *(f'seed {seed}' for seed in seeds)]]
        rows += [[arm, *(cells[arm, seed] for seed in seeds)] for arm in arms]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]

    def _cell(self, run: ArmRun) -> str:
        if run.result_step in self._finished:
            return f'{100 * self._values[run.result_step]:.1f} {self._plan.kind.metric}'
        for kind, name in run.stages.items():
            if name in self._running:
                return self._running_cell(kind, self._running[name])
        if run.search is not None and not self._running.keys().isdisjoint(run.search.steps):
            return f'grid {run.search.grid}: running'
        reached = [kind for kind, name in run.stages.items() if name in self._finished]
        return f'{reached[-1]} done' if reached else 'waiting'

    def _running_cell(self, kind: str, step: Step) -> str:
        if not step.trains:
            return f'{kind}: running'
        curve = outputs.curve(step, self._out)
        value = f', {step.metric} {100 * curve[-1][1]:.1f}' if curve else ''
        return f'{kind}: {estimate.units_done(step, self._out)}/{step.total}{value}'
