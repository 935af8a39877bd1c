"""Pictures of key points: dots where the points are, lines between seen ones, the image elsewhere."""

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import gallery, keypoint_pictures

GREY = np.full([20, 40, 3], 90, np.uint8)
LARGE = np.full([200, 400, 3], 90, np.uint8)
COLOR = list(gallery._color(3))


def _drawn(points, **options):
    return keypoint_pictures.draw([LARGE], [GREY], [points], [[3] * len(points)], **options)[0]


def test_dots_lie_at_the_points_of_the_enlarged_image():
    picture = _drawn([[[5, 10, 2], [15, 30, 1], [0, 0, 0]]])
    assert picture.shape == (200, 400, 3)
    assert picture[50, 100].tolist() == COLOR and picture[150, 300].tolist() == COLOR
    assert (picture[:40, :80] == 90).all() and (LARGE == 90).all()
    # Without a skeleton there is nothing between them.
    assert (picture[100, 200] == 90).all()


def test_lines_join_what_is_seen():
    points = [[[5, 10, 0.9], [15, 30, 0.8], [5, 30, 0.1], [np.nan, 30, 0.9]]]
    picture = _drawn(points, skeleton=[[0, 1], [0, 2], [1, 3], [0, 9]], threshold=0.5)
    assert picture[100, 200].tolist() == COLOR
    assert (picture[50, 200] == 90).all() and (picture[50, 300] == 90).all()


def test_nothing_to_draw():
    assert (_drawn([]) == LARGE).all() and (_drawn([None]) == LARGE).all()
    assert keypoint_pictures.draw([], [], [], []) == []
    with pytest.raises(errors.UserError, match='number of key point lists is 2'):
        keypoint_pictures.draw([LARGE], [GREY], [[], []], [[]])
