"""How far teacher and student agree: the share of each other's boxes they find, and the overlap."""

import dataclasses
from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.evaluation import images, matching


@dataclasses.dataclass
class Agreement:
    """Counts matched boxes of two detection sets, image by image.

    Boxes of one class match one to one, largest overlap first, which treats both sets alike.

    Attributes:
        iou_threshold: the least intersection over union of a match.
        score_threshold: boxes below are left out, of both sets.
    """

    iou_threshold: float = 0.5
    score_threshold: float = 0.0
    _images: int = 0
    _teacher: int = 0
    _student: int = 0
    _matched: int = 0
    _overlap: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.iou_threshold <= 1:
            raise errors.bad_value('iou_threshold', self.iou_threshold, 'above 0, up to 1')
        if not 0 <= self.score_threshold <= 1:
            raise errors.bad_value('score_threshold', self.score_threshold, '0 to 1')

    def add(
        self,
        image_id: images.ImageId,
        teacher_boxes: Any,
        teacher_scores: Any,
        teacher_classes: Any,
        student_boxes: Any,
        student_scores: Any,
        student_classes: Any,
    ) -> None:
        """Adds the detections of one image: boxes y1 x1 y2 x2 in pixels [n, 4], scores [n], class ids [n]."""
        where = f'image {images.image_key(image_id)!r}'
        teacher, teacher_labels = self._kept('teacher', teacher_boxes, teacher_scores, teacher_classes, where)
        student, student_labels = self._kept('student', student_boxes, student_scores, student_classes, where)
        overlaps = matching.overlap(teacher, student) * (teacher_labels[:, None] == student_labels[None])
        pairs = matching.match_symmetrically(overlaps, self.iou_threshold)
        self._images += 1
        self._teacher += len(teacher)
        self._student += len(student)
        self._matched += len(pairs)
        self._overlap += sum(float(overlaps[pair]) for pair in pairs)

    def _kept(
        self, who: str, boxes: Any, scores: Any, classes: Any, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        one = images.Detections(boxes, scores, classes, f'{where}, {who}')
        keep = images.at_least(one.scores, self.score_threshold)
        return one.boxes[keep], one.classes[keep]

    def result(self) -> dict[str, float | int | None]:
        """Returns the shares and counts; a share of no boxes at all is None, not 0."""
        return {
            'images': self._images,
            'teacher_boxes': self._teacher,
            'student_boxes': self._student,
            'matched': self._matched,
            'teacher_found_by_student': self._matched / self._teacher if self._teacher else None,
            'student_found_by_teacher': self._matched / self._student if self._student else None,
            'mean_iou': self._overlap / self._matched if self._matched else None,
            'iou_threshold': self.iou_threshold,
            'score_threshold': self.score_threshold,
        }
