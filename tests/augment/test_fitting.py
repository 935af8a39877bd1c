"""The size images are resized to: Detectron's rule against a plain computation, draws, and through the one engine."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import fitting, pipeline, policies

PAPER = fitting.Resizing(800, 1333)
STILL = policies.get_policy('S1', scale_min=1.0, scale_max=1.0, flip_probability=0.0)


def _by_hand(height, width, shorter, longer):
    """Detectron's prep_im_for_blob and OpenCV's rounding, in double precision."""
    scale = shorter / min(height, width)
    if np.round(scale * max(height, width)) > longer:
        scale = longer / max(height, width)
    return [max(float(np.rint(side * scale)), 1.0) for side in (height, width)]


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((500, 333), (1201, 800)),
        ((300, 900), (444, 1333)),  # the longer side would be 2400
        ((600, 1000), (800, 1333)),  # 1333.3 is not over 1333 once it is rounded
        ((320, 333), (800, 832)),  # 832.5: halves go to the even number
        ((320, 335), (800, 838)),
        ((1, 1), (800, 800)),
        ((1, 5000), (1, 1333)),
        ((4000, 3000), (1067, 800)),
    ],
)
def test_sizes_of_the_paper(size, expected):
    assert fitting.resized(tf.constant(size), PAPER).numpy().tolist() == list(expected)


def test_any_size_as_detectron_rounds_it():
    generator = np.random.default_rng(0)
    for height, width in generator.integers(1, 2500, [200, 2]):
        found = fitting.resized(tf.constant([height, width], tf.int32), PAPER).numpy().tolist()
        assert found == _by_hand(height, width, 800, 1333), (height, width)


def test_a_square_holds_what_it_can_as_it_is():
    for size, expected in (((30, 40), (30, 40)), ((64, 10), (64, 10)), ((128, 96), (64, 48)), ((1, 640), (1, 64))):
        assert fitting.resized(tf.constant(size), fitting.square(64)).numpy().tolist() == list(expected)


def test_shorter_sides_are_drawn_in_steps():
    def drawn(low, high, step, count=60):
        return [int(fitting.draw_shorter_side(low, high, step, tf.constant([3, seed]))) for seed in range(count)]

    assert set(drawn(640, 800, 32)) == {640, 672, 704, 736, 768, 800}
    anywhere = drawn(640, 800, 0)
    assert min(anywhere) >= 640 and max(anywhere) <= 800 and len(set(anywhere)) > 30
    assert anywhere == drawn(640, 800, 0)
    assert set(drawn(50, 50, 0, 3)) == {50}
    assert set(drawn(7, 8, 1)) == {7, 8}


def test_training_and_evaluation_resize_alike():
    image = np.random.default_rng(1).integers(0, 256, [24, 32, 3], np.uint8)
    boxes = tf.constant([[2.0, 4.0, 10.0, 20.0]])
    masks = tf.ones([1, 24, 32], tf.uint8)
    resizing = fitting.Resizing(36, 60)
    found = pipeline.augment(
        tf.constant(image), boxes, (64, 64), STILL, tf.constant([1, 2]), masks, resizing=resizing
    )
    read, info = pipeline.fit(tf.constant(image), fitting.Fit((64, 64), resizing))
    np.testing.assert_array_equal(found.image, read)
    np.testing.assert_allclose(info, [[24, 32], [64, 64], [1.5, 1.5], [0, 0]])
    np.testing.assert_allclose(found.image_info, info)
    np.testing.assert_allclose(found.boxes, boxes * 1.5)
    assert (read[36:] == read[63, 63]).numpy().all() and (read[:, 48:] == read[63, 63]).numpy().all()
    np.testing.assert_array_equal(np.argwhere(found.masks[0].numpy()).max(0), [35, 47])


def test_a_policy_draws_the_shorter_side_of_each_image():
    image = tf.zeros([24, 32, 3], tf.uint8)
    policy = policies.get_policy(
        'S1', scale_min=1.0, scale_max=1.0, shorter_side_min=24, shorter_side_max=48, shorter_side_step=12
    )
    sides = set()
    for seed in range(20):
        found = pipeline.augment(
            image, tf.zeros([0, 4]), (64, 64), policy, tf.constant([0, seed]), resizing=fitting.Resizing(36, 64)
        )
        sides.add(float(found.image_info[2, 0] * 24.0))
    assert sides == {24.0, 36.0, 48.0}
    # A draw of its own: what else is drawn stays what it was.
    plain = pipeline.augment(image, tf.zeros([0, 4]), (64, 64), STILL, tf.constant([0, 1]))
    assert plain.image_info[2].numpy().tolist() == [2.0, 2.0]


def test_jitter_is_relative_to_the_fixed_size_and_cropped_where_it_is_over_the_input():
    image = tf.zeros([24, 32, 3], tf.uint8)
    policy = policies.get_policy('S1', scale_min=2.0, scale_max=2.0)
    boxes, resizing = tf.constant([[0.0, 0.0, 24.0, 32.0]]), fitting.Resizing(36, 60)
    found = pipeline.augment(image, boxes, (64, 64), policy, tf.constant([0, 1]), resizing=resizing)
    assert found.image_info[2].numpy().tolist() == [3.0, 3.0]
    assert found.boxes.numpy().tolist() == [[0.0, 0.0, 64.0, 64.0]]
    # An image that is only fitted and does not fit after all: cut off, never an error in the middle of an evaluation.
    read, info = pipeline.fit(image, fitting.Fit((32, 32), fitting.Resizing(36, 60)))
    assert read.shape == (32, 32, 3) and info[2].numpy().tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    ('fields', 'part'),
    [
        ({'shorter_side_min': 640}, 'shorter_side_max'),
        ({'shorter_side_max': 640}, 'shorter_side_min'),
        ({'shorter_side_min': 800, 'shorter_side_max': 640}, 'at most shorter_side_max'),
        ({'shorter_side_min': 0, 'shorter_side_max': 640}, '1 or more'),
        ({'shorter_side_min': 640.5, 'shorter_side_max': 800}, 'a whole number'),
        ({'shorter_side_step': 32}, '0 without shorter_side_min'),
        ({'shorter_side_min': 640, 'shorter_side_max': 800, 'shorter_side_step': 50}, 'from 640 to 800'),
        ({'shorter_side_min': 640, 'shorter_side_max': 800, 'shorter_side_step': -1}, '0 or more'),
    ],
)
def test_ranges_that_cannot_be_drawn_from(fields, part):
    with pytest.raises(ValueError, match=part):
        policies.get_policy('S1', **fields)
