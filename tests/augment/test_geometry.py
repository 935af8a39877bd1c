"""Transforms, points and boxes, by hand and against Model Garden's matrices."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import geometry
from tests.augment import pictures

SIZE = tf.constant([120, 160])


@pytest.mark.parametrize('degrees', [-30.0, -7.5, 0.0, 12.0, 30.0])
def test_rotation_is_model_gardens(degrees):
    expected = pictures.reference_transform('Rotate_BBox', degrees, pictures.photograph())
    np.testing.assert_allclose(np.ravel(geometry.rotation(degrees, SIZE))[:8], expected, rtol=1e-5, atol=1e-5)


def test_rotation_by_a_quarter_turns_anticlockwise_about_the_centre():
    # In a 4 x 4 image the top right corner goes to the top left one.
    quarter = geometry.rotation(90.0, tf.constant([4, 4]))
    moved = geometry.transform_points(tf.constant([[0.0, 4.0], [2.0, 2.0]]), quarter)
    np.testing.assert_allclose(moved, [[0.0, 0.0], [2.0, 2.0]], atol=1e-5)


def test_translation_moves_content_up_and_left_by_whole_pixels():
    moved = geometry.transform_boxes(tf.constant([[10.0, 20.0, 30.0, 40.0]]), geometry.translation(3.4, -5.6))
    np.testing.assert_allclose(moved, [[7.0, 26.0, 27.0, 46.0]], atol=1e-5)


def test_inverse_undoes_a_composition():
    composed = geometry.rotation(20.0, SIZE) @ geometry.shear_x(0.2) @ geometry.translation(7.0, -9.0)
    np.testing.assert_allclose(composed @ geometry.inverse(composed), np.eye(3), atol=1e-4)


def test_composition_is_one_after_the_other():
    first, second = geometry.shear_y(-0.3), geometry.rotation(25.0, SIZE)
    points = tf.constant([[0.0, 0.0], [13.5, 100.0], [120.0, 160.0]])
    one_by_one = geometry.transform_points(geometry.transform_points(points, first), second)
    np.testing.assert_allclose(geometry.transform_points(points, first @ second), one_by_one, atol=1e-3)


def test_rotated_box_holds_its_corners():
    # A 20 x 20 box centred in the image, turned by 45 degrees: half the diagonal is 10 * sqrt(2) = 14.142.
    rotated = geometry.transform_boxes(tf.constant([[50.0, 70.0, 70.0, 90.0]]), geometry.rotation(45.0, SIZE))
    np.testing.assert_allclose(rotated, [[45.858, 65.858, 74.142, 94.142]], atol=1e-2)


def test_placement_is_flip_resize_crop_by_hand():
    # 100 x 200 to 50 x 100, flipped, cut 5 rows and 10 columns off: x 20..60 -> 140..180 -> 70..90 -> 60..80.
    placed = geometry.transform_boxes(
        tf.constant([[30.0, 20.0, 50.0, 60.0]]),
        geometry.placement(
            tf.constant([100, 200]), tf.constant([50, 100]), tf.constant([5, 10]), tf.constant(True)
        ),
    )
    np.testing.assert_allclose(placed, [[10.0, 60.0, 20.0, 80.0]], atol=1e-4)


def test_flipping_boxes_twice_is_identity():
    boxes = pictures.boxes_for(pictures.photograph())
    arguments = (SIZE, SIZE, tf.zeros([2], tf.int32), tf.constant(True), SIZE)
    twice = geometry.place_boxes(geometry.place_boxes(tf.constant(boxes), *arguments), *arguments)
    np.testing.assert_allclose(twice, boxes, atol=1e-4)


def test_vanished_boxes_become_strips_at_the_edge_they_left_by():
    boxes = tf.constant([[10.0, 0.0, 20.0, 0.0], [120.0, 30.0, 120.0, 40.0], [60.0, 5.0, 60.0, 9.0]])
    # 5 % of 160 is 8, of 120 is 6; the last is empty in the middle and stays so.
    expected = [[10.0, 0.0, 20.0, 8.0], [114.0, 30.0, 120.0, 40.0], [60.0, 5.0, 60.0, 9.0]]
    np.testing.assert_allclose(geometry.keep_vanished(boxes, SIZE), expected)


def test_identity_leaves_boxes_beyond_the_image_alone():
    boxes = tf.constant([[-5.0, 10.0, 30.0, 170.0]])
    np.testing.assert_array_equal(geometry.move_boxes(boxes, geometry.identity(), SIZE), boxes)
    np.testing.assert_allclose(
        geometry.move_boxes(boxes, geometry.translation(1.0, 0.0), SIZE),
        [[0.0, 10.0, 29.0, 160.0]],
        atol=1e-4,
    )


def test_no_boxes():
    empty = tf.zeros([0, 4])
    assert geometry.move_boxes(empty, geometry.rotation(30.0, SIZE), SIZE).shape == (0, 4)
    assert geometry.non_empty(empty).shape == (0,)


def test_non_empty_drops_boxes_without_height_or_width():
    boxes = tf.constant([[0.0, 0, 1, 1], [3, 3, 3, 9], [3, 3, 9, 3], [5, 5, 5.01, 5.01]])
    np.testing.assert_array_equal(geometry.non_empty(boxes), [0, 3])


def test_shift_and_identity_are_told_from_warps():
    assert geometry.is_identity(geometry.rotation(0.0, SIZE))
    assert geometry.is_shift(geometry.translation(100.0, -3.0) @ geometry.translation(1.0, 2.0))
    assert not geometry.is_identity(geometry.translation(1.0, 0.0))
    assert not geometry.is_shift(geometry.shear_x(0.01))
