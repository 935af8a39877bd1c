"""Crops and distortions of images of one class: against Model Garden, by hand, and of degenerate images."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import autoaugment, operations, randaugment, single_image

SIZE = (24, 32)


def _image(height=48, width=60, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _crop(image, seed, size=SIZE, area=(0.08, 1.0)):
    return single_image.random_crop(image, size, area, (3 / 4, 4 / 3), 'bilinear', 0.875, tf.constant(seed))


def test_center_crop_by_hand():
    """Of 8 x 12 the window is 7 x 7 from row (8 - 7 + 1) // 2 = 1, column (12 - 7 + 1) // 2 = 3; no resize at 7."""
    image = _image(8, 12)
    cropped = single_image.center_crop(image, (7, 7), 0.875, 'bilinear')
    np.testing.assert_array_equal(cropped, image.numpy()[1:8, 3:10])


def test_center_crop_keeps_the_outputs_shape():
    """Output 10 x 20 of 40 x 40: half the height, 20, times 40."""
    gradient = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] * 5, 40, axis=1).repeat(3, axis=2)
    cropped = single_image.center_crop(tf.constant(gradient), (10, 20), 1.0, 'bilinear').numpy()
    # Rows 10 to 29 in pairs: the first output row is the mean of rows 10 and 11.
    assert cropped.shape == (10, 20, 3)
    assert cropped[0, 0, 0] in (52, 53) and cropped[-1, 0, 0] in (142, 143)


def test_random_crop_shows_a_window_of_the_image():
    """On a picture whose pixels name their place, each crop is a window within the area and ratio asked for."""
    rows, columns = np.meshgrid(np.arange(100), np.arange(100), indexing='ij')
    image = tf.constant(np.stack([rows * 2, columns * 2, rows * 0], -1).astype(np.uint8))
    areas = []
    for number in range(40):
        window = _crop(image, [number, 7], (32, 32), (0.08, 0.5)).numpy().astype(float) / 2
        height = (window[-1, 0, 0] - window[0, 0, 0]) * 32 / 31
        width = (window[0, -1, 1] - window[0, 0, 1]) * 32 / 31
        areas.append(height * width / 1e4)
        assert 0.7 < width / height < 1.42
        assert 0.06 < areas[-1] < 0.55
    assert max(areas) - min(areas) > 0.2


def test_whole_image_windows_fall_back_to_the_centre():
    image = _image(40, 40)
    np.testing.assert_array_equal(
        _crop(image, [1, 2], (32, 32), (1.0, 1.0)), single_image.center_crop(image, (32, 32), 0.875, 'bilinear')
    )


def test_bicubic_overshoot_stays_in_range():
    """Black beside white: cubic interpolation goes beyond both, which must not wrap around in uint8."""
    image = np.zeros([8, 8, 3], np.uint8)
    image[:, 4:] = 255
    resized = single_image.center_crop(tf.constant(image), (32, 32), 1.0, 'bicubic').numpy()
    assert np.all(np.diff(resized[5, :, 0].astype(int)) >= 0) and resized.min() == 0 and resized.max() == 255


def test_flip_by_probability():
    image = _image()
    np.testing.assert_array_equal(single_image.flip(image, 1.0, tf.constant([1, 2])), image.numpy()[:, ::-1])
    np.testing.assert_array_equal(single_image.flip(image, 0.0, tf.constant([1, 2])), image)


def test_imagenet_policy_is_the_releases():
    """25 sub-policies of two; the first and last as published, geometry under this engine's names."""
    policy = autoaugment.POLICIES['imagenet_v0']
    assert len(policy) == 25 and all(len(sub_policy) == 2 for sub_policy in policy)
    assert policy[0] == (('Equalize', 0.8, 1), ('ShearY_BBox', 0.8, 4))
    assert policy[15] == (('Rotate_BBox', 1.0, 7), ('TranslateY_BBox', 0.8, 9))
    assert policy[-1] == (('Color', 0.8, 6), ('Rotate_BBox', 0.4, 5))


@pytest.mark.parametrize('policy', ['autoaugment', 'randaugment'])
def test_same_seed_same_pixels_eagerly_and_in_tf_data(policy, monkeypatch):
    # Tracing all 25 sub-policies takes ten times as long.
    monkeypatch.setitem(autoaugment.POLICIES, 'imagenet_v0', autoaugment.POLICIES['imagenet_v0'][:4])
    image = _image()
    seeds = np.stack([np.arange(12), np.full(12, 3)], 1)
    eager = [single_image.distort(image, policy, 2, 9.0, tf.constant(seed)).numpy() for seed in seeds]
    dataset = tf.data.Dataset.from_tensor_slices(seeds)
    dataset = dataset.map(lambda seed: single_image.distort(image, policy, 2, 9.0, seed))
    for ours, piped in zip(eager, dataset.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(ours, piped)
    assert len({value.tobytes() for value in eager}) > 3


def test_distortions_are_model_gardens_operations():
    """Colour operations of AutoAugment's ImageNet policy, each alone, give Model Garden's pixels."""
    image = _image()
    scene = operations.start(image, tf.zeros([0, 4]), None)
    draws = operations.Draws(tf.constant(1.0), tf.constant([0.5, 0.5]), tf.constant([1, 2]))
    expected = {
        ('Equalize', 1): reference.equalize(image),
        ('Color', 9): reference.color(image, 9 / 10 * 1.8 + 0.1),
        ('Solarize', 3): reference.solarize(image, int(3 / 10 * 256)),
        ('SolarizeAdd', 7): reference.solarize_add(image, int(7 / 10 * 110)),
        ('Posterize', 6): reference.posterize(image, int(6 / 10 * 4)),
        ('Invert', 9): reference.invert(image),
        ('AutoContrast', 2): reference.autocontrast(image),
    }
    for (name, level), pixels in expected.items():
        choice = operations.Choice(name, float(level), 1.0, 100.0, 250.0)
        ours = operations.settle(operations.apply(scene, choice, draws, 'grey', 0), 'grey')
        np.testing.assert_array_equal(ours.image, pixels, err_msg=name)


def test_no_policy_changes_nothing():
    image = _image()
    assert single_image.distort(image, '', 2, 10.0, tf.constant([1, 2])) is image


def test_magnitudes_beyond_ten_saturate_where_nothing_is_left():
    """The release trains B7 at magnitude 28; every operation then still gives a picture."""
    image = _image()
    for number in range(48):
        distorted = single_image.distort(image, 'randaugment', 2, 28.0, tf.constant([number, 1]))
        assert distorted.shape == image.shape and distorted.dtype == tf.uint8
    assert {'Posterize', 'Solarize', 'SolarizeAdd'} == set(randaugment.SATURATED)


@pytest.mark.parametrize('shape', [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_images_of_a_pixel_or_two(shape):
    image = _image(*shape)
    assert single_image.center_crop(image, SIZE, 0.875, 'bicubic').shape == [*SIZE, 3]
    for number in range(8):
        cropped = _crop(image, [number, 0])
        assert cropped.shape == [*SIZE, 3]
    if shape == (1, 1):
        np.testing.assert_array_equal(cropped, np.broadcast_to(image, [*SIZE, 3]))
