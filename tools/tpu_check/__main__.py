"""Entry point of `make tpu-check`: each listed step through both halves, a table, and what is in the way.

One step is lowered and compiled at a time, each in a process of its own, so that memory is given back. What is done is
kept in --output, keyed by the step and the code, and not done again.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from official_rethink.common import entry_point, errors
from official_rethink.study import steps
from tools import source_tree
from tools.tpu_check import report
from tools.tpu_check import steps as listed

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_COMPILER = os.path.join(_ROOT, 'tools', 'tpu_check', 'compile.py')


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns 1 where a step does not compile or does not fit."""
    parser = entry_point.Parser(prog='python -m tools.tpu_check', description=__doc__.split('\n\n')[0])
    names = [step.name for step in listed.STEPS]
    parser.add_argument('--steps', default=','.join(names), help='which, with commas between them (default: all)')
    parser.add_argument(
        '--precisions', default=','.join(listed.PRECISIONS), help='of these both (default) or one: bfloat16,float32'
    )
    parser.add_argument('--slice', default='', help="another slice than the step's, such as v5e:4x8")
    parser.add_argument('--output', default='build/tpu_check', help='folder of what was found')
    parser.add_argument('--tpu_python', default='.venv-tpu/bin/python', help='with jax and libtpu')
    args = parser.parse_args(argv)
    chosen = _chosen('--steps', args.steps, names)
    precisions = _chosen('--precisions', args.precisions, listed.PRECISIONS)
    slice_of = _checked_slice(args.slice)
    if not os.path.exists(args.tpu_python):
        raise errors.bad_value('tpu_python', args.tpu_python, 'a Python with jax and libtpu: `make tpu-check`')
    code, outcomes = _code(), []
    for step in (step for step in listed.STEPS if step.name in chosen):
        step = dataclasses.replace(step, slice=slice_of or step.slice)
        outcomes += [_outcome(step, precision, code, args) for precision in precisions]
    sys.stdout.write(f'GiB of one core\n{report.table(outcomes)}\n')
    for outcome in outcomes:
        for problem in report.problems(outcome):
            sys.stdout.write(f"{outcome['step']} {outcome['precision']}: {problem}\n")
    return 0 if all(map(report.passed, outcomes)) else 1


def _chosen(flag: str, text: str, allowed: Iterable[str]) -> list[str]:
    """Splits a flag's list; every name must be an allowed one."""
    found = [name.strip() for name in text.split(',') if name.strip()]
    for name in found:
        if name not in allowed:
            raise errors.unknown_name(flag, name, allowed)
    if not found:
        raise errors.bad_value(flag, text, f'some of {", ".join(allowed)}')
    return found


def _checked_slice(text: str) -> str:
    if not text:
        return ''
    kind, _, sides = text.partition(':')
    numbers = sides.split('x')
    good = kind == 'v5e' and len(numbers) == 2 and all(part.isdigit() and int(part) > 0 for part in numbers)
    if not good or text == 'v5e:1x1':
        raise errors.bad_value('slice', text, 'v5e: and rows x columns of at least two chips, as v5e:2x2', '--slice')
    return text


def _sources() -> list[str]:
    """The modules that decide what a step is lowered to: whatever the lowering imports, in turn."""
    known = source_tree.modules(_ROOT, ('official_rethink', 'tools'))
    found: set[str] = set()
    waiting = ['tools.tpu_check.lower', 'tools.tpu_check.compile']
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += source_tree.imports(name, known[name], known, _ROOT)
    return [known[name] for name in sorted(found)]


def _code() -> str:
    """A hash of the code, without its comments, and of the locks of both environments."""
    parts = [_read(path) for path in ('requirements.lock', 'requirements-tpu.lock')]
    return _hash([*parts, *(steps.code_of(_read(path)) for path in _sources())])


def _key(step: listed.Step, precision: str, code: str) -> str:
    """What a result hangs on: the step, its config and `_code`."""
    return _hash([repr(step), precision, _read(step.config_file) if step.config_file else '', code])


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()


def _read(path: str) -> str:
    with open(os.path.join(_ROOT, path), encoding='utf-8') as handle:
        return handle.read()


def _outcome(step: listed.Step, precision: str, code: str, args: Any) -> dict[str, Any]:
    """Lowers and compiles one step, or reads what was found before."""
    os.makedirs(args.output, exist_ok=True)
    stem = os.path.join(args.output, f'{step.name}_{precision}')
    kept, key = f'{stem}.json', _key(step, precision, code)
    if os.path.exists(kept):
        with open(kept, encoding='utf-8') as handle:
            found = json.load(handle)
        if found.get('key') == key:
            return found
    sys.stderr.write(f'{step.name} {precision}: lowering\n')
    outcome: dict[str, Any] = {'step': step.name, 'precision': precision, 'slice': step.slice, 'key': key}
    lower = [sys.executable, '-m', 'tools.tpu_check.lower', f'--step={step.name}', f'--precision={precision}']
    outcome['lowered'] = _run([*lower, f'--slice={step.slice}', f'--hlo={stem}.hlo'], f'{stem}.lowered')
    if os.path.exists(f'{stem}.hlo'):
        sys.stderr.write(f'{step.name} {precision}: compiling for {step.slice}\n')
        compiler = [args.tpu_python, _COMPILER, f'--hlo={stem}.hlo', f'--slice={step.slice}']
        outcome['compiled'] = _run(compiler, f'{stem}.compiled')
        os.remove(f'{stem}.hlo')
    with open(f'{kept}.tmp', 'w', encoding='utf-8') as handle:
        json.dump(outcome, handle)
    os.replace(f'{kept}.tmp', kept)
    sys.stderr.write(f'{report.table([outcome])}\n')
    return outcome


def _run(command: list[str], path: str) -> dict[str, Any]:
    """Runs one half; returns its report.

    Raises:
        UserError: it wrote none; what it said is on the screen.
    """
    if os.path.exists(path):
        os.remove(path)
    with open(f'{path}.log', 'w', encoding='utf-8') as log:
        code = subprocess.run([*command, f'--report={path}'], stderr=log, check=False).returncode
    if not os.path.exists(path):
        with open(f'{path}.log', encoding='utf-8') as log:
            sys.stderr.write(log.read()[-4000:])
        words = f'`{" ".join(command)}` ended with {code} and without a report; its last words are above.'
        raise errors.UserError(words)
    with open(path, encoding='utf-8') as handle:
        found = json.load(handle)
    os.remove(path)
    return found


if __name__ == '__main__':
    entry_point.run(main)
