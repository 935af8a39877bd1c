"""What a shard of pseudo label maps holds, pixel by pixel: counted while it is written, added up for the manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.data import label_maps
from official_rethink.evaluation import label_map_quality
from official_rethink.pseudo_labels import filters

VALUES = 256  # of a score map
SHOWN = 0.5  # the threshold by which images count as more or less covered (Zoph et al. train on such pixels)


def coverage(scores: np.ndarray, threshold: float) -> float:
    """The share of a score map's pixels that a threshold keeps."""
    return float(label_map_quality.reached(scores, threshold).mean())


class PixelCounts:
    """Counts label maps with their score maps; holds no pixels."""

    def __init__(self, categories: Sequence[Mapping[str, Any]]):
        """Args: the class list, without the background."""
        self._labels = sorted({0, *(int(category['id']) for category in categories)})
        self._scores = np.zeros((VALUES, VALUES), np.int64)  # class by score
        self._best, self._best_object = np.zeros(VALUES, np.int64), np.zeros(VALUES, np.int64)
        self.coverages: list[float | None] = []

    def add(self, label_map: np.ndarray, scores: np.ndarray) -> None:
        """Counts an image: uint8 [H, W] each; what is ignored (255) in the label map is counted as that alone."""
        cell = label_map.astype(np.int64) * VALUES + scores
        self._scores += np.bincount(cell.ravel(), minlength=VALUES**2).reshape(VALUES, VALUES)
        known = label_map != label_maps.IGNORE
        objects = known & (label_map != 0)
        for best, chosen in ((self._best, known), (self._best_object, objects)):
            if chosen.any():
                best[scores[chosen].max()] += 1
        kept = label_map_quality.reached(scores, SHOWN) & known
        self.coverages.append(float(kept.mean()) if objects.any() else None)

    def as_json(self) -> dict[str, Any]:
        """Returns the counts, for `merged`."""
        return {
            'scores': {str(label): self._scores[label].tolist() for label in self._labels},
            'void': int(self._scores[label_maps.IGNORE].sum()),
            'best': self._best.tolist(),
            'best_object': self._best_object.tolist(),
        }


def num_objects(part: Mapping[str, Any]) -> int:
    """How many pixels of a shard are of a class other than the background, by `as_json`."""
    return sum(sum(counts) for label, counts in part['scores'].items() if label != '0')


def merged(parts: Sequence[Mapping[str, Any]], num_images: int) -> dict[str, Any]:
    """Adds shards' counts up, for the manifest.

    Args:
        parts: of `as_json`.
        num_images: of all shards.

    Returns:
        num_pixels, void_pixels; share_per_category (of all pixels, by arg-max); score_histogram with 20 bins and
        pixel_scores with all 256 values of a score map, of the pixels with a class; mean_score; and kept_at, what
        each threshold keeps: pixels, coverage, images_with_labels, images_with_objects (of another class than the
        background) and share_per_category, the classes' shares of what is kept.
    """
    labels = list(parts[0]['scores'])
    per_category = {label: np.sum([part['scores'][label] for part in parts], axis=0) for label in labels}
    best, best_object = (np.sum([part[name] for part in parts], axis=0) for name in ('best', 'best_object'))
    counts = np.sum(list(per_category.values()), axis=0)
    void = sum(part['void'] for part in parts)
    known = int(counts.sum())
    rows = []
    for threshold in label_map_quality.SCORE_THRESHOLDS:
        reached = label_map_quality.reached(np.arange(VALUES), threshold)
        kept = int(counts[reached].sum())
        rows.append(
            {
                'score_threshold': threshold,
                'pixels': kept,
                'coverage': kept / (known + void),
                'images_with_labels': int(best[reached].sum()),
                'images_with_objects': int(best_object[reached].sum()),
                'share_per_category': {
                    label: int(values[reached].sum()) / kept if kept else None for label, values in per_category.items()
                },
            }
        )
    return {
        'num_pixels': known + void,
        'void_pixels': void,
        'pixels_per_category': {label: int(values.sum()) for label, values in per_category.items()},
        'share_per_category': {label: int(values.sum()) / (known + void) for label, values in per_category.items()},
        'num_images_without_objects': num_images - int(best_object.sum()),
        'mean_score': float(counts @ np.arange(VALUES)) / 255.0 / known if known else None,
        'score_histogram': {
            'edges': list(filters.EDGES),
            'counts': _binned(counts),
            'per_category': {label: _binned(values) for label, values in per_category.items()},
        },
        'pixel_scores': counts.tolist(),
        'kept_at': rows,
    }


def _binned(counts: np.ndarray) -> list[int]:
    """256 values of a score map in the 20 bins of `filters.EDGES`."""
    bins = np.sum([label_map_quality.reached(np.arange(VALUES), edge) for edge in filters.EDGES[1:-1]], axis=0)
    return np.bincount(bins, weights=counts, minlength=filters.BINS).astype(np.int64).tolist()
