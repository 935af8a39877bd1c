"""Large images in overlapping tiles of the network's size, and one map again from theirs."""

from collections.abc import Sequence

import numpy as np


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side, evenly spread: as few as share at least `overlap` pixels with the next.

    Args:
        length: of the side, in pixels.
        tile: of a tile's side, over `overlap`.
        overlap: 0 or more.

    Returns:
        [0] where one tile is enough; else the first is 0 and the last length - tile.
    """
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [place * (length - tile) // (count - 1) for place in range(count)]


def windows(height: int, width: int, tile: tuple[int, int], overlap: int) -> np.ndarray:
    """Cuts an image; a side shorter than a tile's is left whole.

    Returns:
        int32 [n, 4]: y, x, height, width in pixels, row by row.
    """
    rows, columns = (starts(length, size, overlap) for length, size in zip((height, width), tile, strict=True))
    size = min(height, tile[0]), min(width, tile[1])
    return np.array([[y, x, *size] for y in rows for x in columns], np.int32)


def joined(parts: Sequence[np.ndarray], cut: np.ndarray) -> np.ndarray:
    """Puts maps of tiles together: a pixel is taken from the tile in which it lies farthest from a cut.

    Two neighbours meet in the middle of what they share, so that the most of each one's surroundings is known to
    the network.

    Args:
        parts: [h, w] each, in the order of the windows.
        cut: of `windows`.

    Returns:
        [H, W] of the parts' type.
    """
    height, width = (cut[:, axis] + cut[:, axis + 2] for axis in (0, 1))
    whole = np.empty((int(height.max()), int(width.max())), parts[0].dtype)
    spans = [_spans(sorted(set(cut[:, axis].tolist())), int(cut[0, axis + 2])) for axis in (0, 1)]
    for part, (y, x, _, _) in zip(parts, cut.tolist(), strict=True):
        (top, bottom), (left, right) = spans[0][y], spans[1][x]
        whole[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]
    return whole


def _spans(begins: Sequence[int], size: int) -> dict[int, tuple[int, int]]:
    """Where along a side each tile's own pixels begin and end."""
    borders = [(after + before + size) // 2 for before, after in zip(begins[:-1], begins[1:], strict=True)]
    ends = [*borders, begins[-1] + size]
    return dict(zip(begins, zip([begins[0], *borders], ends, strict=True), strict=True))
