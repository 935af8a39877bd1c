"""The report's plots of arms, each drawn twice: for a desktop's width and for a phone's."""

import html
from collections.abc import Callable, Sequence
from typing import Any

from official_rethink.study import samples, statistics, svg

WIDE, NARROW = 720, 348
LENGTH = 'own_steps'
_COLORS = 6
_STARTS = ('c1', 'c3', 'c6', 'c4', 'c5')
_AXES = {'label_fraction': 'share of the labels', 'augmentation': 'augmentation', LENGTH: 'steps of training'}


def colors(results: dict[str, Any]) -> dict[str, str]:
    """Colour class of each arm: the baseline is grey, the others take turns."""
    found, index = {}, 0
    for arm in results['arms']:
        if arm['name'] == results['baseline']:
            found[arm['name']] = 'c0'
        else:
            found[arm['name']] = f'c{1 + index % _COLORS}'
            index += 1
    return found


def start_colors(results: dict[str, Any]) -> dict[str, str]:
    """Colour class of each start, the same in every plot of starts."""
    others = [start for start in dict.fromkeys(arm['initialization'] for arm in results['arms'])]
    others = [start for start in others if start != samples.RANDOM]
    names = {start: _STARTS[index % len(_STARTS)] for index, start in enumerate(others)}
    return {samples.RANDOM: 'c2', **names}


def _line_colors(results: dict[str, Any], groups: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """Those of the starts where these tell the groups apart, else one after the other."""
    starts = [group[0]['initialization'] for group in groups]
    if len(set(starts)) == len(starts) > 1:
        palette = start_colors(results)
        return [palette[start] for start in starts]
    return [group_color(index) for index in range(len(groups))]


def both(draw: Callable[[int], svg.Chart], description: str) -> str:
    """A plot for wide and one for narrow pages; the page's style shows one of them."""
    return draw(WIDE).render(description, 'wide') + draw(NARROW).render(description, 'narrow')


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names under their colours; entries are (name, class)."""
    items = ''.join(f'<li><i class="{style}"></i>{html.escape(name)}</li>' for name, style in entries)
    return f'<ul class="legend">{items}</ul>'


def differences(results: dict[str, Any]) -> str:
    """Every arm's paired differences to the baseline: seeds as dots, mean and interval."""
    arms = [arm for arm in results['arms'] if arm['difference']]
    if not arms:
        return ''
    baseline = next(arm for arm in results['arms'] if arm['name'] == results['baseline'])
    palette = colors(results)
    pairs = {arm['name']: _pairs(arm, baseline) for arm in arms}
    ends = [0.0, *(value for values in pairs.values() for value in values)]
    bounds = [arm['difference'][end] for arm in arms for end in ('low', 'high')]
    ends += [100 * bound for bound in bounds if bound is not None]

    def draw(width: int) -> svg.Chart:
        marks = svg.ticks(min(ends), max(ends), 7 if width == WIDE else 4)
        height = 58 + 50 * len(arms)
        chart = svg.Chart(width, height, (marks[0], marks[-1]), (0, 1), left=8, right=14, top=22)
        label = f'{results["metric"]} points over {baseline["name"]}, seed by seed'
        chart.grid(x_ticks=marks, x_label=label, vertical=True)
        chart.segment((chart.x(0), 22), (chart.x(0), height - 42), 'zero')
        for index, arm in enumerate(arms):
            _difference_row(chart, 50 + 50 * index, arm, pairs[arm['name']], palette[arm['name']])
        return chart

    words = '; '.join(f'{arm["name"]} {100 * arm["difference"]["mean"]:+.1f} points' for arm in arms)
    return both(draw, f'Differences to {baseline["name"]}: {words}.')


def _pairs(arm: dict[str, Any], baseline: dict[str, Any]) -> list[float]:
    both_arms = zip(arm['seeds'], baseline['seeds'], strict=True)
    return [100 * (seed['value'] - base['value']) for seed, base in both_arms]


def _difference_row(
    chart: svg.Chart, row: float, arm: dict[str, Any], values: list[float], color: str
) -> None:
    gain = arm['difference']
    chart.text((12, row - 16), arm['name'], 'name')
    if gain['low'] is not None:
        ends = (chart.x(100 * gain['low']), row), (chart.x(100 * gain['high']), row)
        chart.segment(*ends, f'interval {color}')
    for value in values:
        chart.dot((chart.x(value), row), f'seed {color}', 4)
    chart.dot((chart.x(100 * gain['mean']), row), f'mean {color}', 6.5)


def training_curves(results: dict[str, Any], curves: dict[str, list[tuple[int, float]]]) -> str:
    """Validation AP or mIoU against steps; a student goes on where its teacher ends, so budgets compare by eye.

    Args:
        results: the study's record.
        curves: training step's name -> (step, value).
    """
    lines = [line for arm in results['arms'] for line in _arm_lines(arm, curves)]
    values = [100 * value for _, _, points in lines for _, value in points]
    if not values:
        return ''
    last = max(step for _, _, points in lines for step, _ in points)
    palette = colors(results)

    def draw(width: int) -> svg.Chart:
        rows, columns = svg.ticks(0, max(values), 5), svg.ticks(0, last, 6 if width == WIDE else 4)
        columns = [tick for tick in columns if tick <= last * 1.001]
        height = 320 if width == WIDE else 260
        chart = svg.Chart(width, height, (0, max(last, columns[-1])), (0, rows[-1]), right=24, top=28)
        label = 'training steps, teacher and students added'
        chart.grid(columns, rows, label, f'validation {results["metric"]}')
        for arm in results['arms']:
            for kind, faint, points in _arm_lines(arm, curves):
                weight = 'faint' if faint else 'strong'
                style = f'curve {weight} {kind} {palette[arm["name"]]}'
                chart.line([(step, 100 * value) for step, value in points], style)
                if len(points) == 1:  # evaluated once: no line, but a result
                    (step, value), color = points[0], palette[arm['name']]
                    chart.dot((chart.x(step), chart.y(100 * value)), f'mean {color}', 4)
        return chart

    entries = [(arm['name'], palette[arm['name']]) for arm in results['arms']]
    if any(arm['self_training'] for arm in results['arms']):
        entries.append(('teacher', 'dashed'))
    return legend(entries) + both(draw, f'Validation {results["metric"]} against training steps, by arm.')


def _arm_lines(
    arm: dict[str, Any], curves: dict[str, list[tuple[int, float]]]
) -> list[tuple[str, bool, list[tuple[int, float]]]]:
    """(stage, faint, points): each seed's curve, faint if there are several, and then their mean."""
    by_stage: dict[str, list[list[tuple[int, float]]]] = {}
    for seed in arm['seeds']:
        offset = 0
        for stage in seed['stages']:
            if stage['step'] in curves:
                points = [(step + offset, value) for step, value in curves[stage['step']]]
                by_stage.setdefault(stage['stage'], []).append(points)
                offset += stage['cost']['steps']
    lines = []
    for kind, seeds in by_stage.items():
        lines += [(kind, len(seeds) > 1, points) for points in seeds]
        if len(seeds) > 1:
            common = sorted(set.intersection(*({step for step, _ in points} for points in seeds)))
            tables = [dict(points) for points in seeds]
            mean = [(step, statistics.mean([table[step] for table in tables])) for step in common]
            lines.append((kind, False, mean))
    return lines


def against(results: dict[str, Any], field: str) -> str:
    """The metric against `label_fraction`, `augmentation` or LENGTH; '' if no arms are alike in all else.

    Args:
        results: the record.
        field: what a line's arms differ in.
    """
    groups = families(results, field)
    if not groups:
        return ''
    palette = _line_colors(results, groups)
    values = sorted({_place(arm, field) for group in groups for arm in group})
    places = {value: float(index) if field == 'augmentation' else float(value) for index, value in enumerate(values)}
    names = [_place_name(value, field) for value in values]
    tops = [100 * (arm['mean'] + (arm['std'] or 0)) for group in groups for arm in group]
    lows = [100 * (arm['mean'] - (arm['std'] or 0)) for group in groups for arm in group]
    ends = (min(places.values()), max(places.values()))
    margin = (ends[1] - ends[0]) * 0.06

    def draw(width: int) -> svg.Chart:
        rows = svg.ticks(min(lows), max(tops), 5)
        height = 300 if width == WIDE else 250
        span = (ends[0] - margin, ends[1] + margin)
        chart = svg.Chart(width, height, span, (rows[0], rows[-1]), top=28)
        chart.grid([places[value] for value in values], rows, _AXES[field], results['metric'], names)
        for color, group in zip(palette, groups, strict=True):
            ordered = sorted(group, key=lambda arm: _place(arm, field))
            _group_line(chart, ordered, places, field, color)
        return chart

    names_of_lines = line_names(results, field)
    entries = [(name, color) for color, name in zip(palette, names_of_lines, strict=True)]
    words = f'{results["metric"]} against {_AXES[field]}, mean and standard deviation over seeds.'
    return (legend(entries) if len(groups) > 1 else '') + both(draw, words)


def families(results: dict[str, Any], field: str) -> list[list[dict[str, Any]]]:
    """Of two arms or more each: arms alike in everything but `field`."""
    return [group for group in grouped(results, field) if len(group) > 1]


def line_names(results: dict[str, Any], field: str) -> list[str]:
    """What sets each of `families` apart from all other arms, those that are in no family too."""
    everything = grouped(results, field)
    return [group_name(group, field, everything) or 'all arms' for group in families(results, field)]


def _place(arm: dict[str, Any], field: str) -> Any:
    return samples.steps(arm) if field == LENGTH else arm[field]


def _place_name(value: Any, field: str) -> str:
    if field == LENGTH:
        return svg.short(value)
    return f'{100 * value:g} %' if field == 'label_fraction' else str(value)


def group_color(index: int) -> str:
    """Colour class of a group of arms."""
    return f'c{index % (_COLORS + 1)}'


def _group_line(
    chart: svg.Chart, group: list[dict[str, Any]], places: dict[Any, float], field: str, color: str
) -> None:
    chart.line([(places[_place(arm, field)], 100 * arm['mean']) for arm in group], f'curve strong {color}')
    for arm in group:
        column = chart.x(places[_place(arm, field)])
        if arm['std']:
            ends = (100 * (arm['mean'] - arm['std']), 100 * (arm['mean'] + arm['std']))
            chart.segment((column, chart.y(ends[0])), (column, chart.y(ends[1])), f'interval thin {color}')
        chart.dot((column, chart.y(100 * arm['mean'])), f'mean {color}', 5)


_KEYS = (
    'network',
    'initialization',
    'augmentation',
    'label_fraction',
    'self_training',
    'score_threshold',
    'student_init',
    'joint',
    'rounds',
    'own_steps',
    'params_override',
    'grid',
)


def grouped(results: dict[str, Any], field: str) -> list[list[dict[str, Any]]]:
    """Arms that are alike in everything but `field`."""
    groups: dict[tuple[Any, ...], dict[Any, dict[str, Any]]] = {}
    for arm in results['arms']:
        key = tuple(str(arm.get(name) or '') for name in _KEYS if name != field)
        groups.setdefault(key, {}).setdefault(arm.get(field), arm)
    return [list(group.values()) for group in groups.values()]


def group_name(group: list[dict[str, Any]], field: str, groups: list[list[dict[str, Any]]]) -> str:
    """What sets the group apart from the others."""
    arm, firsts = group[0], [other[0] for other in groups]
    words = []
    for name in _KEYS:
        value = arm.get(name)
        # Supervised arms have no value of what only students have.
        differing = {str(first.get(name)) for first in firsts if first.get(name) is not None}
        if name == field or value is None or len(differing) < 2 or (name == 'rounds' and value < 2):
            continue
        if name in (LENGTH, 'params_override') and not value:
            continue
        texts = {
            'network': str(value),
            'initialization': 'random start' if value == samples.RANDOM else f'from {value}',
            'self_training': 'self-training' if value else 'supervised',
            'augmentation': f'Augment-{value}',
            'label_fraction': f'{100 * arm["label_fraction"]:g} % of labels',
            'joint': 'joint' if value else 'detection alone',
            'rounds': f'{value} rounds',
            'grid': f'values found by {value}',
            LENGTH: f'{samples.steps(arm):,} steps',
            'params_override': ', '.join(f'{key}={one}' for key, one in (arm.get('params_override') or {}).items()),
        }
        words.append(texts.get(name) or f'{name.replace("_", " ")} {value}')
    return ', '.join(words)
