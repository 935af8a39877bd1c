"""What `make tpu-check` prints: a table of the steps, and what is in the way of each that fails."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tools.tpu_check import steps as listed

_GIB = 2**30
_COLUMNS = (
    *('step', 'precision', 'slice', 'per core', 'arguments', 'results', 'aliased', 'temporary', 'program'),
    *('needed', 'fits', 'GFLOP', 'lower s', 'compile s'),
)
# XLA's list of what it has no lowering for: Name (No registered 'Name' OpKernel ...){{node some/name}}.
_UNSUPPORTED = re.compile(r"(\w+) \(No registered '\w+' OpKernel.*?\)?\{\{node ([^}]+)\}\}", re.DOTALL)
# Names in what libtpu says: of the greatest allocations, and of what it refuses.
_NAMED = re.compile(r'op_name="([^"]+)"')
_ALLOCATION = re.compile(r'^\s*Size:\s*([\d.]+\s?[KMG]?)\b', re.MULTILINE)
_SHOWN = 10


def needed_bytes(compiled: Mapping[str, Any]) -> int:
    """Memory of one core: what goes in, what comes out beside it, what lives between, and the program."""
    fresh = compiled['output_bytes'] - compiled['alias_bytes']
    return int(compiled['argument_bytes'] + fresh + compiled['temp_bytes'] + compiled['code_bytes'])


def fits(compiled: Mapping[str, Any]) -> bool:
    """Whether it runs on one core."""
    return 'error' not in compiled and needed_bytes(compiled) <= listed.CORE_BYTES


def passed(outcome: Mapping[str, Any]) -> bool:
    """Whether a step was lowered, holds nothing of the host's, compiled and fits."""
    lowered, compiled = outcome['lowered'], outcome.get('compiled')
    return 'error' not in lowered and not lowered['host_only'] and compiled is not None and fits(compiled)


def table(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """One line a step, in columns."""
    rows = [_COLUMNS, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return '\n'.join(
        '  '.join(f'{cell:<{width}}' if column < 3 else f'{cell:>{width}}' for column, (cell, width) in enumerate(line))
        for line in ([*zip(row, widths, strict=True)] for row in rows)
    )


def _row(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    lowered, compiled = outcome['lowered'], outcome.get('compiled') or {'error': 'not reached'}
    head = (outcome['step'], outcome['precision'], outcome['slice'], str(lowered.get('batch', '-')))
    seconds = (_seconds(lowered), _seconds(compiled))
    if 'error' in compiled:
        return (*head, *(['-'] * 6), 'no', '-', *seconds)
    names = ('argument_bytes', 'output_bytes', 'alias_bytes', 'temp_bytes', 'code_bytes')
    sizes = (_gib(compiled[name]) for name in names)
    flops = f"{compiled['flops'] / 1e9:.0f}" if compiled.get('flops') else '-'
    return (*head, *sizes, _gib(needed_bytes(compiled)), 'yes' if fits(compiled) else 'no', flops, *seconds)


def _gib(size: float) -> str:
    return f'{size / _GIB:.2f}'


def _seconds(part: Mapping[str, Any]) -> str:
    return f"{part['seconds']:.0f}" if 'seconds' in part else '-'


def problems(outcome: Mapping[str, Any]) -> list[str]:
    """What is in the way of a step, an operation a line, by name and where in our code."""
    lowered, compiled = outcome['lowered'], outcome.get('compiled') or {}
    places = lowered.get('places', {})
    found = [f"host only: {item['type']} '{item['name']}', {item['place']}" for item in lowered['host_only']]
    if 'error' in lowered:
        found += _unsupported(lowered['error'], places) or [f'not lowered: {_first_lines(lowered["error"])}']
    if 'error' in compiled:
        found += [f'not compiled: {_first_lines(compiled["error"])}', *_named(compiled['error'], places)]
    elif compiled and not fits(compiled):
        found.append(f'needs {_gib(needed_bytes(compiled))} GiB of {_gib(listed.CORE_BYTES)} GiB')
    return found


def _unsupported(text: str, places: Mapping[str, str]) -> list[str]:
    return [
        f"not lowered: {kind} '{name}', {place_of(name, places)}"
        for kind, name in dict.fromkeys(_UNSUPPORTED.findall(text))
    ]


def _named(text: str, places: Mapping[str, str]) -> list[str]:
    names = list(dict.fromkeys(_NAMED.findall(text)))[:_SHOWN]
    return [f"  at '{name}', {place_of(name, places)}" for name in names]


def place_of(name: str, places: Mapping[str, str]) -> str:
    """Where an operation was written; XLA puts the calls it was inlined through before a name."""
    parts = name.split('/')
    for start in range(len(parts)):
        found = places.get('/'.join(parts[start:]))
        if found:
            return found
    return 'unknown place'


def _first_lines(text: str, most: int = 6) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ' | '.join(lines[:most])
