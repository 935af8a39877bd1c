"""Work over processes: order, bounded memory, errors, no orphans."""

import os
import subprocess
import sys
import time

import pytest

from official_rethink.common import errors
from official_rethink.data import workers


def square(value: int) -> int:
    if value < 0:
        raise ValueError(f'negative: {value}')
    return value * value


def die(value: int) -> int:
    os._exit(value)


@pytest.mark.parametrize('processes', [1, 2])
def test_results_come_in_order(processes: int):
    assert list(workers.ordered_map(square, range(50), processes)) == [i * i for i in range(50)]


def test_items_are_taken_only_a_few_chunks_ahead():
    """With N items, memory holds a fixed number of them, not N."""
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    results = workers.ordered_map(square, items(), 2)
    most_ahead = 0
    for done, _ in enumerate(results, 1):
        most_ahead = max(most_ahead, len(taken) - done)
    assert done == len(taken) == 1000
    assert 8 <= most_ahead <= 8 * 3 * 2


def test_an_error_in_a_process_comes_through_and_leaves_none_running():
    with pytest.raises(ValueError, match='negative: -1'):
        list(workers.ordered_map(square, [1, -1], 2))


def test_a_killed_process_is_named():
    with pytest.raises(errors.UserError, match='one of the 2 processes ended without a word.*--processes'):
        list(workers.ordered_map(die, [9], 2))


@pytest.mark.parametrize('processes', [0, -1])
def test_no_processes_is_an_error(processes: int):
    with pytest.raises(errors.UserError, match=f'processes is {processes}.*from 1'):
        list(workers.ordered_map(square, [1], processes))


PARENT = """
import os, signal, sys, time
from official_rethink.data import workers
from tests.data import test_workers
if __name__ == '__main__':
    for pid in workers.ordered_map(test_workers.report, range(40), 2):
        print(pid, flush=True)
        if pid != os.getpid() and len(sys.argv) < 3:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def report(value: int) -> int:
    if value >= 8:
        time.sleep(60)
    return os.getpid()


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(PARENT)
    path = os.pathsep.join([*filter(None, sys.path), os.getcwd()])
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': path},
        timeout=120,
        check=False,
    )
    assert done.returncode == -9
    worker = int(done.stdout.split()[0])
    deadline = time.monotonic() + 10
    while os.path.exists(f'/proc/{worker}') and time.monotonic() < deadline:
        if 'Z' in open(f'/proc/{worker}/stat').read().rsplit(')', 1)[1].split()[0]:
            break  # ended; only waits for whoever inherited it to take note
        time.sleep(0.05)
    else:
        assert not os.path.exists(f'/proc/{worker}')
