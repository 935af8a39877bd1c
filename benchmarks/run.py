"""Runs every benchmark, each in a process of its own, and prints one table: ours, the reference's, the ratio.

A benchmark is a module in this folder with `run()`, which returns rows of `measure.row`. `--write` keeps the last two
runs in benchmarks/results.json and their table in docs/speed.md.
"""

import argparse
import datetime
import importlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import pages
from official_rethink.common import entry_point, errors, files

BENCHMARKS = (
    'input_pipeline',
    'transfer',
    'train_step',
    'labelling',
    'coco_evaluation',
    'prepare',
    'serving',
    'start',
    'study_share',
)
COLUMNS = ('name', 'measures', 'headline', 'unit', 'target', 'reached', 'note')
KEPT_RUNS = 2
_FOLDER = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(_FOLDER, 'results.json')
MARK = 'table, written by make bench ARGS=--write'


def checked(row: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """Returns the row, or says which benchmark gave what that is not one."""
    missing = [column for column in COLUMNS if column not in row]
    if missing:
        raise ValueError(f'benchmarks.{benchmark}.run gave {sorted(row)}; missing: {", ".join(missing)}')
    for kind, sides in row['measures'].items():
        for side in ('ours', 'reference', 'ratio'):
            for end, value in sides[side].items():
                if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
                    where = f'benchmarks.{benchmark}.run'
                    raise ValueError(f'{where} gave {kind} {side} {end} = {value!r}, wanted a positive number')
    return dict(row)


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table: name, ours, reference, ratio with its spread, the same on the clock, target, verdict."""
    headline = row['measures'][row['headline']]
    wall = row['measures'].get('wall')
    verdict = {None: '', True: 'reached', False: 'missed'}[row['reached']]
    return [
        row['name'],
        f'{headline["ours"]["median"]:.3g}',
        f'{headline["reference"]["median"]:.3g} {row["unit"]}',
        _ratio(headline['ratio']),
        _ratio(wall['ratio']) if wall and row['headline'] != 'wall' else '',
        '' if row['target'] is None else f'{row["target"]:.3g}',
        verdict,
    ]


def _ratio(ratio: Mapping[str, float]) -> str:
    median, low, high = (f'{ratio[end]:.3g}' for end in ('median', 'low', 'high'))
    return median if low == high else f'{median} ({low} to {high})'


HEADINGS = ['what', 'ours', 'reference', 'ratio', 'ratio, wall', 'to reach', '']


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats rows under their headings for a terminal."""
    lines = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    shown = ['  '.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    shown.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(shown)


def page_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """The table of the docs: the kept runs side by side."""
    lines = []
    for run in runs:
        machine = run['machine']
        where = f'{machine["cores"]} cores of {machine["processor"]}, Python {machine["python"]}'
        lines.append(f'Run of {run["date"]}, {where}:')
        lines.append(pages.table(HEADINGS, map(cells, run['rows'])))
    return '\n\n'.join(lines)


def machine() -> dict[str, Any]:
    """What was measured on."""
    processor = platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as handle:
            named = re.search(r'model name\s*:\s*(.+)', handle.read())
        processor = named[1].strip() if named else processor
    return {'cores': os.cpu_count(), 'processor': processor, 'python': platform.python_version()}


def write(rows: Sequence[Mapping[str, Any]], results: str, page: str) -> None:
    """Keeps the run beside the one before it, and puts both into the page between its marks."""
    kept = files.read_json(results)['runs'] if os.path.exists(results) else []
    date = datetime.date.today().isoformat()
    runs = [*kept, {'date': date, 'machine': machine(), 'rows': list(rows)}][-KEPT_RUNS:]
    files.write_json(results, {'runs': runs})
    pages.put(page, MARK, page_table(runs))


def measured(name: str) -> list[dict[str, Any]]:
    """Runs one benchmark in a process of its own, so that none inherits another's threads and memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'rows.json')
        environment = {'TF_CPP_MIN_LOG_LEVEL': '3', **os.environ}
        command = [sys.executable, '-m', 'benchmarks.run', f'--only={name}', f'--rows_file={path}']
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise errors.UserError(f'the benchmark {name} ended with code {done.returncode}; its output is above.')
        with open(path, encoding='utf-8') as handle:
            return list(json.load(handle))


def main(argv: Sequence[str]) -> int:
    """Runs the benchmarks named by `argv`, all by default."""
    parser = entry_point.Parser(prog='python -m benchmarks.run', description=__doc__.splitlines()[0])
    parser.add_argument('--only', choices=BENCHMARKS, help='run one benchmark alone')
    parser.add_argument('--write', action='store_true', help='keep the table: benchmarks/results.json, docs/speed.md')
    parser.add_argument('--rows_file', default='', help='write the rows as JSON into this file')
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    if arguments.write and arguments.only:
        raise errors.UserError('--write keeps the whole table; leave out --only.')
    rows, failed = [], []
    for number, name in enumerate([arguments.only] if arguments.only else BENCHMARKS, 1):
        if arguments.only:
            found = importlib.import_module(f'benchmarks.{name}').run()
        else:
            print(f'{number} of {len(BENCHMARKS)}: {name} ...', file=sys.stderr, flush=True)
            try:
                found = measured(name)
            except errors.UserError as error:  # what the others measured is not lost
                failed.append(str(error))
                continue
        rows += [checked(row, name) for row in found]
    print(table(rows))
    if failed:
        raise errors.UserError(' '.join([*failed, 'No table was written.']))
    if arguments.rows_file:
        files.write_json(arguments.rows_file, rows)
    if arguments.write:
        write(rows, RESULTS, pages.SPEED)
    return 0


if __name__ == '__main__':
    entry_point.run(main)
