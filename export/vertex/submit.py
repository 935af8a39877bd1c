"""Sends a command to Vertex AI: training, a study, labelling, or training with every setting of a grid.

Everything is checked here first, as the command itself would check it. Then the job is created and watched
until it ends; a lost connection is waited for. Interrupted, the job goes on without being watched.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from export.vertex import api_types, machines, settings, spec
from official_rethink.common import entry_point, errors, stopping

_EPILOG = """examples:
  python -m export.vertex.submit train --project=my-project --region=us-central1 \\
      --image=us-docker.pkg.dev/my-project/ml/rethink:1 --machine_type=a2-highgpu-8g --replica_count=2 \\
      --staging_dir=gs://my-bucket/runs/teacher --dry_run \\
      -- --experiment=retinanet_resnetfpn_coco --mode=train_and_eval \\
      --params_override=task.train_data.input_path=gs://my-bucket/coco/train*,...
  python -m export.vertex.submit --attach=projects/my-project/locations/us-central1/customJobs/123

docs/vertex.md says more."""

EXIT_JOB, EXIT_LOST, EXIT_INTERRUPTED = 1, 3, 130
_NAME = re.compile(r'projects/[^/]+/locations/([a-z0-9-]+)/(customJobs|hyperparameterTuningJobs)/\d+')
_FILE = 'job.yaml'


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(prog='python -m export.vertex.submit', description=__doc__, epilog=_EPILOG)
    add = parser.add_argument
    add('kind', nargs='?', default='', choices=('', 'train', 'study', 'label', 'tune'), help='what to run')
    add('--project', default='', help='id or number of the project that pays')
    add('--region', default='', help='such as us-central1')
    add('--image', default='', help="the container's address in a registry")
    add('--display_name', default='', help='of the job (default: what it runs)')
    add('--machine_type', default='', help='such as n1-standard-8, a2-highgpu-8g, ct5lp-hightpu-4t')
    add('--accelerator_type', default='', help='of n1 machines, such as NVIDIA_TESLA_T4; others bring their own')
    add('--accelerator_count', type=int, help='of each machine (default: 1, or all that it is built with)')
    add('--tpu_topology', default='', help="of a TPU machine (default: the machine's own)")
    add('--replica_count', type=int, default=1, help='machines: a chief and workers (default: 1)')
    add('--staging_dir', default='', help="gs://… for what the job keeps; --model_dir's default is below it")
    add('--service_account', default='', help='whose rights the job has (default: the service agent)')
    add('--network', default='', help='projects/<number>/global/networks/<name> to be joined to')
    add('--boot_disk_type', default='', choices=('', *settings.DISKS), help='default: pd-ssd')
    add('--boot_disk_gb', type=int, help='default: 100')
    add('--label', action='append', default=[], help='name=value on the job; repeatable')
    add('--env', action='append', default=[], help='NAME=value in the container, no secrets; repeatable')
    add('--timeout', default='', help='the longest it may run, such as 12h or 7d (default: 7d)')
    add('--restart_on_worker_restart', action='store_true', help='all machines start anew when one does')
    add('--scheduling', default='', choices=('', *settings.STRATEGIES), help='default: standard')
    add('--max_wait', default='', help='with --scheduling=flex_start: how long to wait for machines (default: 24h)')
    add('--grid', action='append', default=[], help='tune: key=v1,v2; repeatable, all combinations are tried')
    add('--metric', default='', help="tune: the validation metric to judge by (default: the experiment's)")
    add('--parallel_trials', type=int, default=1, help='tune: trials at a time (default: 1)')
    add('--max_failed_trials', type=int, default=0, help='tune: so many failed trials end the job')
    add('--check_data', action='store_true', help='look into the data too, which takes access to it from here')
    add('--dry_run', action='store_true', help='print the YAML for gcloud, and send nothing')
    add('--detach', action='store_true', help='do not watch the job')
    add('--attach', default='', help='watch this job: projects/…/customJobs/<number>')
    add('--cancel', default='', help='cancel this job, and watch it end')
    add('--poll_seconds', type=float, default=30, help='between two looks (default: 30)')
    add('--patience', default='1h', help='how long to go on without an answer (default: 1h)')
    add('--api_endpoint', default='', help='another address of the service')
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    cut = list(argv).index('--') if '--' in argv else len(argv)
    args, command = _parse_args(argv[:cut]), list(argv[cut + 1 :])
    patience = settings.seconds('--patience', args.patience)
    if not args.poll_seconds > 0:
        raise errors.bad_value('--poll_seconds', args.poll_seconds, 'over 0')
    if args.attach or args.cancel:
        return _follow_other(args, command, patience)
    if not args.kind:
        raise errors.UserError('say what to run: train, study, label or tune; or --attach or --cancel a job.')
    if not command:
        raise errors.UserError(f'the arguments of the {args.kind} command are missing; they follow after --.')
    job = spec.build(args, command)
    checked = job.check()
    if not checked:
        sys.stderr.write(
            f"note: not compared with the API's own message types, which are not installed ({api_types.INSTALL}).\n"
        )
    if args.machine_type in machines.TPUS:
        sys.stderr.write(f'note: {args.image} needs a TensorFlow for TPUs; that of requirements.lock is none.\n')
    if args.dry_run:
        sys.stdout.write(text_of(job))
        return 0
    return _send(args, job, patience)


class _Dumper(yaml.SafeDumper):
    """Writes what two worker pools share twice, as a reader expects it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text_of(job: spec.Job) -> str:
    """The YAML that gcloud takes, below a comment with its command."""
    body = yaml.dump(job.config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f'# {job.gcloud(_FILE)}\n{body}'


def _client(args: argparse.Namespace, region: str, patience: float, screen: Any) -> Any:
    from export.vertex import client  # noqa: PLC0415

    address = client.endpoint(region, args.api_endpoint)
    return client.Client(address, client.session(address), patience, screen.say)


def _send(args: argparse.Namespace, job: spec.Job, patience: float) -> int:
    from export.vertex import client, watch  # noqa: PLC0415

    screen = watch.Screen()
    service = _client(args, job.region, patience, screen)
    try:
        name = service.create(job)
    except client.RefusedError as error:
        raise errors.UserError(f'Vertex AI refuses the job: {error}') from error
    except client.LostError as error:
        sys.stderr.write(f'error: {error}\n')
        return EXIT_LOST
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    sys.stdout.write(f'{name}\n')
    sys.stdout.flush()
    screen.say(f'its output: gcloud ai {spec.COLLECTIONS[job.collection]} stream-logs {name}')
    if args.detach:
        return 0
    return _follow(args, service, name, screen)


def _follow_other(args: argparse.Namespace, command: Sequence[str], patience: float) -> int:
    """Watches, or cancels and watches, a job that exists."""
    from export.vertex import client, watch  # noqa: PLC0415

    name = args.attach or args.cancel
    flag = '--attach' if args.attach else '--cancel'
    if (args.attach and args.cancel) or args.kind or command:
        raise errors.bad_value(flag, name, 'alone: one of --attach and --cancel, and no new job beside it')
    found = _NAME.fullmatch(name)
    if not found:
        raise errors.bad_value(flag, name, 'projects/<project>/locations/<region>/customJobs/<number>, as printed')
    screen = watch.Screen()
    service = _client(args, found[1], patience, screen)
    if args.cancel:
        try:
            service.cancel(name)
        except client.RefusedError as error:
            raise errors.UserError(f"'{name}' cannot be cancelled: {error}") from error
        except client.LostError as error:
            sys.stderr.write(f'error: {error}\n')
            return EXIT_LOST
        screen.say('asked to cancel')
        if args.detach:
            return 0
    return _follow(args, service, name, screen)


def _follow(args: argparse.Namespace, service: Any, name: str, screen: Any) -> int:
    """Watches a job to its end, and says how it ended."""
    from export.vertex import client, watch  # noqa: PLC0415

    again = f'python -m export.vertex.submit --attach={name}'
    again += f' --api_endpoint={args.api_endpoint}' if args.api_endpoint else ''
    try:
        job = watch.follow(service, name, screen, args.poll_seconds)
    except client.RefusedError as error:
        raise errors.UserError(f"'{name}' cannot be watched: {error}") from error
    except client.LostError as error:
        sys.stderr.write(f'error: {error} The job goes on; watch it again with: {again}\n')
        return EXIT_LOST
    except (KeyboardInterrupt, stopping.Stopped) as end:
        screen.say(f'not watching any more; the job goes on. Watch it again with: {again}')
        return end.exit_code if isinstance(end, stopping.Stopped) else EXIT_INTERRUPTED
    sys.stdout.write(watch.table(job))
    state = str(job['state'])
    if state == watch.SUCCEEDED or (args.cancel and state == 'JOB_STATE_CANCELLED'):
        return 0
    sys.stderr.write(f'error: the job is {watch.word(state)}: {watch.reason(job)}\n')
    return EXIT_JOB


if __name__ == '__main__':
    entry_point.run(main)
