"""Shifts, padding and placement of pixels, against tf.image.resize, Model Garden and analytic pictures."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import augment as reference
from official.vision.ops import preprocess_ops

from official_rethink.augment import geometry, resampling
from tests.augment import pictures

GREY = tf.constant(128, tf.uint8)
NO = tf.constant(False)
YES = tf.constant(True)


def ints(*values: int) -> tf.Tensor:
    return tf.constant(values)


def place(image, transform, scaled, offset, content, flip=NO, fill='grey'):
    return resampling.place_image(
        tf.constant(image), transform, ints(*scaled), ints(*offset), ints(*content), flip, fill, GREY
    ).numpy()


@pytest.mark.parametrize('fill', ['grey', 'reflect'])
@pytest.mark.parametrize('pixels', [(0, 0), (3, -2), (-7, 11), (200, 0), (0, -10)])
def test_shift_is_the_warp_without_the_warp(pixels, fill):
    image = tf.constant(pictures.noise(7, 11))
    transform = geometry.translation(*map(float, pixels))
    warped = resampling.warp(image[tf.newaxis], transform, ints(7, 11), 'nearest', fill, 128)[0]
    np.testing.assert_array_equal(
        resampling.shift(image, ints(*pixels)[0], ints(*pixels)[1], fill, GREY), warped
    )


def test_reflection_folds_as_the_warp_does():
    folded = resampling.reflect_index(tf.range(-4, 8), tf.constant(3))
    np.testing.assert_array_equal(folded, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1])


def test_padding_is_zero_after_normalisation():
    padded = resampling.pad(tf.constant(pictures.noise(5, 4)), (8, 9))
    np.testing.assert_array_equal(padded[:5, :4], pictures.noise(5, 4))
    normal = preprocess_ops.normalize_image(padded).numpy()
    # Half a level is 0.5 / 255 / 0.224 = 0.009 in normalised units.
    assert np.abs(normal[5:]).max() < 0.009 and np.abs(normal[:, 4:]).max() < 0.009


@pytest.mark.parametrize('flip', [NO, YES])
@pytest.mark.parametrize('scaled', [(60, 80), (120, 160), (131, 175), (240, 320)])
def test_axis_aligned_placement_is_flip_resize_crop(scaled, flip):
    image = pictures.photograph()
    offset = [max(size - 110, 0) // 3 for size in scaled]
    content = [min(size - start, 110) for size, start in zip(scaled, offset, strict=True)]
    source = image[:, ::-1] if flip else image
    expected = tf.image.resize(source, scaled)[
        offset[0] : offset[0] + content[0], offset[1] : offset[1] + content[1]
    ]
    result = place(image, geometry.identity(), scaled, offset, content, flip)
    assert np.abs(result - expected.numpy()).max() <= 0.51


@pytest.mark.parametrize('flip', [NO, YES])
def test_warped_placement_is_the_resize_where_both_apply(flip):
    """A shear that moves nothing by a hundredth of a pixel goes through the warp, to the same picture."""
    image = pictures.photograph()
    arguments = ([90, 120], [4, 9], [80, 100], flip)
    resized = place(image, geometry.identity(), *arguments)
    warped = place(image, geometry.shear_x(1e-5), *arguments)
    difference = np.abs(resized.astype(int) - warped)
    assert difference[1:-1, 1:-1].max() <= 2 and difference[1:-1, 1:-1].mean() < 0.05


def test_flipping_twice_is_identity():
    image = pictures.noise(13, 8)
    arguments = (geometry.identity(), (13, 8), (0, 0), (13, 8), YES)
    np.testing.assert_array_equal(place(place(image, *arguments), *arguments), image)


def analytic(y, x):
    """A smooth picture known at every real place; wave lengths of 9 to 14 pixels."""
    waves = [np.sin(0.62 * x + 0.3 * y), np.cos(0.45 * y - 0.2 * x), np.sin(0.5 * (x + y))]
    return 128 + 90 * np.stack(waves, axis=-1)


@pytest.mark.parametrize('scale', [0.7, 1.0, 1.4])
def test_one_resampling_is_nearer_the_truth_than_two(scale):
    size, scaled = (120, 160), (round(120 * scale), round(160 * scale))
    grid = np.mgrid[: size[0], : size[1]].astype(np.float64)
    image = np.round(analytic(*grid)).astype(np.uint8)
    rotate = geometry.rotation(17.0, tf.constant(size))
    ours = place(image, rotate, scaled, (0, 0), scaled)
    theirs = tf.image.resize(
        reference.wrapped_rotate(tf.constant(image), 17.0, pictures.GREY), scaled
    ).numpy()
    total = (
        (rotate @ geometry.placement(ints(*size), ints(*scaled), ints(0, 0), NO)).numpy().astype(np.float64)
    )
    y, x = np.mgrid[: scaled[0], : scaled[1]]
    source_x, source_y = (
        total[0, 0] * x + total[0, 1] * y + total[0, 2],
        total[1, 0] * x + total[1, 1] * y + total[1, 2],
    )
    inside = (source_x > 2) & (source_x < size[1] - 3) & (source_y > 2) & (source_y < size[0] - 3)
    truth = analytic(source_y, source_x)
    error, their_error = (np.abs(picture - truth)[inside].mean() for picture in (ours, theirs))
    assert error < 0.5 * their_error, (error, their_error)
    assert error < 6.0


@pytest.mark.parametrize('flip', [NO, YES])
@pytest.mark.parametrize('scaled', [(60, 80), (120, 160), (173, 231)])
def test_planes_are_model_gardens_masks(scaled, flip):
    masks = (pictures.noise(120, 160, 3)[..., 0:2].transpose(2, 0, 1) > 128).astype(np.uint8)
    flipped = masks[:, :, ::-1] if flip else masks
    offset = [max(size - 150, 0) // 2 for size in scaled]
    content = [min(size - start, 150) for size, start in zip(scaled, offset, strict=True)]
    ratio = tf.constant([(scaled[0] + 0.01) / 120, (scaled[1] + 0.01) / 160])  # Model Garden cuts the product
    expected = preprocess_ops.resize_and_crop_masks(
        tf.constant(flipped[..., np.newaxis]), ratio, (150, 150), tf.constant(offset, tf.float32)
    )[..., 0]
    result = resampling.place_planes(
        tf.constant(masks),
        geometry.identity(),
        ints(*scaled),
        ints(*offset),
        ints(*content),
        flip,
        0,
        (150, 150),
    )
    np.testing.assert_array_equal(result, expected)


def test_label_maps_show_their_own_value_beyond_the_edge():
    label_map = tf.ones([1, 20, 20], tf.uint8) * 7
    for transform in (geometry.translation(5.0, 0.0), geometry.rotation(30.0, ints(20, 20))):
        placed = resampling.place_planes(
            label_map, transform, ints(20, 20), ints(0, 0), ints(20, 20), NO, 255, (24, 24)
        ).numpy()
        assert set(np.unique(placed)) == {7, 255}
        assert (placed[0, 20:] == 255).all() and placed[0, 19, 0] == 255 and placed[0, 10, 10] == 7


def test_no_planes():
    for transform in (geometry.identity(), geometry.shear_x(0.2)):
        none = tf.zeros([0, 20, 30], tf.uint8)
        assert resampling.move_planes(none, transform, 0).shape == (0, 20, 30)
        placed = resampling.place_planes(
            none, transform, ints(20, 30), ints(0, 0), ints(20, 30), NO, 0, (32, 32)
        )
        assert placed.shape == (0, 32, 32)


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('fill', ['grey', 'reflect'])
def test_the_fall_back_without_addons_gives_the_same(monkeypatch, interpolation, fill):
    image = tf.cast(pictures.photograph()[tf.newaxis], tf.float32)
    arguments = (geometry.rotation(20.0, ints(120, 160)), ints(90, 100), interpolation, fill, 128)
    monkeypatch.setattr(resampling, '_general_warp', lambda: None)
    fallen_back = resampling.warp(image, *arguments)
    monkeypatch.undo()
    np.testing.assert_array_equal(fallen_back, resampling.warp(image, *arguments))
