"""Pseudo labels against truth, where somebody knows it: a curve over score thresholds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.data import records, shards
from official_rethink.evaluation import quality
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


def measure(pattern: str, store: Store, floor: float) -> dict[str, Any]:
    """Writes `quality.json`; see `evaluation/quality.py`. Only the truth's boxes are held in memory.

    Raises:
        UserError: an image of the store is not in the truth.
    """
    truth = {record.source_id: _arrays(record) for record in shards.read(pattern)}
    thresholds = [threshold for threshold in quality.SCORE_THRESHOLDS if threshold >= floor] or [1.0]
    measured = quality.PseudoLabelQuality(thresholds)
    for record in shards.read(shards.description_path(store.folder, SPLIT)):
        if record.source_id not in truth:
            raise errors.UserError(
                f"--truth '{pattern}' has no image {record.source_id} ('{record.filename}'), which was "
                'labelled.'
            )
        boxes, classes, crowd, _ = truth[record.source_id]
        found, labels, _, scores = _arrays(record)
        measured.add(record.source_id, boxes, classes, crowd, found, scores, labels)
    return measured.write(store.path(QUALITY))


def _arrays(record: records.Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, classes, crowds and scores."""
    annotations = record.annotations
    return (
        np.array([a.box for a in annotations], np.float32).reshape(-1, 4),
        np.array([a.label for a in annotations], np.int32),
        np.array([a.is_crowd for a in annotations], bool),
        np.array([a.score or 0.0 for a in annotations], np.float32),
    )
