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


def log_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers on a logarithmic axis from at or under `low` to at or over `high`, both over 0; about `count`."""
    exponents = range(math.floor(math.log10(low) + 1e-9) - 1, math.ceil(math.log10(high) - 1e-9) + 2)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        first = max(mark for mark in marks if mark <= low * (1 + 1e-9))
        last = min(mark for mark in marks if mark >= high * (1 - 1e-9))
        found = [mark for mark in marks if first <= mark <= last]
        if len(found) <= count + 1:
            return found
    stride = math.ceil((len(found) - 1) / count)  # in powers of ten
    return [found[0] * 10.0 ** (stride * index) for index in range(math.ceil((len(found) - 1) / stride) + 1)]


def short(value: float) -> str:
    """A large number with three digits: '950', '12.8k', '2.84M', '8.8T'."""
    for size, letter in ((1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if abs(value) >= 0.9995 * size:
            return f'{value / size:.3g}{letter}'
    return f'{value:.3g}'


def number(value: float) -> str:
    """A tick's label."""
    text = f'{value:,.0f}' if abs(value) >= 1000 else f'{value:g}'
    return text.replace('-', '\N{MINUS SIGN}')


class Chart:
    """A plot area, its columns linear or logarithmic; drawn things are clipped by nothing and scaled by the reader.

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
        log: bool = False,
    ):
        """Args: sizes; the values at the ends of the axes; margins; whether columns are logarithms of values over 0."""
        self.width, self.height = width, height
        self._box = (left, top, width - right, height - bottom)
        self._x, self._y, self._log = x_range, y_range, log
        self._parts: list[str] = []

    def x(self, value: float) -> float:
        """Pixel column of a value."""
        left, _, right, _ = self._box
        low, high = self._x
        if self._log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
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

    def bar(self, start: Point, end: Point, style: str) -> None:
        """A filled rectangle between two corners in pixels, upper left and lower right."""
        (x1, y1), (x2, y2) = start, end
        size = f'width="{max(x2 - x1, 0.0):.1f}" height="{y2 - y1:.1f}"'
        self._parts.append(f'<rect class="{style}" x="{x1:.1f}" y="{y1:.1f}" {size}/>')

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
