"""Mean intersection over union from exact counts of pixels.

Conventions, where PASCAL's and DeepLab's evaluation agree: background is a class like the others; void pixels (255)
of the truth count nowhere, whatever is predicted there; the counts of all images are added before a ratio is taken.
A class that occurs neither in the truth nor in the prediction has no IoU and is left out of the mean (DeepLab; in
PASCAL's sets each class occurs); one that is only predicted has IoU 0 and lowers it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import label_maps

NOT_MEASURED = -1.0


def confusion(truth: tf.Tensor, classes: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Counts pixels by their class in the truth and in the prediction.

    Args:
        truth: uint8, class ids from 0, 255 where void; any shape.
        classes: uint8 of that shape, predicted class ids.
        num_classes: K, background included.

    Returns:
        int64 [K, K], truth by prediction. A pixel whose truth or prediction is none of the K classes counts
        nowhere; `strays` finds them.
    """
    truth, classes = (tf.reshape(tf.cast(values, tf.int32), [-1]) for values in (truth, classes))
    known = (truth < num_classes) & (classes < num_classes)
    cell = tf.where(known, truth * num_classes + classes, -1)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(cell, tf.int64), cell, num_classes**2)
    return tf.reshape(counts, [num_classes, num_classes])


def strays(truth: tf.Tensor, classes: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Counts the pixels that `confusion` could not place though the truth is not void.

    Returns:
        int64 [2]: those with a truth that is no class, and those of a known class for which nothing was predicted.
    """
    labelled = tf.not_equal(truth, label_maps.IGNORE)
    unknown = labelled & (tf.cast(truth, tf.int32) >= num_classes)
    nothing = labelled & ~unknown & (tf.cast(classes, tf.int32) >= num_classes)
    return tf.stack([tf.math.count_nonzero(unknown), tf.math.count_nonzero(nothing)])


def check_strays(found: Any, num_classes: int) -> None:
    """Refuses to measure what cannot be.

    Args:
        found: sums of `strays`.
        num_classes: K.

    Raises:
        UserError: the truth holds other classes, or the network's answer is not finite.
    """
    unknown, nothing = (int(value) for value in found)
    if unknown:
        raise errors.UserError(
            f'{unknown:,} pixels of the label maps hold a class over the highest id of the model, {num_classes - 1}; '
            f'set task.model.num_classes to the highest class id + 1, or prepare the data with fewer classes.'
        )
    if nothing:
        raise errors.UserError(
            f'for {nothing:,} pixels the network gives no finite probabilities: it has diverged. Lower '
            'trainer.schedule.base_learning_rate or evaluate an earlier checkpoint.'
        )


def intersections_over_unions(counts: np.ndarray) -> np.ndarray:
    """Returns each class's IoU, float64 [K], of a confusion matrix; NaN for a class that never occurs."""
    hits, union = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    return np.divide(hits, union, out=np.full(len(counts), np.nan), where=union > 0)


def scores(counts: Any, names: Mapping[int, str] | None = None) -> dict[str, float]:
    """Computes the metrics of a confusion matrix.

    Args:
        counts: int64 [K, K], truth by prediction.
        names: class id to name, of the classes to report each; 0 may be left out and is the background then.
            None: no metric of single classes.

    Returns:
        mIoU; pixel_accuracy, the share of labelled pixels that are right; mean_accuracy, the mean over the classes
        of the truth of their share that is found; and `PerCategory/<name>/IoU`. -1 where there is nothing to measure:
        no labelled pixel at all, or a class that neither truth nor prediction holds.
    """
    counts = np.asarray(counts, np.int64)
    hits, per_truth = np.diag(counts), counts.sum(axis=1)
    values = intersections_over_unions(counts)
    recalls = np.divide(hits, per_truth, out=np.full(len(counts), np.nan), where=per_truth > 0)
    accuracy = hits.sum() / per_truth.sum() if per_truth.any() else NOT_MEASURED
    result = {'mIoU': _mean(values), 'pixel_accuracy': float(accuracy), 'mean_accuracy': _mean(recalls)}
    if names is None:
        return result
    for number, value in enumerate(values):
        name = names.get(number, 'background' if number == 0 else str(number))
        result[f'PerCategory/{name}/IoU'] = NOT_MEASURED if np.isnan(value) else float(value)
    return result


def _mean(values: np.ndarray) -> float:
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if measured.size else NOT_MEASURED
