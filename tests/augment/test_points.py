"""Key points against masks of discs round them, which go where the pixels go; flips, crops and what leaves."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import boxes_only, geometry, pipeline, points, policies
from tests.augment import pictures

RADIUS = 4


def discs(image: np.ndarray, count: int = 6):
    """Points spread over the image, boxes and masks of discs round them: [N, 1, 3], [N, 4], [N, H, W]."""
    height, width = image.shape[:2]
    places = np.random.default_rng(3).uniform(0.1, 0.9, [count, 2]) * [height, width]
    rows, columns = np.mgrid[:height, :width] + 0.5
    masks = [np.hypot(rows - y, columns - x) <= RADIUS for y, x in places]
    boxes = np.concatenate([places - RADIUS, places + RADIUS], axis=1).astype(np.float32)
    labelled = np.concatenate([places, np.full([count, 1], 2.0)], axis=1)
    return labelled.astype(np.float32)[:, None], boxes, np.array(masks, np.uint8)


@pytest.mark.parametrize('name', ['S2', 'S4'])
def test_points_go_where_the_pixels_round_them_go(name):
    image = pictures.photograph()
    found, boxes, masks = discs(image)
    policy = policies.get_policy(name)
    seeds = tf.data.Dataset.range(16).map(lambda index: tf.stack([tf.cast(index, tf.int32), 5]))
    results = seeds.map(
        lambda seed: pipeline.augment(
            image, boxes, (96, 112), policy, seed, masks, keypoints=tf.constant(found), flip_order=[0]
        )
    )
    compared = left = 0
    for result in results:
        assert result.keypoints.shape[0] == len(result.keep)
        scale = float(np.prod(result.image_info[2]))
        for mask, (y, x, visible) in zip(result.masks.numpy(), result.keypoints[:, 0].numpy(), strict=True):
            whole = np.pi * RADIUS**2 * scale
            rows, columns = np.nonzero(mask)
            if not visible:
                left += 1
                assert (y, x) == (0, 0) and len(rows) < 0.8 * whole
            elif 0.9 * whole < len(rows) < 1.1 * whole:
                compared += 1
                assert np.hypot(rows.mean() + 0.5 - y, columns.mean() + 0.5 - x) < 1.0
    assert compared > 20
    assert left


def test_a_mirror_swaps_left_and_right():
    """A 10 x 8 image at its own size: x becomes 8 - x; the pair trades places, the single point stays."""
    image = np.zeros([10, 8, 3], np.uint8)
    found = tf.constant([[[1.0, 2.0, 2.0], [3.0, 4.5, 1.0], [5.0, 6.5, 0.0]]])
    policy = policies.get_policy('S1', scale_min=1.0, scale_max=1.0, flip_probability=1.0)
    boxes = [[0.0, 0.0, 10.0, 8.0]]
    result = pipeline.augment(
        image, boxes, (10, 8), policy, tf.constant([0, 1]), keypoints=found, flip_order=[1, 0, 2]
    )
    np.testing.assert_allclose(result.keypoints, [[[3, 3.5, 1], [1, 6, 2], [0, 0, 0]]], atol=1e-5)
    still = pipeline.augment(
        image, boxes, (10, 8), policies.get_policy('S1', scale_min=1.0, scale_max=1.0, flip_probability=0.0),
        tf.constant([0, 1]), keypoints=found, flip_order=[1, 0, 2],
    )  # fmt: skip
    np.testing.assert_allclose(still.keypoints, [[[1, 2, 2], [3, 4.5, 1], [0, 0, 0]]], atol=1e-5)


def test_what_a_crop_leaves_out_is_not_labelled():
    """Twice as large and cut to its lower right quarter: 2 y - 10, 2 x - 8."""
    placed = points.place(
        tf.constant([[[7.0, 5.0, 2.0], [4.0, 7.0, 2.0], [9.0, 4.0, 1.0]]]),
        tf.constant([10, 8]), tf.constant([20, 16]), tf.constant([10, 8]), tf.constant([10, 8]), tf.constant(False),
    )  # fmt: skip
    np.testing.assert_allclose(placed, [[[4, 2, 2], [0, 0, 0], [8, 0, 1]]], atol=1e-5)


def test_no_object_and_no_point():
    image, policy = pictures.photograph(), policies.get_policy('S4')
    nothing = {'keypoints': tf.zeros([0, 5, 3]), 'flip_order': [0, 2, 1, 4, 3]}
    result = pipeline.augment(image, np.zeros([0, 4]), (96, 112), policy, tf.constant([3, 4]), **nothing)
    assert result.keypoints.shape == [0, 5, 3]
    assert pipeline.augment(image, np.zeros([0, 4]), (96, 112), policy, tf.constant([3, 4])).keypoints is None


def test_points_slide_inside_boxes_as_pixels_do():
    """Up by 2 in a box of rows 1 to 4: a point in row 4 goes to 2, one in row 2 is lost, others stay."""
    picked = tf.constant([[1, 1, 4, 3]])
    found = tf.constant([[[4.5, 2.5, 2.0], [2.5, 2.5, 2.0], [4.5, 4.5, 2.0], [5.5, 2.5, 1.0]]])
    moved = points.slide(found, picked, 2)
    np.testing.assert_allclose(moved, [[[2.5, 2.5, 2], [0, 0, 0], [4.5, 4.5, 2], [5.5, 2.5, 1]]])
    plane = np.zeros([7, 6, 1], np.uint8)
    plane[4, 2] = 9
    slid = boxes_only.translate_y(tf.constant(plane), picked, 2, 'grey', tf.constant([0], tf.uint8)).numpy()
    assert slid[2, 2] == 9 and slid.sum() == 9


def test_a_transform_that_changes_nothing_leaves_points_at_the_edge():
    found = tf.constant([[[10.5, 3.0, 1.0]]])  # half a pixel outside, as COCO's may be
    np.testing.assert_array_equal(points.move(found, geometry.identity(), tf.constant([10, 8])), found)
