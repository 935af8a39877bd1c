"""`python -m official_rethink.study`: arms × seeds, from data to report, resumable at any moment."""

import argparse
import os
import sys
from collections.abc import Sequence

from official_rethink.common import entry_point, errors, files

_DESCRIPTION = """\
Runs a study: prepares data, trains every arm with every seed (teachers, pseudo labels and students
included), measures all with one evaluator, and writes results.json, results.csv and report.html.

Started again with the same flags, it goes on where it stopped; finished steps are kept.
"""
_EPILOG = """\
examples:
  python -m official_rethink.study --config_file=configs/study/quick.yaml --output_dir=runs/quick
  python -m official_rethink.study --config_file=configs/study/quick.yaml --output_dir=runs/mine \\
    --params_override='data.labelled=shards/train*,data.unlabelled=shards/more*,data.validation=shards/val*'
  python -m official_rethink.study … --params_override='arms.self_training.score_threshold=0.4,seeds=[0,1,2]'
"""


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the flags."""
    parser = entry_point.Parser(
        prog='python -m official_rethink.study', description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        '--config_file', required=True, action='append', help='YAML file; several are laid over each other'
    )
    parser.add_argument('--output_dir', required=True, help='folder for everything the study makes; local')
    parser.add_argument(
        '--params_override',
        default='',
        help='laid over the file: a.b=c,d=[1,2], or a YAML file; an arm is reached by its name',
    )
    parser.add_argument('--dry_run', action='store_true', help='print plan, cost and time left, and stop')
    parser.add_argument(
        '--on_changed',
        default='error',
        choices=('error', 'rerun', 'keep'),
        help='at a step whose inputs have changed since: stop; empty its folder and do it again; or keep a '
        'finished result, and say so in the report',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        help='steps side by side, each on its share of the CPU cores; 1, the default, where an accelerator trains',
    )
    flags = parser.parse_args(argv)
    if flags.jobs < 1:
        raise errors.bad_value('--jobs', flags.jobs, 'a whole number from 1', 'the command line')
    if files.is_remote(flags.output_dir):
        allowed = 'a local folder, since a study locks it and its steps add to their logs there'
        raise errors.bad_value('--output_dir', flags.output_dir, allowed, 'the command line')
    return flags


def main(argv: Sequence[str]) -> int:
    """Runs the study named by the flags; returns the exit code."""
    _study(parse_args(argv))
    return 0


def _study(flags: argparse.Namespace) -> None:
    # TensorFlow comes with these, which --help and a misspelt flag need not wait for.
    from official_rethink.configs import study as study_config  # noqa: PLC0415
    from official_rethink.study import check, estimate, execute, live, records, report, runner  # noqa: PLC0415

    config = study_config.load(flags.config_file, flags.params_override)
    out = os.path.abspath(flags.output_dir)
    plan = check.make_plan(config)
    if flags.dry_run:
        print(estimate.plan_text(plan, out, flags.on_changed, flags.jobs))
        return
    with execute.locked(out) as lock:
        runner.clean_temporary(out)
        screen = live.Screen(config.name, plan, out, jobs=flags.jobs)
        executors = [execute.Processes(lock, cores) for cores in execute.shares(flags.jobs)]
        runner.Runner(plan, out, executors, flags.on_changed, screen).run()
        results = records.collect(config, plan, out)
        files.write_json(os.path.join(out, 'results.json'), results)
        files.write_text(os.path.join(out, 'results.csv'), records.to_csv(results))
        files.write_text(os.path.join(out, 'report.html'), report.build(results, plan, out))
    for name in ('results.json', 'results.csv', 'report.html'):
        print(os.path.join(flags.output_dir, name))
    sys.stdout.flush()


if __name__ == '__main__':
    entry_point.run(main)
