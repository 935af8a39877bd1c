"""The report's plots of how good pseudo labels are: boxes by precision and recall, label maps by their pixels."""

from collections.abc import Sequence
from typing import Any

from official_rethink.study import svg
from official_rethink.study.report_plots import WIDE, both, legend

_BOXES = (('precision', 'precision', 'c1'), ('recall', 'recall', 'c2'))
_MAPS = (
    ('coverage', 'share of pixels kept', 'c0'),
    ('pixel_accuracy', 'share of these that are right', 'c1'),
    ('mIoU', 'mIoU of these', 'c2'),
)


def boxes(curve: Sequence[dict[str, Any]], thresholds: Sequence[float]) -> str:
    """Precision and recall of pseudo boxes against score threshold, at the lowest overlap threshold."""
    overlap = min(row['iou_threshold'] for row in curve)
    chosen = [row for row in curve if row['iou_threshold'] == overlap]
    words = f'Precision and recall of pseudo labels against score threshold, at IoU {overlap:g}.'
    return _plot(chosen, _BOXES, thresholds, words)


def maps(curve: Sequence[dict[str, Any]], thresholds: Sequence[float]) -> str:
    """How many pixels a threshold keeps, and how good these are, as far as the rows say."""
    shown = [line for line in _MAPS if any(row.get(line[0]) is not None for row in curve)]
    words = ', '.join(name for _, name, _ in shown)
    return _plot(curve, shown, thresholds, f'Pseudo label maps against score threshold: {words}.')


def _plot(
    curve: Sequence[dict[str, Any]],
    lines: Sequence[tuple[str, str, str]],
    thresholds: Sequence[float],
    description: str,
) -> str:
    rows = sorted(curve, key=lambda row: row['score_threshold'])

    def draw(width: int) -> svg.Chart:
        chart = svg.Chart(width, 280 if width == WIDE else 240, (0, 1), (0, 1), top=28)
        chart.grid(svg.ticks(0, 1, 6), svg.ticks(0, 1, 5), 'score threshold', 'share')
        for threshold in sorted(set(thresholds)):
            column = chart.x(threshold)
            chart.segment((column, 28), (column, chart.y(0)), 'zero')
            chart.text((column + 5, 38), f'used: {threshold:g}', 'tick')
        for key, _, color in lines:
            points = [(row['score_threshold'], row[key]) for row in rows if row.get(key) is not None]
            chart.line(points, f'curve strong {color}')
            for x, y in points:
                chart.dot((chart.x(x), chart.y(y)), f'mean {color}', 2.5)
        return chart

    return legend([(name, color) for _, name, color in lines]) + both(draw, description)
