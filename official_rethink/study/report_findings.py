"""The report's section on the papers' findings: each with its answer and the differences it rests on."""

import html
from typing import Any

from official_rethink.study import findings
from official_rethink.study.report_budget import paragraph
from official_rethink.study.words import count, points

_CLEAR = (findings.CONFIRMED, findings.CONTRADICTED)


def section(results: dict[str, Any]) -> str:
    """The section; '' for a record of before there were findings."""
    found = results.get('findings', [])
    if not found:
        return ''
    asked = [finding for finding in found if _asked(finding)]
    made = sum(len(finding['evidence']) for finding in asked)
    papers: dict[str, list[dict[str, Any]]] = {}
    for finding in found:
        papers.setdefault(finding.get('paper', findings.ZOPH), []).append(finding)
    # The paper that the study asks most of comes first.
    papers = dict(sorted(papers.items(), key=lambda item: -sum(map(_asked, item[1]))))
    intro = (
        f'Each finding of {" and ".join(papers)} against the arms of this study that differ in nothing but what it is '
        'about. A difference is put so that a positive one speaks for the paper'
    )
    spread = any(item['difference']['low'] is not None for finding in asked for item in finding['evidence'])
    intro += '; brackets hold its 95 % t-interval over seeds.' if spread else '.'
    if made > 1 and spread:
        intro += f' Of {made} such intervals about one in twenty misses the truth by chance.'
    return paragraph(intro, 'note') + ''.join(_of_paper(paper, part) for paper, part in papers.items())


def _asked(finding: dict[str, Any]) -> bool:
    return bool(finding['word'] != findings.SILENT)


def _of_paper(paper: str, found: list[dict[str, Any]]) -> str:
    """A paper's findings, those that the study does not ask folded away."""
    shown = ''.join(_finding(finding) for finding in found if _asked(finding))
    silent = [finding for finding in found if not _asked(finding)]
    folded = ''
    if silent:
        what = count(len(silent), 'more finding' if shown else 'finding')
        head = f'{what[0].upper()}{what[1:]} not asked here'
        folded = f'<details><summary>{html.escape(head)}</summary>{"".join(map(_finding, silent))}</details>'
    return f'<h3>{html.escape(paper)}</h3>{shown}{folded}'


def _finding(finding: dict[str, Any]) -> str:
    style = 'level clear' if finding['word'] in _CLEAR else 'level'
    key = finding['key']
    head = f'<h4>{html.escape(key[0].upper() + key[1:])}</h4>'
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
