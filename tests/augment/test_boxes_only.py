"""Sliding the content of boxes, against Model Garden's operation on one box and by hand."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import boxes_only
from tests.augment import pictures

SIZE = tf.constant([120, 160])


@pytest.mark.parametrize('pixels', [0, 9, -9, 24, 300])
@pytest.mark.parametrize('which', range(6))
def test_one_box_is_model_gardens(which, pixels):
    image = pictures.photograph()
    boxes = pictures.boxes_for(image)[which : which + 1]
    expected = reference._apply_bbox_augmentation(
        tf.constant(image), pictures.normalized(boxes, image)[0], reference.translate_y, pixels, pictures.GREY
    )
    picked = boxes_only.pick_boxes(tf.constant(boxes), SIZE, 3.0, tf.constant([1, 2]))
    grey = tf.constant(pictures.GREY, tf.uint8)
    moved = boxes_only.translate_y(tf.constant(image), picked, pixels, 'reflect', grey)
    # A box edge on a pixel edge may be cut to either side in float32; whole-image agreement shows it is not.
    np.testing.assert_array_equal(moved, expected)


def test_grey_shows_where_content_left_by_hand():
    column = np.tile(np.array([1, 2, 3, 4, 5, 6], np.uint8)[:, np.newaxis, np.newaxis], [1, 2, 3])
    picked = tf.constant([[1, 0, 4, 0]])  # rows 1 to 4 of column 0
    grey = tf.constant(pictures.GREY, tf.uint8)
    up = boxes_only.translate_y(tf.constant(column), picked, 1, 'grey', grey)
    down = boxes_only.translate_y(tf.constant(column), picked, -3, 'grey', grey)
    np.testing.assert_array_equal(up[:, 0, 0], [1, 3, 4, 5, 128, 6])
    np.testing.assert_array_equal(down[:, 0, 0], [1, 128, 128, 128, 2, 6])
    np.testing.assert_array_equal(up[:, 1, 0], [1, 2, 3, 4, 5, 6])


def test_boxes_are_picked_at_a_third_of_the_probability():
    boxes = tf.tile(tf.constant([[1.0, 2.0, 30.0, 40.0]]), [6000, 1])
    picked = boxes_only.pick_boxes(boxes, SIZE, 0.6, tf.constant([3, 4]))
    # Binomial with 6000 trials at 0.2: mean 1200, standard deviation 31.
    assert abs(len(picked) - 1200) < 130


def test_boxes_come_in_random_order_and_repeat_with_the_seed():
    boxes = tf.cast(tf.tile(tf.range(20.0)[:, tf.newaxis], [1, 4]), tf.float32)
    first, again, other = (
        boxes_only.pick_boxes(boxes, SIZE, 3.0, tf.constant(seed)).numpy()
        for seed in ([1, 1], [1, 1], [1, 2])
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other) and not np.array_equal(first, np.sort(first, axis=0))
    np.testing.assert_array_equal(np.sort(first, axis=0), boxes)


def test_no_boxes_and_boxes_beyond_the_image():
    image = tf.constant(pictures.photograph())
    grey = tf.constant(pictures.GREY, tf.uint8)
    none = boxes_only.pick_boxes(tf.zeros([0, 4]), SIZE, 3.0, tf.constant([0, 0]))
    np.testing.assert_array_equal(boxes_only.translate_y(image, none, 5, 'grey', grey), image)
    beyond = boxes_only.pick_boxes(tf.constant([[-9.0, 150.0, 400.0, 500.0]]), SIZE, 3.0, tf.constant([0, 0]))
    np.testing.assert_array_equal(beyond, [[0, 150, 119, 159]])
    assert boxes_only.translate_y(image, beyond, 5, 'grey', grey).shape == image.shape
