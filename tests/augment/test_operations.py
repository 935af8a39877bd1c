"""Geometric and box-only operations, alone and after one another, against Model Garden's pixels and boxes."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import operations
from tests.augment import pictures

LEVELS = [0.0, 2.0, 5.0, 10.0]
# Level 10 in the reference's units; translate_const 40 keeps content inside these small pictures.
STRENGTHS = {
    'Rotate_BBox': 30.0,
    'ShearX_BBox': 0.3,
    'ShearY_BBox': 0.3,
    'TranslateX_BBox': 40.0,
    'TranslateY_BBox': 40.0,
}
CASES = [(name, level, sign) for name in STRENGTHS for level in LEVELS for sign in (1.0, -1.0)]


def draws(sign: float = 1.0, seed: tuple[int, int] = (0, 0)) -> operations.Draws:
    return operations.Draws(tf.constant(sign), tf.constant([0.4, 0.6]), tf.constant(seed))


def begin(
    image: np.ndarray, boxes: np.ndarray | None = None, planes: np.ndarray | None = None
) -> operations.Scene:
    boxes = np.zeros([0, 4], np.float32) if boxes is None else boxes
    return operations.start(
        tf.constant(image), tf.constant(boxes), None if planes is None else tf.constant(planes)
    )


def geometric(name: str, level: float) -> operations.Choice:
    return operations.Choice(name, level, translate_const=40.0)


@pytest.mark.parametrize(('name', 'level', 'sign'), CASES)
def test_alone_is_model_gardens_pixels_and_boxes(name, level, sign):
    argument = level / 10.0 * STRENGTHS[name] * sign
    for title, image in pictures.pictures().items():
        boxes = pictures.boxes_for(image)
        pixels, moved_boxes = pictures.reflect_reference(name, argument, image, boxes)
        scene = operations.apply(begin(image, boxes), geometric(name, level), draws(sign), 'reflect', 0)
        scene = operations.settle(scene, 'reflect')
        np.testing.assert_array_equal(scene.image, pixels, err_msg=title)
        # Model Garden cuts box corners to whole pixels before and after it moves them.
        np.testing.assert_allclose(scene.boxes, moved_boxes, atol=2.5, err_msg=title)


@pytest.mark.parametrize(('name', 'level', 'sign'), CASES)
def test_alone_is_the_released_codes_grey_edge(name, level, sign):
    argument = level / 10.0 * STRENGTHS[name] * sign
    for title, image in pictures.pictures().items():
        scene = operations.apply(begin(image), geometric(name, level), draws(sign), 'grey', 0)
        expected = pictures.grey_reference(name, argument, image)
        np.testing.assert_array_equal(operations.settle(scene, 'grey').image, expected, err_msg=title)


def test_boxes_are_exact_where_model_garden_cuts_to_pixels():
    # Whole-pixel boxes and shift: nothing to cut, so the boxes must agree exactly.
    image = pictures.photograph()
    boxes = np.array([[10, 20, 50, 90], [0, 0, 12, 8], [100, 100, 120, 160]], np.float32)
    _, expected = pictures.reflect_reference('TranslateX_BBox', 32.0, image, boxes)
    scene = operations.apply(begin(image, boxes), geometric('TranslateX_BBox', 8.0), draws(), 'grey', 0)
    np.testing.assert_allclose(operations.settle(scene, 'grey').boxes, expected, atol=1e-3)
    np.testing.assert_allclose(expected[1], [0, 0, 12, 8], atol=1e-3)  # vanished: a strip of 5 % of 160


@pytest.mark.parametrize('after', [*operations.POINTWISE, *operations.SETTLED])
@pytest.mark.parametrize('before', ['Rotate_BBox', 'ShearY_BBox', 'TranslateX_BBox'])
def test_colour_after_geometry_is_the_references_order(before, after):
    """Pointwise colour goes first in ours, the rest forces the warp: both give the reference's pixels."""
    image = pictures.photograph()
    expected = tf.constant(pictures.grey_reference(before, STRENGTHS[before] * 0.6, image))
    if after == 'Cutout':
        height, width = image.shape[:2]
        expected = reference._fill_rectangle(
            expected, int(0.6 * width), int(0.4 * height), 14, 14, pictures.GREY
        )
    else:
        arguments = reference.level_to_arg(20.0, 40.0)[after](7.0)
        expected = reference.NAME_TO_FUNC[after](expected, *arguments)
    scene = operations.apply(begin(image), geometric(before, 6.0), draws(), 'grey', 0)
    scene = operations.apply(scene, operations.Choice(after, 7.0, cutout_const=20.0), draws(), 'grey', 1)
    np.testing.assert_array_equal(operations.settle(scene, 'grey').image, expected)


@pytest.mark.parametrize('name', operations.POINTWISE)
def test_pointwise_operations_leave_geometry_pending(name):
    scene = operations.apply(begin(pictures.noise(9, 9)), geometric('Rotate_BBox', 6.0), draws(), 'grey', 0)
    after = operations.apply(scene, operations.Choice(name, 7.0), draws(), 'grey', 1)
    np.testing.assert_array_equal(after.pending, scene.pending)


def test_a_third_step_shows_its_own_grey():
    """Rotate, Invert, Translate: what the rotation showed is inverted, what the translation shows is not."""
    image = pictures.photograph()
    rotated = pictures.grey_reference('Rotate_BBox', 15.0, image)
    expected = pictures.grey_reference('TranslateX_BBox', 24.0, 255 - rotated)
    scene = begin(image)
    for step, name in enumerate(['Rotate_BBox', 'Invert', 'TranslateX_BBox']):
        level = 5.0 if step == 0 else 6.0
        scene = operations.apply(scene, geometric(name, level), draws(), 'grey', step)
    np.testing.assert_array_equal(operations.settle(scene, 'grey').image, expected)


def test_colours_with_nothing_pending_leave_the_grey_alone():
    scene = begin(pictures.noise(8, 8))
    for step in range(3):
        scene = operations.apply(scene, operations.Choice('Invert', 5.0), draws(), 'grey', step)
    np.testing.assert_array_equal(scene.beyond, [[[128, 128, 128]]])


PAIRS = [('Rotate_BBox', 'ShearX_BBox'), ('TranslateX_BBox', 'Rotate_BBox')]


@pytest.mark.parametrize(('first', 'second'), PAIRS)
def test_sampling_after_each_operation_is_the_references_chain(first, second):
    image = pictures.photograph()
    boxes = pictures.boxes_for(image)
    pixels, moved = pictures.reflect_reference(first, STRENGTHS[first] * 0.4, image, boxes)
    pixels, moved = pictures.reflect_reference(second, STRENGTHS[second] * 0.4, pixels, moved)
    scene = begin(image, boxes)
    for step, name in enumerate([first, second]):
        choices, index = [geometric(name, 4.0)], tf.constant(0)
        scene = operations.apply_one_of(scene, choices, index, draws(), 'reflect', step, 'each')
    np.testing.assert_array_equal(scene.pending, np.eye(3))
    np.testing.assert_array_equal(scene.image, pixels)
    np.testing.assert_allclose(scene.boxes, moved, atol=4.0)  # cut to whole pixels four times


def test_masks_move_with_the_image_when_the_warp_is_forced():
    image = np.zeros([60, 80, 3], np.uint8)
    image[20:40, 30:50] = 255
    planes = (image[np.newaxis, ..., 0] > 0).astype(np.uint8)
    scene = operations.apply(begin(image, planes=planes), geometric('Rotate_BBox', 7.0), draws(), 'grey', 0)
    scene = operations.settle(scene, 'grey')
    np.testing.assert_array_equal(scene.planes[0] == 1, np.asarray(scene.image)[..., 0] == 255)


def test_masks_slide_inside_boxes_with_the_pixels():
    image = np.full([40, 50, 3], 10, np.uint8)
    image[10:20, 10:20] = 200
    planes = (image[np.newaxis, ..., 0] == 200).astype(np.uint8)
    boxes = np.array([[5.0, 5.0, 30.0, 25.0]], np.float32)
    # Probability 3 is divided by three: the box is always picked. Level 0.25 of 120 is 3 pixels.
    choice = operations.Choice('TranslateY_Only_BBoxes', 0.25, probability=3.0)
    scene = operations.apply(begin(image, boxes, planes), choice, draws(), 'grey', 0)
    np.testing.assert_array_equal(scene.planes[0], np.asarray(scene.image)[..., 0] == 200)
    assert np.asarray(scene.image)[7:17, 10:20].min() == 200
    np.testing.assert_array_equal(scene.boxes, boxes)
    # 3 rows of the box, 21 pixels wide, now show grey.
    assert np.sum(np.asarray(scene.image)[..., 0] == 128) == 3 * 21


def test_an_index_beyond_the_choices_changes_nothing():
    scene = begin(pictures.noise(5, 5))
    after = operations.apply_one_of(
        scene, [operations.Choice('Invert', 5.0)], tf.constant(1), draws(), 'grey', 0
    )
    np.testing.assert_array_equal(after.image, scene.image)
