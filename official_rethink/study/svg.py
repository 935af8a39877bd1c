"""Small, self-contained SVG charts: scales, ticks, lines, dots; colours come from the page's style."""

import html
import math
from collections.abc import Sequence

Point = tuple[float, float]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, about `count`, from the last at or under `low` to the first at or over `high`."""
    if not high > low:
        spare = abs(low) / 2 or 1.0
        low, high = low - spare, high + spare
    rough = (high - low) / max(count - 1, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's label."""
    text = f'{value:,.0f}' if abs(value) >= 1000 else f'{value:g}'
    return text.replace('-', '\N{MINUS SIGN}')


class Chart:
    """A plot area with linear axes; everything drawn is clipped by nothing and scaled by the reader.

    Attributes:
        width: of the whole, in the page's pixels.
        height: likewise.
    """

    def __init__(
        self,
        width: int,
        height: int,
        x_range: Point,
        y_range: Point,
        left: int = 44,
        right: int = 14,
        top: int = 12,
        bottom: int = 42,
    ):
        """Args: sizes; the values at the ends of the axes; margins."""
        self.width, self.height = width, height
        self._box = (left, top, width - right, height - bottom)
        self._x, self._y = x_range, y_range
        self._parts: list[str] = []

    def x(self, value: float) -> float:
        """Pixel column of a value."""
        left, _, right, _ = self._box
        low, high = self._x
        return left + (right - left) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Pixel row of a value."""
        _, top, _, bottom = self._box
        low, high = self._y
        return bottom - (bottom - top) * (value - low) / (high - low)

    def grid(
        self,
        x_ticks: Sequence[float] = (),
        y_ticks: Sequence[float] = (),
        x_label: str = '',
        y_label: str = '',
        x_names: Sequence[str] | None = None,
        vertical: bool = False,
    ) -> None:
        """Draws hairlines, tick labels and what the axes mean; the y label stands over the axis, upright."""
        left, top, right, bottom = self._box
        for value in y_ticks:
            row = self.y(value)
            self.segment((left, row), (right, row), 'grid')
            self.text((left - 8, row + 4), number(value), 'tick end')
        for value, name in zip(x_ticks, x_names or [number(value) for value in x_ticks], strict=True):
            column = self.x(value)
            if vertical:
                self.segment((column, top), (column, bottom), 'grid')
            self.text((column, bottom + 18), name, 'tick middle')
        self.segment((left, bottom), (right, bottom), 'axis')
        if x_label:
            self.text(((left + right) / 2, self.height - 6), x_label, 'label middle')
        if y_label:
            self.text((2, top - 10), y_label, 'label')

    def line(self, points: Sequence[Point], style: str) -> None:
        """A line through values."""
        if len(points) > 1:
            path = ' '.join(f'{self.x(x):.1f},{self.y(y):.1f}' for x, y in points)
            self._parts.append(f'<polyline class="{style}" points="{path}"/>')

    def segment(self, start: Point, end: Point, style: str) -> None:
        """A straight line between pixels."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def dot(self, point: Point, style: str, radius: float = 4) -> None:
        """A dot at pixels."""
        self._parts.append(f'<circle class="{style}" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="{radius}"/>')

    def text(self, point: Point, words: str, style: str = '') -> None:
        """Words at pixels."""
        self._parts.append(
            f'<text class="{style}" x="{point[0]:.1f}" y="{point[1]:.1f}">{html.escape(words)}</text>'
        )

    def render(self, description: str, style: str = '') -> str:
        """The SVG element; `description` is what a screen reader says in its place."""
        return (
            f'<svg class="{style}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{html.escape(description)}">{"".join(self._parts)}</svg>'
        )
