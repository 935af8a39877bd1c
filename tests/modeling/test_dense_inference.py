"""Probabilities of pixels: against tf.image.resize of the part under the image, by hand, scales, mirrors, ties, XLA."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling import dense_inference

K = 5


def _noise(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _network(stride):
    """A convolution that sees neighbours, on a coarser grid."""
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential([tf.keras.layers.Conv2D(K, 3, stride, 'same', input_shape=[None, None, 3])])
    return lambda images: model(images, training=False)


def test_content_size_is_what_the_resize_left():
    info = tf.constant([[[30.0, 40.0], [64, 64], [1.6, 1.6], [0, 0]], [[1, 500], [64, 64], [1.0, 0.128], [0, 0]]])
    np.testing.assert_array_equal(dense_inference.content_size(info, (64, 64)), [[48, 64], [1, 64]])


@pytest.mark.parametrize('target', [(100, 80), (131, 90)])
def test_resizing_is_tf_image_resize_of_the_part_under_the_image(target):
    """Two images share a batch: one covers 16 x 12 cells, one 10 x 16; what is beneath the padding is NaN."""
    logits, parts, sizes = _noise(2, 16, 16, K).numpy(), [(16, 12), (10, 16)], [(30, 41), (100, 77)]
    expected = [
        tf.image.resize(logits[row, : part[0], : part[1]], size)
        for row, (part, size) in enumerate(zip(parts, sizes, strict=True))
    ]
    logits[0, :, 12:], logits[1, 10:] = 1e6, -1e6
    view = dense_inference.View(tf.constant(logits), tf.constant(parts, tf.float32), False)
    found = dense_inference.resized_logits(view, tf.constant(sizes, tf.float32), target)
    assert found.shape == (2, *target, K)
    for row, (height, width) in enumerate(sizes):
        np.testing.assert_allclose(found[row, :height, :width], expected[row], atol=2e-5)
        mirrored = dense_inference.resized_logits(view._replace(mirrored=True), tf.constant(sizes, tf.float32), target)
        np.testing.assert_allclose(mirrored[row, :height, :width], expected[row][:, ::-1], atol=2e-5)


@pytest.mark.parametrize('size', [(30, 41), (64, 48)])
def test_corners_are_tensorflow_1s_bilinear_resizing(size):
    """The release's: output pixel i shows place i * cells / pixels; mirrored, that of the mirrored image."""
    logits = _noise(1, 16, 12, K)
    expected = tf.compat.v1.image.resize_bilinear(logits, size, align_corners=False, half_pixel_centers=False)
    images, content = tf.zeros([1, 64, 48, 3]), tf.constant([[64.0, 48.0]])
    view = dense_inference.views(lambda _: logits, images, content, corners=True)[0]
    found = dense_inference.resized_logits(view, tf.constant([size], tf.float32), size)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    mirrored = dense_inference.resized_logits(view._replace(mirrored=True), tf.constant([size], tf.float32), size)
    np.testing.assert_allclose(mirrored, expected[:, :, ::-1], atol=2e-5)


def test_a_fraction_of_a_cell_by_hand():
    """6 of 12 pixels at stride 4 are 1.5 cells: 3 pixels lie at 0.25 - 0.5, 0.75 - 0.5, 1.25 - 0.5 cells."""
    logits = tf.constant([8.0, 16.0, 1e6])[tf.newaxis, tf.newaxis, :, tf.newaxis]
    view = dense_inference.views(lambda _: logits, tf.zeros([1, 4, 12, 3]), tf.constant([[4.0, 6.0]]))[0]
    np.testing.assert_array_equal(view.extent, [[1.0, 1.5]])
    found = dense_inference.resized_logits(view, tf.constant([[1.0, 3.0]]), (1, 4))
    np.testing.assert_allclose(found[0, 0, :, 0], [8.0, 10.0, 14.0, 16.0], rtol=1e-6)


def test_scale_one_is_plain_inference_bit_for_bit():
    images, content, forward = _noise(3, 32, 48, 3), tf.constant([[32.0, 48], [20, 48], [32, 7]]), _network(4)
    found = dense_inference.views(forward, images, content, [1.0], multiple=16)
    assert len(found) == 1
    np.testing.assert_array_equal(found[0].logits, forward(images))
    sizes = tf.constant([[64.0, 96], [25, 60], [32, 7]])
    plain = tf.nn.softmax(dense_inference.resized_logits(found[0], sizes, (64, 96)))
    np.testing.assert_array_equal(dense_inference.probabilities(found, sizes, (64, 96)), plain)
    # Known logits are taken, and the network is not run again.
    given = dense_inference.views(None, images, content, plain=found[0].logits)
    np.testing.assert_array_equal(dense_inference.probabilities(given, sizes, (64, 96)), plain)
    # At the network's own grid, stride 1: nothing is resized at all.
    dense = _network(1)
    same = dense_inference.probabilities(dense_inference.views(dense, images, content), content, (32, 48))
    np.testing.assert_allclose(same[0], tf.nn.softmax(dense(images))[0], atol=1e-6)


@pytest.mark.parametrize('flip', [False, True])
def test_scales_and_mirrors_are_those_of_the_image_alone(flip):
    """Each image cropped, resized and mirrored by itself gives the same; what the padding holds is not seen."""
    sizes, scales, forward = [(24, 32), (32, 16)], [0.5, 1.0, 1.75], _network(2)
    images = _noise(2, 32, 32, 3).numpy()
    content = tf.constant(sizes, tf.float32)
    found = dense_inference.views(forward, tf.constant(images), content, scales, flip, multiple=8)
    assert len(found) == 3 * (1 + flip) and all(view.logits.shape[1] % 4 == 0 for view in found)
    originals = [(37, 50), (61, 40)]
    result = dense_inference.probabilities(found, tf.constant(originals, tf.float32), (61, 50))
    for row, (size, original) in enumerate(zip(sizes, originals, strict=True)):
        shares = []
        for scale in scales:
            for mirrored in (False, True) if flip else (False,):
                picture = tf.constant(images[row, : size[0], : size[1]])
                shown = [round(length * scale) for length in size]
                picture = tf.image.resize(picture, shown) if scale != 1 else picture
                picture = tf.reverse(picture, [1]) if mirrored else picture
                canvas = np.zeros([1, 64, 64, 3], np.float32)
                canvas[0, : shown[0], : shown[1]] = picture
                if scale == 1.0 and not mirrored:
                    canvas[0, :32, :32] = images[row]  # as it is, its padding too
                logits = forward(canvas)[0, : shown[0] // 2, : shown[1] // 2]
                logits = tf.image.resize(logits, original)
                shares.append(tf.nn.softmax(tf.reverse(logits, [1]) if mirrored else logits))
        expected = np.mean(shares, axis=0)
        np.testing.assert_allclose(result[row, : original[0], : original[1]], expected, atol=1e-4)


def test_maps_are_arg_max_and_rounded_probability():
    found = [dense_inference.View(_noise(2, 8, 8, K, seed=s), tf.constant([[8.0, 8], [5, 8]]), s == 1) for s in (0, 1)]
    sizes = tf.constant([[20.0, 30], [11, 17]])
    shares = dense_inference.probabilities(found, sizes, (20, 30)).numpy()
    inside = np.zeros([2, 20, 30], bool)
    inside[0], inside[1, :11, :17] = True, True
    compiled = tf.function(lambda: dense_inference.maps(found, sizes, (20, 30)), jit_compile=True)()
    dynamic = tf.function(lambda target: dense_inference.maps(found, sizes, target))(tf.constant([20, 30]))
    for classes, scores in (dense_inference.maps(found, sizes, (20, 30)), compiled, dynamic):
        assert classes.dtype == scores.dtype == tf.uint8
        np.testing.assert_array_equal(classes.numpy()[inside], shares.argmax(-1)[inside])
        np.testing.assert_array_equal(scores.numpy()[inside], np.floor(255 * shares.max(-1) + 0.5)[inside])
        assert (classes.numpy()[~inside] == 255).all() and not scores.numpy()[~inside].any()


def test_bands_of_rows_are_what_the_whole_is(monkeypatch):
    found = dense_inference.views(_network(4), _noise(1, 16, 16, 3), tf.constant([[16.0, 12.0]]), [1.0, 1.5], True, 16)
    sizes = tf.constant([[23.0, 29.0]])
    whole = [values.numpy() for values in dense_inference.maps(found, sizes, (25, 30))]
    monkeypatch.setattr(dense_inference, '_BAND', 4 * 30)  # bands of four rows, the last of one
    compiled = tf.function(lambda: dense_inference.maps(found, sizes, (25, 30)), jit_compile=True)()
    dynamic = tf.function(lambda target: dense_inference.maps(found, sizes, target))(tf.constant([25, 30]))
    for classes, scores in (dense_inference.maps(found, sizes, (25, 30)), compiled, dynamic):
        np.testing.assert_array_equal(classes.numpy(), whole[0])
        np.testing.assert_allclose(scores.numpy().astype(int), whole[1], atol=1)


def test_ties_go_to_the_lower_class_and_what_is_not_finite_to_none():
    logits = np.zeros([1, 1, 4, 3], np.float32)
    logits[0, 0, 1, 2], logits[0, 0, 2, 0], logits[0, 0, 3, 1] = 9, np.nan, np.inf
    view = dense_inference.View(tf.constant(logits), tf.constant([[1.0, 4.0]]), False)
    # Each pixel a cell: the weights of its neighbours are zero, but zero times NaN is NaN.
    classes, scores = dense_inference.maps([view], tf.constant([[1.0, 4.0]]), (1, 4))
    assert (classes.numpy() == 255).all() and not scores.numpy().any()
    finite = dense_inference.View(view.logits[:, :, :2], tf.constant([[1.0, 2.0]]), False)
    classes, scores = dense_inference.maps([finite], tf.constant([[1.0, 2.0]]), (1, 2))
    assert classes.numpy().tolist() == [[[0, 2]]] and scores.numpy().tolist() == [[[85, 255]]]


def test_an_empty_batch():
    view = dense_inference.View(tf.zeros([0, 4, 4, K]), tf.zeros([0, 2]), False)
    classes, scores = tf.function(lambda: dense_inference.maps([view], tf.zeros([0, 2]), (7, 9)))()
    assert classes.shape == scores.shape == (0, 7, 9)


def test_one_pixel():
    found = dense_inference.views(_network(4), _noise(1, 16, 16, 3), tf.ones([1, 2]), [0.5, 1.0], True, 16)
    classes, scores = dense_inference.maps(found, tf.ones([1, 2]), (1, 1))
    assert classes.shape == (1, 1, 1) and classes.numpy() < K and scores.numpy() > 0


@pytest.mark.parametrize('scales', [[], [0.0], [1.0, 1.0], [float('nan')], [True], [9]])
def test_impossible_scales_are_named(scales):
    with pytest.raises(errors.UserError, match='from 0.1 to 4'):
        dense_inference.check_scales(scales, '--scales')
