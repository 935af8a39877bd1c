"""The report's comparison of starts: learning curves by samples seen, where they meet, what catching up costs."""

import html
from collections.abc import Sequence
from typing import Any

from official_rethink.study import curves, evidence, evidence_starts, samples, statistics, svg
from official_rethink.study.report_budget import paragraph
from official_rethink.study.report_labels import figure
from official_rethink.study.report_plots import WIDE, both, legend, start_colors
from official_rethink.study.report_tables import table
from official_rethink.study.words import points, times

_METRICS = (('mask_AP', 'masks'), ('keypoint_AP', 'key points'))
_DEFINITION = (
    'Curves of one length meet at the first validation from which on the mean of the random start is at or over the '
    "pre-trained one's, to the end; a ring is there."
)
Arm = dict[str, Any]


def covered(results: dict[str, Any]) -> bool:
    """Whether this section draws the curves of all the arms."""
    drawn = {arm['name'] for group in _groups(results) for arm in group if curves.of_seeds(arm, results['metric'])}
    return drawn == {arm['name'] for arm in results['arms']}


def section(results: dict[str, Any]) -> str:
    """A part for each regime in which a random and a pre-trained start were trained; '' if there is none."""
    groups = _groups(results)
    parts = [_part(results, group, groups) for group in groups]
    if not any(parts):
        return ''
    several, dropped = len(results['arms'][0]['seeds']) > 1, any(map(curves.drops, results['arms']))
    intro = 'Random and pre-trained starts that are alike in all else. The number at the end of a curve is its length '
    intro += 'in steps.'
    intro += ' Thin lines are seeds, thick ones their mean.' if several else ''
    intro += ' A bar across a curve is a drop of its learning rate.' if dropped else ''
    return paragraph(f'{intro} {_DEFINITION}', 'note') + ''.join(parts)


def _groups(results: dict[str, Any]) -> list[list[Arm]]:
    """Supervised arms alike in all but start and length, the random ones first, of every regime that has both."""
    found: dict[tuple[Any, ...], list[Arm]] = {}
    for randoms, starts in evidence_starts.families(results['arms']):
        key = tuple(sorted(evidence.regime(randoms[0], 'initialization', 'own_steps').items()))
        group = found.setdefault(key, list(randoms))
        group += starts
    return list(found.values())


def _part(results: dict[str, Any], group: list[Arm], groups: list[list[Arm]]) -> str:
    metric = results['metric']
    shown = _curves(group, metric)
    if not shown:
        return ''
    head = f'<h3>{html.escape(_regime_words(group[0], [other[0] for other in groups]))}</h3>' if len(groups) > 1 else ''
    parts = [head, _figure(results, group, shown, metric, counted=False), _meetings(group, metric)]
    for name, words in _METRICS:
        besides = _curves(group, name)
        if besides and name != metric:
            caption = f'The same of {words}.'
            parts += [figure(_plot(results, group, besides, name, False), caption), _meetings(group, name)]
    longer = len({samples.steps(arm) for arm in group}) > 1
    if longer and any(samples.seen(arm, 'pixels').pretraining for arm in group):
        parts.append(_figure(results, group, shown, metric, counted=True))
    return ''.join([*parts, _catching_up(results, group, shown)])


def _regime_words(arm: Arm, others: Sequence[Arm]) -> str:
    words = [f'{100 * arm["label_fraction"]:g} % of the labels']
    for name, prefix in (('network', ''), ('augmentation', 'Augment-')):
        if len({other.get(name) for other in others}) > 1 and arm.get(name):
            words.append(f'{prefix}{arm[name]}')
    override = arm.get('params_override')
    return ', '.join([*words, *(f'{key}={value}' for key, value in (override or {}).items())])


def _curves(group: Sequence[Arm], metric: str) -> dict[str, curves.Points]:
    """Name of the arm -> mean curve over its seeds, in steps; arms without validations are left out."""
    found = {arm['name']: curves.mean(curves.of_seeds(arm, metric)) for arm in group}
    return {name: line for name, line in found.items() if line}


def _start_words(start: str) -> str:
    return 'random start' if start == samples.RANDOM else f'from {start}'


def _figure(
    results: dict[str, Any], group: list[Arm], shown: dict[str, curves.Points], metric: str, counted: bool
) -> str:
    caption = 'Validation by images seen, those of the pre-training left out.'
    if counted:
        caption = (
            'The means by all the pixels that were seen. Along the dashed line is the pre-training, which has no value '
            'in this task; it is counted as if each arm that starts from it had run it alone.'
        )
    return figure(_plot(results, group, shown, metric, counted), caption)


def _scale(arm: Arm, counted: bool) -> tuple[float, float]:
    """(what a step sees, what was seen before the first): images of the training, or pixels of all."""
    if not counted:
        return samples.rate(arm, 'images'), 0.0
    return samples.rate(arm, 'pixels'), samples.seen(arm, 'pixels').pretraining or 0.0


def _plot(
    results: dict[str, Any], group: list[Arm], shown: dict[str, curves.Points], metric: str, counted: bool
) -> str:
    palette = start_colors(results)
    drawn = [arm for arm in group if arm['name'] in shown]
    last = max(before + rate * samples.steps(arm) for arm in drawn for rate, before in [_scale(arm, counted)])
    lines = [line for arm in drawn for line in curves.of_seeds(arm, metric)]
    top = max(100 * value for line in lines for _, value in line)
    quantity = 'pixels seen, pre-training included' if counted else 'images seen in training'

    def draw(width: int) -> svg.Chart:
        columns, rows = svg.ticks(0, last, 6 if width == WIDE else 4), svg.ticks(0, max(top, 1e-3), 5)
        columns = [mark for mark in columns if mark <= last * 1.001]
        chart = svg.Chart(width, 330 if width == WIDE else 270, (0, last), (0, rows[-1]), right=34, top=28)
        chart.grid(columns, rows, quantity, f'validation {metric}', [svg.short(mark) for mark in columns])
        for arm in drawn:
            _draw_arm(chart, arm, shown[arm['name']], metric, palette[arm['initialization']], counted)
        _ends(chart, [(arm, shown[arm['name']], palette[arm['initialization']]) for arm in drawn], counted)
        for ring in [] if counted else _rings(drawn, shown, metric):
            chart.dot((chart.x(ring[0]), chart.y(100 * ring[1])), 'ring', 7)
        return chart

    starts = dict.fromkeys(arm['initialization'] for arm in drawn)
    words = ', '.join(_start_words(start) for start in starts)
    entries = [(_start_words(start), palette[start]) for start in starts]
    return legend(entries) + both(draw, f'Validation {metric} against {quantity}: {words}.')


def _draw_arm(chart: svg.Chart, arm: Arm, line: curves.Points, metric: str, color: str, counted: bool) -> None:
    rate, before = _scale(arm, counted)

    def scaled(values: curves.Points) -> curves.Points:
        return [(before + rate * step, 100 * value) for step, value in values]

    seeds = curves.of_seeds(arm, metric)
    if before:
        chart.line([(0, 0), (before, 0), scaled(line)[0]], f'curve faint before {color}')
    for seed in seeds if len(seeds) > 1 and not counted else []:
        chart.line(scaled(seed), f'curve faint {color}')
    chart.line(scaled(line), f'curve strong {color}')
    if len(line) == 1:
        x, y = scaled(line)[0]
        chart.dot((chart.x(x), chart.y(y)), f'mean {color}', 4)
    for step in curves.drops(arm):
        x, y = chart.x(before + rate * step), chart.y(100 * curves.at(line, step))
        chart.segment((x, y - 8), (x, y + 8), f'drop {color}')


def _ends(chart: svg.Chart, drawn: Sequence[tuple[Arm, curves.Points, str]], counted: bool) -> None:
    """Each curve's length at its end, those that would fall on one another under one another."""
    places = []
    for arm, line, color in drawn:
        rate, before = _scale(arm, counted)
        x, y = chart.x(before + rate * line[-1][0]), chart.y(100 * line[-1][1])
        places.append((x, y, svg.short(samples.steps(arm)), color))
    placed: list[tuple[float, float]] = []
    for x, y, words, color in sorted(places, key=lambda place: place[1]):
        while any(abs(x - other) < 34 and abs(y - row) < 12 for other, row in placed):
            y += 1
        placed.append((x, y))
        chart.text((x + 6, y + 4), words, f'tick over {color}')


def _pairs(group: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    return evidence_starts.pairs(list(group))


def _rings(group: Sequence[Arm], shown: dict[str, curves.Points], metric: str) -> list[tuple[float, float]]:
    """(images, value) where the mean curves of one length meet."""
    by_name = {arm['name']: arm for arm in group}
    found = [item for item in curves.meetings(_pairs(group), metric) if item['step'] is not None]
    return [
        (item['step'] * samples.rate(by_name[item['random']], 'images'), curves.at(shown[item['random']], item['step']))
        for item in found
        if not item['from_the_first']
    ]


def _meetings(group: Sequence[Arm], metric: str) -> str:
    """A sentence for each pair of one length."""
    found = curves.meetings(_pairs(group), metric)
    return f'<ul>{"".join(f"<li>{html.escape(meeting_words(item))}</li>" for item in found)}</ul>' if found else ''


def meeting_words(item: dict[str, Any]) -> str:
    """Where two curves meet, as a sentence."""
    random, start, gap = item['random'], item['pretrained'], item['gap']
    if item['from_the_first']:
        text = f'{random} is level with {start} or over it from the first validation on'
    elif item['step'] is None:
        text = f'{random} does not meet {start}: it ends {points(-gap)} points under it'
    else:
        text = f'{random} meets {start} at step {item["step"]:,.0f} of {item["steps"]:,}'
        if item['images']:
            text += f', after {item["images"]:,.0f} images'
        text += f', and ends {points(gap)} points over it'
    if len(item['seeds']) < 2:
        return f'{text}.'
    if not any(item['seeds']):
        return f'{text}. Nor does it with any seed.' if item['step'] is None else f'{text}, but with no seed alone.'
    alone = ', '.join('not' if step is None else f'{step:,.0f}' for step in item['seeds'])
    return f'{text}. Seed by seed: {alone}.'


def _catching_up(results: dict[str, Any], group: Sequence[Arm], shown: dict[str, curves.Points]) -> str:
    """What the longest random arm needs to reach where each pre-trained arm ends; '' with nothing longer."""
    randoms = [arm for arm in group if arm['initialization'] == samples.RANDOM and arm['name'] in shown]
    starts = [arm for arm in group if arm['initialization'] != samples.RANDOM and arm['name'] in shown]
    if not randoms or not starts:
        return ''
    longest = max(randoms, key=samples.steps)
    rows = [_cost_row(longest, start, shown) for start in starts if samples.steps(start) <= samples.steps(longest)]
    if not rows or samples.steps(longest) <= min(map(samples.steps, starts)):
        return ''
    heads = ['reaches the end of', f'validation {results["metric"]}', 'at step', 'steps', *samples.QUANTITIES]
    caption = (
        f'What {longest["name"]} needs until its mean curve is at or over the last validation of a pre-trained arm, to '
        "the end; as times of that arm's steps, images, instances and pixels, its pre-training included. A dash where "
        'it does not get there, or where the pre-training was not counted. Its learning rate drops only near its own '
        'end, so a schedule made for that length could be quicker.'
    )
    return table('catching-up', heads, rows, caption)


def _cost_row(longest: Arm, start: Arm, shown: dict[str, curves.Points]) -> str:
    level = shown[start['name']][-1][1]
    step = curves.reach(shown[longest['name']], level)
    cells = [points(level), '\N{EN DASH}' if step is None else f'{step:,.0f}']
    cells.append(_ratio(step, float(samples.steps(start))))
    for name in samples.QUANTITIES:
        needed = None if step is None else step * samples.rate(longest, name)
        cells.append(_ratio(needed, samples.seen(start, name).total))
    body = ''.join(f'<td>{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{html.escape(start["name"])}</th>{body}</tr>'


def _ratio(value: float | None, whole: float | None) -> str:
    return '\N{EN DASH}' if value is None or not whole else times(value / whole)


def lengths(results: dict[str, Any], groups: Sequence[Sequence[Arm]], names: Sequence[str]) -> str:
    """A row for each family of arms that differ in their length, a column for each length (He et al., Table 1).

    Args:
        results: the record.
        groups: families of two arms or more.
        names: what each is called.
    """
    columns = sorted({samples.steps(arm) for group in groups for arm in group})
    rows = []
    for group, name in zip(groups, names, strict=True):
        by_steps = {samples.steps(arm): arm for arm in group}
        cells = ''.join(f'<td>{_mean(by_steps.get(column))}</td>' for column in columns)
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    shortest = columns[0]
    heads = ['steps', *(f'{column:,} ({times(column / shortest)})' for column in columns)]
    caption = f'{results["metric"]} in points of 100 by the length of the training.'
    if len(results['arms'][0]['seeds']) > 1:
        caption = caption[:-1] + ', mean and standard deviation over seeds.'
    return table('lengths', heads, rows, caption)


def _mean(arm: Arm | None) -> str:
    if arm is None:
        return '\N{EN DASH}'
    spread = statistics.std(evidence.values(arm))
    return f'{points(arm["mean"])}{f"<small>± {points(spread)}</small>" if spread is not None else ""}'
