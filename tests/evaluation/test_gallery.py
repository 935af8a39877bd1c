"""Galleries: what is drawn where, sheets, selections; the look itself is for eyes."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from official_rethink.common import errors
from official_rethink.evaluation import gallery

NAMES = {1: 'cat', 2: 'Kaffeemühle'}


def gray(height: int = 60, width: int = 120) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.format == 'PNG'
        return np.asarray(sheet.convert('RGB'))


def test_a_box_is_drawn_where_it_is() -> None:
    """A 120 x 60 image becomes 480 x 240, so the box y 20..50, x 30..100 becomes y 80..200, x 120..400.

    Its lines have the class's colour, and far inside and far outside nothing changes.
    """
    image = gray()
    (picture,) = gallery.draw([image], [[[20, 30, 50, 100]]], [[1]], None, NAMES)
    assert picture.shape == (240, 480, 3) and picture.dtype == np.uint8
    color = gallery._color(1)
    for y, x in ((140, 120), (140, 400), (200, 260)):
        assert tuple(picture[y, x]) == color
    for y, x in ((140, 260), (140, 460), (230, 20)):
        assert tuple(picture[y, x]) == (128, 128, 128)
    assert (image == 128).all()


def test_name_and_score_stand_above_the_box() -> None:
    """The tag is a patch of the colour with black letters, above the box; with a score it is wider."""
    boxes, color = [[[20, 30, 50, 100]]], np.array(gallery._color(1))
    (bare,) = gallery.draw([gray()], boxes, [[1]], None, NAMES)
    (scored,) = gallery.draw([gray()], boxes, [[1]], [[0.75]], NAMES)
    above = slice(60, 77)
    widths = [(picture[above] == color).all(2).any(0).sum() for picture in (bare, scored)]
    assert 20 < widths[0] < widths[1]
    assert (bare[above] == 0).all(2).sum() > 30  # letters


@pytest.mark.parametrize('box', [[0, 0, 5, 5], [0, 100, 60, 120], [55, 110, 60, 120], [-9, -9, 70, 130]])
def test_tags_stay_inside(box: list[int]) -> None:
    """The whole patch is visible at every border: as many coloured pixels as in the middle, or more."""
    color = np.array(gallery._color(2))

    def patch(where: list[int]) -> int:
        (picture,) = gallery.draw([gray()], [[where]], [[2]], [[0.5]], NAMES)
        (lines,) = gallery.draw([gray()], [[where]], [[2]], [[0.5]], {2: ''})
        return int((picture != lines).any(2).sum())

    assert (gallery.draw([gray()], [[box]], [[2]], [[0.5]], NAMES)[0] == color).all(2).sum() > 500
    assert patch(box) > 0.6 * patch([30, 30, 50, 60])


def test_large_images_are_made_smaller_and_sizes_may_differ() -> None:
    pictures = gallery.draw([gray(600, 1200), gray(40, 20)], [[], []], [[], []], side=300)
    assert [picture.shape for picture in pictures] == [(150, 300, 3), (300, 150, 3)]
    assert all((picture == 128).all() for picture in pictures)


def test_best_boxes_are_drawn_when_there_are_too_many() -> None:
    boxes = [[[10, 10, 20, 20], [40, 90, 50, 100]]]
    (both,) = gallery.draw([gray()], boxes, [[1, 1]], [[0.2, 0.9]], NAMES)
    (best,) = gallery.draw([gray()], boxes, [[1, 1]], [[0.2, 0.9]], NAMES, max_boxes=1)
    (alone,) = gallery.draw([gray()], [boxes[0][1:]], [[1]], [[0.9]], NAMES)
    np.testing.assert_array_equal(best, alone)
    assert (both != best).any()


def test_padding_is_not_drawn() -> None:
    (picture,) = gallery.draw([gray()], [[[-1, -1, -1, -1]]], [[-1]], [[0]])
    assert (picture == 128).all()


def test_sheet_has_the_pictures_in_place() -> None:
    """Two rows of 2 and 1: columns as wide as their widest, rows as high as their highest, gaps of 8."""
    red, green, blue = (np.full((20 + 10 * n, 40, 3), np.eye(3)[n] * 255, np.uint8) for n in range(3))
    sheet = opened(gallery.grid([[red, green], [blue]]))
    assert sheet.shape == (8 + 30 + 8 + 40 + 8, 8 + 40 + 8 + 40 + 8, 3)
    np.testing.assert_array_equal(sheet[8:28, 8:48], red)
    np.testing.assert_array_equal(sheet[8:38, 56:96], green)
    np.testing.assert_array_equal(sheet[46:86, 8:48], blue)
    assert (sheet[46:86, 56:96] == 255).all()


def test_sheet_with_words_is_higher() -> None:
    plain = opened(gallery.grid([[gray()]]))
    full = opened(
        gallery.grid([[gray()]], ['column'], [['a caption that is far too long for its picture']], 'title')
    )
    assert full.shape[0] > plain.shape[0] + 60 and full.shape[1] == plain.shape[1]
    assert (full[:, -8:] == 255).all()  # no word runs out of its column


def test_side_by_side_has_a_row_an_image_and_a_column_a_model() -> None:
    truth = [gallery.Boxes([[5, 5, 40, 40]], [1]), gallery.Boxes([], [])]
    student = [gallery.Boxes([[5, 5, 40, 40]], [1], [0.5]), gallery.Boxes([[0, 0, 9, 9]], [2], [0.4])]
    sheet = opened(
        gallery.side_by_side([gray(), gray()], {'truth': truth, 'student': student}, NAMES, side=240)
    )
    assert sheet.shape[1] == 8 * 3 + 240 * 2
    assert sheet.shape[0] == 24 + 8 * 3 + 120 * 2  # a line of titles, two rows


def test_confidence_is_the_mean_of_kept_scores() -> None:
    found = gallery.confidences([[0.9, 0.7, 0.1], [], [0.2]], floor=0.3)
    np.testing.assert_allclose(found, [0.8, np.nan, np.nan])


def test_selection_by_hand() -> None:
    """In order of confidence: 4 (0.1), 0 (0.2), 5 (0.4), 3 (0.6), 1 (0.9); 2 found nothing."""
    chosen = gallery.select([0.2, 0.9, np.nan, 0.6, 0.1, 0.4], 2)
    assert chosen == {'most': [1, 3], 'least': [4, 0], 'median': [5, 0]}
    assert set(chosen) == set(gallery.SELECTIONS)


def test_selection_of_few_or_none() -> None:
    assert gallery.select([0.3], 5) == {'most': [0], 'least': [0], 'median': [0]}
    assert gallery.select([], 3) == gallery.select([np.nan], 3) == {'most': [], 'least': [], 'median': []}


def test_bad_input() -> None:
    with pytest.raises(errors.UserError, match=r'image is .float32 \[4, 4, 3\].*picture 0'):
        gallery.draw([np.zeros((4, 4, 3), np.float32)], [[]], [[]])  # type: ignore[list-item]
    with pytest.raises(errors.UserError, match='number of boxes lists is 2'):
        gallery.draw([gray()], [[], []], [[]])
    with pytest.raises(errors.UserError, match='at least one picture'):
        gallery.grid([[]])
    with pytest.raises(errors.UserError, match='one for each picture'):
        gallery.grid([[gray()]], captions=[['a', 'b']])


_FRESH = """
from official_rethink.common import entry_point
entry_point.quieten()
import tensorflow as tf
before = tf.keras.layers.Dense
import numpy as np
from official_rethink.evaluation import gallery
gallery.draw([np.zeros((9, 9, 3), np.uint8)], [[[1, 1, 5, 5]]], [[1]])
assert tf.keras.layers.Dense is before
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile('sgd', 'mse')
model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
"""


@pytest.mark.slow
def test_keras_cv_is_silent_and_leaves_keras_alone() -> None:
    done = subprocess.run([sys.executable, '-c', _FRESH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
