"""The arithmetic of the papers' sizes."""

import json

import pytest

from benchmarks import at_scale, growth, measure, pages, run
from official_rethink.common import errors


def test_cores_by_hand(monkeypatch):
    """10 multiply-adds are 60 operations to train; 30 % of 20 T a second make 0.1 T images, times 20 and 60 ps."""
    monkeypatch.setattr(at_scale, 'MULTIPLY_ADDS', 10)
    device = at_scale.Accelerator(peak=20e12, utilisation=0.3, hosts=4)
    rows = at_scale.training_rows(2e-11, 6e-11, device)
    assert [row[:2] for row in rows] == [['256', '30%'], ['256', '100%'], ['512', '30%'], ['512', '100%']]
    assert rows[0][2:] == ['0.00 s', '100,000,000,000', '2 (0.5)', '6 (1.5)']


def test_labelling_by_hand(monkeypatch):
    """1.2 million images of 0.5 GFLOP at 1 TFLOP/s: 2,000 a second, 600 s; 3 ms each on the host are 3,600 s."""
    monkeypatch.setattr(at_scale, 'MULTIPLY_ADDS', 0.25e9)
    rows = at_scale.labelling_rows(0.003, 0.72, at_scale.Accelerator(peak=2e12, utilisation=0.5))
    assert rows[0] == ['ImageNet', '1,200,000', '10 min', '1.0 h', '6', '10.0 days']


@pytest.fixture
def measured(monkeypatch, tmp_path):
    costs = measure.Comparison([measure.Cost(0.012, 0.9)], [measure.Cost(0.048, 1.0)])
    rows = [
        measure.row(name, measure.measures(costs), target=None, unit='s an image', note='')
        for name in ('input, S4, boxes', 'pseudo-labelling')
    ]
    (tmp_path / 'results.json').write_text(json.dumps({'runs': [{'rows': []}, {'rows': rows}]}))
    (tmp_path / 'growth.json').write_text(json.dumps({'labelling': [{'cpu': 9.0}, {'cpu': 0.004}]}))
    (tmp_path / 'speed.md').write_text(f'<!-- {at_scale.MARK} -->\n<!-- end of it -->\n')
    monkeypatch.setattr(run, 'RESULTS', str(tmp_path / 'results.json'))
    monkeypatch.setattr(growth, 'RESULTS', str(tmp_path / 'growth.json'))
    monkeypatch.setattr(pages, 'SPEED', str(tmp_path / 'speed.md'))
    return tmp_path


def test_the_page_has_what_was_measured(measured):
    assert at_scale.main(['--write']) == 0
    page = (measured / 'speed.md').read_text()
    assert 'costs 12.0 ms of a core an image' in page and 'and 4.0 ms of a core' in page and 'takes 0.90 s' in page
    assert '| 512 | 30% | 0.54 s | 948 | 11 (2.8) | 46 (11.4) |' in page


def test_what_is_not_measured_yet_is_named(measured):
    (measured / 'growth.json').unlink()
    with pytest.raises(errors.UserError, match=r'growth.json. is missing; `python -m benchmarks.growth --write`'):
        at_scale.main([])
