"""Every setting that could not work is named before a job is made."""

import pytest

from export.vertex import submit
from official_rethink.common import errors
from tests.export.vertex import jobs

TRAIN = (*jobs.TRAIN, '--mode=train_and_eval')
LABEL = (
    'label',
    *jobs.WHERE,
    '--',
    *jobs.TRAIN,
    '--checkpoint=gs://my-bucket/best',
    '--input=gs://my-bucket/unlabelled*',
    '--output_dir=gs://my-bucket/pseudo',
)
STUDY = ('study', *jobs.WHERE, '--', '--config_file=configs/study/quick.yaml', '--output_dir=/gcs/my-bucket/study')
# Without it the config itself is refused on a TPU, before the job is looked at.
TPU_NMS = 'task.model.detection_generator.nms_version=v2'
GRID = '--grid=task.losses.focal_loss_gamma=1.5,2.0'


def without(flags: tuple[str, ...], name: str) -> list[str]:
    return [flag for flag in flags if not flag.startswith(f'--{name}')]


def more(text: str) -> tuple[str, ...]:
    """The training command with more settings."""
    return (*jobs.TRAIN[:2], f'{jobs.TRAIN[2]},{text}', '--mode=train_and_eval')


FLAGS = [
    (['--project=My Project'], ("--project is 'My Project'", 'my-project-1')),
    (['--region=us-centrall'], ("--region is 'us-centrall'", "did you mean 'us-central1'")),
    (['--image=rethink'], ("--image is 'rethink'", 'an image in a registry')),
    (['--image=library/rethink'], ("--image is 'library/rethink'", 'an address with its registry')),
    (['--image=us-docker.pkg.dev/a b'], ('--image is', 'an image in a registry')),
    (['--machine_type=n1-standart-8'], ("unknown machine type 'n1-standart-8'", "Did you mean 'n1-standard-8'?")),
    (['--machine_type=n1-standard-7'], ("unknown machine type 'n1-standard-7'",)),
    (['--machine_type=a2-highgpu-3g'], ("unknown machine type 'a2-highgpu-3g'", 'a2-highgpu-')),
    (['--machine_type=ct5p-hightpu-4t'], ("'ct5p-hightpu-4t'", 'v5e, one host')),
    (['--accelerator_type=NVIDIA_TESLA_T5'], ("unknown accelerator 'NVIDIA_TESLA_T5'", "'NVIDIA_TESLA_T4'?")),
    (['--accelerator_type=NVIDIA_L4'], ("--accelerator_type is 'NVIDIA_L4'", 'this one with g2-standard-4')),
    (['--accelerator_type=TPU_V5_LITEPOD'], ('a GPU; TPUs come with the machine type',)),
    (['--accelerator_type=NVIDIA_TESLA_T4', '--accelerator_count=3'], ('--accelerator_count is 3', '1, 2, 4')),
    (['--accelerator_count=2'], ('nothing without --accelerator_type',)),
    (['--machine_type=a2-highgpu-4g', '--accelerator_count=2'], ('allowed: 4, which a2-highgpu-4g',)),
    (['--machine_type=a2-highgpu-4g', '--accelerator_type=NVIDIA_L4'], ('NVIDIA_TESLA_A100, which',)),
    (['--machine_type=e2-standard-8', '--accelerator_type=NVIDIA_L4'], ('nothing with e2-standard-8',)),
    (['--machine_type=n4-standard-8', '--accelerator_type=NVIDIA_L4', '--accelerator_count=0'], ('1 or more',)),
    (['--tpu_topology=2x2'], ('nothing with --machine_type=n1-standard-8',)),
    (['--machine_type=ct5lp-hightpu-4t', '--tpu_topology=4x4'], ("--tpu_topology is '4x4'", 'spans hosts')),
    (['--machine_type=ct5lp-hightpu-4t', '--accelerator_count=4'], ('its chips come with it',)),
    (['--machine_type=ct5lp-hightpu-4t', '--replica_count=2'], ('--replica_count is 2', 'one host')),
    (['--replica_count=0'], ('--replica_count is 0', '1 or more')),
    (['--staging_dir=/tmp/here'], ("--staging_dir is '/tmp/here'", 'gs://my-bucket/runs/one')),
    (['--staging_dir=gs://B/x'], ("--staging_dir is 'gs://B/x'",)),
    (['--service_account=me@example.com'], ('--service_account', 'iam.gserviceaccount.com')),
    (['--network=default'], ("--network is 'default'", 'with the number of the project')),
    (['--boot_disk_gb=10'], ('--boot_disk_gb is 10', '100 to 64000')),
    (['--boot_disk_type=ssd'], ("invalid choice: 'ssd'",)),
    (['--label=Team=vision'], ('--label', 'a small letter')),
    (['--label=team=a', '--label=team=b'], ("each name once; 'team' was 'a' already",)),
    (['--label=submission=1'], ('another name',)),
    (['--label=team'], ("--label is 'team'", 'name=value')),
    (['--env=2X=1'], ('--env', 'a name of letters')),
    (['--env=TF_CONFIG={}'], ("--env is 'TF_CONFIG'", 'Vertex AI does not set itself')),
    (['--env=AIP_MODEL_DIR=gs://b'], ("--env is 'AIP_MODEL_DIR'",)),
    (['--timeout=12'], ("--timeout is '12'", 'such as 90m, 12h, 7d')),
    (['--timeout=0h'], ('a time over 0',)),
    (['--max_wait=2h'], ('--scheduling=flex_start',)),
    (['--scheduling=sopt'], ("invalid choice: 'sopt'",)),
    (['--replica_cuont=2'], ("unknown flag '--replica_cuont'", "Did you mean '--replica_count'?")),
    ([GRID], ('--grid is', 'nothing with train; it is of tune')),
    (['--metric=AP'], ("--metric is 'AP'",)),
    (['--max_failed_trials=-1'], ('--max_failed_trials is -1',)),
    ([f'--display_name={"x" * 129}'], ('1 to 128 characters',)),
    # Four batches of 16 images over 3 x 2 GPUs.
    (['--machine_type=a2-highgpu-2g', '--replica_count=3'], ('batch_size is 16', 'the 6 replicas, such as 12 or 18')),
]

COMMANDS = [
    (('--experiment=retinanet_efficentnet_coco', *TRAIN[1:]), ("Did you mean 'retinanet_efficientnet_coco'?",)),
    (TRAIN[:-1], ('--mode is missing',)),
    ((*TRAIN, '--model_dri=x'), ('model_dri',)),
    ((*TRAIN, '--model_dir=runs/one'), ("--model_dir is 'runs/one'", 'a path a job can see')),
    ((*TRAIN, '--checkpoint=runs/one'), ("--checkpoint is 'runs/one'",)),
    ((*TRAIN, '--tpu=local'), ('--tpu', 'ct5lp-hightpu-4t')),
    ((*TRAIN, '--help'), ('--help is no job',)),
    ((*TRAIN, '--config_file=my.yaml'), ("--config_file is 'my.yaml'", 'which the image holds')),
    ((*TRAIN, '--config_file=configs/../my.yaml'), ('which the image holds',)),
    ((*TRAIN, '--config_file=configs/quick/none.yaml'), ("no configuration file at 'configs/quick/none.yaml'",)),
    (TRAIN[:2] + TRAIN[3:], ('task.train_data.input_path is', 'a path a job can see', 'configs/quick/retinanet.yaml:')),
    (more('task.losses.focal_loss_gama=1'), ("Did you mean 'task.losses.focal_loss_gamma'?",)),
    (more('task.losses.focal_loss_gamma=-1'), ('focal_loss_gamma',)),
    (more('task.init_checkpoint=checkpoints/lite0'), ("task.init_checkpoint is 'checkpoints/lite0'",)),
    (more('task.train_data.split_file=splits/one.json'), ('task.train_data.split_file',)),
    (more('runtime.num_gpus=8'), ('runtime.num_gpus is 8', '0, what each machine has')),
    (more(f'runtime.distribution_strategy=tpu,{TPU_NMS}'), ("_strategy is 'tpu'", "'mirrored' on these machines")),
    (more('runtime.distribution_strategy=parameter_server'), ('the job', 'decide')),
    (more("runtime.worker_hosts='a:1,b:1'"), ('runtime.worker_hosts', 'the job says it')),
]

OTHERS = [
    (['tune', *jobs.WHERE, '--', *jobs.TRAIN], ('--grid is missing',)),
    (['tune', *without(jobs.WHERE, 'staging_dir'), GRID, '--', *jobs.TRAIN], ('--staging_dir is missing',)),
    (jobs.tune(GRID, command=(*jobs.TRAIN, '--model_dir=gs://my-bucket/x')), ('no --model_dir',)),
    (jobs.tune(GRID, command=(*jobs.TRAIN, '--mode=eval')), ("--mode is 'eval'", 'judged by its validation')),
    (jobs.tune('--grid=task.losses.focal_loss_gama=1,2'), ("Did you mean 'task.losses.focal_loss_gamma'?",)),
    (jobs.tune('--grid=task.losses.focal_loss_gamma=2,-1'), ('focal_loss_gamma is -1',)),
    (jobs.tune(GRID, '--metric=APP'), ("unknown metric 'APP'", "Did you mean 'AP'?")),
    (jobs.tune(GRID, '--parallel_trials=0'), ('--parallel_trials is 0',)),
    (['train', *without(jobs.WHERE, 'staging_dir'), '--', *TRAIN], ('--model_dir is missing', '--staging_dir')),
    (['train', *without(jobs.WHERE, 'image'), '--', *TRAIN], ('--image is missing',)),
    ([*LABEL[:1], '--replica_count=2', *LABEL[1:]], ('--replica_count is 2', 'works on one machine')),
    ([*without(LABEL, 'output_dir'), '--output_dir=pseudo'], ("--output_dir is 'pseudo'",)),
    ([*without(LABEL, 'checkpoint'), '--checkpoint=runs/best'], ("--checkpoint is 'runs/best'",)),
    ([*LABEL, '--truth=data/val*'], ("--truth is 'data/val*'",)),
    ([*LABEL, '--batch_size=0'], ('batch_size is 0',)),
    ([*without(STUDY, 'output_dir'), '--output_dir=gs://my-bucket/s'], ('--output_dir', '/gcs/my-bucket/s')),
    ([*STUDY, '--dry_run'], ('no --dry_run in a job',)),
    (
        [*STUDY, '--params_override=data.labelled=shards/a*,data.validation=gs://b12/b*,data.unlabelled=gs://b12/c*'],
        ("data.labelled is 'shards/a*'", 'a path a job can see'),
    ),
    ([*STUDY, '--params_override=budget.stesp=1'], ('stesp',)),
]


@pytest.mark.parametrize(('flags', 'words'), FLAGS, ids=[' '.join(flags)[:60] for flags, _ in FLAGS])
def test_flags_of_the_job(flags: list[str], words: tuple[str, ...]) -> None:
    refused(jobs.train(*flags), words)


@pytest.mark.parametrize(('command', 'words'), COMMANDS, ids=[command[-1][-60:] for command, _ in COMMANDS])
def test_the_command_of_the_job(command: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(jobs.train(command=command), words)


@pytest.mark.parametrize(('argv', 'words'), OTHERS, ids=[f'{argv[0]} {words[0]}' for argv, words in OTHERS])
def test_other_jobs(argv: list[str], words: tuple[str, ...]) -> None:
    refused(argv, words)


def refused(argv: list[str], words: tuple[str, ...]) -> None:
    with pytest.raises(errors.UserError) as raised:
        submit.main([argv[0], '--dry_run', *argv[1:]])
    for word in words:
        assert word in str(raised.value)


def test_data_is_looked_into_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from export.vertex import contents

    looked: list[object] = []
    monkeypatch.setattr(contents, '_check_data', looked.append)
    for flags in ([], ['--check_data']):
        assert submit.main(jobs.train(*flags, '--dry_run')) == 0
    assert len(looked) == 1


def test_a_mounted_folder_is_a_bucket_from_here() -> None:
    from export.vertex import contents

    assert contents.readable('/gcs/my-bucket/a.yaml') == 'gs://my-bucket/a.yaml'
    assert contents.readable('gs://my-bucket/a.yaml') == 'gs://my-bucket/a.yaml'


def test_a_bucket_out_of_reach_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from official_rethink.configs import parse

    def load(*args: object) -> None:
        raise tf.errors.PermissionDeniedError(None, None, 'Error executing an HTTP request: HTTP response code 403')

    monkeypatch.setattr(parse, 'load', load)
    words = ('cannot be read from here: Error executing an HTTP request', 'application-default login')
    refused(jobs.train('--dry_run'), words)
