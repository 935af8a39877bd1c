"""How a command ends: exit codes, one line for a user's mistake, a traceback for ours."""

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
