"""Tiles cover an image with the overlap asked for, and their maps give the image's map again."""

import numpy as np
import pytest

from official_rethink.pseudo_labels import tiles


def test_starts_by_hand() -> None:
    """100 pixels in tiles of 40 that share 10 or more: three, for two reach 70 pixels only."""
    assert tiles.starts(100, 40, 10) == [0, 30, 60]
    assert tiles.starts(101, 40, 10) == [0, 20, 40, 61]  # three reach 100
    assert tiles.starts(40, 40, 10) == tiles.starts(7, 40, 39) == [0]
    assert tiles.starts(41, 40, 0) == [0, 1]


@pytest.mark.parametrize('overlap', [0, 1, 7, 31])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (32, 32), (33, 32), (20, 100), (97, 1), (70, 101)])
def test_every_pixel_is_covered_and_comes_back(height: int, width: int, overlap: int) -> None:
    cut = tiles.windows(height, width, (32, 32), overlap)
    for axis, length in enumerate((height, width)):
        begins = sorted(set(cut[:, axis].tolist()))
        assert set(cut[:, axis + 2].tolist()) == {min(length, 32)}
        assert begins[0] == 0 and begins[-1] + min(length, 32) == length
        assert all(0 < after - before <= 32 - overlap for before, after in zip(begins[:-1], begins[1:], strict=True))
    whole = np.arange(height * width).reshape(height, width)
    parts = [whole[y : y + h, x : x + w] for y, x, h, w in cut.tolist()]
    np.testing.assert_array_equal(tiles.joined(parts, cut), whole)


def test_neighbours_meet_in_the_middle_of_what_they_share() -> None:
    """Two tiles of 40 over 60 share 20 to 39: the first keeps 0 to 29."""
    cut = tiles.windows(1, 60, (40, 40), 20)
    assert cut.tolist() == [[0, 0, 1, 40], [0, 20, 1, 40]]
    joined = tiles.joined([np.full((1, 40), 1), np.full((1, 40), 2)], cut)
    assert joined.tolist() == [[1] * 30 + [2] * 30]
