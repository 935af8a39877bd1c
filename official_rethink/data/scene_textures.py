"""Textures and colours of the built-in scenes: a bank of grey patterns, colour ramps, whole backgrounds.

A pattern is a grey image used through a colour ramp of two or three colours. The bank is drawn once a
process, from a seed of its own, so that every process holds the same one.
"""

import colorsys
import functools
import math

import cv2
import numpy as np

Color = tuple[float, float, float]
"""Red, green, blue in [0, 255]."""

BANK_SIZE = 256
_BANK_SEED = 20200611
_PER_FAMILY = 6
_SHARES = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    grid = rng.random((cells, cells), dtype=np.float32)
    return np.clip(cv2.resize(grid, (BANK_SIZE, BANK_SIZE), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)


def _cloud(rng: np.random.Generator) -> np.ndarray:
    octaves = [4, 8, 16, 32, 64]
    total = sum(_noise(rng, cells) / 1.6**depth for depth, cells in enumerate(octaves))
    return np.asarray(total)


def _grain(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, 128) + 0.5 * _noise(rng, 24)


def _axes() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:BANK_SIZE, 0:BANK_SIZE].astype(np.float32) / BANK_SIZE
    return y, x


def _stripes(rng: np.random.Generator) -> np.ndarray:
    y, x = _axes()
    wave = np.sin(2.0 * math.pi * (rng.uniform(8, 22) * x + rng.uniform(0, 2) * _noise(rng, 5)))
    return np.tanh(wave * rng.uniform(0.8, 6.0)) + 0.2 * _noise(rng, 64) + 0.0 * y


def _checks(rng: np.random.Generator) -> np.ndarray:
    y, x = _axes()
    count = rng.uniform(8, 18)
    return np.tanh(4.0 * np.sin(2 * math.pi * count * x) * np.sin(2 * math.pi * count * y)) + 0.2 * _noise(
        rng, 64
    )


def _bricks(rng: np.random.Generator) -> np.ndarray:
    y, x = _axes()
    rows = float(rng.integers(14, 26))
    row = np.floor(y * rows)
    column = x * rows / 2.0 + 0.5 * (row % 2)
    mortar = np.minimum((y * rows) % 1.0 * 0.5, column % 1.0) < rng.uniform(0.06, 0.11)
    tone = rng.random((64, 64), dtype=np.float32)[row.astype(int) % 64, np.floor(column).astype(int) % 64]
    return np.where(mortar, 1.6, tone * 0.7) + 0.2 * _noise(rng, 64)


def _blobs(rng: np.random.Generator) -> np.ndarray:
    field = _noise(rng, int(rng.integers(12, 36)))
    return np.tanh((field - np.median(field)) * rng.uniform(6.0, 25.0)) + 0.2 * _noise(rng, 64)


def _dots(rng: np.random.Generator) -> np.ndarray:
    y, x = _axes()
    count = rng.uniform(9, 20)
    distance = np.hypot((x * count) % 1.0 - 0.5, (y * count) % 1.0 - 0.5)
    return np.tanh((rng.uniform(0.22, 0.36) - distance) * 14.0) + 0.15 * _noise(rng, 64)


def _wood(rng: np.random.Generator) -> np.ndarray:
    y, x = _axes()
    bent = np.hypot(x - rng.uniform(-0.5, 1.5), (y - 0.5) * rng.uniform(0.1, 0.6)) + 0.12 * _noise(rng, 6)
    return np.sin(2.0 * math.pi * rng.uniform(8, 18) * bent) + 0.6 * _noise(rng, 80)


_FAMILIES = {
    'cloud': _cloud,
    'grain': _grain,
    'stripes': _stripes,
    'checks': _checks,
    'bricks': _bricks,
    'blobs': _blobs,
    'dots': _dots,
    'wood': _wood,
}
PATTERN_FAMILIES = tuple(_FAMILIES)


@functools.cache
def pattern_bank() -> dict[str, list[np.ndarray]]:
    """The patterns, uint8 [BANK_SIZE, BANK_SIZE], by family; the same in every process."""
    rng = np.random.default_rng(_BANK_SEED)
    bank = {}
    for name, make in _FAMILIES.items():
        patterns = []
        for _ in range(_PER_FAMILY):
            grey = make(rng)
            low, high = np.percentile(grey, [1, 99])
            patterns.append(np.clip((grey - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8))
        bank[name] = patterns
    return bank


def pick_pattern(rng: np.random.Generator) -> np.ndarray:
    """Draws one pattern of the bank, every family alike."""
    family = PATTERN_FAMILIES[int(rng.integers(len(PATTERN_FAMILIES)))]
    return pattern_bank()[family][int(rng.integers(_PER_FAMILY))]


def sample_pattern(
    pattern: np.ndarray, height: int, width: int, scale: float, angle: float, shift: np.ndarray
) -> np.ndarray:
    """Resamples a pattern to uint8 [height, width], `scale` of its pixels a pixel; mirrored at its edge."""
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    matrix = np.array([[cos, -sin, shift[0] * BANK_SIZE], [sin, cos, shift[1] * BANK_SIZE]])
    return cv2.warpAffine(
        pattern,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


Range = tuple[float, float]


def draw_color(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> Color:
    """Draws a colour with hue, saturation and value in the ranges given, each within [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value))
    return red * 255.0, green * 255.0, blue * 255.0


def distance(first: Color, second: Color) -> float:
    """Euclidean distance of two colours in RGB."""
    return math.dist(first, second)


def distinct_color(rng: np.random.Generator, others: list[Color], gap: float) -> Color:
    """Draws a colour at least `gap` from all `others`, or the farthest of sixteen tries."""
    best, best_gap = (0.0, 0.0, 0.0), -1.0
    for _ in range(16):
        color = draw_color(rng, (0.0, 1.0), (0.15, 0.9), (0.2, 0.95))
        found = min((distance(color, other) for other in others), default=math.inf)
        if found >= gap:
            return color
        if found > best_gap:
            best, best_gap = color, found
    return best


def ramp(first: Color, second: Color) -> np.ndarray:
    """The colour table, uint8 [256, 1, 3], from one colour at grey 0 to another at grey 255."""
    table = np.array(first, np.float32) * (1.0 - _SHARES) + np.array(second, np.float32) * _SHARES
    return table.round().astype(np.uint8)[:, None, :]


def shaded(color: Color, factor: float) -> Color:
    """The colour made darker (factor under 1) or lighter, kept in range."""
    red, green, blue = (min(255.0, channel * factor) for channel in color)
    return red, green, blue


def colored(pattern: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Looks every grey value up in a colour table; uint8 [H, W, 3]."""
    return cv2.applyColorMap(pattern, table)


def background(rng: np.random.Generator, height: int, width: int, contrast: float) -> np.ndarray:
    """Draws a textured background, uint8 [height, width, 3].

    Args:
        rng: the scene's random numbers.
        height: pixels.
        width: pixels.
        contrast: in [0, 1], how far the colours of a texture lie apart.
    """
    canvas = _layer(rng, height, width, contrast)
    kind = rng.random()
    if kind < 0.35:  # two surfaces that meet at an edge, as floor and wall do
        edge = height * rng.uniform(0.3, 0.75)
        tilt = height * rng.uniform(-0.2, 0.2)
        corners = (
            np.array([(0, edge - tilt), (width, edge + tilt), (width, height), (0, height)])
            .round()
            .astype(np.int32)
        )
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [corners], (255,))
        cv2.copyTo(_layer(rng, height, width, contrast), mask, canvas)
    elif kind < 0.7:  # one texture fading into another
        soft = sample_pattern(
            pattern_bank()['cloud'][int(rng.integers(_PER_FAMILY))], height, width, 0.3, 0.0, rng.random(2)
        )
        weight = soft.astype(np.float32) * (1.0 / 255.0)
        canvas = cv2.blendLinear(canvas, _layer(rng, height, width, contrast), weight, 1.0 - weight)
    return canvas


def _layer(rng: np.random.Generator, height: int, width: int, contrast: float) -> np.ndarray:
    first = draw_color(rng, (0.0, 1.0), (0.0, 0.65), (0.2, 0.95))
    if rng.random() < 0.15:  # a plain gradient
        row = np.linspace(0, 255, height, dtype=np.uint8)
        grey = np.repeat(row[:, None], width, axis=1)
        return colored(grey, ramp(first, shaded(first, rng.uniform(0.5, 0.9))))
    other = draw_color(rng, (0.0, 1.0), (0.0, 0.65), (0.2, 0.95))
    share = contrast * rng.uniform(0.5, 1.0)
    second = tuple(a + share * (b - a) for a, b in zip(first, other, strict=True))
    scale = rng.uniform(0.35, 1.4) * 256.0 / max(height, width)
    grey = sample_pattern(pick_pattern(rng), height, width, scale, rng.uniform(0.0, math.pi), rng.random(2))
    return colored(grey, ramp(first, (second[0], second[1], second[2])))
