"""`python -m official_rethink.study.select`: ranks the trainings of a grid and writes down the best values.

A step of a study, which writes its --config_file: the number to rank by, and each training's folder and values.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

import yaml

from official_rethink.common import entry_point, errors, files


def main(argv: Sequence[str]) -> int:
    """Ranks the trainings named by the flags; returns the exit code."""
    parser = entry_point.Parser(prog='python -m official_rethink.study.select', description=__doc__)
    parser.add_argument('--config_file', required=True, help='{metric, trials: [{step, folder, values}]}; of a study')
    parser.add_argument('--output_dir', required=True, help='folder for the best values and the ranking')
    _select(parser.parse_args(argv))
    return 0


def _select(flags: argparse.Namespace) -> None:
    from official_rethink.study import grids, outputs, settings  # noqa: PLC0415  (TensorFlow)

    with open(flags.config_file, encoding='utf-8') as handle:
        config = yaml.safe_load(handle)
    rows = rank([_row(trial, config['metric']) for trial in config['trials']])
    best = rows[0]
    if best['value'] is None:
        raise errors.UserError(
            f'every training of this grid diverged, the first one so: {best["diverged"]} Give it smaller learning '
            'rates, or a longer warm-up.'
        )
    os.makedirs(flags.output_dir, exist_ok=True)
    ranking = {'metric': config['metric'], 'best': best['values'], 'trials': rows}
    files.write_json(os.path.join(flags.output_dir, grids.RANKING), ranking)
    files.write_text(os.path.join(flags.output_dir, grids.BEST), outputs.to_yaml(settings.nested(best['values'])))
    for place, row in enumerate(rows, 1):
        print(f'{place}. {_number(row["value"])} {config["metric"]}: {row["values"]}')


def _row(trial: dict[str, Any], metric: str) -> dict[str, Any]:
    """A training with the value of its best checkpoint on the validation images; None if it diverged."""
    from official_rethink.study import outputs  # noqa: PLC0415  (TensorFlow)

    reason = outputs.diverged(trial['folder'])
    found = None if reason else outputs.best(trial['folder'], metric)
    value = found['metrics'][metric] if found else None
    return {
        'step': trial['step'],
        'values': trial['values'],
        'value': value,
        'best_step': found.get('step') if found else None,
        'diverged': reason,
    }


def rank(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Best first; equal values as they came, and what diverged last."""
    return sorted(rows, key=lambda row: (row['value'] is None, -(row['value'] or 0.0)))


def _number(value: float | None) -> str:
    return 'diverged' if value is None else f'{100 * value:.1f}'


if __name__ == '__main__':
    entry_point.run(main)
