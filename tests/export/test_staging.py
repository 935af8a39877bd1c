"""The folder that is whole or not there."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from export import staging
from official_rethink.common import errors


def _fill(folder: pathlib.Path, mark: str = 'export.json') -> None:
    folder.mkdir(parents=True)
    (folder / mark).write_text('old')


def test_appears_at_the_end(tmp_path: pathlib.Path) -> None:
    target = tmp_path / 'runs' / 'export'
    with staging.staged(str(target)) as folder:
        (pathlib.Path(folder) / 'a').write_text('1')
        assert not target.exists()
    assert (target / 'a').read_text() == '1' and os.listdir(target.parent) == ['export']


def test_replaces_the_old_one_at_the_end(tmp_path: pathlib.Path) -> None:
    _fill(tmp_path / 'export')
    with staging.staged(str(tmp_path / 'export')) as folder:
        (pathlib.Path(folder) / 'new').write_text('1')
        assert os.listdir(tmp_path / 'export') == ['export.json']
    assert os.listdir(tmp_path / 'export') == ['new'] and os.listdir(tmp_path) == ['export']


def test_an_error_leaves_what_was(tmp_path: pathlib.Path) -> None:
    _fill(tmp_path / 'export')
    with pytest.raises(KeyboardInterrupt), staging.staged(str(tmp_path / 'export')) as folder:
        (pathlib.Path(folder) / 'new').write_text('1')
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['export'] and os.listdir(tmp_path / 'export') == ['export.json']


def test_killed(tmp_path: pathlib.Path) -> None:
    source = (
        'import sys, time, pathlib; from export import staging\n'
        'with staging.staged(sys.argv[1]) as folder:\n'
        "    pathlib.Path(folder, 'export.json').write_text('{}')\n"
        '    time.sleep(60)\n'
    )
    process = subprocess.Popen([sys.executable, '-c', source, str(tmp_path / 'export')])
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob('.export.*/export.json')) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = tmp_path.iterdir()
    assert left.name == f'.export.{socket.gethostname()}-{process.pid}.tmp'
    other = tmp_path / f'.export.{socket.gethostname()}-1.tmp'  # of a process that lives
    other.mkdir()
    with staging.staged(str(tmp_path / 'export')):
        pass
    assert sorted(os.listdir(tmp_path)) == [other.name, 'export']


def test_room(tmp_path: pathlib.Path) -> None:
    staging.check_room(str(tmp_path / 'new'), False, 'export.json')
    (tmp_path / 'empty').mkdir()
    staging.check_room(str(tmp_path / 'empty'), False, 'export.json')
    _fill(tmp_path / 'export')
    staging.check_room(str(tmp_path / 'export'), True, 'export.json')
    with pytest.raises(errors.UserError, match='holds an export already; .* --overwrite'):
        staging.check_room(str(tmp_path / 'export'), False, 'export.json')
    _fill(tmp_path / 'photos', mark='cat.jpg')
    for overwrite in (False, True):
        with pytest.raises(errors.UserError, match='is no export, so it is not replaced'):
            staging.check_room(str(tmp_path / 'photos'), overwrite, 'export.json')
