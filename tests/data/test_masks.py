"""Segmentations give pycocotools' masks, and what would break it is named before."""

import io
from array import array

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from official_rethink.data import masks
from tests.data import making

H, W = making.HEIGHT, making.WIDTH


def random_mask(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((H // 8, W // 8)) > 0.6
    return np.kron(noise, np.ones((8, 8))).astype(np.uint8)


def compressed(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {'size': encoded['size'], 'counts': encoded['counts'].decode()}


def uncompressed(mask: np.ndarray) -> dict:
    """Run lengths down the columns, zeros first, counted here without pycocotools."""
    counts, current, run = [], 0, 0
    for value in mask.T.ravel():
        if value != current:
            counts.append(run)
            current, run = value, 0
        run += 1
    return {'size': list(mask.shape), 'counts': [*counts, run]}


def test_square_polygon_is_the_square():
    mask = masks.decode([making.SQUARE], H, W)
    expected = np.zeros((H, W), np.uint8)
    expected[8:20, 10:30] = 1
    np.testing.assert_array_equal(mask, expected)


def test_two_polygons_are_one_object():
    parts = [making.SQUARE, [40.0, 8.0, 50.0, 8.0, 50.0, 20.0, 40.0, 20.0]]
    mask = masks.decode(masks.compact(parts), H, W)
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, H, W)))
    np.testing.assert_array_equal(mask, expected)
    assert mask.sum() == 240 + 120


@pytest.mark.parametrize('seed', range(5))
def test_run_lengths_of_both_kinds_give_the_mask(seed: int):
    mask = random_mask(seed)
    for form in (compressed(mask), uncompressed(mask)):
        assert masks.defect(form, H, W) == ''
        np.testing.assert_array_equal(masks.decode(form, H, W), mask)


@pytest.mark.parametrize('value', [0, 1])
def test_empty_and_full_masks(value: int):
    mask = np.full((H, W), value, np.uint8)
    for form in (compressed(mask), uncompressed(mask)):
        assert masks.defect(form, H, W) == ''
        np.testing.assert_array_equal(masks.decode(form, H, W), mask)


def test_png_holds_zeros_and_ones():
    mask = random_mask(3)
    with Image.open(io.BytesIO(masks.to_png(mask))) as image:
        assert image.mode == 'L'
        np.testing.assert_array_equal(np.asarray(image), mask)


def test_compact_keeps_every_number():
    packed = masks.compact([[1, 2.5, 1e-9, 4, 5, 6]])
    assert isinstance(packed[0], array)
    assert packed[0].tolist() == [1, 2.5, 1e-9, 4, 5, 6]


@pytest.mark.parametrize(
    'odd', [None, 'text', {'counts': 1}, [], [[]], ['x'], [[True, 1]], [[None]], [[10**400]]]
)
def test_compact_leaves_odd_things_to_be_named(odd: object):
    assert masks.defect(masks.compact(odd), H, W)


BAD = {
    'no list': (3, 'is 3; allowed: a list of polygons'),
    'no polygon': ([], 'is []; allowed'),
    'text polygon': ([['1', '2']], "['1', '2']; allowed: a flat list"),
    'nested polygon': ([[[1, 2], [3, 4], [5, 6]]], 'flat list'),
    'two points': ([[1.0, 2.0, 3.0, 4.0]], '4 values; allowed: an even number, at least 6'),
    'odd number': ([[1.0] * 7], '7 values'),
    'NaN': ([[1.0, 2.0, 3.0, 4.0, 5.0, float('nan')]], 'finite numbers'),
    'infinite, packed': ([array('d', [1, 2, 3, 4, 5, float('inf')])], 'finite numbers'),
    'far outside': ([[1.0, 2.0, 3.0, 4.0, 1e9, 6.0]], 'x from 1 to 1e+09 in an image of height 48, width 64'),
    'far above': ([[1.0, -2000.0, 3.0, 4.0, 5.0, 6.0]], 'y from -2000 to 6'),
    'no size': ({'counts': [1]}, 'has size None'),
    'size of another image': ({'size': [W, H], 'counts': [W * H]}, "the image's height and width, [48, 64]"),
    'no counts': ({'size': [H, W]}, 'has counts None'),
    'negative count': ({'size': [H, W], 'counts': [-1, H * W + 1]}, 'whole numbers from 0'),
    'too few': ({'size': [H, W], 'counts': [5]}, 'add up to 5; allowed: height x width = 3072'),
    'too many': ({'size': [H, W], 'counts': [5, 10**9]}, 'add up to 1000000005'),
    'broken text': ({'size': [H, W], 'counts': 'abc~~~'}, "has counts 'abc~~~'"),
    'cut text': ({'size': [H, W], 'counts': compressed(random_mask(0))['counts'][:-1]}, 'allowed'),
}


@pytest.mark.parametrize('name', BAD)
def test_what_cannot_be_decoded_is_named(name: str):
    segmentation, words = BAD[name]
    assert words in masks.defect(segmentation, H, W)
