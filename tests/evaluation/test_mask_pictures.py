"""Masks on a picture, pixel by pixel."""

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import gallery, mask_pictures


def test_pixels_by_hand() -> None:
    """A 4 x 4 square: its rim in the class's colour, its middle 45 % of it over 55 % of the image's 100."""
    image = np.full((6, 6, 3), 100, np.uint8)
    mask = np.zeros((6, 6), np.uint8)
    mask[1:5, 1:5] = 1
    picture = mask_pictures.painted(image, [mask], [2])
    color = np.array(gallery._color(2))
    assert (picture[0] == 100).all() and (picture[1, 1:5] == color).all() and (picture[1:5, 4] == color).all()
    np.testing.assert_array_equal(picture[2, 2], np.round(0.55 * 100 + 0.45 * color))
    assert (image == 100).all()


def test_a_rim_at_the_images_edge_nothing_and_the_first_on_top() -> None:
    image = np.zeros((3, 3, 3), np.uint8)
    whole = np.ones((3, 3), bool)
    picture = mask_pictures.painted(image, [whole, whole, np.zeros((3, 3))], [1, 2, 3])
    assert (picture[0, 0] == gallery._color(1)).all() and (picture[1, 1] != gallery._color(1)).any()
    np.testing.assert_array_equal(mask_pictures.painted(image, [], []), image)


def test_masks_of_another_image() -> None:
    image = np.zeros((3, 3, 3), np.uint8)
    with pytest.raises(errors.UserError, match=r'shape of mask is \[2, 3\] .*mask 0.*\[3, 3\]'):
        mask_pictures.painted(image, [np.ones((2, 3))], [1])
    with pytest.raises(errors.UserError, match='number of masks is 1'):
        mask_pictures.painted(image, [np.ones((3, 3))], [])
