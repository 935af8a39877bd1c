"""Pseudo labels against truth, where somebody knows it: a curve over score thresholds."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from official_rethink.common import errors, files
from official_rethink.data import records, shards
from official_rethink.evaluation import instance_masks, quality
from official_rethink.pseudo_labels.source import Source
from official_rethink.pseudo_labels.store import SPLIT, Store

QUALITY = 'quality.json'


def check(pattern: str, source: Source, categories: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a truth that is not of these images and classes, before anything is computed.

    Args:
        pattern: of the labelled shards.
        source: the images to label.
        categories: the teacher's class list.

    Raises:
        UserError: no description, images it lacks, or other classes.
    """
    description = shards.load_description(pattern)
    ours = {category['id']: category['name'] for category in categories}
    theirs = {category['id']: category['name'] for category in description['categories']}
    if ours != theirs:
        label = next(key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key))
        raise errors.UserError(
            f"the classes of --truth '{pattern}' are not the teacher's: id {label} is {theirs.get(label)!r} "
            f'there and {ours.get(label)!r} here.'
        )
    hashes = dict(zip(description['image_ids'], description['image_hashes'], strict=True))
    other = [image_id for image_id, digest in source.image_hashes.items() if hashes.get(image_id) != digest]
    if other:
        raise errors.UserError(
            f"--truth '{pattern}' is not of the images in '{source.path}': {len(other)} of "
            f"{source.num_images} are missing there or are other pictures, e.g. '{other[0]}'."
        )


class _Labels(NamedTuple):
    """Boxes, classes, crowds and scores of an image, and its masks if each object has one."""

    boxes: np.ndarray
    classes: np.ndarray
    is_crowd: np.ndarray
    scores: np.ndarray
    masks: list[instance_masks.Rle] | None


def measure(pattern: str, store: Store, floor: float) -> dict[str, Any]:
    """Writes `quality.json`; see `evaluation/quality.py`. Of the truth, boxes and run lengths are held in memory.

    Where both sides have masks, `masks` holds the same numbers with overlaps of masks in the place of boxes'.

    Raises:
        UserError: an image of the store is not in the truth.
    """
    with_masks = _has_masks(shards.description_path(store.folder, SPLIT))
    if with_masks and not _has_masks(pattern):
        sys.stderr.write(f"--truth '{pattern}' has no masks: the labels are measured by their boxes alone.\n")
        with_masks = False
    truth = {record.source_id: _labels(record, with_masks) for record in shards.read(pattern)}
    thresholds = [threshold for threshold in quality.SCORE_THRESHOLDS if threshold >= floor] or [1.0]
    by_boxes, by_masks = quality.PseudoLabelQuality(thresholds), quality.PseudoLabelQuality(thresholds)
    for record in shards.read(shards.description_path(store.folder, SPLIT)):
        if record.source_id not in truth:
            raise errors.UserError(
                f"--truth '{pattern}' has no image {record.source_id} ('{record.filename}'), which was "
                'labelled.'
            )
        theirs, ours = truth[record.source_id], _labels(record, with_masks)
        sides = (theirs.boxes, theirs.classes, theirs.is_crowd, ours.boxes, ours.scores, ours.classes)
        by_boxes.add(record.source_id, *sides)
        if theirs.masks is not None and ours.masks is not None:
            overlaps = instance_masks.overlap(ours.masks, theirs.masks, theirs.is_crowd)
            by_masks.add(record.source_id, *sides, overlaps)
    measured = by_boxes.result() | ({'masks': by_masks.result()} if with_masks else {})
    files.write_json(store.path(QUALITY), measured)
    return measured


def _has_masks(pattern: str) -> bool:
    """Whether the first object of a set has a mask; sets have masks of all objects or of none."""
    first = next((record.annotations[0] for record in shards.read(pattern) if record.annotations), None)
    return first is not None and first.mask_png is not None


def _labels(record: records.Record, with_masks: bool) -> _Labels:
    annotations = record.annotations
    masks = [instance_masks.code(a.mask_png) for a in annotations if a.mask_png is not None] if with_masks else None
    if masks is not None and len(masks) < len(annotations):
        raise errors.UserError(
            f"image {record.source_id} ('{record.filename}') has an object without a mask, but others of its set have "
            'masks; prepare the set again with --include_masks.'
        )
    return _Labels(
        np.array([a.box for a in annotations], np.float32).reshape(-1, 4),
        np.array([a.label for a in annotations], np.int32),
        np.array([a.is_crowd for a in annotations], bool),
        np.array([a.score or 0.0 for a in annotations], np.float32),
        masks,
    )
