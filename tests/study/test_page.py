"""A report from a committed record."""

import pytest

from official_rethink.common import errors
from official_rethink.study import page


def test_a_committed_record_has_a_page(tmp_path, capsys):
    path = tmp_path / 'new' / 'page.html'
    assert page.main(['--results=docs/results/pretrained.json', f'--output={path}']) == 0
    text = path.read_text()
    assert text.startswith('<!DOCTYPE html>') and '<section id="samples"' in text and '<img' not in text
    assert capsys.readouterr().out == f'{path}\n'


@pytest.mark.parametrize(
    ('results', 'output', 'message'),
    [
        ('docs/results/pretrained.json', 'page.pdf', 'ends in .html'),
        ('docs/results/none.json', 'page.html', "no file at 'docs/results/none.json'"),
        ('docs/results/simclr.json', 'page.html', 'is not the result of a study'),
        ('docs/results/pretrained.csv', 'page.html', 'is not valid JSON'),
    ],
)
def test_what_is_no_record_is_refused_and_nothing_written(tmp_path, results, output, message):
    with pytest.raises(errors.UserError, match=message):
        page.main([f'--results={results}', f'--output={tmp_path / output}'])
    assert list(tmp_path.iterdir()) == []
