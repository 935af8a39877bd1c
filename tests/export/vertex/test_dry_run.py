"""The printed YAML: held by the API's own message types, taken by gcloud where it is there."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from export.vertex import api_types, submit
from tests.export.vertex import fake_api, jobs

LARGE = (
    '--machine_type=a2-highgpu-8g',
    '--replica_count=3',
    '--scheduling=spot',
    '--timeout=12h',
    '--restart_on_worker_restart',
    '--service_account=trainer@my-project.iam.gserviceaccount.com',
    '--network=projects/12345/global/networks/vpc',
    '--boot_disk_gb=200',
    '--label=team=vision',
    '--env=TF_GPU_ALLOCATOR=cuda_malloc_async',
)
GRID = ('--grid=trainer.schedule.base_learning_rate=0.01,0.02', '--grid=task.losses.focal_loss_gamma=1.5,2.0')
COMMAND = (*jobs.TRAIN[:2], f'--params_override={jobs.data(48)}', '--mode=train_and_eval')


def printed(capsys: pytest.CaptureFixture[str], argv: list[str]) -> tuple[str, Any]:
    capsys.readouterr()
    assert submit.main([argv[0], '--dry_run', *argv[1:]]) == 0
    text = capsys.readouterr().out
    return text, yaml.safe_load(text)


def test_a_job_of_three_machines(capsys: pytest.CaptureFixture[str]) -> None:
    text, spec = printed(capsys, jobs.train(*LARGE, command=COMMAND))
    machine = {'machineType': 'a2-highgpu-8g', 'acceleratorType': 'NVIDIA_TESLA_A100', 'acceleratorCount': 8}
    chief, workers = spec.pop('workerPoolSpecs')
    assert (chief.pop('replicaCount'), workers.pop('replicaCount')) == (1, 2)
    assert chief == workers
    assert chief == {
        'machineSpec': machine,
        'containerSpec': {
            'imageUri': 'us-docker.pkg.dev/my-project/ml/rethink:1',
            'command': ['python', '-m', 'official_rethink.train'],
            'args': list(COMMAND),
            'env': [{'name': 'TF_GPU_ALLOCATOR', 'value': 'cuda_malloc_async'}],
        },
        'diskSpec': {'bootDiskType': 'pd-ssd', 'bootDiskSizeGb': 200},
    }
    assert spec == {
        'scheduling': {'timeout': '43200s', 'restartJobOnWorkerRestart': True, 'strategy': 'SPOT'},
        'serviceAccount': 'trainer@my-project.iam.gserviceaccount.com',
        'network': 'projects/12345/global/networks/vpc',
        'baseOutputDirectory': {'outputUriPrefix': 'gs://my-bucket/runs/one'},
    }
    assert text.startswith('# gcloud ai custom-jobs create --project=my-project --region=us-central1 ')
    assert '--labels=team=vision' in text.splitlines()[0]
    assert '&id' not in text


def test_the_least_job_says_no_more_than_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    _, spec = printed(capsys, jobs.train())
    [pool] = spec['workerPoolSpecs']
    assert sorted(spec) == ['baseOutputDirectory', 'workerPoolSpecs']
    assert pool['machineSpec'] == {'machineType': 'n1-standard-8'}
    assert sorted(pool) == ['containerSpec', 'machineSpec', 'replicaCount']


@pytest.mark.parametrize(
    ('flags', 'machine'),
    [
        (['--machine_type=ct5lp-hightpu-4t'], {'machineType': 'ct5lp-hightpu-4t', 'tpuTopology': '2x2'}),
        (
            ['--accelerator_type=NVIDIA_TESLA_T4', '--accelerator_count=2'],
            {'machineType': 'n1-standard-8', 'acceleratorType': 'NVIDIA_TESLA_T4', 'acceleratorCount': 2},
        ),
        (
            ['--machine_type=g2-standard-24'],
            {'machineType': 'g2-standard-24', 'acceleratorType': 'NVIDIA_L4', 'acceleratorCount': 2},
        ),
    ],
)
def test_machines(capsys: pytest.CaptureFixture[str], flags: list[str], machine: dict[str, Any]) -> None:
    _, spec = printed(capsys, jobs.train(*flags))
    assert spec['workerPoolSpecs'][0]['machineSpec'] == machine


def test_a_tuning_job(capsys: pytest.CaptureFixture[str]) -> None:
    text, spec = printed(capsys, jobs.tune(*GRID, '--parallel_trials=9', '--max_failed_trials=1'))
    assert spec['studySpec'] == {
        'metrics': [{'metricId': 'AP', 'goal': 'MAXIMIZE'}],
        'parameters': [
            {
                'parameterId': 'trainer__schedule__base_learning_rate',
                'categoricalValueSpec': {'values': ['0.01', '0.02']},
            },
            {'parameterId': 'task__losses__focal_loss_gamma', 'categoricalValueSpec': {'values': ['1.5', '2.0']}},
        ],
        'algorithm': 'GRID_SEARCH',
        'measurementSelectionType': 'BEST_MEASUREMENT',
    }
    assert (spec['maxTrialCount'], spec['parallelTrialCount'], spec['maxFailedTrialCount']) == (4, 4, 1)
    container = spec['trialJobSpec']['workerPoolSpecs'][0]['containerSpec']
    assert container['command'] == ['python', '-m', 'export.vertex.trial']
    assert container['args'] == [*jobs.TRAIN, '--metric=AP', '--goal=higher']
    assert text.startswith('# gcloud ai hp-tuning-jobs create ')


def test_labelling_and_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    label = ['--experiment=retinanet_efficientnet_coco', '--config_file=configs/quick/retinanet.yaml']
    label += [f'--params_override={jobs.DATA}', '--checkpoint=gs://my-bucket/runs/one/checkpoints/best']
    label += ['--input=gs://my-bucket/unlabelled*', '--output_dir=gs://my-bucket/pseudo']
    _, spec = printed(capsys, ['label', *jobs.WHERE, '--', *label])
    container = spec['workerPoolSpecs'][0]['containerSpec']
    assert container['command'][2] == 'official_rethink.pseudo_label' and container['args'] == label
    study = ['--config_file=configs/study/quick.yaml', '--output_dir=/gcs/my-bucket/studies/quick']
    _, spec = printed(capsys, ['study', *jobs.WHERE, '--', *study])
    assert spec['workerPoolSpecs'][0]['containerSpec']['command'][2] == 'official_rethink.study'


@jobs.NEEDS_TYPES
@pytest.mark.parametrize(
    ('message', 'argv'),
    [
        ('CustomJobSpec', jobs.train(*LARGE, command=COMMAND)),
        ('CustomJobSpec', jobs.train()),
        ('CustomJobSpec', jobs.train('--machine_type=ct5lp-hightpu-8t', '--scheduling=flex_start', '--max_wait=2d')),
        ('HyperparameterTuningJob', jobs.tune(*GRID)),
    ],
)
def test_the_api_s_own_types_hold_the_yaml(capsys: pytest.CaptureFixture[str], message: str, argv: list[str]) -> None:
    from google.cloud import aiplatform_v1
    from google.protobuf import json_format

    _, spec = printed(capsys, argv)
    held = getattr(aiplatform_v1.types, message).pb()()
    json_format.ParseDict(spec, held, ignore_unknown_fields=False)
    again = json_format.MessageToDict(held)
    assert api_types.normalized(again) == api_types.normalized(spec)
    jobs_spec = held.trial_job_spec if message == 'HyperparameterTuningJob' else held
    assert jobs_spec.worker_pool_specs[0].machine_spec.machine_type.split('-')[0] in ('a2', 'n1', 'ct5lp')


@jobs.NEEDS_TYPES
@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'restartOnWorkerRestart': True}, 'no field named "restartOnWorkerRestart"'),
        ({'scheduling': {'strategy': 'CHEAP'}}, 'strategy'),
        ({'workerPoolSpecs': [{'replicaCount': 'two'}]}, 'replicaCount'),
        ({'workerPoolSpecs': {'replicaCount': 1}}, 'workerPoolSpecs'),
    ],
)
def test_what_the_types_do_not_hold_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(api_types.MismatchError, match=words):
        api_types.check('CustomJobSpec', {'serviceAccount': 'a@b.gserviceaccount.com', **change})


@jobs.NEEDS_TYPES
def test_the_list_for_machines_without_the_package_is_the_package_s() -> None:
    assert set(api_types._ACCELERATORS) == set(api_types.accelerators())


def test_without_the_package_it_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_types, 'available', lambda: False)
    assert submit.main(['train', '--dry_run', *jobs.train()[1:]]) == 0
    assert "note: not compared with the API's own message types" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('gcloud'), reason='gcloud is not installed: `command -v gcloud` finds nothing')
@pytest.mark.parametrize('argv', [jobs.train(*LARGE, command=COMMAND), jobs.tune(*GRID)], ids=['train', 'tune'])
def test_gcloud_takes_the_yaml(capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str]) -> None:
    """The printed command is run; what it sends to the fake service is what `submit` would send."""
    text, _ = printed(capsys, argv)
    (tmp_path / 'job.yaml').write_text(text)
    command = shlex.split(text.splitlines()[0].removeprefix('# '))
    with fake_api.serving() as fake:
        environment = {
            **os.environ,
            'CLOUDSDK_CONFIG': str(tmp_path / 'gcloud'),
            'CLOUDSDK_AUTH_DISABLE_CREDENTIALS': 'true',
            'CLOUDSDK_CORE_DISABLE_PROMPTS': '1',
            'CLOUDSDK_CORE_DISABLE_USAGE_REPORTING': '1',
            'CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM': fake.url + '/',
        }
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert submit.main([argv[0], f'--api_endpoint={fake.url}', '--detach', *argv[1:]]) == 0
        theirs, ours = fake.bodies
    ours['labels'].pop('submission')
    assert json.dumps(api_types.normalized(theirs), sort_keys=True) == json.dumps(
        api_types.normalized(ours), sort_keys=True
    )
