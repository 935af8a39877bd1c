"""Beam's options: what is unknown, not allowed or missing is named. These need Apache Beam."""

import types
from typing import Any

import pytest

from export import label_at_scale
from export.large_scale import beam, options
from official_rethink.common import errors
from tests.export.large_scale.marks import needs_beam

DATAFLOW = (
    '--runner=DataflowRunner',
    '--project=my-project',
    '--region=us-central1',
    '--temp_location=gs://my-bucket/temp',
    '--sdk_container_image=us-docker.pkg.dev/my-project/ml/rethink-beam:1',
)


def _without(name: str) -> list[str]:
    return [one for one in DATAFLOW if not one.startswith(f'--{name}=')]


def _with(option: str) -> list[str]:
    return [*_without(option.split('=')[0].lstrip('-')), option]


def test_without_beam_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam, 'AVAILABLE', False)
    with pytest.raises(errors.UserError, match='requirements-beam.lock'):
        label_at_scale.main(['--experiment=a', '--checkpoint=b', '--input=c', '--output_dir=d'])


@needs_beam
@pytest.mark.parametrize('argv', [[], ['--runner=DirectRunner'], ['--runner=fnapirunner']])
def test_here_it_is_never_prism(argv: list[str]) -> None:
    chosen = options.choose(argv)
    assert (chosen.runner, chosen.remote, chosen.notes) == ('FnApiRunner', False, ())
    assert chosen.options.get_all_options()['runner'] == 'FnApiRunner'


@needs_beam
def test_dataflow_gets_one_process_a_machine() -> None:
    chosen = options.choose(DATAFLOW)
    assert (chosen.runner, chosen.remote) == ('DataflowRunner', True)
    found = chosen.options.get_all_options()
    assert found['number_of_worker_harness_threads'] == 1 and found['sdk_location'] == 'container'
    assert 'no_use_multiple_sdk_containers' in found['experiments']
    assert 'number_of_worker_harness_threads=1' in chosen.notes[0]
    asked = ['--number_of_worker_harness_threads=3', '--experiments=use_multiple_sdk_containers']
    own = options.choose([*DATAFLOW, *asked])
    assert own.options.get_all_options()['number_of_worker_harness_threads'] == 3
    assert 'no_use_multiple_sdk_containers' not in own.options.get_all_options()['experiments']


@needs_beam
@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        (['--max_num_worker=3'], ["'--max_num_worker=3'", "did you mean '--max_num_workers'", 'after --']),
        (['--direct_num_workers=-1'], ['--direct_num_workers', '-1']),
        (['--direct_num_workers=2'], ['--direct_running_mode', 'multi_processing']),
        (_without('project'), ['needs --project']),
        (['--runner=dataflowrunner'], ['--project, --region, --temp_location, --sdk_container_image']),
        (_with('--region=uscentral1'), ['uscentral1', "did you mean 'us-central1'"]),
        (_with('--temp_location=/data/temp'), ['--temp_location', 'gs://my-bucket']),
        (_with('--sdk_container_image=rethink'), ['--sdk_container_image', 'in a registry']),
        (_with('--job_name=Label 1'), ['--job_name', 'Label 1']),
        (_with('--streaming'), ['--streaming']),
    ],
)  # fmt: skip
def test_mistakes_are_named(argv: list[str], said: list[str]) -> None:
    with pytest.raises(errors.UserError) as caught:
        options.choose(argv)
    for part in said:
        assert part in str(caught.value)


def _params(path: str = 'data/train*', strategy: str = 'mirrored') -> Any:
    data = types.SimpleNamespace(input_path=path)
    runtime = types.SimpleNamespace(distribution_strategy=strategy)
    return types.SimpleNamespace(task=types.SimpleNamespace(train_data=data), runtime=runtime)


def test_workers_see_cloud_storage_alone() -> None:
    flags = {'checkpoint': 'gs://b/best', 'input': 'gs://b/images*', 'output_dir': 'gs://b/labels'}
    options.check_paths('DataflowRunner', flags, _params(), False)
    options.check_paths('FnApiRunner', dict.fromkeys(flags, 'runs/here'), _params(), True)
    for name in flags:
        with pytest.raises(errors.UserError, match=f'--{name} is .runs/here.*gs://'):
            options.check_paths('DataflowRunner', {**flags, name: 'runs/here'}, _params(), False)
    with pytest.raises(errors.UserError, match='task.train_data.input_path.*key points'):
        options.check_paths('DataflowRunner', flags, _params(), True)
    with pytest.raises(errors.UserError, match='distribution_strategy'):
        options.check_paths('DataflowRunner', flags, _params(strategy='tpu'), False)
