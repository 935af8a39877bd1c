"""SimCLR's views: each operation by hand and against PIL, colorsys and SciPy; frequencies; equal seeds, equal views."""

import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage

from official_rethink.augment import contrastive

NOTHING = contrastive.ViewPolicy(
    area_min=1.0,
    area_max=1.0,
    aspect_min=1.0,
    aspect_max=1.0,
    flip_probability=0.0,
    jitter_probability=0.0,
    grayscale_probability=0.0,
    blur_probability=0.0,
)


def _picture(height=24, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


def _pixels(*values):
    return tf.constant([values], tf.float32)


def _with(**changes):
    return contrastive.ViewPolicy(**{**vars(NOTHING), **changes})


def _views(image, size, policy, count):
    """`count` views of one image from seeds (7, 0), (7, 1) ..., inside tf.data."""
    dataset = tf.data.Dataset.range(count).map(
        lambda index: contrastive.view(tf.constant(image), size, policy, tf.stack([tf.constant(7, tf.int64), index]))
    )
    return np.stack(list(dataset.as_numpy_iterator()))


# --- one operation at a time


def test_brightness_by_hand():
    result = contrastive.adjust_brightness(_pixels([0.2, 0.5, 0.0]), 1.8)
    np.testing.assert_allclose(result, [[[0.36, 0.9, 0.0]]], rtol=1e-6)


def test_contrast_by_hand():
    """Channel means of two pixels are 0.4, 0.5, 0; half the distance to them stays."""
    result = contrastive.adjust_contrast(_pixels([0.2, 0.1, 0.0], [0.6, 0.9, 0.0]), 0.5)
    np.testing.assert_allclose(result, [[[0.3, 0.3, 0.0], [0.5, 0.7, 0.0]]], atol=1e-6)


@pytest.mark.parametrize('factor', [0.2, 1.0, 1.8])
def test_saturation_is_colorsys(factor):
    picture = np.float32(_picture(5, 5)) / 255
    expected = np.empty_like(picture)
    for index in np.ndindex(5, 5):
        h, s, v = colorsys.rgb_to_hsv(*picture[index])
        expected[index] = colorsys.hsv_to_rgb(h, min(s * factor, 1.0), v)
    np.testing.assert_allclose(contrastive.adjust_saturation(picture, factor), expected, atol=2e-6)


@pytest.mark.parametrize('turn', [-0.2, 0.0, 0.13])
def test_hue_is_colorsys(turn):
    picture = np.float32(_picture(5, 5)) / 255
    expected = np.empty_like(picture)
    for index in np.ndindex(5, 5):
        h, s, v = colorsys.rgb_to_hsv(*picture[index])
        expected[index] = colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)
    np.testing.assert_allclose(contrastive.adjust_hue(picture, turn), expected, atol=3e-6)


def test_hue_by_hand():
    """A third of the circle takes red to green; grey has no hue to turn."""
    result = contrastive.adjust_hue(_pixels([1.0, 0.0, 0.0], [0.3, 0.3, 0.3]), 1 / 3)
    np.testing.assert_allclose(result, [[[0, 1, 0], [0.3, 0.3, 0.3]]], atol=1e-6)


def test_grayscale_by_hand_and_pil():
    result = contrastive.grayscale(_pixels([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]))
    np.testing.assert_allclose(result[0], np.repeat([[0.2989], [0.587], [0.114]], 3, axis=1), rtol=1e-5)
    picture = _picture()
    ours = contrastive.to_uint8(contrastive.grayscale(tf.constant(picture, tf.float32) / 255))
    assert np.abs(np.int32(ours[..., 0]) - np.int32(Image.fromarray(picture).convert('L'))).max() <= 1


def test_blur_of_a_point_by_hand():
    """Sigma 1, three taps: e^-0.5 = 0.60653 beside 1, divided by 2.21306: 0.27407, 0.45186, 0.27407."""
    point = np.zeros([5, 5, 3], np.float32)
    point[2, 2] = 1.0
    result = contrastive.gaussian_blur(tf.constant(point), 3, tf.constant(1.0))
    taps = np.array([0, 0.27407, 0.45186, 0.27407, 0])
    np.testing.assert_allclose(result[..., 1], np.outer(taps, taps), atol=1e-5)


@pytest.mark.parametrize('sigma', [0.1, 0.7, 2.0])
def test_blur_is_scipys(sigma):
    picture = np.float32(_picture(12, 9)) / 255
    expected = picture
    for axis in (0, 1):
        # SciPy cuts at truncate * sigma; 3 taps to each side.
        expected = ndimage.gaussian_filter1d(expected, sigma, axis, mode='constant', truncate=3 / sigma)
    np.testing.assert_allclose(contrastive.gaussian_blur(tf.constant(picture), 7, sigma), expected, atol=1e-5)


@pytest.mark.parametrize(('height', 'kernel'), [(224, 23), (64, 7), (40, 5), (32, 3), (19, 1), (1, 1)])
def test_kernel_is_a_tenth_of_the_height(height, kernel):
    assert contrastive.blur_kernel_size(height) == kernel


def test_resize_of_a_crop_is_pils():
    """Where it enlarges, PIL's bicubic is the same formula; it rounds between its two passes, and cuts there
    what overshoots, so the picture's values keep away from 0 and 255."""
    picture = 90 + _picture(20, 30) // 4
    ours = contrastive.crop_and_resize(tf.constant(picture), tf.constant([3, 5]), tf.constant([8, 12]), (32, 24))
    theirs = Image.fromarray(picture[3:11, 5:17]).resize((24, 32), Image.Resampling.BICUBIC)
    assert np.abs(np.int32(contrastive.to_uint8(ours)) - np.int32(theirs)).max() <= 1


# --- places, orders, frequencies


def test_crops_keep_to_area_and_aspect():
    size = tf.constant([90, 120])
    places = [
        np.concatenate(contrastive.crop_place(size, (32, 32), contrastive.ViewPolicy(), tf.constant([1, seed])))
        for seed in range(150)
    ]
    top, left, height, width = np.transpose(places)
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 90).all() and (left + width <= 120).all()
    shares, aspects = height * width / (90 * 120), width / height
    # Sides are whole pixels: a side of 27 may be off by a half.
    assert 0.08 * 0.95 <= shares.min() < 0.12 and 0.85 < shares.max() <= 1
    assert 0.75 * 0.96 <= aspects.min() < 0.85 and 1.2 < aspects.max() <= 4 / 3 * 1.04


def test_aspect_is_relative_to_the_output():
    """Views of 20 x 40 are cut at aspect 2 if the policy says 1, so that nothing is squeezed."""
    policy = _with(area_min=0.3, area_max=0.3)
    places = [contrastive.crop_place(tf.constant([80, 160]), (20, 40), policy, [2, seed])[1] for seed in range(10)]
    np.testing.assert_allclose([place[1] / place[0] for place in places], 2.0, rtol=0.04)


def test_jitter_draws():
    """Every order occurs; factors fill [0.2, 1.8] and turns [-0.2, 0.2]; half the strength halves both."""
    draws = [contrastive.jitter_draws(1.0, tf.constant([3, seed])) for seed in range(300)]
    assert {tuple(order.numpy()) for order, _ in draws} == set(itertools.permutations(range(4)))
    amounts = np.stack([amount for _, amount in draws])
    assert amounts[:, :3].min() == pytest.approx(0.2, abs=0.02) and amounts[:, :3].max() == pytest.approx(1.8, abs=0.02)
    assert amounts[:, 3].min() == pytest.approx(-0.2, abs=0.01) and amounts[:, 3].max() == pytest.approx(0.2, abs=0.01)
    _, half = contrastive.jitter_draws(0.5, tf.constant([3, 0]))
    np.testing.assert_allclose(half, [*(1 + (amounts[0, :3] - 1) / 2), amounts[0, 3] / 2], atol=1e-6)


def test_jitter_is_its_operations_in_the_drawn_order():
    image, seed = tf.constant(_picture(), tf.float32) / 255, tf.constant([5, 2])
    order, amounts = contrastive.jitter_draws(1.0, seed)
    expected = image
    for which in order.numpy():
        expected = tf.clip_by_value(contrastive.JITTERS[which](expected, amounts[which]), 0, 1)
    np.testing.assert_allclose(contrastive.color_jitter(image, 1.0, seed), expected, atol=1e-6)
    assert np.abs(expected - image).max() > 0.1


@pytest.mark.parametrize(
    ('field', 'low', 'high'),
    [
        ('flip_probability', 0.44, 0.56),
        ('jitter_probability', 0.75, 0.85),
        ('grayscale_probability', 0.15, 0.25),
        ('blur_probability', 0.44, 0.56),
    ],
)
def test_each_happens_as_often_as_it_should(field, low, high):
    """400 views; the bounds are some 2.5 standard deviations."""
    picture = _picture(20, 20)
    policy = _with(**{field: getattr(contrastive.ViewPolicy(), field)}, blur_sigma_min=1.0)
    views = _views(picture, (20, 20), policy, 400)
    changed = np.mean([(view != picture).any() for view in views])
    assert low < changed < high


def test_what_happened_is_what_was_asked():
    picture = _picture(20, 20)
    np.testing.assert_array_equal(_views(picture, (20, 20), _with(flip_probability=1.0), 1)[0], picture[:, ::-1])
    gray = _views(picture, (20, 20), _with(grayscale_probability=1.0), 1)[0]
    assert (gray == gray[..., :1]).all() and not (picture == picture[..., :1]).all()


# --- whole views


def test_nothing_asked_is_the_image():
    picture = _picture()
    np.testing.assert_array_equal(_views(picture, (24, 24), NOTHING, 1)[0], picture)


def test_equal_seeds_give_equal_views_in_a_graph_too():
    picture, policy = _picture(30, 41), contrastive.ViewPolicy()
    eager = contrastive.two_views(tf.constant(picture), (20, 20), policy, tf.constant([7, 3], tf.int64))
    graph = tf.function(lambda seed: contrastive.two_views(tf.constant(picture), (20, 20), policy, seed))
    assert eager.dtype == tf.uint8 and eager.shape == [2, 20, 20, 3]
    # A sum in another order may round to the neighbouring level.
    assert np.abs(np.int32(eager) - np.int32(graph(tf.constant([7, 3], tf.int64)))).max() <= 1
    np.testing.assert_array_equal(graph(tf.constant([7, 3], tf.int64)), graph(tf.constant([7, 3], tf.int64)))
    assert (eager[0] != eager[1]).numpy().any()
    assert (graph(tf.constant([7, 4], tf.int64)) != eager).numpy().any()


def test_shapes_are_static_in_a_pipeline():
    images = tf.data.Dataset.from_tensors(_picture()).map(
        lambda image: contrastive.two_views(image, (16, 24), contrastive.ViewPolicy(), tf.constant([0, 1]))
    )
    assert images.element_spec == tf.TensorSpec([2, 16, 24, 3], tf.uint8)


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (300, 2), (3, 3)])
def test_strange_sizes(shape):
    views = _views(_picture(*shape), (20, 20), contrastive.ViewPolicy(), 6)
    assert views.shape == (6, 20, 20, 3)


def test_one_colour_stays_one_colour_but_for_the_blurs_edge():
    picture = np.full([30, 30, 3], 77, np.uint8)
    views = _views(picture, (20, 20), contrastive.ViewPolicy(blur_probability=0.0), 8)
    assert (views == views[:, :1, :1]).all()
    assert not (views[0] == views).all(), 'the jitter differs from seed to seed'


def test_floats_are_refused():
    with pytest.raises(ValueError, match='image has type float32; allowed: uint8'):
        contrastive.view(tf.zeros([4, 4, 3]), (4, 4), contrastive.ViewPolicy(), tf.constant([0, 0]))
