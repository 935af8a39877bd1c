"""What a study still costs, from what its finished steps took; unknown is said, not guessed."""

import dataclasses
import os

from official_rethink.common import files, progress
from official_rethink.study import outputs, runner
from official_rethink.study.plan import Plan
from official_rethink.study.steps import Step


@dataclasses.dataclass(frozen=True)
class Left:
    """What is left to pay.

    Attributes:
        seconds: of the steps whose rate is known.
        unknown: kinds of steps of which none has run long enough to be measured.
    """

    seconds: float
    unknown: tuple[str, ...]

    def words(self) -> str:
        """For a person: '12m05s', or that and what is not in it."""
        known = progress.duration(self.seconds)
        if not self.unknown:
            return known
        kinds = ', '.join(self.unknown)
        if not self.seconds:
            return f'unknown until a first step has been measured ({kinds})'
        return f'{known} and the time of steps not yet measured ({kinds})'


def _kind(step: Step) -> str:
    # A teacher and a supervised arm of one role differ in length only, so the rate of one holds for the other.
    return step.role or step.kind


def rates(plan: Plan, out: str) -> dict[str, float]:
    """Seconds for a unit of each kind of step, from all steps that were measured, unfinished runs too."""
    seconds: dict[str, float] = {}
    units: dict[str, float] = {}
    for step in plan.steps.values():
        measured = _measured(step, out)
        if measured:
            seconds[_kind(step)] = seconds.get(_kind(step), 0.0) + measured[0]
            units[_kind(step)] = units.get(_kind(step), 0.0) + measured[1]
    return {kind: seconds[kind] / units[kind] for kind in seconds}


def _measured(step: Step, out: str) -> tuple[float, float] | None:
    folder = step.folder(out)
    done, spent = os.path.join(folder, runner.DONE), os.path.join(folder, 'cost.json')
    cost = files.read_json(spent) if step.trains and os.path.exists(spent) else {}
    if os.path.exists(done) and step.total:
        # The command's time has start and evaluations in it, but of a resumed run only the last part.
        return max(files.read_json(done)['seconds'], cost.get('seconds', 0.0)), step.total
    if cost.get('steps', 0) > 0 and cost.get('seconds', 0) > 0:
        return cost['seconds'], cost['steps']
    return None


def units_done(step: Step, out: str) -> int:
    """Training steps that an unfinished run has behind it."""
    lines = outputs.metrics(step, out) if step.trains else []
    return min(step.total, int(lines[-1]['step'])) if lines else 0


def left(plan: Plan, out: str, remaining: list[Step], jobs: int = 1) -> Left:
    """What the remaining steps cost, `jobs` of them side by side at the rates measured so far."""
    known = rates(plan, out)
    seconds, unknown = 0.0, []
    for step in remaining:
        rate = known.get(_kind(step))
        if rate is None:
            unknown.append(step.kind)
        else:
            seconds += rate * (step.total - units_done(step, out))
    return Left(seconds / max(1, min(jobs, len(remaining))), tuple(dict.fromkeys(unknown)))


def plan_text(plan: Plan, out: str, on_changed: str, jobs: int = 1) -> str:
    """The plan as `--dry_run` prints it."""
    digests: dict[str, str] = {}
    remaining, lines, changed = [], [], False
    for step in plan.steps.values():
        current = runner.state(plan, step, out, digests)
        word, done = current.word, os.path.join(step.folder(out), runner.DONE)
        if word == 'done' or (word == 'changed' and on_changed == 'keep' and os.path.exists(done)):
            digests[step.name] = files.read_json(done)['products']
        else:
            remaining.append(step)
        if word == 'started' and step.trains:
            word = f'at {units_done(step, out)}'
        users = sorted({run.arm.name for run in plan.sharing(step.name)})
        shared = f'  for {", ".join(users)}' if users else ''
        lines.append(f'  {word:<10} {step.total:>8} {step.unit:<9} {step.name}{shared}')
        if current.word == 'changed':
            changed = True
            lines.append(f'             made from other inputs: {current.reason}')
    training = [step for step in remaining if step.trains]
    steps = sum(step.total - units_done(step, out) for step in training)
    images = sum((step.total - units_done(step, out)) * step.images_per_step for step in training)
    labelled = sum(step.total for step in remaining if step.kind == 'label')
    lines += [
        '',
        f'{len(remaining)} of {len(plan.steps)} steps to do: {steps:,} training steps on {images:,} images, '
        f'{labelled:,} images to label.',
        f'time left: {left(plan, out, remaining, jobs).words()}.' if remaining else 'nothing left to do.',
    ]
    if changed and on_changed == 'error':
        lines.append(
            'A run would stop at the first changed step; --on_changed=rerun does such steps again, '
            '--on_changed=keep takes finished ones as they are.'
        )
    return '\n'.join(lines)
