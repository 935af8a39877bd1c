"""The report's tables: results with differences and spread, and what each arm cost."""

import html
from typing import Any

from official_rethink.common import progress
from official_rethink.configs import study_kinds
from official_rethink.study import outputs, report_plots, samples, statistics
from official_rethink.study.words import count, points

_HEADS = {'mIoU_resized': 'mIoU resized', 'pixel_accuracy': 'pixels right', 'mean_accuracy': 'class mean'}
_EXTRAS = {_HEADS.get(name, name) for kind in study_kinds.KINDS for name in kind.extras}


def _extra(head: str) -> str:
    """Marks the columns that a phone leaves out."""
    return ' class="extra"' if head in _EXTRAS else ''


def _own_traits(arm: dict[str, Any], results: dict[str, Any]) -> list[str]:
    """What only some arms of a study have: a length, settings, values of a search."""
    lengths = {samples.steps(other) for other in results['arms'] if not other['self_training']}
    found = [f'{samples.steps(arm):,} steps'] if len(lengths) > 1 else []
    found += [f'{key}={value}' for key, value in (arm.get('params_override') or {}).items()]
    return found + ([f'values found by {arm["grid"]}'] if arm.get('grid') else [])


def _arm_name(arm: dict[str, Any], palette: dict[str, str], results: dict[str, Any]) -> str:
    traits = [arm['network']] if arm.get('network') else []
    traits += [
        'random start' if arm['initialization'] == 'random' else f'from {arm["initialization"]}',
        arm['augmentation'],
        f'{100 * arm["label_fraction"]:g} % of labels',
    ]
    if arm.get('joint'):
        traits.append('joint with classification')
    traits += _own_traits(arm, results)
    if arm['self_training']:
        rounds = f', {arm["rounds"]} rounds' if arm.get('rounds', 1) > 1 else ''
        traits.append(f'self-training, scores over {arm["score_threshold"]:g}{rounds}')
    dot = f'<i class="key {palette[arm["name"]]}"></i>'
    return f'{dot}{html.escape(arm["name"])}<small>{html.escape(", ".join(traits))}</small>'


def results_table(results: dict[str, Any]) -> str:
    """One row an arm: mean and spread, difference to the baseline and its interval, and the kind's further numbers."""
    palette, metric = report_plots.colors(results), results['metric']
    further = study_kinds.by_metric(metric).extras
    # Masks and key points have a table of their own.
    further = tuple(name for name in further if not name.startswith(('mask_', 'keypoint_')))
    extras = [name for name in further if all(_means(arm, name) is not None for arm in results['arms'])]
    top = max(arm['mean'] for arm in results['arms'])
    rows = []
    for arm in results['arms']:
        spread = f'<small>± {points(arm["std"])}</small>' if arm['std'] is not None else ''
        best = ' class="best"' if arm['mean'] == top else ''
        cells = [f'<th scope="row">{_arm_name(arm, palette, results)}</th>']
        cells += [f'<td{best}>{points(arm["mean"])}{spread}</td>', f'<td>{_difference(arm)}</td>']
        cells += [f'<td class="extra">{points(_means(arm, name) or 0.0)}</td>' for name in extras]
        rows.append(f'<tr>{"".join(cells)}</tr>')
    heads = ['arm', metric, f'against {results["baseline"]}', *(_HEADS.get(name, name) for name in extras)]
    seeds = len(results['arms'][0]['seeds'])
    where = 'validation' if results['data'].get('test_is_validation') else 'test'
    caption = f'{metric} in points of 100 on the {where} images, mean over {count(seeds, "seed")}'
    if seeds > 1:
        caption += '; ± is the standard deviation over seeds, brackets hold the 95 % interval of the mean '
        caption += 'difference'
    if 'mIoU_resized' in extras:
        caption += '. mIoU counts pixels of the images as they came, mIoU resized those the network reads; pixels '
        caption += 'right is their share of all, class mean the mean of that share over classes'
    return table('results', heads, rows, f'{caption}.')


def classes_table(results: dict[str, Any]) -> str:
    """IoU of each class, an arm a column; '' where the evaluation did not report classes."""
    arms = results['arms']
    values = [[outputs.class_values(seed['metrics']) for seed in arm['seeds']] for arm in arms]
    names = list(values[0][0])
    if not names:
        return ''
    rows = []
    for name in names:
        cells = ''.join(f'<td>{_class_mean([seed.get(name, -1.0) for seed in seeds])}</td>' for seeds in values)
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    caption = (
        f'IoU of each class in points of 100, mean over {count(len(arms[0]["seeds"]), "seed")}; a dash where a class '
        'neither occurs nor is predicted.'
    )
    return table('classes', ['class', *(arm['name'] for arm in arms)], rows, caption)


def _class_mean(values: list[float]) -> str:
    measured = [value for value in values if value >= 0]
    return points(statistics.mean(measured)) if measured else '\N{EN DASH}'


def _means(arm: dict[str, Any], name: str) -> float | None:
    values = [seed['metrics'].get(name) for seed in arm['seeds']]
    return statistics.mean(values) if None not in values else None


def _difference(arm: dict[str, Any]) -> str:
    gain = arm['difference']
    if gain is None:
        return '<small>baseline</small>'
    text = points(gain['mean'], sign=True)
    if gain['low'] is None:
        return text + '<small>one run</small>'
    return f'{text}<small>[{points(gain["low"], sign=True)}, {points(gain["high"], sign=True)}]</small>'


def cost_table(results: dict[str, Any]) -> str:
    """What one seed of each arm cost, on average, with the stages of self-training arms below."""
    palette = report_plots.colors(results)
    rows = []
    for arm in results['arms']:
        costs = [{key: seed[key] for key in outputs.COST_KEYS} for seed in arm['seeds']]
        name = f'<i class="key {palette[arm["name"]]}"></i>{html.escape(arm["name"])}'
        rows.append(_cost_row(name, costs))
        kinds = [stage['stage'] for stage in arm['seeds'][0]['stages']]
        for index, kind in enumerate(kinds if len(kinds) > 1 else []):
            parts = [seed['stages'][index]['cost'] for seed in arm['seeds']]
            rows.append(_cost_row(stage_words(kind), parts, part=True))
    stages = [stage for arm in results['arms'] for stage in arm['seeds'][0]['stages']]
    caption = (
        'Mean cost of one seed. Images, instances and pixels are what training read, repeats included; '
        'labelling reads each unlabelled image once, forward only. Time is training without evaluation, on '
        f'{results["environment"]["processors"]} processors.'
    )
    if not study_kinds.by_metric(results['metric']).boxes:
        caption += ' Instances are the classes in each image, its background left out.'
    if any(stage['stage'] == 'pretraining' for stage in stages):
        caption += " Pre-training ran once for all arms and seeds that start from it and is not in an arm's own row."
    if any(len(stage['shared_with']) > 1 for stage in stages):
        caption += ' A stage that several arms share ran once and is counted in each of them.'
    heads = ['arm', 'time', 'steps', 'images', 'instances', 'megapixels']
    return table('cost', heads, rows, caption)


def stage_words(kind: str) -> str:
    """A stage's name for people: 'label_2' is 'labelling, round 2'."""
    name, _, number = kind.partition('_')
    words = {'label': 'labelling', 'pretraining': 'pre-training'}.get(name, name)
    return f'{words}, round {number}' if number else words


def rounds_table(results: dict[str, Any]) -> str:
    """The metric and cost after each round, for arms of several; '' if there are none."""
    palette, rows = report_plots.colors(results), []
    for arm in results['arms']:
        if arm.get('rounds', 0) < 2:
            continue
        name = f'<i class="key {palette[arm["name"]]}"></i>{html.escape(arm["name"])}'
        rows.append(f'<tr><th scope="row">{name}</th><td></td><td></td><td></td></tr>')
        spent = [dict.fromkeys(('steps', 'images'), 0.0) for _ in arm['seeds']]
        for index, kind in enumerate(stage['stage'] for stage in arm['seeds'][0]['stages']):
            stages = [seed['stages'][index] for seed in arm['seeds']]
            if kind == 'pretraining':
                continue
            for total, stage in zip(spent, stages, strict=True):
                for key in total:
                    total[key] += stage['cost'][key]
            if 'value' in stages[0]:
                rows.append(_round_row(stage_words(kind), [stage['value'] for stage in stages], spent))
    heads = ['arm', results['metric'], 'steps so far', 'images so far']
    caption = (
        'After the teacher and after each round of labelling and learning, mean over seeds; ± is the standard '
        'deviation. Steps and images are those of all stages up to there, labelling included.'
    )
    return table('rounds', heads, rows, caption) if rows else ''


def _round_row(name: str, values: list[float], spent: list[dict[str, float]]) -> str:
    spread = statistics.std(values)
    beside = f'<small>± {points(spread)}</small>' if spread is not None else ''
    cells = [f'{points(statistics.mean(values))}{beside}']
    cells += [f'{statistics.mean([total[key] for total in spent]):,.0f}' for key in ('steps', 'images')]
    body = ''.join(f'<td>{cell}</td>' for cell in cells)
    return f'<tr class="part"><th scope="row">&emsp;&ensp;{html.escape(name)}</th>{body}</tr>'


def _cost_row(name: str, costs: list[dict[str, float]], part: bool = False) -> str:
    mean = {key: statistics.mean([cost[key] for cost in costs]) for key in outputs.COST_KEYS}
    cells = [progress.duration(mean['seconds'])]
    cells += [f'{mean[key]:,.0f}' if mean[key] else '\N{EN DASH}' for key in ('steps', 'images', 'instances')]
    cells.append(f'{mean["pixels"] / 1e6:,.0f}' if mean['pixels'] else '\N{EN DASH}')
    start = '<tr class="part">' if part else '<tr>'
    indent = '&emsp;&ensp;' if part else ''
    body = ''.join(f'<td>{cell}</td>' for cell in cells)
    return f'{start}<th scope="row">{indent}{name}</th>{body}</tr>'


def table(label: str, heads: list[str], rows: list[str], caption: str) -> str:
    """A table of finished rows that scrolls within the page, its words under it."""
    cells = ''.join(f'<th scope="col"{_extra(head)}>{html.escape(head)}</th>' for head in heads)
    # The words stand outside the part that scrolls on a narrow page.
    return (
        f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f'<table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<figcaption>{html.escape(caption)}</figcaption></figure>'
    )
