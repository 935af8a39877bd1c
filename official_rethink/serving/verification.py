"""Whether a detector's SavedModel on disk finds what its checkpoint finds, on real images."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.dataloaders import decoder
from official_rethink.dataloaders import detection as parsing
from official_rethink.modeling import views
from official_rethink.serving import answers, detection, instances

BOX_TOLERANCE = 0.01  # pixels of the original image
SCORE_TOLERANCE = 1e-4
_FURTHER = ('masks', 'keypoints')


@dataclasses.dataclass(frozen=True)
class Found:
    """One image's detections: boxes [n, 4] in pixels of the original, scores [n], classes [n], and what else."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    further: instances.Further = dataclasses.field(default_factory=instances.Further)


@dataclasses.dataclass
class Difference:
    """What two lists of detections differ by.

    Attributes:
        boxes: greatest absolute difference of a coordinate, in pixels.
        scores: greatest absolute difference of a score.
        mismatches: detections of one side without a partner of the same class on the other.
        further: what masks and key points differ by.
    """

    boxes: float = 0.0
    scores: float = 0.0
    mismatches: int = 0
    further: instances.Apart = dataclasses.field(default_factory=instances.Apart)

    def add(self, other: 'Difference') -> None:
        """Takes the greatest of both; a NaN is greater than all."""
        self.boxes = float(np.maximum(self.boxes, other.boxes))
        self.scores = float(np.maximum(self.scores, other.scores))
        self.mismatches += other.mismatches
        self.further.add(other.further)

    @property
    def passes(self) -> bool:
        """Whether it is within tolerance."""
        alike = self.boxes <= BOX_TOLERANCE and self.scores <= SCORE_TOLERANCE and not self.mismatches
        return alike and self.further.passes


def compare(expected: Found, found: Found, cut: float, most: int) -> Difference:
    """Pairs detections of one class, the nearest first taken, and measures each pair.

    Equal scores may come in another order, so places in the list do not count. Nor does a detection without
    a partner whose score is at the edge, where rounding decides whether it is given at all.

    Args:
        expected: the checkpoint's.
        found: the SavedModel's.
        cut: the score below which the detector gives nothing.
        most: the number of detections after which it gives no more.
    """
    # Not a number is near to nothing, and at no edge.
    broken = [~np.isfinite(side.boxes).all(-1) | ~np.isfinite(side.scores) for side in (expected, found)]
    result = Difference(mismatches=int(sum(side.sum() for side in broken)))
    result.mismatches += expected.further.broken() + found.further.broken()
    result.further.image_masks += found.further.wrong_image_masks
    free = np.ones(len(found.scores), bool)
    alone = []
    sides = zip(expected.boxes, expected.scores, expected.classes, strict=True)
    for row, (box, score, label) in enumerate(sides):
        boxes, scores = np.abs(found.boxes - box).max(-1, initial=0), np.abs(found.scores - score)
        distance = np.maximum(boxes / BOX_TOLERANCE, scores / SCORE_TOLERANCE)
        distance[~free | (found.classes != label)] = np.inf
        if not np.isfinite(distance).any():
            alone.append((score, found))
            continue
        best = int(np.argmin(np.nan_to_num(distance, nan=np.inf)))
        free[best] = False
        apart = instances.compare(expected.further, found.further, row, best)
        result.add(Difference(float(boxes[best]), float(scores[best]), further=apart))
    alone += [(score, expected) for score in found.scores[free]]
    for score, other in alone:
        edge = max(cut, float(other.scores.min())) if len(other.scores) >= most else cut
        result.mismatches += not score <= edge + SCORE_TOLERANCE
    return result


def evaluated(params: Any, task: Any, model: tf.keras.Model, images: Sequence[records.Record]) -> list[Found]:
    """Detects as evaluation does: the project's reader, the task's `predict`, image by image."""
    return list(map(detector(params, task, model), images))


def detector(params: Any, task: Any, model: tf.keras.Model) -> Callable[[records.Record], Found]:
    """A function that does so for one image."""
    parser = parsing.DetectionParser(
        params.task.validation_data, task.output_size, resizing=views.plain(params.task).resizing
    )
    decode = decoder.RecordDecoder().decode
    names = ['boxes', 'scores', 'classes', 'num_detections']
    names += [name for name in _FURTHER if detection.gives(params)[name]]

    @tf.function
    def detect(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        image, labels = parser.evaluate(decode(serialized))
        found = task.predict(image[tf.newaxis], labels['image_info'][tf.newaxis], model)
        return {name: found[name][0] for name in names}

    def one(record: records.Record) -> Found:
        outputs = detect(tf.constant(records.to_example(record)))
        found = {name: value.numpy() for name, value in outputs.items()}
        kept = int(found['num_detections'])
        further = instances.Further(**{name: found[name][:kept] for name in _FURTHER if name in found})
        return Found(found['boxes'][:kept], found['scores'][:kept], found['classes'][:kept], further)

    return one


def served(
    signature: Any, kind: str, images: Sequence[records.Record], normalized: bool
) -> Iterator[tuple[int, Found]]:
    """Detects with a signature.

    Args:
        signature: of a loaded SavedModel.
        kind: which of the input types it takes.
        images: to detect on.
        normalized: it gives boxes as shares of the images.

    Yields:
        The number of an image, and what was found.
    """
    for number, outputs in answers.of(signature, kind, images):
        kept = int(outputs['num_detections'])
        record = images[number]
        unit = np.array([record.height, record.width] * 2 if normalized else [1.0] * 4, np.float32)
        boxes = outputs['detection_boxes'][:kept] * unit
        yield number, Found(
            boxes,
            outputs['detection_scores'][:kept],
            outputs['detection_classes'][:kept].astype(np.int32),
            _further(outputs, record, boxes, unit),
        )


def _further(
    outputs: dict[str, np.ndarray], record: records.Record, boxes: np.ndarray, unit: np.ndarray
) -> instances.Further:
    """Masks and key points of the detections that `boxes` [n, 4] holds, the latter in pixels."""
    kept = len(boxes)
    masks, points, pasted = (
        outputs.get(name) for name in ('detection_masks', 'detection_keypoints', answers.IMAGE_MASKS)
    )
    masks = None if masks is None else masks[:kept]
    wrong = 0
    if masks is not None and pasted is not None:
        wrong = instances.wrong_image_masks(pasted[:kept], masks, boxes, record.height, record.width)
        wrong += int(pasted[kept:].any())
    if points is not None:
        points = points[:kept] * np.append(unit[:2], np.float32(1.0))
    return instances.Further(masks, points, wrong)


def verify(
    folder: str, params: Any, task: Any, model: tf.keras.Model, images: Sequence[records.Record]
) -> dict[str, Any]:
    """Loads a SavedModel and compares all its signatures with the model.

    Args:
        folder: the SavedModel's.
        params: the experiment's config.
        task: its task.
        model: with the checkpoint's weights.
        images: to compare on.

    Returns:
        What verification.json holds.

    Raises:
        UserError: the model finds nothing on any image, so that nothing would be compared.
    """
    expected = evaluated(params, task, model, images)
    total = sum(len(found.scores) for found in expected)
    generator = params.task.model.detection_generator
    if not total:
        raise errors.UserError(
            f'the checkpoint finds nothing on {len(images)} images, so there is nothing to compare the '
            'export with; take other or more images (--verify_input, --verify_images), a better checkpoint, '
            'or a lower task.model.detection_generator.pre_nms_score_threshold than '
            f'{generator.pre_nms_score_threshold}.'
        )
    normalized = params.task.export_config.output_normalized_coordinates
    differences, gives = {}, detection.gives(params)
    loaded = answers.load(folder)
    for name, kind, signature in loaded.signatures:
        difference = differences[name] = Difference()
        for number, found in served(signature, kind, images, normalized):
            cut, most = generator.pre_nms_score_threshold, generator.max_num_detections
            difference.add(compare(expected[number], found, cut, most))
    return {
        'passed': all(difference.passes for difference in differences.values()),
        'images': len(images),
        'detections': total,
        'tolerance': {
            'box_pixels': BOX_TOLERANCE,
            'score': SCORE_TOLERANCE,
            'class_mismatches': 0,
            **instances.tolerance(gives),
        },
        'signatures': {
            name: {
                'max_box_difference_pixels': _number(difference.boxes),
                'max_score_difference': _number(difference.scores),
                'class_mismatches': difference.mismatches,
                **instances.report(difference.further, gives),
                'passed': difference.passes,
            }
            for name, difference in sorted(differences.items())
        },
    }


def words(found: dict[str, Any]) -> str:
    """A signature's part of the report, for a person."""
    return (
        f'boxes within {answers.number(found["max_box_difference_pixels"])} px, scores within '
        f'{answers.number(found["max_score_difference"])}, {found["class_mismatches"]} mismatches'
        + instances.words(found)
    )


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None  # JSON has no NaN
