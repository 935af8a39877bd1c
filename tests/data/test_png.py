"""PNG of masks against decoders of others: Pillow, OpenCV, TensorFlow; and the rectangle that stands there twice."""

import io
import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.data import masks, png


def read(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        image.verify()  # the checksums of all chunks
    with Image.open(io.BytesIO(encoded)) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def random_mask(generator, height, width):
    mask = np.zeros([height, width], np.uint8)
    (top, bottom), (left, right) = (np.sort(generator.integers(0, side + 1, 2)) for side in (height, width))
    mask[top:bottom, left:right] = generator.integers(0, 2, [bottom - top, right - left])
    return mask


@pytest.mark.parametrize('seed', range(8))
def test_reads_back_in_both_decoders(seed):
    generator = np.random.default_rng(seed)
    for _ in range(10):
        mask = random_mask(generator, *generator.integers(1, 70, 2))
        encoded = masks.to_png(np.asfortranarray(mask) if seed % 2 else mask)
        np.testing.assert_array_equal(read(encoded), mask)
        np.testing.assert_array_equal(tf.io.decode_png(encoded, channels=1)[..., 0], mask)
        opened = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(opened, mask)


@pytest.mark.parametrize('shape', [(1, 1), (1, 3), (480, 640), (1344, 1344)])
@pytest.mark.parametrize('value', [0, 1])
def test_of_one_value(shape, value):
    mask = np.full(shape, value, np.uint8)
    np.testing.assert_array_equal(read(masks.to_png(mask)), mask)


@pytest.mark.parametrize('place', [(0, 0), (4, 0), (0, 6), (4, 6)])
def test_one_pixel_in_each_corner(place):
    mask = np.zeros([5, 7], np.uint8)
    mask[place] = 1
    np.testing.assert_array_equal(read(masks.to_png(mask)), mask)


def test_a_part_stands_where_it_is_said():
    encoded = png.encode(np.ones([2, 3], np.uint8), top=1, left=2, height=4, width=6)
    expected = [[0] * 6, [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0] * 6]
    np.testing.assert_array_equal(read(encoded), expected)


def chunks(encoded):
    """Names and data of a file's chunks, read as the specification has them."""
    found, at = [], 8
    while at < len(encoded):
        (length,) = struct.unpack_from('>I', encoded, at)
        found.append((encoded[at + 4 : at + 8], encoded[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@pytest.mark.parametrize('seed', range(3))
def test_the_objects_rectangle_stands_in_the_file_once_more(seed):
    generator = np.random.default_rng(seed)
    for _ in range(20):
        mask = random_mask(generator, *generator.integers(1, 70, 2))
        encoded = masks.to_png(mask)
        (_, size), (name, part), *_ = chunks(encoded)
        assert name == png.PART and [one for one, _ in chunks(encoded)][2:] == [b'IDAT', b'IEND']
        top, left = struct.unpack('>II', part[:8])
        again = read(part[8:])
        rebuilt = np.zeros_like(mask)
        rebuilt[top : top + again.shape[0], left : left + again.shape[1]] = again
        np.testing.assert_array_equal(rebuilt, mask)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert again.shape == ((np.ptp(rows) + 1, np.ptp(columns) + 1) if mask.any() else (1, 1))
        # Where readers without a loop look.
        assert encoded[png.SIZE_AT : png.SIZE_AT + 8] == size[:8] == struct.pack('>II', *mask.shape[::-1])
        assert encoded[png.NAME_AT :].startswith(png.PART + part[:8])
        assert encoded[png.PART_AT :].startswith(part[8:])


def test_rows_of_background_cost_little():
    mask = np.zeros([480, 640], np.uint8)
    mask[200:240, 300:340] = 1
    assert len(masks.to_png(mask)) < 700  # 307 KB of pixels


@pytest.mark.parametrize(
    'segmentation',
    [
        [[2.0, 2.0, 9.5, 3.0, 6.0, 11.0]],
        [[-3.0, 1.0, 5.0, 1.0, 5.0, 6.0], [8.0, 8.0, 30.0, 8.0, 9.0, 14.0]],  # over the border, two parts
        [[4.2, 4.2, 4.3, 4.2, 4.3, 4.3]],  # less than a pixel
        {'size': [12, 16], 'counts': [0, 192]},
        {'size': [12, 16], 'counts': [192]},
        {'size': [12, 16], 'counts': [30, 5, 7, 5, 145]},
    ],
)
def test_a_segmentation_is_encoded_as_its_mask_is(segmentation):
    mask = masks.decode(segmentation, 12, 16)
    encoded, area = masks.encode(segmentation, 12, 16)
    np.testing.assert_array_equal(read(encoded), mask)
    assert area == mask.sum()
    assert encoded == masks.to_png(mask)
