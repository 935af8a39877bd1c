"""Whether a segmentation network's SavedModel on disk gives the classes its checkpoint gives, on real images."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import label_maps, records
from official_rethink.modeling import dense_inference
from official_rethink.serving import answers

PROBABILITY_TOLERANCE = 1e-4
SCORE_TOLERANCE = 1  # in 255ths: a probability at the edge is rounded up or down
_MAX_SCORE = 255


@dataclasses.dataclass
class Difference:
    """What class maps differ by.

    Attributes:
        mismatches: pixels whose class is another than the checkpoint's, but for those of which both classes are
            equally likely within the tolerance; of a map of another size all.
        scores: greatest difference of a score, in 255ths.
        probabilities: greatest difference of a probability; 0 if none are given.
    """

    mismatches: int = 0
    scores: int = 0
    probabilities: float = 0.0

    def add(self, other: 'Difference') -> None:
        """Takes the sum of mismatches and the greatest of the rest; a NaN is greater than all."""
        self.mismatches += other.mismatches
        self.scores = max(self.scores, other.scores)
        self.probabilities = float(np.maximum(self.probabilities, other.probabilities))

    @property
    def passes(self) -> bool:
        """Whether it is within tolerance."""
        close = self.probabilities <= PROBABILITY_TOLERANCE
        return not self.mismatches and self.scores <= SCORE_TOLERANCE and close


def compare(expected: np.ndarray, outputs: dict[str, np.ndarray]) -> Difference:
    """Compares one image's answer.

    Args:
        expected: the checkpoint's probabilities, float32 [H, W, K].
        outputs: the signature's row for the image, which may be padded at the bottom and right.
    """
    height, width = expected.shape[:2]
    if any(outputs['class_map'].shape[axis] < expected.shape[axis] for axis in (0, 1)):
        return Difference(mismatches=height * width)
    classes = outputs['class_map'][:height, :width].astype(np.int64)
    scores = outputs['score_map'][:height, :width].astype(np.int64)
    best = expected.max(axis=-1)
    inside = classes < expected.shape[-1]
    chosen = np.take_along_axis(expected, np.where(inside, classes, 0)[..., np.newaxis], axis=-1)[..., 0]
    wrong = ~inside | ~(best - chosen <= PROBABILITY_TOLERANCE)
    beyond = outputs['class_map'].copy()
    beyond[:height, :width] = label_maps.IGNORE
    wrong_beyond = np.count_nonzero(beyond != label_maps.IGNORE)
    difference = Difference(int(np.count_nonzero(wrong)) + int(wrong_beyond))
    rounded = np.floor(_MAX_SCORE * best + 0.5).astype(np.int64)
    difference.scores = int(np.abs(scores - rounded).max())
    if 'probabilities' in outputs:
        given = outputs['probabilities'][:height, :width]
        difference.probabilities = float(np.abs(given - expected).max())
    return difference


def expected_of(task: Any, model: tf.keras.Model) -> Callable[[records.Record], np.ndarray]:
    """Makes the function from an image to the checkpoint's probabilities, float32 [H, W, K], as in evaluation."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def probabilities(image: tf.Tensor) -> tf.Tensor:
        resized, info = pipeline.resize_and_pad(image, task.output_size)
        found = task.dense_views(resized[tf.newaxis], info[tf.newaxis], model)
        return dense_inference.probabilities(found, info[tf.newaxis, 0], tf.shape(image)[:2])[0]

    return lambda record: probabilities(tf.constant(answers.pixels(record))).numpy()


def verify(
    folder: str, params: Any, task: Any, model: tf.keras.Model, images: Sequence[records.Record]
) -> dict[str, Any]:
    """Loads a SavedModel and compares all its signatures with the model.

    Args:
        folder: the SavedModel's.
        params: the experiment's config.
        task: its task.
        model: with the checkpoint's weights.
        images: to compare on; the probabilities of one at a time are held.

    Returns:
        What verification.json holds.

    Raises:
        UserError: the checkpoint's probabilities are not finite, so that nothing could be compared.
    """
    del params
    expected = expected_of(task, model)
    loaded = answers.load(folder)
    differences = {name: Difference() for name, _, _ in loaded.signatures}
    found = np.zeros(256, np.int64)
    for start in range(0, len(images), answers.BATCH):
        part = images[start : start + answers.BATCH]
        shares = [expected(record) for record in part]
        for record, values in zip(part, shares, strict=True):
            if not np.isfinite(values).all():
                raise errors.UserError(
                    f"the checkpoint gives no finite probabilities for image '{record.source_id}': it has diverged, so "
                    'there is nothing to compare the export with; take an earlier checkpoint.'
                )
            found += label_maps.pixels(values.argmax(axis=-1).astype(np.uint8))
        for name, kind, signature in loaded.signatures:
            for number, outputs in answers.of(signature, kind, part):
                differences[name].add(compare(shares[number], outputs))
    return {
        'passed': all(difference.passes for difference in differences.values()),
        'images': len(images),
        'pixels': int(found.sum()),
        'classes': [int(label) for label in np.flatnonzero(found)],
        'tolerance': {'probability': PROBABILITY_TOLERANCE, 'score': SCORE_TOLERANCE, 'class_mismatches': 0},
        'signatures': {name: _as_json(difference) for name, difference in sorted(differences.items())},
    }


def _as_json(difference: Difference) -> dict[str, Any]:
    finite = bool(np.isfinite(difference.probabilities))
    return {
        'class_mismatches': difference.mismatches,
        'max_score_difference': difference.scores,
        'max_probability_difference': difference.probabilities if finite else None,  # JSON has no NaN
        'passed': difference.passes,
    }


def words(found: dict[str, Any]) -> str:
    """A signature's part of the report, for a person."""
    return (
        f'{found["class_mismatches"]} pixels of another class, scores within {found["max_score_difference"]} of 255, '
        f'probabilities within {answers.number(found["max_probability_difference"])}'
    )
