"""Runs every benchmark and prints one table: ours, the reference's, the ratio.

A benchmark is a module in this folder with `run()`, which returns a mapping, or a list of them, with `name`,
`ours_seconds`, `reference_seconds`, `ratio` (over 1: ours is faster) and `note` (what was compared, where).
"""

import argparse
import importlib
import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.common import entry_point, errors

BENCHMARKS = ('coco_evaluation', 'input_pipeline')
COLUMNS = ('name', 'ours_seconds', 'reference_seconds', 'ratio', 'note')
HEADINGS = ['name', 'ours (s)', 'reference (s)', 'ratio', 'note']
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'results.json')


def checked(row: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """Returns the row, or says which benchmark gave what that is not one."""
    missing = [column for column in COLUMNS if column not in row]
    if missing:
        raise ValueError(f'benchmarks.{benchmark}.run gave {sorted(row)}; missing: {", ".join(missing)}')
    for column in ('ours_seconds', 'reference_seconds', 'ratio'):
        value = row[column]
        if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            where = f'benchmarks.{benchmark}.run'
            raise ValueError(f'{where} gave {column} = {value!r}, wanted a positive number')
    return dict(row)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats rows under their headings, numbers to the right."""
    cells = [HEADINGS]
    for row in rows:
        numbers = [f'{row["ours_seconds"]:.4g}', f'{row["reference_seconds"]:.4g}', f'{row["ratio"]:.1f}x']
        cells.append([str(row['name']), *numbers, str(row['note'])])
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = []
    for name, *numbers, note in cells:
        right = '  '.join(text.rjust(width) for text, width in zip(numbers, widths[1:4], strict=True))
        lines.append(f'{name.ljust(widths[0])}  {right}  {note}'.rstrip())
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(lines)


def write(rows: Sequence[Mapping[str, Any]], path: str) -> None:
    """Keeps the rows and the machine they were measured on, in one rename."""
    machine = {'cores': os.cpu_count(), 'machine': platform.machine(), 'python': platform.python_version()}
    temporary = f'{path}.tmp'
    with open(temporary, 'w', encoding='utf-8') as handle:
        json.dump({'machine': machine, 'rows': list(rows)}, handle, indent=2)
        handle.write('\n')
    os.replace(temporary, path)


def main(argv: Sequence[str]) -> int:
    """Runs the benchmarks named by `argv`, all by default."""
    parser = entry_point.Parser(prog='python -m benchmarks.run', description=__doc__.splitlines()[0])
    parser.add_argument('--only', choices=BENCHMARKS, help='run one benchmark alone')
    parser.add_argument('--write', action='store_true', help='keep the table in benchmarks/results.json')
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    if arguments.write and arguments.only:
        raise errors.UserError('--write keeps the whole table; leave out --only.')
    rows = []
    for name in [arguments.only] if arguments.only else BENCHMARKS:
        print(f'measuring {name} ...', file=sys.stderr, flush=True)
        found = importlib.import_module(f'benchmarks.{name}').run()
        rows += [checked(row, name) for row in ([found] if isinstance(found, Mapping) else found)]
    print(table(rows))
    if arguments.write:
        write(rows, RESULTS)
    return 0


if __name__ == '__main__':
    entry_point.run(main)
