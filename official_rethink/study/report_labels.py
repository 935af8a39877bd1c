"""The report's sections on pseudo labels and on pictures of truth, teacher and student."""

import html
from collections.abc import Sequence
from typing import Any

from official_rethink.configs import study_kinds
from official_rethink.study import report_quality
from official_rethink.study.report_budget import paragraph
from official_rethink.study.report_material import Material, Part


def figure(picture: str, caption: str) -> str:
    """A picture with words under it; '' without one."""
    return f'<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>' if picture else ''


def share(value: float) -> str:
    """A share as a percentage: '12.3 %'."""
    return f'{100 * value:.1f} %'


def pseudo_labels(results: dict[str, Any], material: Material) -> str:
    """What the teachers wrote and how good it is; '' where no arm self-trains."""
    if not any(arm['self_training'] for arm in results['arms']):
        return ''
    kind = study_kinds.by_metric(results['metric'])
    sections = []
    for part in material.parts:
        students = [arm for arm in results['arms'] if _learns(arm, part)]
        head = f'<h3>{html.escape(part.network)}</h3>' if part.network else ''
        words, plot = (_boxes if kind.boxes else _maps)(results, part, students)
        pictures = [figure(f'<img src="{uri}" alt="{html.escape(text)}">', text) for uri, text in part.galleries]
        sections.append(''.join([head, paragraph(words), plot, *pictures]))
    return ''.join(sections)


def _learns(arm: dict[str, Any], part: Part) -> bool:
    return bool(arm['self_training']) and arm.get('network', '') == part.network


def _kept_words(students: Sequence[dict[str, Any]], labels: str) -> str:
    return ', '.join(f'{arm["name"]} keeps {labels} from {arm["score_threshold"]:g} up' for arm in students)


def _boxes(results: dict[str, Any], part: Part, students: Sequence[dict[str, Any]]) -> tuple[str, str]:
    counts = [stage for arm in students for stage in arm['seeds'][0]['stages'] if stage['stage'] == 'label']
    found = counts[0].get('pseudo_boxes')
    text = 'The best checkpoint of the teacher labels each unlabelled image with boxes, classes and scores. '
    if found is not None:
        text += f'With the first seed it wrote {found:,} boxes over the floor of '
        text += f'{results["config"]["pseudo_labels"]["score_floor"]:g}; {_kept_words(students, "those")}.'
    if not part.quality:
        return text, ''
    curve = part.quality['curve']
    caption = (
        'Against the truth of the unlabelled images, which training never sees: a box is right if its class is and '
        f'it overlaps an object by {min(row["iou_threshold"] for row in curve):g} or more (IoU). First seed.'
    )
    return text, figure(report_quality.boxes(curve, [arm['score_threshold'] for arm in students]), caption)


def _maps(results: dict[str, Any], part: Part, students: Sequence[dict[str, Any]]) -> tuple[str, str]:
    options = results['config']['pseudo_labels']
    scales = ', '.join(f'{scale:g}' for scale in options.get('scales', []))
    sizes = f', averaged over the scales {scales}' if scales else ''
    mirrored = ' and the mirrored image' if options.get('flip') else ''
    text = (
        'The best checkpoint of the teacher gives each pixel of the unlabelled images its likeliest class and that '
        f"class's probability{sizes}{mirrored}. All is stored; a student ignores the pixels under its threshold. "
    )
    text += f'{_kept_words(students, "pixels")}.'
    if part.kept is not None:
        text += f' With the first seed, {share(part.kept)} of all pixels score {part.threshold:g} or more.'
    if part.class_shares:
        most = ', '.join(f'{name} {share(value)}' for name, value in part.class_shares.items())
        text += f' Of all pixels the teacher gave {most}.'
    caption = 'How many pixels score at least so much; first seed.'
    if part.quality:
        caption = (
            'Against the truth of the unlabelled images, which training never sees, its void pixels left out; first '
            'seed. mIoU is of the kept pixels alone.'
        )
    plot = report_quality.maps(part.coverage, [arm['score_threshold'] for arm in students]) if part.coverage else ''
    return text, figure(plot, caption)


def pictures(results: dict[str, Any], material: Material) -> str:
    """The first test images: truth, teacher, student; '' where there are none."""
    kind = study_kinds.by_metric(results['metric'])
    sections = []
    for part in material.parts:
        rows = [_row(cells) for cells in part.triples]
        if not rows:
            continue
        if kind.boxes:
            drawn = f'Boxes that score {part.threshold:g} or more are drawn'
        else:
            drawn = "Pixels are tinted with their class's colour; void ones of the truth are hatched"
        caption = f'The first test images, first seed. {drawn}; the images were not chosen.'
        head = f'<h3>{html.escape(part.network)}</h3>' if part.network else ''
        sections.append(head + figure(f'<div class="triples">{"".join(rows)}</div>', caption))
    colors = ''.join(
        f'<li><i class="swatch" style="background:{color}"></i>{html.escape(name)}</li>'
        for name, color in material.legend
    )
    return (f'<ul class="legend">{colors}</ul>' if sections and colors else '') + ''.join(sections)


def _row(cells: Sequence[tuple[str, str, str]]) -> str:
    inner = ''.join(
        f'<div><span>{html.escape(name)}</span><img src="{uri}" alt="{html.escape(words)}"></div>'
        for name, uri, words in cells
    )
    return f'<div class="triple">{inner}</div>'
