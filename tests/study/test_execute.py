"""Real processes: exit codes, logs, the lock, and what a SIGKILL of the study leaves behind."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from official_rethink.common import errors
from official_rethink.study import execute

_ROOT = pathlib.Path(__file__).parents[2]


def _alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'


def _wait(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_exit_code_and_output_of_a_command(tmp_path):
    log = tmp_path / 'log.txt'
    with execute.locked(str(tmp_path)) as lock:
        run = execute.Processes(lock)
        assert run('this', [], str(log), lambda: None) == 0
        assert run('no.such.module', [], str(log), lambda: None) == 1
    text = log.read_text()
    assert 'Beautiful is better than ugly.' in text  # the module `this` prints the Zen of Python
    assert text.index('Beautiful') < text.index('no.such.module')  # appended, not overwritten


def test_a_second_study_in_the_same_folder_is_refused(tmp_path):
    with execute.locked(str(tmp_path)):
        with pytest.raises(errors.UserError, match=f'process id {os.getpid()}'):
            with execute.locked(str(tmp_path), patience=0.1):
                pass
    with execute.locked(str(tmp_path), patience=0):
        pass


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends a process with its parent on request')
def test_a_killed_study_takes_its_command_along_and_frees_the_folder(tmp_path):
    pid_file = tmp_path / 'pid'
    keeper = subprocess.Popen(
        [sys.executable, '-m', 'tests.study.keeper', str(tmp_path), str(pid_file)], cwd=_ROOT
    )
    try:
        assert _wait(lambda: pid_file.exists() and pid_file.read_text())
        command = int(pid_file.read_text())
        assert _alive(command) and command != keeper.pid
        with pytest.raises(errors.UserError, match=f'process id {keeper.pid}'):
            with execute.locked(str(tmp_path), patience=0.1):
                pass
        keeper.send_signal(signal.SIGKILL)
        keeper.wait()
        assert _wait(lambda: not _alive(command))
        with execute.locked(str(tmp_path), patience=5):
            pass
    finally:
        keeper.kill()
        keeper.wait()


def test_a_study_that_is_told_to_stop_lets_its_command_save(tmp_path):
    pid_file = tmp_path / 'pid'
    command = [sys.executable, '-m', 'tests.study.keeper', str(tmp_path), str(pid_file), 'saver']
    keeper = subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert _wait(lambda: pid_file.exists() and pid_file.read_text())
        keeper.send_signal(signal.SIGTERM)
        _, told = keeper.communicate(timeout=20)
        assert keeper.returncode == 143
        assert told == 'stopped by SIGTERM; start the same command again to go on.\n'
        assert pid_file.read_text() == 'saved'
        assert 'stopped by SIGTERM' in (tmp_path / 'log.txt').read_text()
    finally:
        keeper.kill()
        keeper.wait()


def test_a_command_that_outlives_its_study_keeps_the_folder(tmp_path):
    """Where the kernel does not end it, the inherited lock does the guarding."""
    with execute.locked(str(tmp_path)) as lock:
        orphan = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], pass_fds=(lock,))
    try:
        with pytest.raises(errors.UserError, match='in use by'):
            with execute.locked(str(tmp_path), patience=0.3):
                pass
    finally:
        orphan.kill()
        orphan.wait()
    with execute.locked(str(tmp_path), patience=5):
        pass


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='this system does not bind processes to cores')
def test_commands_side_by_side_divide_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {4, 5, 6, 7, 9})
    assert execute.shares(1) == [()]
    assert execute.shares(2) == [(4, 6, 9), (5, 7)]
    assert execute.shares(7) == [(4,), (5,), (6,), (7,), (9,), (4,), (5,)]
    monkeypatch.undo()
    core = max(os.sched_getaffinity(0))
    log = tmp_path / 'log.txt'
    with execute.locked(str(tmp_path)) as lock:
        run = execute.Processes(lock, [core])
        assert run('tests.study.cores', [], str(log), lambda: None) == 0
    assert log.read_text().split() == [str(core)]
