"""The random layers of EfficientNet: shares, scale, and the same choice again for the same input."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.modeling.backbones import efficientnet_head, efficientnet_layers

EXAMPLES = 4000


def noise(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_stochastic_depth_drops_whole_examples_and_scales_the_rest():
    inputs = 1.0 + tf.abs(noise(EXAMPLES, 1, 2, 3))
    outputs = efficientnet_layers.StochasticDepth(0.25)(inputs, training=True).numpy()
    dropped = (outputs == 0).all(axis=(1, 2, 3))
    # The share of 4000 draws lies within four standard deviations of a quarter.
    assert abs(dropped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / EXAMPLES)
    np.testing.assert_allclose(outputs[~dropped], inputs.numpy()[~dropped] / 0.75, rtol=1e-6)


def test_dropout_drops_single_values():
    inputs = 1.0 + tf.abs(noise(EXAMPLES // 4, 4))
    outputs = efficientnet_layers.Dropout(0.5)(inputs, training=True).numpy()
    dropped = outputs == 0
    assert abs(dropped.mean() - 0.5) < 4 * np.sqrt(0.25 / EXAMPLES)
    assert len(np.unique(dropped.sum(axis=1))) == 5
    np.testing.assert_allclose(outputs[~dropped], inputs.numpy()[~dropped] * 2, rtol=1e-6)


@pytest.mark.parametrize('kind', [efficientnet_layers.StochasticDepth, efficientnet_layers.Dropout])
def test_the_choice_follows_from_the_input(kind):
    """A run that is resumed sees the same weights and batch again, and drops the same."""
    inputs = noise(64, 2, 2, 3) if kind is efficientnet_layers.StochasticDepth else noise(64, 12)
    first = kind(0.5, salt=3)(inputs, training=True)
    np.testing.assert_array_equal(kind(0.5, salt=3)(inputs, training=True), first)
    tf.random.uniform([7])  # what else was drawn does not matter
    np.testing.assert_array_equal(kind(0.5, salt=3)(inputs, training=True), first)
    other_layer = kind(0.5, salt=4)(inputs, training=True)
    other_step = kind(0.5, salt=3)(inputs + 1e-3, training=True)
    for other in (other_layer, other_step):
        assert ((other.numpy() == 0) != (first.numpy() == 0)).any()


@pytest.mark.parametrize('rate, training', [(0.5, False), (0.0, True)])
def test_nothing_is_dropped(rate, training):
    inputs = noise(8, 2, 2, 3)
    np.testing.assert_array_equal(efficientnet_layers.StochasticDepth(rate)(inputs, training=training), inputs)


def test_training_may_be_a_tensor():
    inputs = 1.0 + tf.abs(noise(64, 1, 1, 1))
    layer = efficientnet_layers.StochasticDepth(0.5)
    run = tf.function(lambda training: layer(inputs, training=training))
    np.testing.assert_array_equal(run(tf.constant(False)), inputs)
    assert 0 < (run(tf.constant(True)).numpy() == 0).sum() < 64


def test_an_infinite_example_that_is_dropped_is_no_reason_for_nan_elsewhere():
    inputs = tf.concat([tf.fill([1, 1, 1, 1], np.float32(np.inf)), tf.ones([63, 1, 1, 1])], axis=0)
    outputs = efficientnet_layers.StochasticDepth(0.5)(inputs, training=True).numpy()
    assert np.isfinite(outputs[1:]).all()


def test_empty_batch():
    assert efficientnet_layers.StochasticDepth(0.5)(tf.zeros([0, 2, 2, 3]), training=True).shape == (0, 2, 2, 3)


def test_half_precision_keeps_the_rate():
    """In bfloat16 the rate 0.0125 would become 0.0117 or, as a keep rate added to a draw, 0.0156."""
    inputs = tf.ones([64, 1, 1, 1], tf.bfloat16)
    outputs = efficientnet_layers.StochasticDepth(0.0125, dtype='bfloat16')(inputs, training=True)
    kept = tf.cast(outputs, tf.float32).numpy().max()
    assert kept == pytest.approx(1 / 0.9875, rel=2**-8)
    assert outputs.dtype == tf.bfloat16


@pytest.mark.parametrize('model, rate', [('b0', 0.2), ('b3', 0.3), ('b5', 0.4), ('b7', 0.5), ('lite4', 0.3)])
def test_the_heads_dropout_is_the_originals(model, rate):
    assert efficientnet_head.ClassificationHead(model, 3).get_layer('dropout').rate == rate


def test_head_without_a_classifier_gives_the_mean():
    head = efficientnet_head.ClassificationHead('lite0', 0)
    assert [layer.name for layer in head.layers[-1:]] == ['pooling']
    features = noise(2, 3, 4, 320)
    before = tf.keras.Model(head.inputs, head.get_layer('head_activation').output)
    expected = before(features).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(head(features), expected, rtol=1e-5, atol=1e-6)
