"""What a job runs: the command's arguments, checked as the command itself will check them, before money is spent."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.vertex import grid, machines, settings
from official_rethink.common import errors

MODULES = {
    'train': 'official_rethink.train',
    'study': 'official_rethink.study',
    'label': 'official_rethink.pseudo_label',
    'tune': 'export.vertex.trial',
}
_CHECKPOINTS = '/checkpoints'  # below the staging folder: AIP_CHECKPOINT_DIR
_PATHS = ('input_path', 'split_file', 'init_checkpoint', 'checkpoint', 'tfds_data_dir', 'config_files')
_IMAGE_CONFIGS = 'configs/'


@dataclasses.dataclass(frozen=True)
class Content:
    """A checked command.

    Attributes:
        module: what `python -m` runs.
        arguments: its arguments.
        name: of the job, if the user gives none.
        metric: of a trial: the validation metric it reports; '' of other jobs.
        goal: of a trial: 'higher' or 'lower'.
    """

    module: str
    arguments: tuple[str, ...]
    name: str
    metric: str = ''
    goal: str = ''


def check(
    kind: str,
    argv: Sequence[str],
    staging: str,
    machine: Mapping[str, Any],
    count: int,
    choices: Mapping[str, Sequence[str]] | None = None,
    metric: str = '',
    read_data: bool = False,
) -> Content:
    """Checks a command.

    Args:
        kind: 'train', 'study', 'label' or 'tune'.
        argv: its arguments.
        staging: the job's folder of Cloud Storage, or ''.
        machine: the MachineSpec of each machine.
        count: machines.
        choices: of 'tune': dotted key -> values.
        metric: of 'tune': what trials are judged by; '' is the experiment's own.
        read_data: whether the data is looked into too, which needs access to it from here.

    Raises:
        UserError: what the command would refuse on the first machine, or what no machine of a job has.
    """
    if kind in ('study', 'label') and count > 1:
        raise errors.bad_value('--replica_count', count, f'1; {MODULES[kind]} works on one machine')
    with _reached():
        if kind == 'study':
            return _study(argv, read_data)
        if kind == 'label':
            return _label(argv, machine, read_data)
        return _train(kind, argv, staging, machine, count, choices or {}, metric, read_data)


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """A bucket that cannot be read from here is a user's matter, not a traceback's."""
    import tensorflow as tf  # noqa: PLC0415

    try:
        yield
    except tf.errors.OpError as error:
        raise errors.UserError(
            f'a file of Cloud Storage cannot be read from here: {error.message.splitlines()[0]} Is its name right, and '
            'do the credentials here (gcloud auth application-default login) reach it?'
        ) from error


def readable(path: str) -> str:
    """A path as this machine can read it: a mounted folder of a job is a bucket from here."""
    return f'gs://{path[5:]}' if path.startswith('/gcs/') and not os.path.isdir('/gcs') else path


def _check_config(what: str, path: str) -> str:
    """Checks a YAML file that the job reads, and returns where to read it here."""
    in_image = path.startswith(_IMAGE_CONFIGS) and '..' not in path
    if not settings.is_remote(path) and not in_image:
        raise errors.bad_value(
            what, path, f'a file of Cloud Storage (gs://…), or one below {_IMAGE_CONFIGS}, which the image holds'
        )
    return readable(path)


def _check_remote(what: str, value: str, where: str = '') -> None:
    for path in filter(None, (part.strip() for part in value.split(','))):
        if not settings.is_remote(path):
            raise errors.bad_value(what, path, 'a path a job can see: gs://bucket/… or /gcs/bucket/…', where)


def _paths(values: Any, prefix: str = '', names: Sequence[str] = _PATHS) -> Iterator[tuple[str, str]]:
    """Keys and values that name files, in a config as nested dictionaries and lists."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            name = f'{prefix}.{key}' if prefix else str(key)
            if isinstance(value, str) and key in names:
                yield name, value
            elif isinstance(value, (list, tuple)) and key in names:
                yield from ((f'{name}[{index}]', item) for index, item in enumerate(value))
            else:
                yield from _paths(value, name, names)
    elif isinstance(values, (list, tuple)):
        for index, value in enumerate(values):
            yield from _paths(value, f'{prefix}[{index}]', names)


def _load(experiment: str, config_files: Sequence[str], override: str) -> Any:
    """As the command loads its config, with the files checked first."""
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415

    found = [_check_config('--config_file', path) for path in config_files]
    if override.endswith(('.yaml', '.yml', '.json')) and '=' not in override:
        override = _check_config('--params_override', override)
    loaded = parse.load(experiment, found, override)
    for key, value in _paths(loaded.params.as_dict()):
        _check_remote(key, value, loaded.sources.get(key, ''))
    return loaded


def _train(
    kind: str,
    argv: Sequence[str],
    staging: str,
    machine: Mapping[str, Any],
    count: int,
    choices: Mapping[str, Sequence[str]],
    metric: str,
    read_data: bool,
) -> Content:
    from official_rethink import train  # noqa: PLC0415

    tunes = kind == 'tune'
    if tunes:
        _refuse(argv, 'model_dir', 'no --model_dir: each trial is given a folder below --staging_dir')
    elif not staging and not _names(argv, 'model_dir'):
        raise errors.UserError('--model_dir is missing; give it, or --staging_dir for the whole job.')
    _refuse(argv, 'tpu', 'no --tpu: a machine with TPUs (--machine_type=ct5lp-hightpu-4t) uses them by itself')
    given = [*argv, *([] if _names(argv, 'model_dir') else [f'--model_dir={staging}{_CHECKPOINTS}'])]
    given += ['--mode=train_and_eval'] if tunes and not _names(argv, 'mode') else []
    flags = train._parse_flags(given)
    if flags is None:
        raise errors.UserError('--help is no job; see python -m official_rethink.train --help.')
    if tunes and flags.mode != 'train_and_eval':
        raise errors.bad_value('--mode', flags.mode, 'train_and_eval; a trial is judged by its validation')
    _check_remote('--model_dir', flags.model_dir, 'the command line')
    _check_remote('--checkpoint', flags.checkpoint or '', 'the command line')
    base = flags.params_override or ''
    files = tuple(flags.config_file or ())
    if tunes and base and '=' not in base:
        raise errors.bad_value('--params_override', base, 'key=value pairs in a tuning job; a file is a --config_file')
    experiment = flags.experiment
    loaded = None
    for values in grid.combinations(choices) if tunes else [{}]:
        loaded = _load(experiment, files, grid.override(base, values))
        _check_runtime(loaded, machine, count)
    assert loaded
    if read_data:
        _check_data(loaded)
    if not tunes:
        return Content(MODULES[kind], tuple(argv), f'train {experiment}')
    metric, goal = _metric(loaded.params, metric)
    arguments = (*argv, f'--metric={metric}', f'--goal={goal}')
    return Content(MODULES[kind], arguments, f'tune {experiment}', metric, goal)


def _metric(params: Any, metric: str) -> tuple[str, str]:
    from official_rethink.configs import families  # noqa: PLC0415

    trainer = params.trainer
    known = families.of(params.task).metrics(params.task)
    metric = metric or trainer.best_checkpoint_eval_metric
    group = next((name for name in known if name.endswith('/') and metric.startswith(name)), metric)
    if group not in known:
        raise errors.unknown_name('metric', metric, known, '--metric')
    return metric, known[group]


def _check_runtime(loaded: Any, machine: Mapping[str, Any], count: int) -> None:
    """The strategy and the batch sizes on the machines the job will have."""
    from official_rethink.configs import validation  # noqa: PLC0415

    runtime, sources = loaded.params.runtime, loaded.sources
    gpus, tpu = machine.get('acceleratorCount', 0), 'tpuTopology' in machine
    key = 'runtime.distribution_strategy'
    if loaded.is_set(key):
        allowed = 'tpu' if tpu else 'multi_worker_mirrored' if count > 1 else 'mirrored'
        good = (allowed,) if tpu or count > 1 else ('mirrored', 'one_device', 'off', 'multi_worker_mirrored')
        if runtime.distribution_strategy not in good:
            words = f"'{allowed}' on these machines, or leave it out: the job's own variables decide"
            raise errors.bad_value(key, runtime.distribution_strategy, words, sources[key])
    key = 'runtime.num_gpus'
    if loaded.is_set(key) and runtime.num_gpus != gpus:
        raise errors.bad_value(key, runtime.num_gpus, f'{gpus}, what each machine has, or leave it out', sources[key])
    for field in ('worker_hosts', 'tpu'):
        if getattr(runtime, field):
            key = f'runtime.{field}'
            raise errors.bad_value(key, getattr(runtime, field), 'nothing; the job says it', sources.get(key, ''))
    validation.validate_runtime(loaded.params, machines.replicas(machine, count), sources)


def _check_data(loaded: Any) -> None:
    """What `train` looks at before it starts: shards, descriptions, manifests."""
    from official_rethink.configs import validation_data  # noqa: PLC0415
    from official_rethink.pseudo_labels import manifest  # noqa: PLC0415

    validation_data.validate_data(loaded.params, loaded.sources)
    manifest.check_student(loaded.params)


def _label(argv: Sequence[str], machine: Mapping[str, Any], read_data: bool) -> Content:
    from official_rethink import pseudo_label  # noqa: PLC0415
    from official_rethink.pseudo_labels import kinds  # noqa: PLC0415

    args = pseudo_label._parse_args(argv)
    for name in ('checkpoint', 'input', 'output_dir'):
        _check_remote(f'--{name}', getattr(args, name), 'the command line')
    if args.truth not in ('', '='):
        _check_remote('--truth', args.truth, 'the command line')
    loaded = _load(args.experiment, args.config_file, args.params_override)
    kinds.of(loaded.params, args.experiment).check(args)
    pseudo_label._check_args(args, loaded.params)
    if args.batch_size is not None:
        count = machines.replicas(machine, 1)
        if args.batch_size % count:
            raise errors.bad_value('--batch_size', args.batch_size, f'a multiple of the {count} accelerators')
    if read_data:
        from official_rethink.pseudo_labels import teacher  # noqa: PLC0415

        teacher.find(readable(args.checkpoint))
    return Content(MODULES['label'], tuple(argv), f'label with {args.experiment}')


def _study(argv: Sequence[str], read_data: bool) -> Content:
    from official_rethink.configs import study as study_config  # noqa: PLC0415
    from official_rethink.study import __main__ as command  # noqa: PLC0415
    from official_rethink.study import check as study_check  # noqa: PLC0415

    _refuse(argv, 'dry_run', 'no --dry_run in a job; run it here, or give --dry_run before the --')
    for item in argv:
        if item.startswith('--output_dir=gs://'):  # which the command itself would refuse without saying what to do
            settings.check_mount('--output_dir', item.partition('=')[2])
    flags = command.parse_args(argv)
    settings.check_mount('--output_dir', flags.output_dir)
    files = [_check_config('--config_file', path) for path in flags.config_file]
    config = study_config.load(files, flags.params_override)
    values = config.as_dict()
    data = values.pop('data')
    for key, value in data.items():
        if isinstance(value, str):
            _check_remote(f'data.{key}', value)
    for key, value in _paths(values):
        if '.config_files[' in key or key.startswith('config_files['):
            _check_config(key, value)
        else:
            _check_remote(key, value)
    if read_data:
        study_check.make_plan(config)
    return Content(MODULES['study'], tuple(argv), f'study {config.name}')


def _names(argv: Sequence[str], flag: str) -> bool:
    """Whether a flag stands among arguments, with one dash or two."""
    return any(item.split('=')[0] in (f'--{flag}', f'-{flag}') for item in argv)


def _refuse(argv: Sequence[str], flag: str, allowed: str) -> None:
    found = next((item for item in argv if item.split('=')[0] in (f'--{flag}', f'-{flag}')), None)
    if found is not None:
        raise errors.bad_value(f'--{flag}', found, allowed, 'after the --')
