"""The request for a job, as the API takes it, and the same for gcloud."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from export.vertex import api_types, contents, grid, machines, settings
from official_rethink.common import errors

COLLECTIONS = {'customJobs': 'custom-jobs', 'hyperparameterTuningJobs': 'hp-tuning-jobs'}
_MESSAGES = {'customJobs': 'CustomJob', 'hyperparameterTuningJobs': 'HyperparameterTuningJob'}
_DISK_GB = (100, 64000)


@dataclasses.dataclass(frozen=True)
class Job:
    """A request.

    Attributes:
        project: id or number.
        region: such as us-central1.
        collection: 'customJobs' or 'hyperparameterTuningJobs'.
        body: the CustomJob or HyperparameterTuningJob, in the lowerCamelCase of JSON; without the label by which a
            submission is found again.
    """

    project: str
    region: str
    collection: str
    body: dict[str, Any]

    @property
    def parent(self) -> str:
        """Where it is created."""
        return f'projects/{self.project}/locations/{self.region}'

    @property
    def config(self) -> dict[str, Any]:
        """What gcloud takes as --config: the CustomJobSpec, or the tuning job without its name and labels."""
        if self.collection == 'customJobs':
            return dict(self.body['jobSpec'])
        return {key: value for key, value in self.body.items() if key not in ('displayName', 'labels')}

    def check(self) -> bool:
        """Whether the API's own message types hold it, both as a request and as gcloud's file.

        Returns:
            False where google-cloud-aiplatform is not installed, so that nothing was checked.
        """
        kind = 'CustomJobSpec' if self.collection == 'customJobs' else _MESSAGES[self.collection]
        return api_types.check(_MESSAGES[self.collection], self.body) and api_types.check(kind, self.config)

    def gcloud(self, path: str) -> str:
        """The gcloud command that creates it from a file with `config` in it."""
        words = ['gcloud', 'ai', COLLECTIONS[self.collection], 'create', f'--project={self.project}']
        words += [f'--region={self.region}', f'--display-name={self.body["displayName"]}', f'--config={path}']
        given = ','.join(f'{name}={value}' for name, value in self.body.get('labels', {}).items())
        words += [f'--labels={given}'] if given else []
        if self.collection == 'hyperparameterTuningJobs':
            words += [f'--max-trial-count={self.body["maxTrialCount"]}']
            words += [f'--parallel-trial-count={self.body["parallelTrialCount"]}', '--algorithm=grid-search']
        return ' '.join(map(shlex.quote, words))


def build(args: Any, argv: Sequence[str]) -> Job:
    """Builds the request from submit's flags.

    Args:
        args: the flags, as `submit` parses them.
        argv: the arguments of the command that the job runs.

    Raises:
        UserError: a flag, or the command, that the job could not run with.
    """
    _check_flags(args)
    machine = machines.machine_spec(
        args.machine_type, args.accelerator_type, args.accelerator_count, args.tpu_topology
    )
    if 'tpuTopology' in machine and args.replica_count > 1:
        raise errors.bad_value('--replica_count', args.replica_count, '1; TensorFlow drives the TPUs of one host here')
    staging = args.staging_dir.rstrip('/')
    choices = grid.parse(args.grid) if args.kind == 'tune' else None
    content = contents.check(
        args.kind, argv, staging, machine, args.replica_count, choices, args.metric, args.check_data
    )
    name = args.display_name or content.name[:128]
    settings.check_names(args.image, name, args.service_account, args.network)
    job_spec = _job_spec(args, machine, content, staging)
    labels = settings.labels(args.label)
    body: dict[str, Any] = {'displayName': name, **({'labels': labels} if labels else {})}
    if choices is None:
        return Job(args.project, args.region, 'customJobs', {**body, 'jobSpec': job_spec})
    trials = len(grid.combinations(choices))
    body |= {
        'studySpec': grid.study_spec(choices, content.metric, content.goal),
        'maxTrialCount': trials,
        'parallelTrialCount': min(args.parallel_trials, trials),
        'maxFailedTrialCount': args.max_failed_trials,
        'trialJobSpec': job_spec,
    }
    if not args.max_failed_trials:
        del body['maxFailedTrialCount']
    return Job(args.project, args.region, 'hyperparameterTuningJobs', body)


def _check_flags(args: Any) -> None:
    for name in ('project', 'region', 'image', 'machine_type'):
        if not getattr(args, name):
            raise errors.UserError(f'--{name} is missing; see python -m export.vertex.submit --help.')
    settings.check_place(args.project, args.region)
    if args.staging_dir:
        settings.check_folder('--staging_dir', args.staging_dir)
    elif args.kind == 'tune':
        raise errors.UserError('--staging_dir is missing; each trial keeps its checkpoints in a folder below it.')
    for name in ('replica_count', 'parallel_trials'):
        if getattr(args, name) < 1:
            raise errors.bad_value(f'--{name}', getattr(args, name), '1 or more')
    if args.max_failed_trials < 0:
        raise errors.bad_value('--max_failed_trials', args.max_failed_trials, '0 (the service decides) or more')
    if args.kind != 'tune':
        for name in ('grid', 'metric'):
            if getattr(args, name):
                raise errors.bad_value(f'--{name}', getattr(args, name), f'nothing with {args.kind}; it is of tune')
    if args.boot_disk_gb is not None and not _DISK_GB[0] <= args.boot_disk_gb <= _DISK_GB[1]:
        raise errors.bad_value('--boot_disk_gb', args.boot_disk_gb, f'{_DISK_GB[0]} to {_DISK_GB[1]}')
    if args.max_wait and args.scheduling != 'flex_start':
        raise errors.bad_value('--max_wait', args.max_wait, 'nothing but with --scheduling=flex_start')


def _job_spec(
    args: Any, machine: Mapping[str, Any], content: contents.Content, staging: str
) -> dict[str, Any]:
    """The CustomJobSpec: one machine in the first pool, the chief; the others, workers, in the second."""
    container: dict[str, Any] = {
        'imageUri': args.image,
        'command': ['python', '-m', content.module],
        'args': list(content.arguments),
    }
    variables = settings.variables(args.env)
    if variables:
        container['env'] = [{'name': name, 'value': value} for name, value in variables.items()]
    pool: dict[str, Any] = {'machineSpec': dict(machine), 'containerSpec': container}
    if args.boot_disk_type or args.boot_disk_gb:
        pool['diskSpec'] = {'bootDiskType': args.boot_disk_type or settings.DISKS[0]}
        pool['diskSpec'] |= {'bootDiskSizeGb': args.boot_disk_gb} if args.boot_disk_gb else {}
    workers = args.replica_count - 1
    spec: dict[str, Any] = {
        'workerPoolSpecs': [{**pool, 'replicaCount': 1}, *([{**pool, 'replicaCount': workers}] if workers else [])]
    }
    scheduling: dict[str, Any] = {}
    if args.timeout:
        scheduling['timeout'] = f'{settings.seconds("--timeout", args.timeout)}s'
    if args.restart_on_worker_restart:
        scheduling['restartJobOnWorkerRestart'] = True
    if args.scheduling:
        scheduling['strategy'] = settings.STRATEGIES[args.scheduling]
    if args.max_wait:
        scheduling['maxWaitDuration'] = f'{settings.seconds("--max_wait", args.max_wait)}s'
    if scheduling:
        spec['scheduling'] = scheduling
    if args.service_account:
        spec['serviceAccount'] = args.service_account
    if args.network:
        spec['network'] = args.network
    if staging:
        spec['baseOutputDirectory'] = {'outputUriPrefix': staging}
    return spec
