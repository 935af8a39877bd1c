"""What every test relies on: a quiet start, few threads, two virtual devices, counts per step."""

import collections
import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from official_rethink.common import entry_point
from tests import next_set

# Both before TensorFlow is imported anywhere. Two test processes share the machine.
entry_point.quieten()
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MPLBACKEND', 'Agg')

# A shell starts what it puts into the background with SIGINT ignored, and commands leave what is ignored alone.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

VIRTUAL_DEVICES = 2


def _runs_tests(config: pytest.Config) -> bool:
    """Whether tests run in this process: not where it only hands them to others."""
    return hasattr(config, 'workerinput') or not getattr(config.option, 'numprocesses', None)


def pytest_configure(config: pytest.Config) -> None:
    """Fixes TensorFlow's devices and threads, which cannot change after its first operation."""
    if not _runs_tests(config):
        return
    import tensorflow as tf

    alone = not hasattr(config, 'workerinput')
    tf.config.threading.set_intra_op_parallelism_threads(2 if alone else 1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.config.set_visible_devices([], 'GPU')
    cpu = tf.config.list_physical_devices('CPU')[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * VIRTUAL_DEVICES
    tf.config.set_logical_device_configuration(cpu, halves)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what is known to fail on the next set, there."""
    if next_set.is_next():
        next_set.mark(items, config.args)


@pytest.fixture(scope='module', autouse=True)
def _bounded_memory() -> Iterator[None]:
    """Drops graphs and models after each test module; they would add up over a session."""
    if 'tensorflow' in sys.modules:
        # A command run in this process asks for determinism, which has no public way back.
        from tensorflow.python.framework import config

        config.disable_op_determinism()
    yield
    if 'tensorflow' in sys.modules:
        sys.modules['tensorflow'].keras.backend.clear_session()
    gc.collect()


def step_of(nodeid: str) -> str:
    """Returns the step a test belongs to: its folder under tests/, or 'repository' at the top."""
    parts = nodeid.split('::')[0].split('/')
    return parts[1] if len(parts) > 2 else 'repository'


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints how many tests of each step ran, and how they ended."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in ('passed', 'failed', 'error', 'skipped'):
        for report in terminalreporter.stats.get(outcome, []):
            counts[step_of(report.nodeid)][outcome] += 1
    if not counts:
        return
    terminalreporter.section('tests per step')
    width = max(map(len, counts))
    for step, outcomes in sorted(counts.items()):
        ends = ', '.join(f'{number} {outcome}' for outcome, number in outcomes.items())
        terminalreporter.write_line(f'{step:<{width}}  {ends}')
