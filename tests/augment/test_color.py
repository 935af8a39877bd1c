"""Each colour operation's pixels against Model Garden's, and what ours adds at the edges."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import color, operations
from tests.augment import pictures

LEVELS = [0.0, 1.0, 3.0, 5.0, 8.0, 10.0]
PLAIN = ['AutoContrast', 'Equalize', 'Invert', 'Posterize', 'Solarize', 'SolarizeAdd', 'Color', 'Contrast']
PLAIN += ['Brightness', 'Sharpness']


def ours(name: str, level: float, image: np.ndarray) -> np.ndarray:
    draws = operations.Draws(tf.constant(1.0), tf.constant([0.5, 0.5]), tf.constant([0, 0]))
    choice = operations.Choice(name, level)
    return operations.apply(
        operations.start(tf.constant(image), tf.zeros([0, 4]), None), choice, draws, 'grey', 0
    ).image


def model_gardens(name: str, level: float, image: np.ndarray) -> np.ndarray:
    arguments = reference.level_to_arg(100.0, 250.0)[name](level)
    return reference.NAME_TO_FUNC[name](tf.constant(image), *arguments)


@pytest.mark.parametrize('name', PLAIN)
def test_pixels_are_model_gardens(name):
    for title, image in pictures.pictures().items():
        for level in LEVELS:
            np.testing.assert_array_equal(
                ours(name, level, image), model_gardens(name, level, image), err_msg=f'{title}, level {level}'
            )


def test_contrast_on_a_large_image_is_model_gardens():
    # Over 65,280 pixels the reference's level is white; the pictures above stay below.
    image = np.tile(pictures.photograph(), [2, 2, 1])
    np.testing.assert_array_equal(ours('Contrast', 8.0, image), model_gardens('Contrast', 8.0, image))


def test_solarize_by_hand():
    image = tf.constant([[[0, 99, 100], [101, 128, 255]]], tf.uint8)
    np.testing.assert_array_equal(color.solarize(image, 100), [[[0, 99, 155], [154, 127, 0]]])


def test_solarize_add_by_hand():
    image = tf.constant([[[0, 17, 127], [128, 200, 255]]], tf.uint8)
    np.testing.assert_array_equal(color.solarize_add(image, 110), [[[110, 127, 237], [128, 200, 255]]])


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (2, 2), (9, 2)])
def test_operations_survive_the_smallest_images(shape):
    image = pictures.noise(*shape)
    for name in [*PLAIN, 'Cutout']:
        assert ours(name, 10.0, image).shape == image.shape
    # Sharpness never touches the border, and here all is border.
    np.testing.assert_array_equal(ours('Sharpness', 10.0, image), image)


@pytest.mark.parametrize('center', [(0.0, 0.0), (0.5, 0.25), (0.99, 0.99), (0.0, 0.7)])
@pytest.mark.parametrize('half_side', [0, 3, 16, 500])
def test_cutout_is_model_gardens_at_the_same_place(center, half_side):
    image = pictures.photograph()
    height, width = image.shape[:2]
    expected = reference._fill_rectangle(
        tf.constant(image),
        int(center[1] * width),
        int(center[0] * height),
        half_side,
        half_side,
        pictures.GREY,
    )
    np.testing.assert_array_equal(color.cutout(tf.constant(image), half_side, tf.constant(center)), expected)


def test_solarize_at_magnitude_ten_inverts_in_a_graph_too():
    image = tf.constant(pictures.noise(4, 4))
    np.testing.assert_array_equal(tf.function(lambda value: color.solarize(value, 256))(image), 255 - image)
