"""What a served detector says of each object beside its box: masks and key points, compared with the checkpoint's."""

import dataclasses
from typing import Any

import numpy as np

from official_rethink.evaluation import instance_masks

MASK_TOLERANCE = 1e-3  # of a probability
POINT_TOLERANCE = 0.1  # pixels of the original image
SCORE_TOLERANCE = 1e-4
# Under this share of its heat map the highest cell is one among equals, and which is the highest is chance.
FLAT = 0.01
_PIXELS_APART, _SHARE_APART = 2, 0.01  # of a pasted mask, which OpenCV rounds otherwise than TensorFlow


@dataclasses.dataclass(frozen=True)
class Further:
    """One image's further outputs, n detections; None where a network has none.

    Attributes:
        masks: float32 [n, S, S], probabilities over the boxes.
        keypoints: float32 [n, P, 3], y, x in pixels of the original, and the score.
        wrong_image_masks: of a served image, how many of its pasted masks are not its masks over its boxes.
    """

    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    wrong_image_masks: int = 0

    def broken(self) -> int:
        """How many detections have an output that is not finite."""
        given = [part for part in (self.masks, self.keypoints) if part is not None]
        finite = [np.isfinite(part.reshape(len(part), -1)).all(-1) for part in given]
        return int((~np.logical_and.reduce(finite)).sum()) if finite else 0


@dataclasses.dataclass
class Apart:
    """What pairs of detections differ by beside their boxes.

    Attributes:
        masks: greatest difference of a probability.
        points: key points at another place.
        point_scores: greatest difference of a key point's score.
        image_masks: pasted masks that differ.
    """

    masks: float = 0.0
    points: int = 0
    point_scores: float = 0.0
    image_masks: int = 0

    def add(self, other: 'Apart') -> None:
        """Takes the greatest of both, and the sum of what is counted; a NaN is greater than all."""
        self.masks = float(np.maximum(self.masks, other.masks))
        self.point_scores = float(np.maximum(self.point_scores, other.point_scores))
        self.points += other.points
        self.image_masks += other.image_masks

    @property
    def passes(self) -> bool:
        """Whether it is within tolerance."""
        close = self.masks <= MASK_TOLERANCE and self.point_scores <= SCORE_TOLERANCE
        return close and not self.points and not self.image_masks


def compare(expected: Further, found: Further, ours: int, theirs: int) -> Apart:
    """Compares the outputs of one pair.

    Args:
        expected: the checkpoint's of an image.
        found: the SavedModel's.
        ours: the pair's row in `expected`.
        theirs: its row in `found`.
    """
    apart = Apart()
    if expected.masks is not None and found.masks is not None:
        apart.masks = float(np.abs(expected.masks[ours] - found.masks[theirs]).max(initial=0))
    if expected.keypoints is not None and found.keypoints is not None:
        one, other = expected.keypoints[ours], found.keypoints[theirs]
        peaked = np.maximum(one[:, 2], other[:, 2]) >= FLAT
        far = np.abs(one[:, :2] - other[:, :2]).max(-1, initial=0) > POINT_TOLERANCE
        apart.points = int((peaked & far).sum())
        apart.point_scores = float(np.abs(one[:, 2] - other[:, 2]).max(initial=0))
    return apart


def wrong_image_masks(
    pasted: np.ndarray, masks: np.ndarray, boxes: np.ndarray, height: int, width: int
) -> int:
    """Counts pasted masks that are not what the evaluation makes of the same masks and boxes.

    Args:
        pasted: uint8 [n, h, w], of the largest image of a batch.
        masks: float32 [n, S, S].
        boxes: float32 [n, 4], pixels.
        height: of the image.
        width: of the image.
    """
    wrong = 0
    for given, mask, box in zip(pasted, masks, boxes, strict=True):
        expected = instance_masks.paste_one(mask, box, height, width)
        own = given[:height, :width]
        differing = int((own != expected).sum()) + int(given.sum()) - int(own.sum())
        wrong += differing > max(_PIXELS_APART, _SHARE_APART * int(expected.sum()))
    return wrong


def tolerance(gives: dict[str, bool]) -> dict[str, float]:
    """The part of verification.json that says what is allowed; nothing of what a network does not have."""
    allowed: dict[str, float] = {'mask_probability': MASK_TOLERANCE} if gives['masks'] else {}
    allowed |= {'image_mask_mismatches': 0} if gives['image_masks'] else {}
    points = {'keypoint_pixels': POINT_TOLERANCE, 'keypoint_score': SCORE_TOLERANCE, 'keypoint_mismatches': 0}
    return allowed | (points if gives['keypoints'] else {})


def report(apart: Apart, gives: dict[str, bool]) -> dict[str, Any]:
    """The part of a signature's report."""
    told: dict[str, Any] = {'max_mask_difference': _number(apart.masks)} if gives['masks'] else {}
    told |= {'image_mask_mismatches': apart.image_masks} if gives['image_masks'] else {}
    points = {'max_keypoint_score_difference': _number(apart.point_scores), 'keypoint_mismatches': apart.points}
    return told | (points if gives['keypoints'] else {})


def words(found: dict[str, Any]) -> str:
    """The further differences of a signature, for a person."""
    parts = {
        'max_mask_difference': 'masks within {}',
        'image_mask_mismatches': '{} other masks of images',
        'keypoint_mismatches': '{} other key points',
    }
    shown = {name: 'not a number' if found[name] is None else f'{found[name]:.2g}' for name in parts if name in found}
    return ''.join(f', {parts[name].format(value)}' for name, value in shown.items())


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None  # JSON has no NaN
