"""The report's section on searches over a grid: every combination by rank, and the arms that took the best one over."""

import html
from typing import Any

from official_rethink.study import svg
from official_rethink.study.report_budget import paragraph
from official_rethink.study.report_tables import table
from official_rethink.study.words import count, points


def section(results: dict[str, Any]) -> str:
    """A table for each search; '' where there was none."""
    return ''.join(_search(results['metric'], entry) for entry in results.get('grids') or [])


def _search(metric: str, entry: dict[str, Any]) -> str:
    carried = ', '.join(entry['carried_to']) or 'no arm'
    tried = count(len(entry['trials']), 'combination')
    text = (
        f'{tried[0].upper()}{tried[1:]} tried on {entry["tuned_on"]} with seed {entry["seed"]}, by '
        f'{metric} of the best checkpoint on the validation images. The best goes to {carried}.'
    )
    others = [name for name in entry['carried_to'] if name != entry['tuned_on']]
    if others:
        text += (
            f' What suits {entry["tuned_on"]} need not suit {", ".join(others)}, as in He et al., who tuned the '
            'pre-trained start alone: the comparison favours the arm that was tuned.'
        )
    cost = entry['cost']
    text += f' The search took {cost["steps"]:,.0f} steps on {svg.short(cost["images"])} images, which no arm counts.'
    rows = [_row(place, trial, entry) for place, trial in enumerate(entry['trials'], 1)]
    heads = ['rank', *(_short(key, entry['keys']) for key in entry['keys']), f'validation {metric}', 'at step']
    caption = f'{", ".join(entry["keys"])}. Equal values stand in the order in which the study file has them.'
    return f'<h3>{html.escape(entry["name"])}</h3>{paragraph(text)}{table("grid", heads, rows, caption)}'


def _short(key: str, keys: list[str]) -> str:
    """The last part of a dotted key, or all of it where that would name two."""
    last = key.rpartition('.')[2]
    return last if [other.rpartition('.')[2] for other in keys].count(last) == 1 else key


def _row(place: int, trial: dict[str, Any], entry: dict[str, Any]) -> str:
    values = ''.join(f'<td>{html.escape(str(trial["values"][key]))}</td>' for key in entry['keys'])
    best = ' class="best"' if place == 1 else ''
    if trial['value'] is None:
        reached = '<td>diverged</td><td>\N{EN DASH}</td>'
    else:
        step = trial.get('best_step')
        shown = f'{step:,}' if step is not None else '\N{EN DASH}'
        reached = f'<td{best}>{points(trial["value"])}</td><td>{shown}</td>'
    return f'<tr><th scope="row">{place}</th>{values}{reached}</tr>'
