"""The list of what fails on the next set cannot outlive what it lists; without its Python the target is skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import next_set
from tools import source_tree

ROOT = Path(source_tree.ROOT)
CONFTEST = """
import pytest
from tests import next_set

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    next_set.mark(items, config.args, {known})
"""
LISTED = {'test_a.py::test_it': 'of a reason'}


def run(folder: Path, body: str, known: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Runs a suite of two tests, one of which `body` is, with a list of its own."""
    (folder / 'conftest.py').write_text(CONFTEST.format(known=known))
    (folder / 'test_a.py').write_text(f'def test_it():\n    {body}\n\ndef test_other():\n    pass\n')
    command = [sys.executable, '-m', 'pytest', '-q', '-rx', '-p', 'no:cacheprovider', '-c', os.devnull]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1'}
    done = subprocess.run(
        [*command, f'--rootdir={folder}', *(arguments or ['.'])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_listed_may_fail_with_its_reason(tmp_path: Path) -> None:
    code, text = run(tmp_path, 'assert False', LISTED)
    assert code == 0
    assert '1 passed, 1 xfailed' in text
    assert 'of a reason' in text


def test_what_is_listed_and_passes_is_an_error(tmp_path: Path) -> None:
    code, text = run(tmp_path, 'pass', LISTED)
    assert code == 1
    assert 'XPASS(strict)' in text


@pytest.mark.parametrize('name', ['test_a.py::test_gone', 'test_a.py::test_it[Contrast]'])
def test_what_is_listed_and_not_there_is_an_error(name: str, tmp_path: Path) -> None:
    code, text = run(tmp_path, 'pass', {name: 'of a reason'})
    assert (code, f'tests that are not there: {name}' in text) == (4, True)


def test_a_selection_says_nothing_of_the_rest(tmp_path: Path) -> None:
    """Of a file collected in part, and of one not collected, entries are not missed."""
    known = {**LISTED, 'test_b.py::test_far': 'of another file'}
    assert run(tmp_path, 'assert False', known, 'test_a.py::test_other')[0] == 0
    assert run(tmp_path, 'assert False', known, '-k', 'other')[0] == 0


def test_every_entry_has_a_reason_and_its_file() -> None:
    for name, reason in next_set.KNOWN.items():
        assert (ROOT / 'tests' / name.partition('::')[0]).is_file(), name
        assert len(reason.split()) > 5, name
    assert not next_set.is_next() or sys.version_info >= (3, 12)


def test_without_its_python_the_target_is_skipped_with_a_message(tmp_path: Path) -> None:
    """No Python 3.12 on the path nor under pyenv's folder: exit code 0, and what would help; a wrong one fails."""
    for name in ('sh', 'awk', 'make', 'ls'):
        found = next(Path(place, name) for place in os.environ['PATH'].split(':') if Path(place, name).exists())
        (tmp_path / name).symlink_to(found)
    (tmp_path / 'python3').write_text('#!/bin/sh\necho 3.11\n')
    (tmp_path / 'python3').chmod(0o755)
    environment = {'PATH': str(tmp_path), 'HOME': str(tmp_path)}
    command = [str(tmp_path / 'make'), '-s', 'test-next', 'NEXT=never-made']
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, 'test-next is skipped: no Python 3.12 on this machine.\n')
    assert 'Python 3.12 is needed' in done.stderr
    named = [*command, f'PYTHON={tmp_path / "python3"}']
    done = subprocess.run(named, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (ROOT / 'never-made').exists()
