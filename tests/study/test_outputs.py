"""Reading what the commands leave, torn files and repeated lines included."""

import json

import pytest

from official_rethink.common import errors
from official_rethink.study import outputs
from official_rethink.study.steps import Step

_STEP = Step('training/x', 'supervised', 'official_rethink.train', (), total=100)


def _folder(tmp_path):
    folder = tmp_path / 'training' / 'x'
    folder.mkdir(parents=True)
    return folder


def _line(step, value, kind='validation'):
    return json.dumps({'kind': kind, 'step': step, 'time': 0.0, 'metrics': {'AP': value}}) + '\n'


def test_a_torn_last_line_is_left_out_and_a_repeated_step_counts_once(tmp_path):
    text = _line(10, 0.1) + _line(20, 0.2) + _line(20, 0.25) + _line(30, 0.3)[:20]
    (_folder(tmp_path) / 'metrics.jsonl').write_text(text)
    assert outputs.curve(_STEP, str(tmp_path)) == [(10, 0.1), (20, 0.25)]


def test_training_lines_are_no_validation(tmp_path):
    (_folder(tmp_path) / 'metrics.jsonl').write_text(_line(10, 0.9, 'train') + _line(10, 0.1))
    assert outputs.curve(_STEP, str(tmp_path)) == [(10, 0.1)]


def test_masks_and_key_points_have_their_own_curves(tmp_path):
    entry = {'kind': 'validation', 'step': 10, 'metrics': {'AP': 0.3, 'mask_AP': 0.2, 'AP50': 0.5}}
    nothing = {'kind': 'validation', 'step': 20, 'metrics': {'AP': 0.4, 'mask_AP': float('nan')}}
    text = ''.join(json.dumps(line) + '\n' for line in (entry, nothing))
    (_folder(tmp_path) / 'metrics.jsonl').write_text(text)
    found = outputs.curves(_STEP, str(tmp_path))
    assert found == {'AP': [[10, 0.3], [20, 0.4]], 'mask_AP': [[10, 0.2]]}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('{type: stepwise, stepwise: {boundaries: [60, 80], values: [1, 0.1, 0.01]}}', [60, 80]),
        ('{type: cosine, cosine: {decay_steps: 100}, stepwise: {boundaries: [60]}}', []),
        ('{type: stepwise, stepwise: null}', []),
        ('null', []),
    ],
)
def test_drops_are_those_of_the_rate_that_was_used(tmp_path, text, expected):
    path = _folder(tmp_path) / 'params.yaml'
    path.write_text(f'trainer: {{optimizer_config: {{learning_rate: {text}}}}}')
    assert outputs.drops(_STEP, str(tmp_path)) == expected
    path.write_text('task: {}')
    assert outputs.drops(_STEP, str(tmp_path)) == []
    path.unlink()
    assert outputs.drops(_STEP, str(tmp_path)) == []


def test_no_log_yet_is_no_curve(tmp_path):
    assert outputs.curve(_STEP, str(tmp_path)) == []


@pytest.mark.parametrize(
    'content', ['{}', '[]', '{"metrics": {}}', '{"metrics": {"AP": NaN}}', '{"metrics": {"AP": true}}']
)
def test_a_result_without_ap_is_an_error(tmp_path, content):
    (_folder(tmp_path) / 'test.json').write_text(content)
    with pytest.raises(errors.UserError, match='holds no AP'):
        outputs.result(_STEP, str(tmp_path))


@pytest.mark.parametrize(
    ('threshold', 'kept'), [(0.0, 100), (0.25, 60), (0.3, 60), (0.5, 30), (0.75, 10), (0.9, 10), (1.0, 10)]
)
def test_kept_boxes_by_hand(threshold, kept):
    """Bins of 40, 30, 20, 10 boxes; 0.3 cuts the second bin, which counts whole."""
    histogram = {'edges': [0, 0.25, 0.5, 0.75, 1], 'counts': [40, 30, 20, 10]}
    assert outputs.kept_labels({'score_histogram': histogram}, threshold) == kept


def test_a_manifest_without_histogram_cannot_tell():
    assert outputs.kept_labels({}, 0.5) is None
