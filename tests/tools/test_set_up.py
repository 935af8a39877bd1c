"""Setting up is done once, done anew when the lock changes, and never left half-way."""

import multiprocessing
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tools import set_up

Calls = list[tuple[str, bool]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with small locks."""
    for name in (set_up.BUILD_LOCK, *set_up.LOCKS.values()):
        (tmp_path / name).write_text(f'{name.replace(".", "-")}==1.0\n')
    monkeypatch.setattr(set_up, 'ROOT', str(tmp_path))
    return tmp_path


@pytest.fixture
def calls(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was installed: the kind, and whether something was installed there before.

    The environment is one empty file and what pip would install another, so nothing is downloaded.
    """
    made: Calls = []

    def create(environment: str) -> None:
        shutil.rmtree(environment, ignore_errors=True)
        Path(environment, 'bin').mkdir(parents=True)
        Path(environment, 'bin', 'python').touch()

    def install(kind: str, environment: str) -> None:
        package = Path(environment, 'package')
        made.append((kind, package.exists()))
        package.write_text(kind)

    monkeypatch.setattr(set_up, 'create', create)
    monkeypatch.setattr(set_up, 'install', install)
    for kind in ('run', 'dev'):  # these tests run on the next set's Python too
        monkeypatch.setitem(set_up.PYTHONS, kind, sys.version_info[:2])
    return made


def call(tree: Path, kind: str) -> int:
    return set_up.main([f'--kind={kind}', f'--environment={tree / ".venv"}'])


def test_second_call_reuses(tree: Path, calls: Calls) -> None:
    assert [call(tree, 'run'), call(tree, 'run')] == [0, 0]
    assert calls == [('run', False)]
    assert (tree / '.venv/bin/python').exists()


def test_development_set_is_laid_over_the_run_set_and_serves_as_one(tree: Path, calls: Calls) -> None:
    for kind in ('run', 'dev', 'run', 'dev'):
        assert call(tree, kind) == 0
    assert calls == [('run', False), ('dev', True)]


@pytest.mark.parametrize('lock', ['requirements.lock', 'requirements-build.lock'])
def test_changed_lock_starts_anew(tree: Path, calls: Calls, lock: str) -> None:
    call(tree, 'run')
    (tree / lock).write_text('package==2.0\n')
    assert call(tree, 'run') == 0
    assert calls == [('run', False), ('run', False)]


def test_moved_environment_starts_anew(tree: Path, calls: Calls) -> None:
    """Scripts in an environment hold its path, so one that was moved or copied is not complete."""
    call(tree, 'run')
    (tree / '.venv').rename(tree / 'moved')
    assert set_up.is_complete('run', str(tree / 'moved')) is False


@pytest.mark.parametrize('kind', ['run', 'dev'])
def test_interrupted_set_up_starts_anew(
    tree: Path, calls: Calls, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = set_up.install

    def killed(kind: str, environment: str) -> None:
        whole(kind, environment)
        raise KeyboardInterrupt

    monkeypatch.setattr(set_up, 'install', killed)
    with pytest.raises(KeyboardInterrupt):
        call(tree, kind)
    monkeypatch.setattr(set_up, 'install', whole)
    assert call(tree, kind) == 0
    assert calls == [(kind, False), (kind, False)]


def test_run_set_survives_an_interrupted_development_set(
    tree: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(tree, 'run')
    whole = set_up.install

    def killed(kind: str, environment: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(set_up, 'install', killed)
    with pytest.raises(KeyboardInterrupt):
        call(tree, 'dev')
    monkeypatch.setattr(set_up, 'install', whole)
    assert call(tree, 'run') == 0
    assert calls == [('run', False)]
    assert call(tree, 'dev') == 0
    assert calls == [('run', False), ('dev', False)]


def test_failed_install_is_told_and_leaves_no_stamp(
    tree: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(kind: str, environment: str) -> None:
        raise subprocess.CalledProcessError(7, ['pip', 'install', '-r', 'x.lock'])

    monkeypatch.setattr(set_up, 'install', fails)
    assert call(tree, 'run') == 1
    message = capsys.readouterr().err
    assert '`pip install -r x.lock` ended with 7' in message
    assert 'Call again' in message
    assert set_up.is_complete('run', str(tree / '.venv')) is False


def test_create_makes_a_fresh_environment(tmp_path: Path) -> None:
    (tmp_path / 'env').mkdir()
    (tmp_path / 'env' / 'left').touch()
    set_up.create(str(tmp_path / 'env'))
    assert not (tmp_path / 'env' / 'left').exists()
    prefix = 'import sys; print(sys.prefix != sys.base_prefix)'
    assert subprocess.check_output([str(tmp_path / 'env/bin/python'), '-c', prefix], text=True) == 'True\n'


def test_install_pins_by_hash_and_removes_the_build_tools(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    imported: list[tuple[str, str]] = []

    def record(command: list[str], env: dict[str, str] | None = None, **_: Any) -> None:
        if env is not None:
            imported.append((command[-1], env['PYTHONDONTWRITEBYTECODE']))
            return
        commands.append(command[command.index('pip') + 1 :])

    monkeypatch.setattr(set_up.subprocess, 'run', record)
    locked = '{}==1 \\\n    --hash=sha256:0\n'
    (tree / set_up.BUILD_LOCK).write_text(locked.format('scm') + locked.format('shared'))
    (tree / 'requirements.lock').write_text(locked.format('shared'))
    (tree / 'official_rethink').mkdir()
    set_up.install('run', str(tree / '.venv'))
    kinds = [next(word for word in command if not word.startswith('-')) for command in commands]
    assert kinds == ['install', 'install', 'uninstall', 'check']
    assert [command[-1] for command in commands[:3]] == [
        str(tree / set_up.BUILD_LOCK),
        str(tree / 'requirements.lock'),
        'scm',
    ]
    pinning = {'--require-hashes', '--no-deps', '--no-build-isolation'}
    assert all(pinning <= set(command) for command in commands[:2])
    assert imported == [(set_up.IMPORTS, '')]  # whose bytecode then lies there


def test_other_python_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(set_up.PYTHONS, 'run', (2, 7))
    assert call(tree, 'run') == 2
    assert f'Python 2.7 is needed, this is {sys.version.split()[0]}' in capsys.readouterr().err
    assert not (tree / '.venv').exists()


def _hold(path: str, held: Any) -> None:
    with set_up.exclusive(path):
        held.set()
        time.sleep(0.5)
        Path(path + '.done').touch()


def test_two_set_ups_wait_for_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context('spawn')
    held = context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path / 'lock'), held))
    other.start()
    assert held.wait(60)
    with set_up.exclusive(str(tmp_path / 'lock')):
        assert (tmp_path / 'lock.done').exists()
    other.join()
    assert 'waiting' in capsys.readouterr().out
