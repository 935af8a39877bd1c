"""Tinted images: what is background stays, classes have PASCAL's colours, what is ignored is hatched."""

import io

import numpy as np
import pytest
from PIL import Image

from official_rethink.common import errors
from official_rethink.evaluation import gallery
from official_rethink.evaluation import label_map_pictures as pictures

NAMES = {1: 'aeroplane', 2: 'bicycle'}


def _image(height: int = 8, width: int = 10) -> np.ndarray:
    return np.full((height, width, 3), (100, 50, 20), np.uint8)


def test_overlay_by_hand() -> None:
    """PASCAL's class 1 is (128, 0, 0): a quarter of it and three quarters of (100, 50, 20) are (107, 37.5, 15)."""
    label_map = np.zeros((8, 10), np.uint8)
    label_map[2:6, 3:7] = 1
    found = pictures.overlay(_image(), label_map, alpha=0.25, outline=False)
    np.testing.assert_array_equal(found[3, 4], (107, 38, 15))
    np.testing.assert_array_equal(found[label_map == 0], _image()[label_map == 0])
    np.testing.assert_array_equal(pictures.overlay(_image(), label_map, alpha=0.0, outline=False), _image())
    solid = pictures.overlay(_image(), label_map, alpha=1.0, outline=False)
    np.testing.assert_array_equal(solid[3, 4], (128, 0, 0))


def test_classes_are_outlined_and_what_is_ignored_is_hatched() -> None:
    label_map = np.zeros((8, 10), np.uint8)
    label_map[:, 4:] = 2
    label_map[:, 8:] = 255
    found = pictures.overlay(_image(), label_map)
    assert (found[:, 4] == 255).all() and not (found[:, 8] == 255).all(axis=-1).any()
    void = found[:, 8:].reshape(-1, 3)
    assert len(np.unique(void, axis=0)) == 2  # stripes and what is between them, both of a grey image
    assert not (void == _image()[0, 0]).all(axis=-1).any()


def test_one_pixel_and_all_ignored() -> None:
    assert pictures.overlay(_image(1, 1), np.ones((1, 1), np.uint8)).shape == (1, 1, 3)
    assert pictures.overlay(_image(), np.full((8, 10), 255, np.uint8)).shape == (8, 10, 3)


@pytest.mark.parametrize(
    ('image', 'label_map', 'told'),
    [
        (_image(), np.zeros((8, 9), np.uint8), r'label map is .uint8 \[8, 9\].*uint8 \[8, 10\]'),
        (_image(), np.zeros((8, 10), np.int64), r'label map is .int64'),
        (np.zeros((8, 10), np.uint8), np.zeros((8, 10), np.uint8), r'image is .uint8 \[8, 10\]'),
    ],
)
def test_what_cannot_be_drawn(image: np.ndarray, label_map: np.ndarray, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        pictures.overlay(image, label_map)


def test_enlarged_maps_keep_their_values() -> None:
    """A nearest enlargement: no third class appears between two."""
    label_map = np.zeros((4, 4), np.uint8)
    label_map[:, 2:] = 2
    (found,) = pictures.draw([np.zeros((4, 4, 3), np.uint8)], [label_map], side=40, alpha=1.0)
    colors = {tuple(color) for color in found.reshape(-1, 3).tolist()}
    assert found.shape == (40, 40, 3) and colors == {(0, 0, 0), (0, 128, 0), (255, 255, 255)}
    with pytest.raises(errors.UserError, match='number of label maps is 0'):
        pictures.draw([_image()], [])


def test_a_sheet_has_a_legend_of_what_is_on_it() -> None:
    maps = [np.zeros((8, 10), np.uint8), np.full((8, 10), 2, np.uint8)]
    maps[0][0] = 255
    assert pictures.present(maps) == [0, 2, 255] and pictures.present([]) == []
    narrow, wide = (pictures.legend([0, 1, 2, 7, 255], NAMES, width) for width in (150, 900))
    assert narrow.shape[1] == 150 and narrow.shape[0] > wide.shape[0]
    png = pictures.side_by_side([_image(), _image()], {'truth': maps, 'teacher': maps}, NAMES, ['a', 'b'], 60, 'title')
    image = np.asarray(Image.open(io.BytesIO(png)))
    rows = pictures.draw([_image(), _image()], maps, 60)
    plain = gallery.sheet([[row, row] for row in rows], ['truth', 'teacher'], [['a', ''], ['b', '']], 'title')
    assert image.shape[1] == plain.shape[1] and image.shape[0] > plain.shape[0]
    np.testing.assert_array_equal(image[: len(plain)], plain)
