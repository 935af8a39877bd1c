"""Kills `make study` at random moments, starts it again, and compares its record with an undisturbed run's.

    python -m tools.kill_study --output_dir=runs/kills --kills=10

Every round is a study of its own, shortened by overrides, killed once with SIGKILL: in turn the study's process
alone and everything that `make` started. Exit code 0 if every round ended with the undisturbed record.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from official_rethink.common import entry_point, files, progress
from tools import output_folder

# The teacher has to find something, or the study rightly stops.
SHORT = (
    'name=killed,seeds=[0],budget.teacher_steps=200,budget.student_steps=100,budget.validation_interval=50,'
    'data.scenes.num_unlabelled=100,data.scenes.num_validation=20,data.scenes.num_test=20,'
    'arms.self_training.score_threshold=0.1'
)


def make_study(output_dir: str, log: str) -> subprocess.Popen[bytes]:
    """Starts `make study` as a process group of its own."""
    command = ['make', 'study', f'STUDY_OUTPUT={output_dir}', f'ARGS=--params_override={SHORT}']
    with open(log, 'ab') as handle:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.STDOUT, start_new_session=True
        )


def record(output_dir: str) -> Any:
    """What has to be equal: the study's results without times."""
    from official_rethink.study import records  # noqa: PLC0415  brings TensorFlow, which is quietened first

    return records.without_times(files.read_json(os.path.join(output_dir, 'results.json')))


def study_process(group: int) -> int | None:
    """Process id of the study itself in a process group, None before it has started."""
    listed = subprocess.run(['ps', '-o', 'pid=,args=', '-g', str(group)], capture_output=True, text=True).stdout
    # The shell that make calls has the command among its arguments too; killed, it would leave the study running.
    lines = [line.split() for line in listed.splitlines()]
    found = [int(words[0]) for words in lines if words[2:4] == ['-m', 'official_rethink.study']]
    return found[0] if found else None


def kill(process: subprocess.Popen[bytes], alone: bool) -> str:
    """Kills the study alone, or all that make started; returns which."""
    pid = study_process(process.pid) if alone else None
    if pid is None:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    return 'everything' if pid is None else 'the study alone'


def steps_done(output_dir: str) -> int:
    """How many steps a study has finished."""
    return sum('done.json' in names for _, _, names in os.walk(output_dir))


def one_round(output_dir: str, moment: float, alone: bool, expected: Any) -> tuple[bool, str]:
    """One study, killed `moment` seconds after its start and started again; whether its record is as expected."""
    log = output_dir + '.log'
    process = make_study(output_dir, log)
    try:
        process.wait(timeout=moment)
        what = 'it had ended'
    except subprocess.TimeoutExpired:
        what = kill(process, alone)
    done = steps_done(output_dir)
    code = make_study(output_dir, log).wait()
    if code:
        return False, f'killed {what} after {done} steps; the second start ended with exit code {code}, see {log}'
    equal = record(output_dir) == expected
    return equal, f'killed {what} after {done} steps; record {"equal" if equal else "DIFFERS"}'


def main(argv: Sequence[str]) -> int:
    """Runs the undisturbed study, then the killed ones; returns the exit code."""
    parser = entry_point.Parser(prog='python -m tools.kill_study', description=__doc__)
    parser.add_argument('--output_dir', required=True, help='new folder for the studies and their logs')
    parser.add_argument('--kills', type=int, default=10, help='rounds')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    flags = parser.parse_args(argv)
    out = output_folder.make(flags.output_dir)
    start = time.monotonic()
    whole = os.path.join(out, 'undisturbed')
    if make_study(whole, whole + '.log').wait():
        print(f'the undisturbed study failed; see {whole}.log')
        return 1
    seconds = time.monotonic() - start
    print(f'undisturbed: {steps_done(whole)} steps in {progress.duration(seconds)}', flush=True)
    expected, draw, good = record(whole), random.Random(flags.seed), 0
    for number in range(flags.kills):
        moment = draw.uniform(0.0, seconds)
        folder = os.path.join(out, f'round{number}')
        equal, text = one_round(folder, moment, number % 2 == 0, expected)
        good += equal
        print(f'round {number}: at {moment:.1f}s, {text}', flush=True)
    print(f'{good} of {flags.kills} ended with the undisturbed record')
    return 0 if good == flags.kills else 1


if __name__ == '__main__':
    entry_point.run(main)
