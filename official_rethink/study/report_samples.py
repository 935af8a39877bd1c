"""The report's accounting of samples: what each arm saw, pre-training included, and the metric against each count."""

import html
from collections.abc import Sequence
from typing import Any

from official_rethink.study import report_plots, samples, svg
from official_rethink.study.report_budget import paragraph
from official_rethink.study.report_plots import NARROW, WIDE, both, group_color, group_name, grouped, legend
from official_rethink.study.report_tables import table
from official_rethink.study.words import times

_PARTS = (('pretraining', 'pre-training', 'c0'), ('training', 'training', 'c1'), ('labelling', 'labelling', 'c4'))
_LOG_FROM = 12  # a largest count so many times the smallest goes on a logarithmic axis
_PANEL = 238
_NAME = 22  # letters of an arm's name beside its bar


def section(results: dict[str, Any]) -> str:
    """Bars of images, instances and pixels for each arm, a table of them, and the metric against each."""
    arms = results['arms']
    several = len(arms[0]['seeds']) > 1
    words = (
        'What the networks of each arm read, with pre-training counted for every arm that starts from it, as if it had '
        'been run for that arm alone. An image that is read a hundred times counts a hundred times; pixels are those '
        "of the network's input, padding included."
    )
    if several:
        words += ' Means over seeds.'
    if results.get('grids'):
        words += ' What was spent on searching for values is in no arm.'
    unknown = [arm['name'] for arm in arms if samples.uncounted(arm)]
    if unknown:
        words += (
            f' {", ".join(unknown)} start{"s" if len(unknown) == 1 else ""} from weights that came from elsewhere: '
            'what these were trained on is not known here; it is missing from the bars, and a question mark says so.'
        )
    if any(samples.seen(arm, 'images').labelling for arm in arms):
        words += ' Labelling reads each unlabelled image once, forward only; its pixels are not counted.'
    bars = ''.join(f'<h4>{name.capitalize()}</h4>{_bars(results, name)}' for name in samples.QUANTITIES)
    keys = [(name, style) for part, name, style in _PARTS if _present(arms, part)]
    return (
        paragraph(words)
        + f'<figure>{legend(keys)}{bars}</figure>'
        + _table(results)
        + f'<h3>{html.escape(results["metric"])} against what was seen</h3>'
        + _against(results)
    )


def _present(arms: Sequence[dict[str, Any]], part: str) -> bool:
    return any(getattr(samples.seen(arm, name), part) for arm in arms for name in samples.QUANTITIES)


def _bars(results: dict[str, Any], quantity: str) -> str:
    found = [(arm, samples.seen(arm, quantity)) for arm in results['arms']]
    top = max(seen.known for _, seen in found)
    if not top:
        return paragraph('None were counted.', 'note')

    def draw(width: int) -> svg.Chart:
        beside = width == WIDE
        row = 24 if beside else 42
        left, first = (176, 8) if beside else (2, 20)
        marks = svg.ticks(0, top, 6 if beside else 4)
        height = first + row * len(found) + 30
        chart = svg.Chart(width, height, (0, marks[-1]), (0, 1), left=left, right=62, top=first, bottom=26)
        chart.grid(marks, x_names=[svg.short(mark) for mark in marks], vertical=True)
        for index, (arm, seen) in enumerate(found):
            _bar(chart, first + row * index, arm, seen, beside)
        return chart

    words = '; '.join(f'{arm["name"]} {_amount(seen)}' for arm, seen in found)
    return both(draw, f'{quantity.capitalize()} seen: {words}.')


def _amount(seen: samples.Seen) -> str:
    return f'{svg.short(seen.known)}{" + ?" if seen.total is None else ""}'


def _bar(chart: svg.Chart, top: float, arm: dict[str, Any], seen: samples.Seen, beside: bool) -> None:
    name = arm['name']
    if beside:
        clipped = name if len(name) <= _NAME else f'{name[: _NAME - 1]}…'
        chart.text((chart.x(0) - 10, top + 15), clipped, 'name end')
    else:
        chart.text((chart.x(0), top + 11), name, 'name')
        top += 14
    reached = 0.0
    for part, _, style in _PARTS:
        amount = getattr(seen, part) or 0.0
        if amount:
            chart.bar((chart.x(reached), top + 3), (chart.x(reached + amount), top + 17), f'part {style}')
        reached += amount
    chart.text((chart.x(reached) + 6, top + 15), _amount(seen), 'tick')


def _table(results: dict[str, Any]) -> str:
    """Totals, what of them was before, and their ratio to the baseline's."""
    base = next(arm for arm in results['arms'] if arm['name'] == results['baseline'])
    palette, rows = report_plots.colors(results), []
    for arm in results['arms']:
        own = '' if arm is base else _times(samples.steps(arm), samples.steps(base))
        cells = [f'<td>{samples.steps(arm):,}{own}</td>']
        for name in samples.QUANTITIES:
            seen, whole = samples.seen(arm, name), samples.seen(base, name).total
            ratio = _times(seen.total, whole) if arm is not base else ''
            cells.append(f'<td>{_amount(seen)}{ratio}</td>')
        key = f'<i class="key {palette[arm["name"]]}"></i>'
        rows.append(f'<tr><th scope="row">{key}{html.escape(arm["name"])}</th>{"".join(cells)}</tr>')
    caption = (
        f"All that each arm's networks saw, pre-training included, and how many times {results['baseline']}'s that is; "
        'steps are of the own trainings. k, M, G and T are thousands, millions, 10⁹ and 10¹².'
    )
    return table('samples', ['arm', 'own steps', *samples.QUANTITIES], rows, caption)


def _times(value: float | None, whole: float | None) -> str:
    if value is None or not whole:
        return ''
    return f'<small>{times(value / whole)}</small>'


def _against(results: dict[str, Any]) -> str:
    groups = grouped(results, 'own_steps')
    for group in groups:
        group.sort(key=samples.steps)
    panels = ''.join(f'<div>{_panel(results, groups, name)}</div>' for name in samples.QUANTITIES)
    entries = [(group_name(group, 'own_steps', groups) or 'all', group_color(i)) for i, group in enumerate(groups)]
    caption = 'Each dot is an arm: its mean on the test images and all it saw, pre-training included'
    if len(results['arms'][0]['seeds']) > 1:
        caption += ', bars one standard deviation over seeds'
    caption += '.'
    if any(len(group) > 1 for group in groups):
        caption += ' Lines join arms that differ in their length alone.'
    if any(samples.uncounted(arm) for arm in results['arms']):
        caption += ' Pale dots belong further to the right, by a pre-training that nobody here counted.'
    return (
        f'<figure>{legend(entries)}<div class="panels">{panels}</div>'
        f'<figcaption>{html.escape(caption)}</figcaption></figure>'
    )


def _panel(results: dict[str, Any], groups: list[list[dict[str, Any]]], quantity: str) -> str:
    """The metric against one count; '' where nothing was counted."""
    arms = results['arms']
    seen = {arm['name']: samples.seen(arm, quantity).known for arm in arms}
    low, high = min(seen.values()), max(seen.values())
    if low <= 0:
        return paragraph(f'Not every arm saw {quantity} that were counted.', 'note')
    log = high > _LOG_FROM * low
    ends = [100 * (arm['mean'] + sign * (arm['std'] or 0)) for arm in arms for sign in (-1, 1)]
    rows = svg.ticks(min(ends), max(ends), 5)

    def draw(width: int) -> svg.Chart:
        marks = svg.log_ticks(low, high, 4) if log else svg.ticks(0, high, 4)
        span = (marks[0], marks[-1])
        chart = svg.Chart(width, 250, span, (rows[0], rows[-1]), left=34, right=16, top=28, log=log)
        chart.grid(marks, rows, f'{quantity} seen', results['metric'], [svg.short(mark) for mark in marks])
        for index, group in enumerate(groups):
            _dots(chart, group, seen, group_color(index))
        return chart

    words = '; '.join(f'{arm["name"]} {100 * arm["mean"]:.1f} after {svg.short(seen[arm["name"]])}' for arm in arms)
    text = f'{results["metric"]} against {quantity} seen: {words}.'
    return draw(_PANEL).render(text, 'wide') + draw(NARROW).render(text, 'narrow')


def _dots(chart: svg.Chart, group: list[dict[str, Any]], seen: dict[str, float], color: str) -> None:
    chart.line([(seen[arm['name']], 100 * arm['mean']) for arm in group], f'curve thin {color}')
    for arm in group:
        column = chart.x(seen[arm['name']])
        if arm['std']:
            ends = (100 * (arm['mean'] - arm['std']), 100 * (arm['mean'] + arm['std']))
            chart.segment((column, chart.y(ends[0])), (column, chart.y(ends[1])), f'interval thin {color}')
        weight = 'seed' if samples.uncounted(arm) else 'mean'
        chart.dot((column, chart.y(100 * arm['mean'])), f'{weight} {color}', 5)
