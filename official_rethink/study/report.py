"""`report.html`: the answer first, then the evidence, the cost and the conditions; one file, no scripts."""

import html
from collections.abc import Sequence
from typing import Any

import yaml

from official_rethink.study import (
    report_budget,
    report_findings,
    report_grids,
    report_labels,
    report_material,
    report_measures,
    report_plots,
    report_samples,
    report_starts,
    report_tables,
)
from official_rethink.study.plan import Plan
from official_rethink.study.report_labels import figure, share
from official_rethink.study.report_material import Material
from official_rethink.study.report_style import CSS
from official_rethink.study.verdict import conclude
from official_rethink.study.words import count, points


def build(results: dict[str, Any], plan: Plan, out: str) -> str:
    """Builds the page from a finished study."""
    return render(results, report_material.gather(plan, out))


def render(results: dict[str, Any], material: Material) -> str:
    """Builds the page from the record and what was gathered beside it."""
    sections = [
        ('results', 'Results', _results(results)),
        ('measures', 'Boxes, masks and key points', report_measures.section(results)),
        ('starts', 'Random against pre-trained', report_starts.section(results)),
        ('length', 'Length of the training', _lengths(results)),
        ('findings', "The papers' findings", report_findings.section(results)),
        ('budget', 'Budget', report_budget.section(results)),
        ('grids', 'Values that were searched for', report_grids.section(results)),
        ('curves', 'Training curves', _curves(results, material)),
        ('samples', 'Samples seen', report_samples.section(results)),
        ('labels', 'Labels and augmentation', _against(results)),
        ('classes', 'Classes', report_tables.classes_table(results)),
        ('rounds', 'Rounds of self-training', report_tables.rounds_table(results)),
        ('cost', 'Cost', report_tables.cost_table(results)),
        ('pseudo-labels', 'Pseudo labels', report_labels.pseudo_labels(results, material)),
        ('pictures', 'Pictures', report_labels.pictures(results, material)),
        ('data', 'Data', _data(results)),
    ]
    shown = [section for section in sections if section[2]]
    links = ''.join(f'<a href="#{name}">{html.escape(title)}</a>' for name, title, _ in shown)
    parts = ''.join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{html.escape(title)}</h2>'
        f'{content}</section>'
        for name, title, content in shown
    )
    verdict = conclude(results)
    style, word = ('level clear', 'clear') if verdict.clear else ('level', 'not settled')
    level = f'<span class="{style}">{word}</span>'
    arms, seeds = len(results['arms']), len(results['arms'][0]['seeds'])
    asked = 'should I self-train on this data?' if _self_trains(results) else 'how should I train on this data?'
    title = html.escape(f'{results["study"]}: {asked}')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{CSS}</style></head><body><main>'
        f'<header><p class="kicker">Study <b>{html.escape(results["study"])}</b> · {count(arms, "arm")}, '
        f'{count(seeds, "seed")} · {html.escape(_data_words(results))}</p>'
        f'<h1 id="answer">{html.escape(verdict.headline)}</h1>'
        f'<p class="certainty">{level}{html.escape(verdict.certainty)}</p>'
        f'<nav aria-label="Sections">{links}</nav></header>{parts}</main>{_footer(results)}</body></html>\n'
    )


def _self_trains(results: dict[str, Any]) -> bool:
    return any(arm['self_training'] for arm in results['arms'])


def _data_words(results: dict[str, Any]) -> str:
    data = results['data']
    words = [f'{data["labelled"]["images"]:,} labelled']
    if 'unlabelled' in data:
        words.append(f'{data["unlabelled"]["images"]:,} unlabelled images')
    return ' and '.join(words) if len(words) > 1 else f'{words[0]} images'


def _results(results: dict[str, Any]) -> str:
    several = len(results['arms'][0]['seeds']) > 1
    plot = report_plots.differences(results) if several else ''  # one dot says what the table says
    caption = (
        'A pale dot is one seed of the arm minus the same seed of the baseline, the large dot their mean, '
        'the bar its 95 % t-interval.'
    )
    caution = 'A seed draws label subset, initial weights and order of examples, for every arm alike.'
    if several:
        caution += ' The interval leaves out the choice of test images: it speaks of further runs on these.'
    if results['data'].get('test_is_validation'):
        caution += (
            ' There was no separate test set: the images that chose each best checkpoint also measured it, '
            'which flatters every arm.'
        )
    return report_tables.results_table(results) + figure(plot, caption) + report_budget.paragraph(caution, 'note')


def _curves(results: dict[str, Any], material: Material) -> str:
    if report_starts.covered(results):
        return ''
    plot = report_plots.training_curves(results, material.curves or _recorded(results))
    caption = (
        'On the validation images, which choose the checkpoint; the results above are on the test images.'
    )
    if results['data'].get('test_is_validation'):
        caption = 'On the validation images.'
    if len(results['arms'][0]['seeds']) > 1:
        caption += ' Thin lines are seeds, thick ones their mean.'
    return figure(plot, caption)


def _recorded(results: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """The curves that the record itself holds, for a page made from it alone."""
    stages = (stage for arm in results['arms'] for seed in arm['seeds'] for stage in seed['stages'])
    found = {stage['step']: stage.get('curves', {}).get(results['metric'], []) for stage in stages}
    return {step: [(at, value) for at, value in points] for step, points in found.items() if points}


def _lengths(results: dict[str, Any]) -> str:
    """Of arms that differ in their length alone; '' where there are none."""
    groups = report_plots.families(results, report_plots.LENGTH)
    if not groups:
        return ''
    plot = report_plots.against(results, report_plots.LENGTH)
    names = report_plots.line_names(results, report_plots.LENGTH)
    return figure(plot, _against_words(results)) + report_starts.lengths(results, groups, names)


def _against_words(results: dict[str, Any]) -> str:
    if len(results['arms'][0]['seeds']) > 1:
        return 'Mean over seeds; bars are one standard deviation.'
    return 'One run each.'


def _against(results: dict[str, Any]) -> str:
    parts = []
    for field, title, example in (
        ('label_fraction', 'Share of the labels', 'label_fraction: 0.2'),
        ('augmentation', 'Augmentation', 'augmentation: S4'),
    ):
        plot = report_plots.against(results, field)
        parts.append(f'<h3>{title}</h3>')
        if plot:
            parts.append(figure(plot, _against_words(results)))
        else:
            parts.append(
                f'<p class="note">No two arms of this study differ in <code>{field}</code> alone. Add '
                f'copies of its arms with another value, such as <code>{example}</code>, and start it again: '
                'finished arms are kept, and the plot appears here.</p>'
            )
    return ''.join(parts)


def _data(results: dict[str, Any]) -> str:
    data = results['data']
    rows = []
    sets = ('labelled', 'unlabelled', 'validation', 'test', 'classification', 'classification_validation')
    for name in (*sets, 'alignment', 'alignment_validation'):
        if name in data:
            entry = data[name]
            rows.append((name.replace('_', ' '), _set_words(entry)))
    rows.append(('classes', ', '.join(data.get('categories', [])) or 'none'))
    own = 'The shards that the study file names.'
    intro = 'The built-in scenes, drawn from a seed.' if data['built_in_scenes'] else own
    return report_budget.paragraph(intro) + _list(rows)


def _set_words(entry: dict[str, Any]) -> str:
    if 'pixel_shares' not in entry:
        return f'{entry["images"]:,} images, {entry["instances"]:,} objects'
    shares = ', '.join(f'{name} {share(value)}' for name, value in entry['pixel_shares'].items())
    return f'{entry["images"]:,} images; of their pixels {shares}'


def _list(rows: Sequence[tuple[str, str]]) -> str:
    items = ''.join(f'<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>' for name, value in rows)
    return f'<dl>{items}</dl>'


def _footer(results: dict[str, Any]) -> str:
    environment = results['environment']
    stages = {
        stage['step']: stage for arm in results['arms'] for seed in arm['seeds'] for stage in seed['stages']
    }
    rows = [
        ('code', ', '.join(sorted({stage['code'] for stage in stages.values()}))),
        ('study hash', results['config_hash'][:16]),
        ('python', environment['python']),
        ('packages', ', '.join(f'{name} {version}' for name, version in environment['packages'].items())),
        ('machine', f'{environment["platform"]}, {environment["processors"]} processors'),
    ]
    kept = [f'{name}: {stage["kept_although"]}' for name, stage in stages.items() if stage['kept_although']]
    if kept:
        rows.append(('kept although inputs changed', '; '.join(kept)))
    config = html.escape(yaml.safe_dump(results['config'], sort_keys=False))
    steps = ''.join(_step_row(stage) for stage in stages.values())
    return (
        f'<footer>{_list(rows)}<details><summary>The whole study file, defaults included</summary>'
        f'<pre tabindex="0">{config}</pre></details>'
        '<details><summary>Steps and hashes of their inputs</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="steps"><table><thead><tr>'
        f'<th scope="col">step</th><th scope="col">inputs</th><th scope="col">{results["metric"]}</th></tr>'
        f'</thead><tbody>{steps}</tbody></table></div></details></footer>'
    )


def _step_row(stage: dict[str, Any]) -> str:
    value = points(stage['value']) if 'value' in stage else ''
    name = html.escape(stage['step'])
    return f'<tr><th scope="row">{name}</th><td><code>{stage["key"][:12]}</code></td><td>{value}</td></tr>'
