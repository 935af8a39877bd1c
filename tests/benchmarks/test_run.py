"""The benchmark runner's table, its checks and the file it keeps."""

import json
import types
from pathlib import Path

import pytest

from benchmarks import run
from official_rethink.common import errors

ROW = {'name': 'decode', 'ours_seconds': 2.0, 'reference_seconds': 5.0, 'ratio': 2.5, 'note': 'one core'}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two benchmarks that need no time: one gives a row, the other a list."""
    rows = {'benchmarks.one': ROW, 'benchmarks.two': [ROW | {'name': 'evaluate', 'ratio': 12.04, 'extra': 1}]}
    modules = {name: types.SimpleNamespace(run=lambda found=found: found) for name, found in rows.items()}
    monkeypatch.setattr(run, 'BENCHMARKS', ('one', 'two'))
    monkeypatch.setattr(run.importlib, 'import_module', modules.__getitem__)
    monkeypatch.setattr(run, 'RESULTS', str(tmp_path / 'results.json'))
    return tmp_path / 'results.json'


def test_table_lines_up() -> None:
    assert run.table([ROW, ROW | {'name': 'x', 'ours_seconds': 0.01234, 'ratio': 405.186}]).splitlines() == [
        'name    ours (s)  reference (s)   ratio  note',
        '------  --------  -------------  ------  --------',
        'decode         2              5    2.5x  one core',
        'x        0.01234              5  405.2x  one core',
    ]


def test_runs_all_and_keeps_nothing_unasked(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ['name', '--------', 'decode', 'evaluate']
    assert not measured.exists()


def test_only_one(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(['--only=two']) == 0
    assert 'decode' not in capsys.readouterr().out


def test_write_keeps_the_rows_and_the_machine(measured: Path) -> None:
    assert run.main(['--write']) == 0
    kept = json.loads(measured.read_text())
    assert [row['name'] for row in kept['rows']] == ['decode', 'evaluate']
    assert kept['rows'][0] == ROW
    assert kept['machine']['cores'] >= 1
    assert [path.name for path in measured.parent.iterdir()] == ['results.json']


def test_part_of_the_table_is_not_kept(measured: Path) -> None:
    with pytest.raises(errors.UserError, match='leave out --only'):
        run.main(['--write', '--only=one'])
    assert not measured.exists()


@pytest.mark.parametrize('value', [0, -1.0, float('nan'), float('inf'), '2'])
def test_a_number_that_is_none_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match=r'benchmarks\.one\.run gave ratio = .* positive number'):
        run.checked(ROW | {'ratio': value}, 'one')


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r'missing: ratio, note'):
        run.checked({name: ROW[name] for name in ('name', 'ours_seconds', 'reference_seconds')}, 'one')
