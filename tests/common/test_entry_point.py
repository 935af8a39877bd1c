"""How a command ends: exit codes, one line for a user's mistake, a traceback for ours."""

import json
import os
import subprocess
import sys

import pytest

from official_rethink.common import entry_point, errors


def _exit(main, monkeypatch, argv=()):
    monkeypatch.setattr(entry_point.sys, 'argv', ['command', *argv])
    with pytest.raises(SystemExit) as stop:
        entry_point.run(main)
    return stop.value.code


def _raise(error):
    def main(argv):
        raise error

    return main


def test_success_and_own_codes(monkeypatch):
    assert _exit(lambda argv: None, monkeypatch) == 0
    assert _exit(lambda argv: 3, monkeypatch) == 3


def test_user_error_is_one_line(monkeypatch, capsys):
    assert _exit(_raise(errors.UserError('flag x is wrong.')), monkeypatch) == 2
    assert capsys.readouterr().err == 'error: flag x is wrong.\n'


def test_interrupt_has_its_code(monkeypatch):
    assert _exit(_raise(KeyboardInterrupt()), monkeypatch) == 130


def test_our_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(entry_point.sys, 'argv', ['command'])
    with pytest.raises(AssertionError):
        entry_point.run(_raise(AssertionError('a bug')))


def test_unknown_flag_names_the_nearest():
    parser = entry_point.Parser(prog='prepare')
    parser.add_argument('--num_images')
    with pytest.raises(errors.UserError, match=r"'--num_image' .*Did you mean '--num_images'"):
        parser.parse_args(['--num_image=3'])


def test_missing_flag_names_the_help():
    parser = entry_point.Parser(prog='prepare')
    parser.add_argument('--seed', required=True)
    with pytest.raises(errors.UserError, match='--seed.*prepare --help'):
        parser.parse_args([])


# A program whose iterator is taken apart only if Python does so, with what is due at its end.
_PROGRAM = """
import atexit, sys, threading, time
import tensorflow  # what makes leaving worth while; a stand-in does
from official_rethink.common import entry_point

kept = []

class Slow:
    def __del__(self):
        print('taken apart', flush=True)

def late():
    time.sleep(0.2)
    print('thread')

def main(argv):
    kept.append(Slow())
    atexit.register(print, 'at exit')
    threading.Thread(target=late).start()
    print('main')
    return 3

if __name__ == '__main__':
    {run}
"""


@pytest.fixture
def ended(tmp_path):
    """Runs the program, whose last line and environment may be given; returns its exit code and what it printed."""
    (tmp_path / 'tensorflow.py').write_text('')

    def end(run='entry_point.run(main)', **environment):
        program = tmp_path / 'program.py'
        program.write_text(_PROGRAM.format(run=run))
        command, environment = [sys.executable, str(program)], {**os.environ, 'PYTHONPATH': os.getcwd(), **environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ''
        return done.returncode, done.stdout.splitlines()

    return end


_LEFT = ['main', 'thread', 'at exit']
_WHOLE = [*_LEFT, 'taken apart']


def test_memory_is_left_to_the_system_and_all_else_done(ended):
    assert ended() == (3, _LEFT)


def test_without_tensorflow_python_ends_as_ever(ended):
    assert ended("del sys.modules['tensorflow']; entry_point.run(main)") == (3, _WHOLE)


def test_a_profiler_gets_its_end(ended):
    assert ended('import cProfile; cProfile.Profile().enable(); entry_point.run(main)') == (3, _WHOLE)


@pytest.mark.parametrize(('workers', 'lines'), [(1, _LEFT), (2, _WHOLE)])
def test_machines_take_their_leave_of_each_other(ended, workers, lines):
    addresses = [f'localhost:{9000 + index}' for index in range(workers)]
    config = json.dumps({'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': 0}})
    assert ended(TF_CONFIG=config) == (3, lines)


def test_an_installed_script_is_a_program_too(ended):
    assert ended('command = main; del main; entry_point.run(command, is_program=True)') == (3, _LEFT)


def test_another_program_that_runs_a_command_goes_on(ended):
    run = """
    try:
        entry_point.run(lambda argv: 3)
    except SystemExit as end:
        print('code', end.code)
    """
    assert ended(run) == (0, ['code 3'])
