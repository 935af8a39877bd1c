"""The focal loss: by hand, against Model Garden's, and its gradient against differences."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.losses import focal_loss as model_garden

from official_rethink.losses import focal


def _case(seed=0, spread=4.0):
    generator = np.random.default_rng(seed)
    logits = tf.constant(generator.normal(-3, spread, [3, 50, 7]), tf.float32)
    classes = tf.constant(generator.integers(-1, 7, [3, 50]), tf.int32)
    weights = tf.constant(generator.choice([0.0, 0.5, 1.0], [3, 50]), tf.float32)
    return logits, classes, weights


def _loss_and_gradient(loss, logits):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits)
    return value.numpy(), tape.gradient(value, logits).numpy()


def test_by_hand():
    """Logits 0, so p = 0.5: 0.25 * 0.5^2 ln 2 for the positive class, 0.75 * 0.5^2 ln 2 for the negative one."""
    value = focal.focal_loss(tf.zeros([1, 1, 2]), tf.constant([[1]]), tf.constant([[3.0]]), 0.25, 2.0)
    assert value.numpy() == pytest.approx(3 * 0.25 * np.log(2), rel=1e-6)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.5, 2.0])
def test_equals_model_gardens(gamma):
    logits, classes, weights = _case()
    reference = model_garden.FocalLoss(0.25, gamma, reduction=tf.keras.losses.Reduction.SUM)
    ours = _loss_and_gradient(lambda x: focal.focal_loss(x, classes, weights, 0.25, gamma), logits)
    theirs = _loss_and_gradient(lambda x: reference(tf.one_hot(classes, 7), x, sample_weight=weights), logits)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    # Where a probability rounds to 1, a gamma under 1 makes the reference's derivative infinite or no number.
    finite = np.isfinite(theirs[1])
    assert finite.mean() > 0.98 and (finite.all() or gamma < 1)
    np.testing.assert_allclose(ours[1][finite], theirs[1][finite], rtol=1e-3, atol=1e-6)
    assert np.isfinite(ours[1]).all()


@pytest.mark.parametrize('gamma', [0.0, 1.5])
def test_gradient_against_differences(gamma):
    logits, classes, weights = (tensor.numpy() for tensor in _case(1, spread=1.5))
    logits = logits.astype(np.float64)
    z = np.where(np.arange(7) == classes[..., None], logits, -logits)

    def loss(z):
        scale = np.where(np.arange(7) == classes[..., None], 0.25, 0.75) * weights[..., None]
        probability = 1 / (1 + np.exp(-z))
        return -scale * (1 - probability) ** gamma * np.log(probability)

    differences = (loss(z + 1e-5) - loss(z - 1e-5)) / 2e-5 * np.sign(z * logits)
    _, found = _loss_and_gradient(
        lambda x: 2.0 * focal.focal_loss(x, classes, weights, 0.25, gamma), tf.constant(logits, tf.float32)
    )
    np.testing.assert_allclose(found, 2 * differences, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('gamma', [0.5, 1.5])
def test_sure_outputs_are_finite(gamma):
    """Right and wrong by a hundred; Model Garden's gradient of the first is not a number where gamma is under 1."""
    logits = tf.constant([[[100.0, -100.0], [-100.0, 100.0]]])
    value, gradient = _loss_and_gradient(
        lambda x: focal.focal_loss(x, tf.constant([[0, 0]]), tf.ones([1, 2]), 0.25, gamma), logits
    )
    assert value == pytest.approx(0.25 * 100 + 0.75 * 100)
    np.testing.assert_allclose(gradient, [[[0, 0], [-0.25, 0.75]]], atol=1e-6)


def test_same_compiled():
    logits, classes, weights = _case()
    eager = _loss_and_gradient(lambda x: focal.focal_loss(x, classes, weights, 0.25, 1.5), logits)

    @tf.function(jit_compile=True)
    def compiled():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = focal.focal_loss(logits, classes, weights, 0.25, 1.5)
        return value, tape.gradient(value, logits)

    value, gradient = compiled()
    assert value.numpy() == pytest.approx(eager[0], rel=1e-5)
    np.testing.assert_allclose(gradient, eager[1], rtol=1e-4, atol=1e-6)
