"""Takes a plan's steps, as many at a time as it may; what is finished and unchanged is skipped."""

import concurrent.futures
import dataclasses
import glob
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from official_rethink.common import errors, files
from official_rethink.study import execute, outputs
from official_rethink.study import steps as steps_module
from official_rethink.study.plan import Plan
from official_rethink.study.steps import Step

DONE, STARTED, LOG = 'done.json', 'started.json', 'log.txt'
ON_CHANGED = ('error', 'rerun', 'keep')
_TAIL_LINES = 15


class Stopped(Exception):
    """Ends a command because the study ends."""


@dataclasses.dataclass(frozen=True)
class State:
    """How a step stands: 'done', 'started', 'changed' or 'waiting'.

    Attributes:
        word: see above; 'changed' is a folder made from other inputs than those of now.
        inputs: what its result depends on; {} while a step it needs is not done.
        reason: of 'changed', what differs.
    """

    word: str
    inputs: dict[str, Any]
    reason: str = ''


def state(plan: Plan, step: Step, out: str, digests: dict[str, str]) -> State:
    """Says how a step stands.

    Args:
        plan: the plan.
        step: the step.
        out: the study's folder.
        digests: of the products of the steps that are done.
    """
    if any(name not in digests for name in step.needs):
        return State('waiting', {})
    inputs = {
        **step.settings(),
        'code': steps_module.code_version(step.module),
        'needs': {name: digests[name] for name in step.needs},
        'files': steps_module.fingerprint(step.inputs),
    }
    folder = step.folder(out)
    for word, name in (('done', DONE), ('started', STARTED)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            kept = files.read_json(path)
            if kept['key'] != files.hash_of(inputs):
                return State('changed', inputs, _difference(kept['inputs'], inputs))
            if word == 'started' or not steps_module.missing_products(step, out):
                return State(word, inputs)
    return State('waiting', inputs)


def _difference(old: Any, new: Any, key: str = '') -> str:
    """Names the first few values that differ."""
    return '; '.join(_differences(old, new, key)[:3])


def _differences(old: Any, new: Any, key: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        found: list[str] = []
        for name in names:
            found += _differences(old.get(name), new.get(name), f'{key}.{name}'.strip('.'))
        return found
    if isinstance(old, list) and isinstance(new, list):
        gone, come = [item for item in old if item not in new], [item for item in new if item not in old]
        return [f'{key}: {gone} became {come}'] if gone or come else []
    return [f'{key}: {old!r} became {new!r}'] if old != new else []


def digests_of_done(plan: Plan, out: str) -> dict[str, str]:
    """Product digests of the steps that are done; what needs one that is not is not done either."""
    digests: dict[str, str] = {}
    for step in plan.steps.values():
        if state(plan, step, out, digests).word == 'done':
            digests[step.name] = files.read_json(os.path.join(step.folder(out), DONE))['products']
    return digests


_UnderWay = dict[concurrent.futures.Future[None], tuple[Step, execute.Executor]]


class Runner:
    """Runs a plan in a folder."""

    def __init__(
        self,
        plan: Plan,
        out: str,
        executors: Sequence[execute.Executor],
        on_changed: str = 'error',
        screen: Callable[[Step, str], None] = lambda step, event: None,
    ):
        """Prepares the run.

        Args:
            plan: the steps.
            out: the study's folder.
            executors: each runs one command at a time; as many steps are taken side by side.
            on_changed: at a folder made from other inputs, 'error' stops; 'rerun' empties it and starts anew;
                'keep' takes what is finished as it is and notes so in its record.
            screen: called with a step and 'running', 'done' or 'skipped', from any thread.
        """
        self._plan, self._out = plan, out
        self._on_changed, self._screen = on_changed, screen
        self._free = list(executors)
        self._pool = concurrent.futures.ThreadPoolExecutor(len(executors))
        self._stop = threading.Event()
        self._digests: dict[str, str] = {}

    def run(self) -> None:
        """Takes every step that is not done, in the plan's order as far as what they need allows.

        Raises:
            UserError: a step failed, found nothing, or its folder holds something else's result. The
                steps beside it are ended; started again, they go on.
        """
        waiting = list(self._plan.steps.values())
        under_way: _UnderWay = {}
        try:
            while waiting or under_way:
                ready = next((step for step in waiting if all(name in self._digests for name in step.needs)), None)
                if ready is not None and self._free:
                    waiting.remove(ready)
                    self._begin(ready, under_way)
                    continue
                finished, _ = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    step, executor = under_way.pop(future)
                    future.result()
                    self._free.append(executor)
                    self._end(step, 'done')
        finally:
            self._stop.set()
            self._pool.shutdown()

    def _begin(self, step: Step, under_way: _UnderWay) -> None:
        """Hands the step to a free executor, or finds it done."""
        current = state(self._plan, step, self._out, self._digests)
        kept = current.word == 'changed' and self._keep_or_clear(step, current.reason)
        if kept or current.word == 'done':
            self._end(step, 'skipped')
        else:
            executor = self._free.pop(0)
            under_way[self._pool.submit(self._take, step, current.inputs, executor)] = (step, executor)

    def _end(self, step: Step, event: str) -> None:
        self._screen(step, event)
        self._digests[step.name] = files.read_json(os.path.join(step.folder(self._out), DONE))['products']
        self._check_useful(step)

    def _keep_or_clear(self, step: Step, reason: str) -> bool:
        """Whether a folder made from other inputs is taken as it is; else it is gone, or the study stops."""
        folder = step.folder(self._out)
        done = os.path.join(folder, DONE)
        finished = os.path.exists(done) and not steps_module.missing_products(step, self._out)
        if self._on_changed == 'keep' and finished:
            files.write_json(done, files.read_json(done) | {'kept_although': reason})
            return True
        if self._on_changed == 'rerun':
            shutil.rmtree(folder)
            return False
        keep = ', or --on_changed=keep to take its result as it is' if finished else ''
        raise errors.UserError(
            f"'{folder}' was made from other inputs ({reason}). Give another --output_dir, or "
            f'--on_changed=rerun to empty this folder and do the step again{keep}.'
        )

    def _poll(self, step: Step) -> None:
        if self._stop.is_set():
            raise Stopped
        self._screen(step, 'running')

    def _take(self, step: Step, inputs: dict[str, Any], executor: execute.Executor) -> None:
        folder = step.folder(self._out)
        os.makedirs(folder, exist_ok=True)
        key = files.hash_of(inputs)
        files.write_json(os.path.join(folder, STARTED), {'key': key, 'inputs': inputs})
        config = step.filled_config(self._out)
        if config is not None:
            files.write_text(os.path.join(folder, 'study.yaml'), outputs.to_yaml(config))
        arguments = step.filled_arguments(self._out)
        log = os.path.join(folder, LOG)
        self._poll(step)
        start = time.time()
        code = executor(step.module, arguments, log, lambda: self._poll(step))
        seconds = time.time() - start
        if code and not steps_module.ended_early(step, self._out):
            raise errors.UserError(_failure(step, arguments, code, log))
        missing = steps_module.missing_products(step, self._out)
        if missing:
            raise errors.UserError(
                f'step {step.name} ended without {", ".join(missing)} in {folder!r}; its log is {log!r}.'
            )
        files.write_json(
            os.path.join(folder, DONE),
            {
                'key': key,
                'products': steps_module.product_digest(step, self._out),
                'seconds': round(seconds, 3),
                'finished': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
                'command': ['python', '-m', step.module, *arguments],
                'inputs': inputs,
            },
        )

    def _check_useful(self, step: Step) -> None:
        """Stops where going on would train students on nothing."""
        if step.kind == 'teacher' or (step.kind == 'student' and self._plan.teaches(step.name)):
            outputs.check_teacher(step, self._out)
        elif step.kind == 'student':
            outputs.check_result(step, self._out)
        elif step.kind == 'pretraining':
            outputs.check_pretraining(step, self._out)
        elif step.kind == 'label':
            arms = [run.arm for run in self._plan.sharing(step.name)]
            thresholds = {arm.name: arm.score_threshold for arm in arms}
            outputs.check_pseudo_labels(step, self._out, thresholds, self._plan.kind)


def _failure(step: Step, arguments: list[str], code: int, log: str) -> str:
    how = f'was killed by {signal.Signals(-code).name}' if code < 0 else f'ended with exit code {code}'
    with open(log, encoding='utf-8', errors='replace') as handle:
        tail = [line.rstrip() for line in handle.read().replace('\r', '\n').splitlines() if line.strip()]
    shown = '\n  '.join(tail[-_TAIL_LINES:]) or '(it wrote nothing)'
    return (
        f'step {step.name} {how}. Its last lines:\n  {shown}\n'
        f'The whole log: {log}\n'
        f'The command: {" ".join(["python", "-m", step.module, *arguments])}\n'
        'Once mended, start the study again; finished steps are kept'
    )


def clean_temporary(out: str) -> None:
    """Removes what an atomic write left when it was killed; call only under the lock."""
    for path in glob.glob(os.path.join(glob.escape(out), '**', '*.json.*.tmp'), recursive=True):
        os.remove(path)


def remaining(plan: Plan, out: str) -> list[Step]:
    """The steps not done, in order."""
    done = digests_of_done(plan, out)
    return [step for step in plan.steps.values() if step.name not in done]
