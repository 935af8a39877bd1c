"""How far a detector in other arithmetic finds what its checkpoint finds, on real images without labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.evaluation import matching
from official_rethink.serving import answers, verification

MOST_SURE = 0.3
IOU = 0.5


def compare(expected: Sequence[verification.Found], found: Sequence[verification.Found]) -> dict[str, Any]:
    """Compares detections that one side is sure of with those the other gives at half that score or more.

    So a detection whose score rounding moves over the threshold is not missed. Boxes without extent, which what is
    found in an image's padding is clipped to, overlap with nothing and are left out on both sides. The threshold is
    MOST_SURE, or half the highest score of the checkpoint where that is less, as of a short training.

    Args:
        expected: the checkpoint's, an entry for each image.
        found: the variant's.

    Returns:
        `score_threshold`; `detections` and `variant_detections` over it; the shares `found` (of the checkpoint's, in
        the variant's) and `confirmed` (of the variant's, in the checkpoint's), of one class with an IoU of 0.5 or
        more, each detection partner of one; `mean_iou` and `mean_score_difference` of the partners.

    Raises:
        UserError: the checkpoint finds nothing.
    """
    expected, found = ([_with_extent(one) for one in side] for side in (expected, found))
    best = max((float(one.scores.max(initial=0)) for one in expected), default=0.0)
    if best <= 0:
        raise errors.UserError(
            f'the checkpoint finds nothing on {len(expected)} images, so there is nothing to compare a variant with; '
            'take other or more images (--verify_input, --verify_images), or a better checkpoint.'
        )
    threshold = min(MOST_SURE, best / 2)
    forth, back = (_matched(one, other, threshold) for one, other in ((expected, found), (found, expected)))
    return {
        'images': len(expected),
        'score_threshold': round(threshold, 4),
        'detections': forth['sure'],
        'variant_detections': back['sure'],
        'found': forth['share'],
        'confirmed': back['share'],
        'mean_iou': forth['iou'],
        'mean_score_difference': forth['score'],
    }


def passes(report: dict[str, Any], least: float) -> bool:
    """Whether both shares reach `least`; a variant that is sure of nothing does not."""
    return report['found'] >= least and report['confirmed'] >= least


def is_report(found: dict[str, Any]) -> bool:
    """Whether a part of verification.json is one of this comparison."""
    return 'confirmed' in found


def verify(
    folder: str,
    params: Any,
    task: Any,
    model: tf.keras.Model,
    made: tf.keras.Model,
    images: Sequence[records.Record],
    least: float,
) -> dict[str, Any]:
    """Loads a SavedModel of a network in 16 bits and compares it with the checkpoint.

    Its weights have to be the network's, bit by bit. What it finds cannot be: how TensorFlow fuses operations
    decides where 16 bits are rounded.

    Args:
        folder: the SavedModel's.
        params: the experiment's config.
        task: its task.
        model: with the checkpoint's weights.
        made: the network that was saved.
        images: to compare on.
        least: see `passes`.

    Returns:
        What verification.json holds.
    """
    loaded = answers.load(folder)
    pairs = zip(loaded.model.weights, made.variables, strict=True)
    equal = all(one.dtype == other.dtype and bool(tf.reduce_all(one == other)) for one, other in pairs)
    expected = verification.evaluated(params, task, model, images)
    normalized = params.task.export_config.output_normalized_coordinates
    signatures = {}
    for name, kind, signature in sorted(loaded.signatures, key=lambda one: one[0]):
        found = [one for _, one in verification.served(signature, kind, images, normalized)]
        report = compare(expected, found)
        signatures[name] = {**report, 'passed': passes(report, least)}
    return {
        'passed': equal and all(report['passed'] for report in signatures.values()),
        'images': len(images),
        'detections': sum(len(one.scores) for one in expected),
        'weights_equal': equal,
        'tolerance': {'least_agreement': least},
        'signatures': signatures,
    }


def words(report: dict[str, Any]) -> str:
    """The report for a person."""
    return (
        f'{report["found"]:.1%} of the checkpoint\'s {report["detections"]} detections over '
        f'{report["score_threshold"]:g} found (mean IoU {report["mean_iou"]:.3f}, scores within '
        f'{report["mean_score_difference"]:.4f} on average), {report["confirmed"]:.1%} of '
        f'{report["variant_detections"]} confirmed'
    )


def _with_extent(found: verification.Found) -> verification.Found:
    """The detections whose boxes have an area; one that is not a number stays, and is like no other."""
    empty = (found.boxes[:, 2:] <= found.boxes[:, :2]).any(-1)
    return verification.Found(found.boxes[~empty], found.scores[~empty], found.classes[~empty])


def _matched(
    sure: Sequence[verification.Found], others: Sequence[verification.Found], threshold: float
) -> dict[str, Any]:
    """What of one side's detections over the threshold the other side has, over half of it."""
    total, overlaps, scores = 0, [], []
    for one, other in zip(sure, others, strict=True):
        kept, free = one.scores >= threshold, other.scores >= threshold / 2
        total += int(kept.sum())
        shared = matching.overlap(one.boxes[kept], other.boxes[free])
        shared = shared * (one.classes[kept][:, None] == other.classes[free][None])
        for row, column in matching.match_symmetrically(shared, IOU):
            overlaps.append(float(shared[row, column]))
            scores.append(abs(float(one.scores[kept][row]) - float(other.scores[free][column])))
    share = len(overlaps) / total if total else 0.0
    mean = [round(float(np.mean(values)), 5) if values else 0.0 for values in (overlaps, scores)]
    return {'sure': total, 'share': round(share, 4), 'iou': mean[0], 'score': mean[1]}
