"""One trial of a tuning job: training with the settings it is given, and the metric reported to the service."""

import os
import sys
from collections.abc import Sequence

from export.vertex import grid, hypertune
from official_rethink.common import cluster, entry_point, errors

_EPILOG = """example, as a tuning job runs it:
  python -m export.vertex.trial --experiment=retinanet_efficientnet_coco --config_file=configs/quick/retinanet.yaml \\
      --metric=AP --goal=higher --task__losses__focal_loss_gamma=2.0

Settings are flags with __ in place of the dots of their keys. All other flags are those of official_rethink.train."""


def main(argv: Sequence[str]) -> int:
    """Runs the trial; returns its exit code."""
    parser = entry_point.Parser(
        prog='python -m export.vertex.trial', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    parser.add_argument('--metric', required=True, help="the validation metric to report, such as 'AP'")
    parser.add_argument('--goal', default='higher', choices=('higher', 'lower'), help='which one is the better')
    parser.add_argument('--model_dir', default='', help="default: the job's folder (AIP_CHECKPOINT_DIR)")
    parser.add_argument('--params_override', default='', help="as train's; the trial's settings are laid over it")
    args, rest = parser.parse_known_args(argv)
    values, passed = _settings(rest)
    model_dir = args.model_dir or cluster.default_folder(os.environ)
    if not model_dir:
        raise errors.UserError('--model_dir is missing, and so is AIP_CHECKPOINT_DIR, which a job sets.')
    override = grid.override(args.params_override, values)
    command = [*passed, f'--model_dir={model_dir}', *([f'--params_override={override}'] if override else [])]
    if not any(item.split('=')[0] in ('--mode', '-mode') for item in command):
        command.append('--mode=train_and_eval')
    from official_rethink import train  # noqa: PLC0415

    code = train.main(command)
    found = cluster.read(os.environ)
    if code == 0 and (found is None or found.is_chief):
        sys.stdout.write(_report(args.metric, args.goal, model_dir))
    return code


def _settings(flags: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Splits what is left of the flags: the trial's settings by dotted key, and what is train's own."""
    values: dict[str, str] = {}
    passed: list[str] = []
    for item in flags:
        name, equals, value = item.lstrip('-').partition('=')
        if not item.startswith('--') or not grid.is_parameter(name):
            passed.append(item)
            continue
        key = grid.key_of(name)
        if not equals or not value:
            raise errors.bad_value(f'--{name}', value, f'a value for {key}, as --{name}=value')
        if key in values:
            raise errors.bad_value(f'--{name}', value, f'one value for {key}; {values[key]!r} was given already')
        values[key] = value
    return values, passed


def _report(metric: str, goal: str, model_dir: str) -> str:
    """Reports every validation; returns what to say of it."""
    from official_rethink.tasks import run_log  # noqa: PLC0415

    entries = [entry for entry in run_log.read_metrics(model_dir) if entry['kind'] == 'validation']
    if entries and not any(metric in entry['metrics'] for entry in entries):
        raise errors.unknown_name('metric', metric, entries[-1]['metrics'], '--metric')
    measured = [
        (int(entry['step']), float(entry['metrics'][metric]), float(entry['time']))
        for entry in entries
        if metric in entry['metrics']
    ]
    path = hypertune.report(metric, measured, os.environ)
    best = (max if goal == 'higher' else min)(measured, key=lambda item: item[1])
    return f"{len(measured)} measurements in '{path}'; the best: {metric} {best[1]:.4f} at step {best[0]}.\n"


if __name__ == '__main__':
    entry_point.run(main)
