"""A signal ends a command at once, or, while something would be lost, is noted."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from official_rethink.common import entry_point, stopping


def _run(main, monkeypatch):
    monkeypatch.setattr(entry_point.sys, 'argv', ['command'])
    with pytest.raises(SystemExit) as stop:
        entry_point.run(main)
    return stop.value.code


def _send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_ends_with_the_code_of_the_signal(number, code, monkeypatch, capsys):
    before = signal.getsignal(number)
    cleaned = []

    def main(argv):
        try:
            _send(number)
        finally:
            cleaned.append(True)

    assert _run(main, monkeypatch) == code
    assert cleaned == [True]
    assert 'start the same command again to go on' in capsys.readouterr().err
    assert signal.getsignal(number) == before


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_what_would_be_lost_is_saved_first(number, monkeypatch, capsys):
    done = []

    def main(argv):
        hold = stopping.Hold()
        hold.take()
        hold.take()
        _send(number)
        done.append('a step')
        assert stopping.requested() == number
        done.append('saved')
        hold.free()
        hold.free()
        raise stopping.Stopped(stopping.requested(), ' after step 7 of 9.')

    assert _run(main, monkeypatch) == 128 + number
    assert done == ['a step', 'saved']
    assert capsys.readouterr().err == f'stopped by {signal.Signals(number).name} after step 7 of 9.\n'
    assert stopping.requested() == 0


def test_a_second_ctrl_c_does_not_wait(monkeypatch):
    monkeypatch.setattr(stopping, '_IMPATIENT_AFTER', 0.0)

    def main(argv):
        hold = stopping.Hold()
        hold.take()
        try:
            _send(signal.SIGINT)
            _send(signal.SIGINT)
        finally:
            hold.free()
        raise AssertionError('the second one was only noted')

    assert _run(main, monkeypatch) == 130


def test_an_ignored_signal_stays_ignored(monkeypatch):
    """As of a command that nohup, or a shell in the background, has started."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _run(lambda argv: _send(signal.SIGINT), monkeypatch) == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signals_that_a_library_has_taken_come_back(number, monkeypatch):
    """The library sets its handler below Python, which does not learn of it."""

    def main(argv):
        ctypes.CDLL(None).signal(int(number), ctypes.c_void_p(1))  # SIG_IGN, as C says it
        stopping.renew()
        _send(number)

    assert _run(main, monkeypatch) == 128 + number


def test_another_machine_s_end_has_its_code(monkeypatch, capsys):
    def main(argv):
        raise stopping.PeerLost('another machine is gone')

    assert _run(main, monkeypatch) == 138
    assert capsys.readouterr().err == 'error: another machine is gone\n'


def test_told_by_another_machine():
    assert stopping.Stopped(0).exit_code == 143
    assert stopping.Stopped(0).words() == 'stopped; start the same command again to go on.'


def test_a_process_that_does_not_end_is_ended():
    code = 'import time; from official_rethink.common import stopping; stopping.end_in(1); time.sleep(60)'
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == -signal.SIGALRM


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT, None])
def test_a_call_that_lets_no_signal_through_is_ended_by_the_system(sent):
    """The main thread never comes back to Python, as in TensorFlow's wait for the other machines."""
    code = f"""if True:
        import ctypes
        from official_rethink.common import entry_point, stopping

        def main(argv):
            with stopping.at_the_system({60 if sent else 1}):
                print('ready', flush=True)
                ctypes.PyDLL(None).sleep(60)  # keeps the interpreter's lock

        entry_point.run(main)
    """
    waiting = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    try:
        assert waiting.stdout.readline() == 'ready\n'
        if sent:
            waiting.send_signal(sent)
        assert waiting.wait(timeout=30) == -(sent or signal.SIGALRM)
    finally:
        waiting.kill()
        waiting.communicate()


def test_signals_are_ours_again_after_such_a_call(monkeypatch):
    def main(argv):
        with stopping.at_the_system(60):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.alarm(0) == 0
        _send(signal.SIGTERM)

    assert _run(main, monkeypatch) == 143
