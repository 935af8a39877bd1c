"""Cross entropy of pixels by hand: ignored ones, nothing but them, the hardest, weights, sizes, NaN; Model Garden's."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf
from official.vision.losses import segmentation_losses as reference

from official_rethink.configs import segmentation as configs
from official_rethink.losses import segmentation as losses

# Of logits (ln 2, 0, 0): shares 1/2, 1/4, 1/4.
LOW, HIGH = math.log(2), math.log(4)


def _params(**values):
    return configs.Losses(**values)


def _logits(rows, columns):
    return tf.tile(tf.constant([[[[math.log(2), 0.0, 0.0]]]]), [1, rows, columns, 1])


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _labels(*shape, seed=0, void=0.3, num_classes=5):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, shape).astype(np.uint8)
    labels[generator.uniform(size=shape) < void] = 255
    return labels


def _gradient(logits, labels, params):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.segmentation_losses(logits, labels, params)['model_loss']
    return loss.numpy(), tape.gradient(loss, logits).numpy()


def test_mean_over_labelled_pixels_by_hand():
    """Labels 0, 1, 2 and two ignored: (ln 2 + 2 ln 4) / 3, not / 5; twice that with loss_weight 2."""
    labels = tf.constant([[[0, 1, 2, 255, 255]]], tf.uint8)
    named = losses.segmentation_losses(_logits(1, 5), labels, _params(loss_weight=2.0))
    assert named['cls_loss'].numpy() == pytest.approx((LOW + 2 * HIGH) / 3, rel=1e-6)
    assert named['model_loss'].numpy() == pytest.approx(2 * (LOW + 2 * HIGH) / 3, rel=1e-6)


def test_smoothing_and_weights_by_hand():
    """Smoothing 0.3: 0.7 ln 2 + 0.1 (ln 2 + 2 ln 4) = 1.2 ln 2. Weights 3, 0, 1 of labels 0, 1: 3 ln 2 / 2 pixels."""
    smooth = losses.segmentation_losses(_logits(1, 1), tf.zeros([1, 1, 1], tf.uint8), _params(label_smoothing=0.3))
    assert smooth['cls_loss'].numpy() == pytest.approx(1.2 * LOW, rel=1e-6)
    labels = tf.constant([[[0, 1]]], tf.uint8)
    weighted = losses.segmentation_losses(_logits(1, 2), labels, _params(class_weights=[3.0, 0.0, 1.0]))
    assert weighted['cls_loss'].numpy() == pytest.approx(1.5 * LOW, rel=1e-6)


def test_hardest_pixels_by_hand():
    """Image 1: 4 labelled of 6, half of them: its two of ln 4. Image 2: one labelled, half of it is one: ln 2.

    All in all (2 ln 4 + ln 2) / 3, whereas the two hardest of all pixels would leave image 2 out.
    """
    labels = tf.constant([[[0, 1, 255, 0, 2, 255]], [[255, 255, 255, 255, 0, 255]]], tf.uint8)
    logits = tf.tile(_logits(1, 6), [2, 1, 1, 1])
    loss, gradient = _gradient(logits, labels, _params(top_k_percent_pixels=0.5))
    assert loss == pytest.approx((2 * HIGH + LOW) / 3, rel=1e-6)
    touched = np.abs(gradient).sum(axis=-1) > 0
    assert touched[:, 0].tolist() == [[False, True, False, False, True, False], [False] * 4 + [True, False]]


@pytest.mark.parametrize(('count', 'share', 'expected'), [(100, 0.07, 7), (10, 0.3, 3), (3, 0.01, 1), (7, 0.5, 4)])
def test_the_share_is_rounded_up(count, share, expected):
    _, kept = losses.summed(_logits(1, count), tf.zeros([1, 1, count], tf.uint8), _params(top_k_percent_pixels=share))
    assert kept.numpy() == expected


@pytest.mark.parametrize('values', [{}, {'top_k_percent_pixels': 0.2}, {'class_weights': [1.0] * 5}])
@pytest.mark.parametrize('ground', [False, True])
def test_a_wholly_ignored_batch_is_zero(values, ground):
    """Exactly 0, gradients exactly zeros, even where the network's answer there is not finite."""
    logits, labels = _noise(2, 4, 4, 5), np.full([2, 8, 8], 255, np.uint8)
    params = _params(use_groundtruth_dimension=ground, label_smoothing=0.1, **values)
    loss, gradient = _gradient(tf.constant(logits), tf.constant(labels), params)
    assert loss == 0.0 and (gradient == 0.0).all()
    if not ground:
        logits[0, 0, 0], logits[1, 2, 3, 1] = np.nan, np.inf
        loss, gradient = _gradient(tf.constant(logits), tf.constant(labels), params)
        assert loss == 0.0 and (gradient == 0.0).all()


@pytest.mark.parametrize('share', [1.0, 0.25])
def test_nan_under_a_label_is_seen_and_elsewhere_not(share):
    logits, labels = _noise(1, 4, 4, 5), _labels(1, 4, 4)
    labels[0, 0, 0], labels[0, 1, 1] = 255, 2
    params = _params(top_k_percent_pixels=share)
    clean, clean_gradient = _gradient(tf.constant(logits), tf.constant(labels), params)
    logits[0, 0, 0] = np.nan
    loss, gradient = _gradient(tf.constant(logits), tf.constant(labels), params)
    assert loss == clean and np.array_equal(gradient, clean_gradient) and np.isfinite(gradient).all()
    logits[0, 1, 1] = np.nan
    assert np.isnan(_gradient(tf.constant(logits), tf.constant(labels), params)[0])


def test_gradient_is_softmax_minus_label():
    logits, labels = _noise(2, 3, 4, 5), _labels(2, 3, 4)
    _, gradient = _gradient(tf.constant(logits), tf.constant(labels), _params())
    valid = labels != 255
    expected = (tf.nn.softmax(logits).numpy() - np.eye(256)[labels][..., :5]) * valid[..., np.newaxis] / valid.sum()
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_labels_are_brought_to_the_logits_as_tf_image_resize_does():
    for size in ((4, 3), (8, 8), (1, 1), (5, 7)):
        labels = _labels(2, 16, 12)
        expected = tf.image.resize(labels[..., np.newaxis], size, 'nearest')[..., 0]
        np.testing.assert_array_equal(losses.nearest(tf.constant(labels), size), expected)


@pytest.mark.parametrize('ground', [False, True])
@pytest.mark.parametrize('smoothing', [0.0, 0.2])
@pytest.mark.parametrize('weights', [[], [1.0, 2.0, 0.5, 0.0, 3.0]])
def test_equal_to_model_gardens(ground, smoothing, weights):
    """Its divisor is the number of labelled pixels + 1e-5."""
    logits, labels = _noise(3, 6, 5, 5), _labels(3, 24, 20)
    theirs = reference.SegmentationLoss(smoothing, weights, 255, ground)(
        tf.constant(logits), tf.constant(labels[..., np.newaxis])
    )
    params = _params(use_groundtruth_dimension=ground, label_smoothing=smoothing, class_weights=weights)
    ours = losses.segmentation_losses(tf.constant(logits), tf.constant(labels), params)['cls_loss']
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize('values', [{}, {'top_k_percent_pixels': 0.3}, {'use_groundtruth_dimension': True}])
def test_parts_add_up_and_xla_agrees(values):
    """The sums of two halves are those of the whole: what makes many devices equal one."""
    logits, labels = tf.constant(_noise(4, 6, 5, 5)), tf.constant(_labels(4, 12, 10))
    params = _params(**values)
    whole = losses.summed(logits, labels, params)
    halves = [losses.summed(logits[part], labels[part], params) for part in (slice(0, 1), slice(1, 4))]
    np.testing.assert_allclose(np.sum(halves, axis=0), whole, rtol=1e-6)
    compiled = tf.function(lambda x, y: _traced(x, y, params), jit_compile=True)(logits, labels)
    for ours, theirs in zip(compiled, _traced(logits, labels, params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def _traced(logits, labels, params):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.segmentation_losses(logits, labels, params)['model_loss']
    return loss, tape.gradient(loss, logits)


def test_one_pixel_and_settings_by_any_name():
    """Any object with the five settings will do."""
    params = types.SimpleNamespace(
        loss_weight=1.0, label_smoothing=0.0, class_weights=[], top_k_percent_pixels=0.5,
        use_groundtruth_dimension=False,
    )
    named = losses.segmentation_losses(_logits(1, 1), tf.ones([1, 1, 1], tf.uint8), params)
    assert named['cls_loss'].numpy() == pytest.approx(HIGH, rel=1e-6)
