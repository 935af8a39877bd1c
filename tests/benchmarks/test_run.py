"""The benchmark runner's table, its checks and the files it keeps."""

import json
import types
from pathlib import Path

import pytest

from benchmarks import measure, pages, run
from official_rethink.common import errors

COSTS = measure.Comparison(
    ours=[measure.Cost(1.0, 2.0), measure.Cost(2.0, 2.0), measure.Cost(4.0, 2.0)],
    reference=[measure.Cost(3.0, 2.0), measure.Cost(4.0, 4.0), measure.Cost(4.0, 8.0)],
)


def a_row(name='decode', target=1.5):
    return measure.row(name, measure.measures(COSTS, per=2), target=target, unit='s an image', note='one core')


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for what is kept, and two benchmarks that need no time."""
    rows = {'one': [a_row()], 'two': [a_row('evaluate', None)]}
    modules = {
        f'benchmarks.{name}': types.SimpleNamespace(run=lambda found=found: found) for name, found in rows.items()
    }
    monkeypatch.setattr(run, 'BENCHMARKS', ('one', 'two'))
    monkeypatch.setattr(run.importlib, 'import_module', modules.__getitem__)
    monkeypatch.setattr(run, 'measured', rows.__getitem__)
    monkeypatch.setattr(run, 'RESULTS', str(tmp_path / 'results.json'))
    monkeypatch.setattr(pages, 'SPEED', str(tmp_path / 'speed.md'))
    (tmp_path / 'speed.md').write_text(f'before\n<!-- {run.MARK} -->\nold\n<!-- end of it -->\nafter\n')
    return tmp_path


def test_table_lines_up() -> None:
    assert run.table([a_row(), a_row('x', None), a_row('y', 3.0)]).splitlines() == [
        'what    ours  reference     ratio       ratio, wall  to reach',
        '------  ----  ------------  ----------  -----------  --------  -------',
        'decode  1     2 s an image  2 (1 to 3)  2 (1 to 4)   1.5       reached',
        'x       1     2 s an image  2 (1 to 3)  2 (1 to 4)',
        'y       1     2 s an image  2 (1 to 3)  2 (1 to 4)   3         missed',
    ]


def test_runs_all_and_keeps_nothing_unasked(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ['what', '--------', 'decode', 'evaluate']
    assert shown.err.splitlines() == ['1 of 2: one ...', '2 of 2: two ...']
    assert [path.name for path in kept.iterdir()] == ['speed.md']


def test_what_others_measured_is_shown_beside_one_that_failed(kept, monkeypatch, capsys) -> None:
    def measured(name):
        if name == 'one':
            raise errors.UserError('the benchmark one ended with code 1.')
        return [a_row('evaluate')]

    monkeypatch.setattr(run, 'measured', measured)
    with pytest.raises(errors.UserError, match='the benchmark one ended with code 1. No table was written'):
        run.main(['--write'])
    assert 'evaluate' in capsys.readouterr().out
    assert [path.name for path in kept.iterdir()] == ['speed.md']


def test_only_one_and_its_rows_in_a_file(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(['--only=two', f'--rows_file={kept / "rows.json"}']) == 0
    assert 'decode' not in capsys.readouterr().out
    assert [row['name'] for row in json.loads((kept / 'rows.json').read_text())] == ['evaluate']


def test_write_keeps_the_last_two_runs_and_their_tables(kept: Path) -> None:
    for _ in range(3):
        assert run.main(['--write']) == 0
    runs = json.loads((kept / 'results.json').read_text())['runs']
    assert len(runs) == 2
    assert [row['name'] for row in runs[1]['rows']] == ['decode', 'evaluate']
    assert runs[0]['machine']['cores'] >= 1
    page = (kept / 'speed.md').read_text()
    assert page.startswith('before\n') and page.endswith('\nafter\n') and 'old' not in page
    assert page.count('| decode | 1 | 2 s an image | 2 (1 to 3) | 2 (1 to 4) | 1.5 | reached |') == 2


@pytest.mark.parametrize('content', ['nothing\n', f'<!-- {run.MARK} -->\nold\n', '<!-- end of it -->\n'])
def test_a_page_without_the_marks_is_named_and_left(kept: Path, content: str) -> None:
    (kept / 'speed.md').write_text(content)
    with pytest.raises(errors.UserError, match='has no line'):
        run.main(['--write'])


def test_part_of_the_table_is_not_kept(kept: Path) -> None:
    with pytest.raises(errors.UserError, match='leave out --only'):
        run.main(['--write', '--only=one'])
    assert not (kept / 'results.json').exists()


@pytest.mark.parametrize('value', [0, -1.0, float('nan'), float('inf'), '2'])
def test_a_number_that_is_none_is_an_error(value: object) -> None:
    row = a_row()
    row['measures']['cpu']['ratio']['low'] = value
    with pytest.raises(ValueError, match=r'benchmarks\.one\.run gave cpu ratio low = .* positive number'):
        run.checked(row, 'one')


def test_a_missing_column_is_named() -> None:
    row = a_row()
    del row['unit'], row['note']
    with pytest.raises(ValueError, match=r'missing: unit, note'):
        run.checked(row, 'one')
