"""A grid's way to its trials and back, and the file that a trial reports in."""

import json
from pathlib import Path
from typing import Any

import pytest

from export.vertex import grid, hypertune, trial
from official_rethink.common import errors


def test_a_grid_keeps_its_values_as_written() -> None:
    found = grid.parse(['a.b=1e-3,0.010', 'task.model.input_size=[96,96,3],[128,128,3]'])
    assert found == {'a.b': ['1e-3', '0.010'], 'task.model.input_size': ['[96,96,3]', '[128,128,3]']}
    combinations = grid.combinations(found)
    assert len(combinations) == 4
    assert combinations[1] == {'a.b': '1e-3', 'task.model.input_size': '[128,128,3]'}
    assert grid.override('x.y=1', combinations[0]) == 'x.y=1,a.b=1e-3,task.model.input_size=[96,96,3]'
    assert grid.override('', {'a.b': '1'}) == 'a.b=1'


def test_ids_are_flags_and_have_a_way_back() -> None:
    for key in ('trainer.schedule.base_learning_rate', 'task.model.norm_activation.use_sync_bn', 'a.b'):
        identifier = grid.parameter_id(key)
        assert '.' not in identifier and grid.key_of(identifier) == key and grid.is_parameter(identifier)
    for name in ('experiment', 'config_file', 'params_override', '__x', 'a__'):
        assert not grid.is_parameter(name)


@pytest.mark.parametrize(
    ('items', 'words'),
    [
        ([], '--grid is missing'),
        (['a.b'], 'key=v1,v2 with a dotted key'),
        (['ab=1,2'], 'a dotted key'),
        (['a__b.c=1,2'], 'a dotted key'),
        (['a_.c=1,2'], 'a dotted key'),
        (['a.b=1,,2'], 'none may be empty'),
        (['a.b='], 'none may be empty'),
        (['a.b=1,2, 1'], 'each value once'),
        (['a.b=1,2', 'a.b=3'], "'a.b' has values 1, 2 already"),
        (['a.b=1', 'a.c=2'], 'two or more values'),
    ],
)
def test_a_grid_of_another_form_is_named(items: list[str], words: str) -> None:
    with pytest.raises(errors.UserError, match=words):
        grid.parse(items)


def test_the_metric_file(tmp_path: Path) -> None:
    """Numbers are texts but for the time, an object a line, keys in order, the newest last."""
    path = tmp_path / 'deep' / 'output.metrics'
    environment = {'CLOUD_ML_HP_METRIC_FILE': str(path), 'CLOUD_ML_TRIAL_ID': '7'}
    assert hypertune.report('AP', [(100, 0.1, 1.5e9), (200, 0.25, 1.6e9)], environment) == str(path)
    first, second = path.read_text().splitlines()
    assert list(json.loads(first)) == ['AP', 'global_step', 'timestamp', 'trial']
    assert json.loads(first)['AP'] == '0.1'
    assert json.loads(second) == {'AP': '0.25', 'global_step': '200', 'timestamp': 1.6e9, 'trial': '7'}


def test_the_last_hundred_are_kept(tmp_path: Path) -> None:
    path = tmp_path / 'output.metrics'
    hypertune.report('AP', [(step, 0.5, 0.0) for step in range(130)], {'CLOUD_ML_HP_METRIC_FILE': str(path)})
    steps = [int(json.loads(line)['global_step']) for line in path.read_text().splitlines()]
    assert steps == list(range(30, 130))


@pytest.mark.parametrize(
    ('values', 'words'), [([], "measured no 'AP'"), ([(1, 0.5, 0.0), (2, float('nan'), 0.0)], "'AP' at step 2 is nan")]
)
def test_nothing_to_report(tmp_path: Path, values: list[tuple[int, float, float]], words: str) -> None:
    with pytest.raises(errors.UserError, match=words):
        hypertune.report('AP', values, {'CLOUD_ML_HP_METRIC_FILE': str(tmp_path / 'm')})
    assert not (tmp_path / 'm').exists()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.UserError, match='CLOUD_ML_HP_METRIC_FILE'):
        hypertune.report('AP', [(1, 0.5, 0.0)], {'CLOUD_ML_HP_METRIC_FILE': str(tmp_path / 'file' / 'm')})


LOG = [
    {'kind': 'train', 'step': 10, 'time': 1.0, 'metrics': {'training_loss': 1.0}},
    {'kind': 'validation', 'step': 10, 'time': 2.0, 'metrics': {'AP': 0.2, 'validation_loss': 1.5}},
    {'kind': 'validation', 'step': 20, 'time': 3.0, 'metrics': {'AP': 0.1, 'validation_loss': 1.25}},
]
FLAGS = ['--experiment=some', '--config_file=configs/quick/retinanet.yaml']


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Training that writes its log at once; what it was called with."""
    from official_rethink import train

    calls: list[list[str]] = []

    def main(argv: list[str]) -> int:
        calls.append(argv)
        (tmp_path / 'checkpoints').mkdir(exist_ok=True)
        (tmp_path / 'checkpoints' / 'metrics.jsonl').write_text(''.join(json.dumps(one) + '\n' for one in LOG))
        return 0

    monkeypatch.setattr(train, 'main', main)
    monkeypatch.setenv('AIP_CHECKPOINT_DIR', str(tmp_path / 'checkpoints') + '/')
    monkeypatch.setenv('CLOUD_ML_HP_METRIC_FILE', str(tmp_path / 'output.metrics'))
    monkeypatch.delenv('TF_CONFIG', raising=False)
    return calls


def reported(tmp_path: Path) -> list[tuple[str, Any]]:
    found = [json.loads(line) for line in (tmp_path / 'output.metrics').read_text().splitlines()]
    return [(one['global_step'], one.get('AP') or one.get('validation_loss')) for one in found]


def test_settings_become_an_override(
    trained: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*FLAGS, '--params_override=a.b=1', '--task__losses__focal_loss_gamma=2.0', '--a__c=[1,2]']
    assert trial.main([*flags, '--metric=AP']) == 0
    assert trained == [
        [
            *FLAGS,
            f'--model_dir={tmp_path}/checkpoints',
            '--params_override=a.b=1,task.losses.focal_loss_gamma=2.0,a.c=[1,2]',
            '--mode=train_and_eval',
        ]
    ]
    assert reported(tmp_path) == [('10', '0.2'), ('20', '0.1')]
    assert 'the best: AP 0.2000 at step 10.' in capsys.readouterr().out


def test_a_metric_that_should_be_low(
    trained: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial.main([*FLAGS, '--metric=validation_loss', '--goal=lower', '--mode=train_and_eval']) == 0
    assert reported(tmp_path) == [('10', '1.5'), ('20', '1.25')]
    assert 'the best: validation_loss 1.2500 at step 20.' in capsys.readouterr().out
    assert trained[0].count('--mode=train_and_eval') == 1


def test_only_the_chief_reports(
    trained: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {'cluster': {'chief': ['a:1'], 'worker': ['b:1']}, 'task': {'type': 'worker', 'index': 0}}
    monkeypatch.setenv('TF_CONFIG', json.dumps(cluster))
    assert trial.main([*FLAGS, '--metric=AP']) == 0
    assert not (tmp_path / 'output.metrics').exists()


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--metric=APP'], "unknown metric 'APP'"),
        (['--metric=AP', '--a__b'], 'a value for a.b, as --a__b=value'),
        (['--metric=AP', '--a__b=1', '--a__b=2'], 'one value for a.b'),
        ([], '--metric'),
    ],
)
def test_a_trial_that_cannot_be_judged(trained: list[list[str]], flags: list[str], words: str) -> None:
    with pytest.raises(errors.UserError, match=words):
        trial.main([*FLAGS, *flags])


def test_a_trial_without_a_folder(trained: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('AIP_CHECKPOINT_DIR')
    monkeypatch.delenv('AIP_MODEL_DIR', raising=False)
    with pytest.raises(errors.UserError, match='AIP_CHECKPOINT_DIR'):
        trial.main([*FLAGS, '--metric=AP'])
    assert trained == []
