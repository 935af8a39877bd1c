"""A classifier's pseudo labels: each image with the probabilities of all classes."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.augment import single_image
from official_rethink.common import errors, files
from official_rethink.configs import classification as configs
from official_rethink.data import records, shards
from official_rethink.pseudo_labels import counts, feeding, filters, inference, kind
from official_rethink.pseudo_labels.store import SPLIT, Store
from official_rethink.pseudo_labels.truth import QUALITY

_PROBABILITIES = 'probabilities'


class ClassReading(feeding.WholeImages):
    """How a classifier is fed and read: the centre is cut out, as in its evaluation."""

    wanted: tuple[str, ...] = (_PROBABILITIES,)
    nothing = ('no class at all', 'and label again')

    def __init__(self, output_size: tuple[int, int], params: configs.Data):
        """Args: the network's input height and width; how its evaluation crops."""
        self.output_size = output_size
        self._params = params

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Cuts out the centre."""
        fraction, method = self._params.crop_fraction, self._params.resize
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        info = tf.stack([size, tf.constant(self.output_size, tf.float32), tf.ones([2]), tf.zeros([2])])
        return single_image.center_crop(image, self.output_size, fraction, method), info

    def result(self, record: records.Record, found: Mapping[str, Any], row: int, part: int = 0) -> np.ndarray:
        """The image's probabilities, float32 [K]."""
        del part
        probabilities = found[_PROBABILITIES][row]
        feeding.check_finite(record, probabilities=probabilities)
        return probabilities

    def keep(self, found: np.ndarray, record: records.Record) -> filters.Kept:
        """The whole distribution and its first class; nothing is dropped, a student chooses while reading."""
        del record
        values = [float(value) for value in found.astype(np.float32)]
        return filters.Kept([], class_label=int(np.argmax(found)) + 1, class_probabilities=values)


class ClassKind(kind.Kind):
    """One class an image, of a classifier."""

    labels = counts.CLASSES
    metrics = ('accuracy',)
    why_not = 'a classifier labels every image; the student chooses by task.pseudo_data.score_threshold'

    def predict(self, task: Any, model: Any) -> inference.Predict:
        """The probabilities of the task's own."""
        return lambda images, info: {_PROBABILITIES: task.predict(images, model)}

    def reading(self, args: argparse.Namespace, output_size: tuple[int, int], classes: Sequence[int]) -> ClassReading:
        """See `ClassReading`."""
        del args, classes
        return ClassReading(output_size, self.params.task.validation_data)

    def measure(self, pattern: str, place: Store, floor: float) -> dict[str, Any]:
        """See `measure`."""
        del floor
        return measure(pattern, place)


def measure(pattern: str, store: Store) -> dict[str, Any]:
    """Writes `quality.json`: how many of the first classes over each threshold are right, where truth is known.

    Raises:
        UserError: an image of the store is not in the truth, or has no class there.
    """
    truth = {record.source_id: record.class_label for record in shards.read(pattern)}
    scores, right = [], []
    for record in shards.read(shards.description_path(store.folder, SPLIT)):
        if truth.get(record.source_id) is None or not record.class_probabilities:
            raise errors.UserError(
                f"--truth '{pattern}' has no class of image {record.source_id} ('{record.filename}'), which was "
                'labelled.'
            )
        scores.append(max(record.class_probabilities))
        right.append(record.class_label == truth[record.source_id])
    rows = []
    for threshold in (0.0, *filters.THRESHOLDS):
        kept = np.array(scores, np.float32) >= np.float32(threshold)
        hits = int(np.sum(np.array(right)[kept]))
        accuracy = hits / int(kept.sum()) if kept.any() else None
        rows.append({'threshold': threshold, 'images': int(kept.sum()), 'accuracy': accuracy})
    measured = {'accuracy': rows[0]['accuracy'], 'thresholds': rows}
    files.write_json(store.path(QUALITY), measured)
    return measured
