"""Which boxes belong together: overlap, and the greedy matchings that every measure here shares."""

import numpy as np

# Boxes are y1 x1 y2 x2 in pixels. `D` detections, `N` truth instances.

_NONE = -1


def overlap(boxes: np.ndarray, others: np.ndarray, is_crowd: np.ndarray | None = None) -> np.ndarray:
    """Returns intersection over union [D, N]; for a crowd, intersection over the box's own area.

    Args:
        boxes: [D, 4].
        others: [N, 4].
        is_crowd: bool [N]; None: no crowds.
    """
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    sides = np.maximum(np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - corner, 0)
    shared = sides[..., 0] * sides[..., 1]
    own = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[:, None]
    other = ((others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1]))[None]
    whole = own + other - shared
    if is_crowd is not None:
        whole = np.where(is_crowd[None], own, whole)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)


def match_as_coco(overlaps: np.ndarray, is_crowd: np.ndarray, threshold: float) -> np.ndarray:
    """Matches detections, best score first, each to the free truth it overlaps most, as COCO does.

    A crowd may take any number of detections, but only those that match nothing else. A detection's match
    depends on better scored ones only, so the matching of a higher score threshold is the beginning of this
    one.

    Args:
        overlaps: of one class's detections, in falling order of score, with its truth [D, N].
        is_crowd: bool [N].
        threshold: the least overlap that counts.

    Returns:
        for each detection the index of its truth, or -1 [D].
    """
    matches = np.full(len(overlaps), _NONE)
    free = ~is_crowd
    for row, values in enumerate(overlaps):
        for candidates in (free, is_crowd):
            eligible = np.flatnonzero(candidates & (values >= threshold))
            if len(eligible):
                best = int(
                    eligible[values[eligible] == values[eligible].max()][-1]
                )  # COCO takes the last of equals
                matches[row] = best
                free[best] = False
                break
    return matches


def match_symmetrically(overlaps: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Pairs two sets one to one, largest overlap first, so that swapping the sets swaps the pairs.

    Args:
        overlaps: [D, N], 0 for pairs that must not match.
        threshold: the least overlap that counts.

    Returns:
        pairs (row, column).
    """
    rows, columns = np.nonzero((overlaps >= threshold) & (overlaps > 0))
    order = np.argsort(-overlaps[rows, columns], kind='stable')
    pairs: list[tuple[int, int]] = []
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return pairs
