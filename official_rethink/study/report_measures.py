"""The report's table of boxes, masks and key points beside each other, as Table 2 of He et al. has them."""

import html
from typing import Any

from official_rethink.study import measures, report_plots, statistics
from official_rethink.study.report_tables import table
from official_rethink.study.words import count, points

_WORDS = {'': 'box', 'mask_': 'mask', 'keypoint_': 'key-point'}


def section(results: dict[str, Any]) -> str:
    """The table; '' where the results' own table says it all: boxes alone, or no boxes."""
    names = measures.measured(results)
    if not set(names) - set(measures.OVERLAPS):
        return ''
    palette = report_plots.colors(results)
    means = {arm['name']: {name: _values(arm, name) for name in names} for arm in results['arms']}
    tops = {name: max(statistics.mean(numbers[name]) for numbers in means.values()) for name in names}
    rows = []
    for arm in results['arms']:
        cells = ''.join(_cell(means[arm['name']][name], tops[name]) for name in names)
        key = f'<i class="key {palette[arm["name"]]}"></i>'
        rows.append(f'<tr><th scope="row">{key}{html.escape(arm["name"])}</th>{cells}</tr>')
    caption = f'In points of 100 on the images of the results, mean over {count(len(arm["seeds"]), "seed")}'
    if len(arm['seeds']) > 1:
        caption += ', ± the standard deviation'
    caption += '; the best of each column is bold.'
    return table('measures', ['arm', *map(_head, names)], rows, caption)


def _head(name: str) -> str:
    if name in measures.OTHERS:
        return name.replace('_', ' ')
    kind = next(kind for kind in reversed(measures.KINDS) if name.startswith(kind))
    return f'{_WORDS[kind]} {name.removeprefix(kind)}'


def _values(arm: dict[str, Any], name: str) -> list[float]:
    return [seed['metrics'][name] for seed in arm['seeds']]


def _cell(values: list[float], top: float) -> str:
    middle, spread = statistics.mean(values), statistics.std(values)
    beside = f'<small>± {points(spread)}</small>' if spread is not None else ''
    best = ' class="best"' if middle == top else ''
    return f'<td{best}>{points(middle)}{beside}</td>'
