"""The report's section on the papers' findings: each with its answer and the differences it rests on."""

import html
from typing import Any

from official_rethink.study import findings
from official_rethink.study.report_budget import paragraph
from official_rethink.study.words import points

_CLEAR = (findings.CONFIRMED, findings.CONTRADICTED)


def section(results: dict[str, Any]) -> str:
    """The section; '' for a record of before there were findings."""
    found = results.get('findings', [])
    if not found:
        return ''
    asked = [finding for finding in found if finding['word'] != findings.SILENT]
    made = sum(len(finding['evidence']) for finding in asked)
    intro = (
        'Each finding of Zoph et al. 2020 against the arms of this study that differ in nothing but what it is about. '
        'A difference is put so that a positive one speaks for the paper'
    )
    spread = any(item['difference']['low'] is not None for finding in asked for item in finding['evidence'])
    intro += '; brackets hold its 95 % t-interval over seeds.' if spread else '.'
    if made > 1 and spread:
        intro += f' Of {made} such intervals about one in twenty misses the truth by chance.'
    return paragraph(intro, 'note') + ''.join(map(_finding, found))


def _finding(finding: dict[str, Any]) -> str:
    style = 'level clear' if finding['word'] in _CLEAR else 'level'
    head = f'<h3>{html.escape(finding["key"].capitalize())}</h3>'
    level = f'<span class="{style}">{html.escape(finding["word"])}</span>'
    answer = f'<p class="certainty">{level}{html.escape(finding["sentence"])}</p>'
    items = ''.join(f'<li>{html.escape(_words(item))}</li>' for item in finding['evidence'])
    return head + paragraph(finding['claim']) + answer + (f'<ul>{items}</ul>' if items else '')


def _words(item: dict[str, Any]) -> str:
    gain = item['difference']
    text = f'{item["words"]}: {points(gain["mean"], sign=True)}'
    if gain['low'] is None:
        return f'{text}, one run'
    return f'{text} [{points(gain["low"], sign=True)}, {points(gain["high"], sign=True)}]'
