"""Runs steps as processes of their own, one study at a time in a folder."""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from official_rethink.common import errors

_POLL_SECONDS = 1.0
# For a training to save; a managed service kills everything about 30 seconds after its SIGTERM.
_GRACE_SECONDS = 25.0


class Executor(Protocol):
    """What runs a step's command and returns its exit code."""

    def __call__(self, module: str, arguments: list[str], log_path: str, poll: Callable[[], None]) -> int:
        """Runs `python -m module arguments`, appending to `log_path`, calls `poll` about every second."""


def command(module: str, arguments: list[str]) -> list[str]:
    """The command of a step."""
    return [sys.executable, '-m', module, *arguments]


def shares(jobs: int) -> list[tuple[int, ...]]:
    """Divides this process's CPU cores among `jobs` commands side by side; one alone is not bound.

    A command that sees its own cores only starts no more threads than these, and one study's steps do not
    disturb each other. With more jobs than cores some share one. Where cores cannot be chosen, none are.
    """
    if jobs == 1 or not hasattr(os, 'sched_getaffinity'):
        return [()] * jobs
    cores = sorted(os.sched_getaffinity(0))
    return [tuple(cores[job::jobs]) or (cores[job % len(cores)],) for job in range(jobs)]


class Processes:
    """An Executor of sub-processes, which die with the study and hold its lock as long as they live."""

    def __init__(self, lock: int, cores: Sequence[int] = ()):
        """Prepares the executor.

        Args:
            lock: the open file descriptor of the study's lock.
            cores: the CPU cores its commands run on; () leaves them all.
        """
        self._lock, self._cores = lock, ','.join(map(str, cores))

    def __call__(self, module: str, arguments: list[str], log_path: str, poll: Callable[[], None]) -> int:
        """See `Executor`."""
        tied = [sys.executable, '-m', 'official_rethink.study.child', str(os.getpid()), self._cores]
        with open(log_path, 'ab') as log:
            process = subprocess.Popen(
                tied + command(module, arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock,),
            )
        try:
            while True:
                try:
                    return process.wait(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    poll()
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def locked(out: str, patience: float = 30.0) -> Iterator[int]:
    """Holds the lock of a study's folder; yields its file descriptor.

    The lock is the kernel's (flock), so a killed study leaves none behind; its commands inherit it, so
    it stays taken while one of them can still write.

    Args:
        out: the study's folder.
        patience: seconds to wait for commands of a killed study to end.

    Raises:
        UserError: another study, or a command of one, is at work in the folder.
    """
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, '.lock')
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + patience
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                owner = os.pread(descriptor, 64, 0).decode(errors='replace').strip() or 'unknown'
                raise errors.UserError(
                    f"'{out}' is in use by the study with process id {owner}, or by a command it started; "
                    'wait for it, end it, or give another --output_dir.'
                )
            time.sleep(min(0.2, patience))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f'{os.getpid()}\n'.encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
