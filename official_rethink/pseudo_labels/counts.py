"""What a shard of pseudo labels holds, counted while it is written and kept beside it for a restart."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.data import records, statistics
from official_rethink.pseudo_labels import filters, pixel_counts

BOXES, CLASSES, LABEL_MAPS = 'boxes', 'classes', 'label_maps'  # what the labels of a store are
_SUMMED = ('num_images', 'num_images_with_annotations', 'num_instances', 'num_crowds')
_LISTED = ('image_ids', 'image_hashes', 'image_categories')
_TALLIED = ('instances_per_category', 'instances_per_size')


class ShardCounts:
    """Counts the records of one shard; holds a few numbers an image."""

    def __init__(self, categories: Sequence[Mapping[str, Any]], best: int):
        """Args: the class list; how many of an image's best scores make its confidence."""
        self._categories = categories
        self._best = best
        self._statistics = statistics.Statistics(1)
        self._sizes: list[list[int]] = []
        self._confidences: list[float | None] = []
        self._scores = {int(category['id']): np.zeros(filters.BINS, np.int64) for category in categories}
        self._best_scores = np.zeros(filters.BINS, np.int64)
        self._score_sum = 0.0
        self._unlisted = self._empty = self._classes = self._masks = self._empty_masks = 0
        self._points = self._visible = 0
        self._pixels: pixel_counts.PixelCounts | None = None

    def add(self, record: records.Record, kept: filters.Kept) -> None:
        """Counts a record whose labels are `kept`."""
        self._statistics.add(record)
        self._sizes.append([record.height, record.width])
        scored = kept.scored()
        scores = sorted((score for _, score in scored), reverse=True)
        top = scores[: self._best]
        if kept.label_map is not None and kept.score_map is not None:
            self._pixels = self._pixels or pixel_counts.PixelCounts(self._categories)
            self._pixels.add(kept.label_map, kept.score_map)
            self._confidences.append(self._pixels.coverages[-1])
        else:
            self._confidences.append(sum(top) / len(top) if top else None)
        self._best_scores += filters.histogram(scores[:1])
        self._score_sum += sum(scores)
        for label in {label for label, _ in scored}:
            self._scores[label] += filters.histogram([score for other, score in scored if other == label])
        self._classes += kept.class_label is not None
        self._unlisted += kept.unlisted
        self._empty += kept.empty
        self._masks += sum(annotation.mask_png is not None for annotation in kept.annotations)
        self._empty_masks += kept.empty_masks
        for points in (annotation.keypoints for annotation in kept.annotations if annotation.keypoints):
            self._points = len(points)
            self._visible += sum(visibility > 0 for _, _, visibility in points)

    def as_json(self) -> dict[str, Any]:
        """Returns the counts, for `merge`."""
        has_images = self._statistics.num_images > 0
        return {
            'description': self._statistics.description(self._categories) if has_images else None,
            'sizes': self._sizes,
            'confidences': self._confidences,
            'scores': {str(label): histogram.tolist() for label, histogram in self._scores.items()},
            'best_scores': self._best_scores.tolist(),
            'score_sum': self._score_sum,
            'num_classified': self._classes,
            'num_unlisted_class': self._unlisted,
            'num_empty_boxes': self._empty,
            'num_masks': self._masks,
            'num_empty_masks': self._empty_masks,
            'keypoints': self._points,
            'num_visible_keypoints': self._visible,
            **({'pixels': self._pixels.as_json()} if self._pixels else {}),
        }


def merge(
    parts: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Puts the shards' counts together.

    Args:
        parts: what `ShardCounts.as_json` gave for each shard, in order.
        categories: the class list.

    Returns:
        The description's fields, as `data/statistics.py` counts them, and the manifest's counts.

    Raises:
        UserError: two images have the same id, or there is no image at all.
    """
    described = [part['description'] for part in parts if part['description']]
    if not described:
        raise errors.UserError('no image is left to label: each was left out (see pseudo-skipped.jsonl).')
    fields: dict[str, Any] = {name: sum(one[name] for one in described) for name in _SUMMED}
    fields['categories'] = [dict(category) for category in categories]
    for name in _TALLIED:
        fields[name] = {key: sum(one[name][key] for one in described) for key in described[0][name]}
    sizes = [size for part in parts for size in part['sizes']]
    heights, widths = (sorted(side) for side in zip(*sizes, strict=True))
    places = {'min': 0, 'median': len(heights) // 2, 'max': -1}
    fields['image_sizes'] = {name: [heights[place], widths[place]] for name, place in places.items()}
    for name in _LISTED:
        fields[name] = [value for one in described for value in one[name]]
    _check_ids(fields['image_ids'])
    mapped = [part['pixels'] for part in parts if 'pixels' in part]
    if mapped:
        pixels = pixel_counts.merged(mapped, fields['num_images'])
        fields |= {'label_maps': True} | {name: pixels[name] for name in ('pixels_per_category', 'void_pixels')}
        return fields, _map_counts(parts, fields, pixels)
    if any(part['num_classified'] for part in parts):
        # A student chooses among the images by these; see `selection.py`.
        fields['image_scores'] = [value for part in parts for value in part['confidences']]
    return fields, _manifest_counts(parts, fields)


def num_labels(part: Mapping[str, Any]) -> int:
    """How many labels a shard holds, by what `ShardCounts.as_json` gave for it."""
    if 'pixels' in part:
        return pixel_counts.num_objects(part['pixels'])
    return sum(map(sum, part['scores'].values()))


def _check_ids(image_ids: Collection[str]) -> None:
    seen: set[str] = set()
    for image_id in image_ids:
        if image_id in seen:
            raise errors.UserError(f'two images of the input have the source id {image_id}; ids must differ.')
        seen.add(image_id)


def _map_counts(
    parts: Sequence[Mapping[str, Any]], fields: Mapping[str, Any], pixels: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        'num_images': fields['num_images'],
        'labels': LABEL_MAPS,
        'num_instances': pixels['num_pixels'] - pixels['void_pixels'],
        **pixels,
        'images_per_category': fields['instances_per_category'],
        'num_unlisted_class': sum(part['num_unlisted_class'] for part in parts),
    }


def _manifest_counts(parts: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> dict[str, Any]:
    labels = list(parts[0]['scores'])
    per_category = {
        label: np.sum([part['scores'][label] for part in parts], axis=0).tolist() for label in labels
    }
    counts = np.sum(list(per_category.values()), axis=0).tolist()
    best = np.sum([part['best_scores'] for part in parts], axis=0).tolist()
    labelled = sum(counts)
    classified = sum(part['num_classified'] for part in parts)
    return {
        'num_images': fields['num_images'],
        'labels': CLASSES if classified else BOXES,
        'num_instances': labelled,
        'num_images_without_boxes': fields['num_images'] - fields['num_images_with_annotations'] - classified,
        'instances_per_category': fields['instances_per_category'],
        'mean_score': sum(part['score_sum'] for part in parts) / labelled if labelled else None,
        'score_histogram': {'edges': list(filters.EDGES), 'counts': counts, 'per_category': per_category},
        'best_score_histogram': {'edges': list(filters.EDGES), 'counts': best},
        'kept_at': filters.table(counts, best, fields['num_images']),
        'num_unlisted_class': sum(part['num_unlisted_class'] for part in parts),
        'num_empty_boxes': sum(part['num_empty_boxes'] for part in parts),
        **_further_counts(parts, labelled),
    }


def _further_counts(parts: Sequence[Mapping[str, Any]], labelled: int) -> dict[str, Any]:
    """Of a store with masks, whether each box has one and how many are empty; of one with key points, how many."""
    masks, empty = (sum(part.get(name, 0) for part in parts) for name in ('num_masks', 'num_empty_masks'))
    found: dict[str, Any] = {'masks': masks == labelled, 'num_empty_masks': empty} if masks else {}
    points = max(part.get('keypoints', 0) for part in parts)
    visible = sum(part.get('num_visible_keypoints', 0) for part in parts)
    return found | ({'keypoints': points, 'num_visible_keypoints': visible} if points else {})
