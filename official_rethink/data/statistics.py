"""What a data set holds, counted while it is written; becomes its description."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.data import label_maps, records

# COCO's border areas, 32² and 96² pixels: small up to the first, large from the second on.
SIZE_BORDERS = (32**2, 96**2)
SIZE_NAMES = ('small', 'medium', 'large')
FLAGS = ('difficult', 'truncated', 'occluded')


def content_hash(encoded: bytes) -> str:
    """Returns 64 bits of the SHA-256 of an image's bytes, in hex: the same picture under another name."""
    return hashlib.sha256(encoded).hexdigest()[:16]


class Statistics:
    """Counts records on their way into the shards; holds a few dozen bytes an image, no pixels."""

    def __init__(self, num_shards: int):
        """Args: in how many shards the records go, by turns."""
        self._num_shards = num_shards
        self._rows: list[tuple[str, str, list[int]]] = []  # source id, content hash, classes
        self._ids: set[str] = set()
        self._sizes: list[tuple[int, int]] = []
        self._per_category: Counter[int] = Counter()
        self._per_size: Counter[str] = Counter()
        self._per_flag: Counter[str] = Counter()
        self._crowds = 0
        self._labelled = 0
        self._mapped = 0
        self._pixels = np.zeros(256, np.int64)

    @property
    def num_images(self) -> int:
        """How many records were added."""
        return len(self._rows)

    def add(self, record: records.Record) -> int:
        """Counts a record and returns the number of the shard it goes to.

        Raises:
            UserError: a record with the same source id was added before.
        """
        if record.source_id in self._ids:
            raise errors.UserError(
                f"two images have the source id {record.source_id}; the second is '{record.filename}'."
            )
        shard = len(self._rows) % self._num_shards
        self._ids.add(record.source_id)
        classes = sorted({a.label for a in record.annotations if not a.is_crowd})
        if record.class_label is not None:
            self._per_category[record.class_label] += not record.annotations
            classes = sorted({*classes, record.class_label})
        if record.label_map_png is not None:
            classes = self._add_label_map(record, record.label_map_png) or classes
        self._rows.append((record.source_id, content_hash(record.encoded), classes))
        self._sizes.append((record.height, record.width))
        self._labelled += bool(record.annotations)
        for annotation in record.annotations:
            if annotation.is_crowd:
                self._crowds += 1
                continue
            self._per_category[annotation.label] += 1
            self._per_flag.update(flag for flag in FLAGS if getattr(annotation, f'is_{flag}'))
            y1, x1, y2, x2 = annotation.box
            area = (y2 - y1) * (x2 - x1) if annotation.area is None else annotation.area
            self._per_size[SIZE_NAMES[sum(area > border for border in SIZE_BORDERS)]] += 1
        return shard

    def merge(self, others: Iterable['Statistics']) -> None:
        """Counts what others counted, as if their records were added here one after the other.

        Raises:
            UserError: two records have the same source id.
        """
        for other in others:
            if twice := self._ids & other._ids:
                raise errors.UserError(f'two images have the source id {min(twice)}.')
            self._ids |= other._ids
            self._rows += other._rows
            self._sizes += other._sizes
            for ours, theirs in (
                (self._per_category, other._per_category),
                (self._per_size, other._per_size),
                (self._per_flag, other._per_flag),
            ):
                ours.update(theirs)  # type: ignore[arg-type]
            self._crowds += other._crowds
            self._labelled += other._labelled
            self._mapped += other._mapped
            self._pixels += other._pixels

    def _add_label_map(self, record: records.Record, png: bytes) -> list[int]:
        """Counts pixels; where nothing else tells the image's classes, returns those of the map."""
        counts = label_maps.pixels(label_maps.decode(png))
        self._mapped += 1
        self._pixels += counts
        if record.annotations or record.class_label is not None:
            return []
        classes = [int(value) for value in np.flatnonzero(counts[: label_maps.IGNORE]) if value]
        self._per_category.update(classes)
        return classes

    def description(self, categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the counts as the description's fields; lists over images are in shard order.

        Instances leave crowds out, which are counted apart; of a single-object image the one class counts, of an
        image with nothing but a label map each class in it. Where instances are difficult, truncated or occluded,
        `num_difficult` and so on count them. If every image has a label map, there are the
        fields `label_maps` (true), `pixels_per_category` (background '0' first) and `void_pixels`.
        """
        in_order = [row for shard in range(self._num_shards) for row in self._rows[shard :: self._num_shards]]
        known = {int(category['id']) for category in categories}
        mapped = {int(value) for value in np.flatnonzero(self._pixels[: label_maps.IGNORE])} - {0}
        unknown = sorted({*self._per_category, *mapped} - known)
        if unknown:
            raise errors.UserError(f'records have class ids {unknown}, which the categories do not list.')
        heights, widths = (sorted(side) for side in zip(*self._sizes, strict=True))
        middle = len(heights) // 2
        return {
            'num_images': len(in_order),
            'num_images_with_annotations': self._labelled,
            'num_instances': sum(self._per_size.values()),
            'num_crowds': self._crowds,
            **{f'num_{flag}': self._per_flag[flag] for flag in FLAGS if self._per_flag[flag]},
            'categories': [dict(category) for category in categories],
            'instances_per_category': {str(i): self._per_category[i] for i in sorted(known)},
            'instances_per_size': {name: self._per_size[name] for name in SIZE_NAMES},
            'image_sizes': {
                'min': [heights[0], widths[0]],
                'median': [heights[middle], widths[middle]],
                'max': [heights[-1], widths[-1]],
            },
            'image_ids': [row[0] for row in in_order],
            'image_hashes': [row[1] for row in in_order],
            'image_categories': [row[2] for row in in_order],
            **self._pixel_fields(known),
        }

    def _pixel_fields(self, known: set[int]) -> dict[str, Any]:
        if not self._mapped or self._mapped < self.num_images:
            return {}
        return {
            'label_maps': True,
            'pixels_per_category': {str(i): int(self._pixels[i]) for i in sorted({0, *known}) if i < label_maps.IGNORE},
            'void_pixels': int(self._pixels[label_maps.IGNORE]),
        }
