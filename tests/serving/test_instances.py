"""Masks and key points of two sides compared, by hand."""

import numpy as np
import pytest

from official_rethink.evaluation import instance_masks
from official_rethink.serving import instances, verification

BOX = np.array([[2.0, 3.0, 20.0, 30.0]], np.float32)


def _found(
    mask: float = 0.7, point: tuple[float, float, float] = (5.0, 6.0, 0.5), wrong: int = 0
) -> verification.Found:
    masks = np.full((1, 4, 4), mask, np.float32)
    further = instances.Further(masks, np.array([[point]], np.float32), wrong)
    return verification.Found(BOX, np.array([0.9], np.float32), np.array([1]), further)


@pytest.mark.parametrize(
    ('found', 'passes'),
    [
        (_found(), True),
        (_found(mask=0.7005), True),
        (_found(mask=0.702), False),
        (_found(point=(5.05, 6.0, 0.5)), True),
        (_found(point=(5.0, 6.2, 0.5)), False),
        (_found(point=(5.0, 6.0, 0.501)), False),
        (_found(wrong=1), False),
        (_found(mask=np.nan), False),
        (_found(point=(np.nan, 6.0, 0.5)), False),
    ],
)
def test_compare(found: verification.Found, passes: bool) -> None:
    result = verification.compare(_found(), found, cut=0.05, most=100)
    assert result.passes == passes
    # Pasted masks are the SavedModel's alone.
    other_way = verification.compare(found, _found(), cut=0.05, most=100)
    assert other_way.passes == (passes or found.further.wrong_image_masks > 0)


def test_a_point_on_a_flat_map_has_no_place() -> None:
    """Which of equal cells is the highest is chance; that the map is flat is not."""
    flat, elsewhere = _found(point=(5.0, 6.0, 0.005)), _found(point=(17.0, 8.0, 0.005))
    assert verification.compare(flat, elsewhere, cut=0.05, most=100).passes
    assert not verification.compare(flat, _found(point=(17.0, 8.0, 0.5)), cut=0.05, most=100).passes


def test_pairs_bring_their_own_masks() -> None:
    """Detections in another order; the masks go with their boxes."""
    boxes = np.concatenate([BOX, BOX + 50])
    masks = np.stack([np.full((4, 4), 0.2), np.full((4, 4), 0.9)]).astype(np.float32)
    scores, classes = np.array([0.9, 0.8], np.float32), np.array([1, 1])
    one = verification.Found(boxes, scores, classes, instances.Further(masks))
    other = verification.Found(boxes[::-1], scores[::-1], classes, instances.Further(masks[::-1]))
    swapped = verification.Found(boxes[::-1], scores[::-1], classes, instances.Further(masks))
    assert verification.compare(one, other, cut=0.05, most=100).passes
    result = verification.compare(one, swapped, cut=0.05, most=100)
    assert result.further.masks == pytest.approx(0.7) and not result.passes and not result.mismatches


def test_pasted_masks() -> None:
    mask = np.zeros((1, 14, 14), np.float32)
    mask[0, :7] = 1.0
    right = np.zeros((1, 40, 50), np.uint8)
    right[0, :32, :48] = instance_masks.paste_one(mask[0], BOX[0], 32, 48)
    assert instances.wrong_image_masks(right, mask, BOX, 32, 48) == 0
    nearly, shifted, beyond = right.copy(), np.roll(right, 2, axis=1), right.copy()
    nearly[0, 30, 40] = 1  # a pixel of rounding
    beyond[0, 35, 10:14] = 1  # below the image
    assert instances.wrong_image_masks(nearly, mask, BOX, 32, 48) == 0
    assert instances.wrong_image_masks(shifted, mask, BOX, 32, 48) == 1
    assert instances.wrong_image_masks(beyond, mask, BOX, 32, 48) == 1
    assert instances.wrong_image_masks(right[:0], mask[:0], BOX[:0], 32, 48) == 0


def test_words_and_report_of_what_there_is() -> None:
    apart = instances.Apart(masks=float('nan'), points=2, image_masks=1)
    everything = {'masks': True, 'image_masks': True, 'keypoints': True}
    told = instances.report(apart, everything)
    assert told['max_mask_difference'] is None and told['keypoint_mismatches'] == 2
    assert instances.words(told) == ', masks within not a number, 1 other masks of images, 2 other key points'
    nothing = dict.fromkeys(everything, False)
    assert instances.report(apart, nothing) == instances.tolerance(nothing) == {} and instances.words({}) == ''
    assert set(instances.tolerance(everything)) == {
        'mask_probability', 'image_mask_mismatches', 'keypoint_pixels', 'keypoint_score', 'keypoint_mismatches'
    }  # fmt: skip
