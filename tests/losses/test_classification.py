"""Cross entropy with smoothed, soft and mixed labels by hand; top-k with ties."""

import math

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.losses import classification as losses


def test_smoothed_labels_by_hand():
    """K = 4, smoothing 0.2: the own class has 0.8 + 0.2 / 4, each other 0.05; class id 1 is column 0."""
    expected = [[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]]
    np.testing.assert_allclose(losses.smoothed(tf.constant([1, 4]), 4, 0.2), expected, rtol=1e-6)


def test_cross_entropy_by_hand():
    """Logits (ln 2, 0, 0): probabilities 1/2, 1/4, 1/4.

    One-hot on class 1: ln 2. Smoothing 0.3, so 0.8, 0.1, 0.1: 0.8 ln 2 + 0.2 ln 4 = 1.2 ln 2.
    Soft (0.5, 0.25, 0.25): its entropy, 0.5 ln 2 + 0.5 ln 4 = 1.5 ln 2.
    """
    logits = tf.constant([[math.log(2), 0.0, 0.0]])
    one_hot = losses.smoothed(tf.constant([1]), 3, 0.0)
    smooth = losses.smoothed(tf.constant([1]), 3, 0.3)
    soft = tf.constant([[0.5, 0.25, 0.25]])
    for targets, expected in ((one_hot, 1.0), (smooth, 1.2), (soft, 1.5)):
        np.testing.assert_allclose(losses.cross_entropy(logits, targets), [expected * math.log(2)], rtol=1e-6)


def test_gradient_is_softmax_minus_target():
    logits = tf.constant([[1.0, -2.0, 0.5]])
    targets = tf.constant([[0.2, 0.5, 0.3]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(losses.cross_entropy(logits, targets))
    np.testing.assert_allclose(tape.gradient(loss, logits), tf.nn.softmax(logits) - targets, atol=1e-6)


def test_temperature_by_hand():
    """Temperature 0.5 squares: (0.8, 0.2) to 0.64 : 0.04 = 16 : 1. Temperature 1 changes nothing."""
    given = tf.constant([0.8, 0.2])
    np.testing.assert_allclose(losses.sharpened(given, 0.5), [16 / 17, 1 / 17], rtol=1e-5)
    np.testing.assert_allclose(losses.sharpened(given, 1.0), [0.8, 0.2], rtol=1e-6)


def test_huge_logits_stay_finite():
    logits = tf.constant([[1e4, -1e4]])
    assert float(losses.cross_entropy(logits, tf.constant([[0.0, 1.0]]))[0]) == pytest.approx(2e4)


@pytest.mark.parametrize('wrap', [lambda function: function, tf.function])
def test_top_k_by_hand(wrap):
    """Ties go to the lower class: of (3, 5, 5, 1) the order is class 2, 3, 1, 4."""
    logits = tf.constant([[3.0, 5.0, 5.0, 1.0]] * 4)
    labels = tf.constant([1, 2, 3, 4])
    expected = {1: [0, 1, 0, 0], 2: [0, 1, 1, 0], 3: [1, 1, 1, 0], 4: [1, 1, 1, 1], 9: [1, 1, 1, 1]}
    for k, hits in expected.items():
        found = wrap(lambda: losses.in_top_k(logits, labels, k))()  # noqa: B023  called at once
        assert found.numpy().astype(int).tolist() == hits


def test_a_dead_network_is_right_by_chance():
    """All outputs alike: each image has class 1, whatever it is; top 5 of 10 are classes 1 to 5."""
    logits, labels = tf.zeros([10, 10]), tf.range(1, 11)
    assert int(tf.math.count_nonzero(losses.in_top_k(logits, labels, 1))) == 1
    assert int(tf.math.count_nonzero(losses.in_top_k(logits, labels, 5))) == 5
    assert not tf.reduce_any(losses.in_top_k(logits + math.nan, labels, 10))
