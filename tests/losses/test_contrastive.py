"""NT-Xent: by hand, against a plain NumPy sum, two replicas against one, and where vectors degenerate."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.losses import contrastive
from tests import devices


def _oracle(first, second, temperature):
    """Equation 1 of the paper, term by term in float64; the sum of both directions' means."""
    views = np.concatenate([first, second]).astype(np.float64)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    count, total = len(views), 0.0
    for i in range(count):
        likeness = views @ views[i] / temperature
        candidates = [np.exp(likeness[k]) for k in range(count) if k != i]
        total -= np.log(np.exp(likeness[(i + count // 2) % count]) / sum(candidates))
    return total / (count // 2)


def _vectors(count=6, dimensions=5, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=[count, dimensions]).astype(np.float32) for _ in range(2)]


def test_two_pairs_by_hand():
    """Both views of image 1 are (1, 0), both of image 2 (0, 3): likeness 1 to the own, 0 to the two others.

    At temperature 0.5 each anchor has e^2 against e^2 + 2 e^0: ln(1 + 2 e^-2) = 0.23954, twice. Over the
    two second views the distribution is p = e^2 / (e^2 + 1) = 0.88080: entropy 0.36533 nats.
    """
    views = tf.constant([[1.0, 0.0], [0.0, 3.0]])
    result = contrastive.nt_xent(views, views, 0.5)
    assert result.loss.numpy() == pytest.approx(2 * np.log(1 + 2 * np.exp(-2)), rel=1e-6)
    assert result.accuracy.numpy() == 1.0
    share = np.exp(2) / (np.exp(2) + 1)
    assert result.entropy.numpy() == pytest.approx(-share * np.log(share) - (1 - share) * np.log(1 - share), rel=1e-5)


def test_swapped_pairs_by_hand():
    """Now each second view is the other image's: the own one is at 0, as is one other, and one at e^2."""
    result = contrastive.nt_xent(tf.constant([[1.0, 0.0], [0.0, 1.0]]), tf.constant([[0.0, 1.0], [1.0, 0.0]]), 0.5)
    assert result.loss.numpy() == pytest.approx(2 * np.log(2 + np.exp(2)), rel=1e-6)
    assert result.accuracy.numpy() == 0.0


@pytest.mark.parametrize('temperature', [0.05, 0.1, 1.0])
def test_equals_the_papers_sum(temperature):
    first, second = _vectors()
    result = contrastive.nt_xent(first, second, temperature)
    assert result.loss.numpy() == pytest.approx(_oracle(first, second, temperature), rel=1e-5)


def test_order_of_the_views_does_not_matter_and_length_neither():
    first, second = _vectors()
    loss = contrastive.nt_xent(first, second, 0.1).loss.numpy()
    assert contrastive.nt_xent(second, first, 0.1).loss.numpy() == pytest.approx(loss, rel=1e-6)
    assert contrastive.nt_xent(7 * first, 0.2 * second, 0.1).loss.numpy() == pytest.approx(loss, rel=1e-5)


def test_gradient_against_finite_differences():
    first, second = _vectors(3, 4)
    variable = tf.Variable(first)
    with tf.GradientTape() as tape:
        loss = contrastive.nt_xent(variable, second, 0.5).loss
    gradient = tape.gradient(loss, variable).numpy()
    for index in np.ndindex(*first.shape):
        step = np.zeros_like(first, np.float64)
        step[index] = 1e-6
        slope = (_oracle(first + step, second, 0.5) - _oracle(first - step, second, 0.5)) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=2e-5)


def _two_replicas(first, second, temperature):
    """Mean loss, mean accuracy, and the gradient of the mean loss to all vectors, from half a batch each."""
    strategy = devices.two_devices()
    half = len(first) // 2

    def part(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group * half :][:half])
        )

    def replica(ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch([ours, theirs])
            result = contrastive.nt_xent(ours, theirs, temperature)
            scaled = result.loss / strategy.num_replicas_in_sync
        return result.loss, result.accuracy, tape.gradient(scaled, [ours, theirs])

    step = tf.function(lambda *values: strategy.run(replica, args=values))
    loss, accuracy, gradients = step(part(first), part(second))
    join = [np.concatenate(strategy.experimental_local_results(gradient)) for gradient in gradients]
    return strategy.reduce('MEAN', loss, axis=None), strategy.reduce('MEAN', accuracy, axis=None), join


def test_two_replicas_equal_one_with_the_whole_batch():
    """Loss, accuracy and gradient; the gradient of one half reaches the other through its candidates."""
    first, second = _vectors(8, 5, seed=4)
    whole = [tf.constant(first), tf.constant(second)]
    with tf.GradientTape() as tape:
        tape.watch(whole)
        one = contrastive.nt_xent(*whole, 0.2)
    expected = tape.gradient(one.loss, whole)
    loss, accuracy, gradients = _two_replicas(first, second, 0.2)
    assert float(loss) == pytest.approx(float(one.loss), rel=1e-6)
    assert float(accuracy) == pytest.approx(float(one.accuracy), rel=1e-6)
    assert 0 < float(one.accuracy) < 1, 'a case in which a wrong offset shows'
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    # Half a batch alone has fewer candidates and another loss.
    assert abs(float(contrastive.nt_xent(first[:4], second[:4], 0.2).loss) - float(loss)) > 0.1


def test_compiles_with_xla():
    first, second = _vectors()

    def step(ours):
        with tf.GradientTape() as tape:
            tape.watch(ours)
            result = contrastive.nt_xent(ours, second, 0.1)
        return result.loss, tape.gradient(result.loss, ours)

    plain, compiled = step(tf.constant(first)), tf.function(step, jit_compile=True)(tf.constant(first))
    np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(compiled[1], plain[1], atol=1e-5)


def test_bfloat16_is_taken_in_float32():
    first, second = (tf.cast(values, tf.bfloat16) for values in _vectors())
    result = contrastive.nt_xent(first, second, 0.1)
    assert result.loss.dtype == tf.float32
    exact = _oracle(*(tf.cast(values, tf.float32).numpy() for values in (first, second)), 0.1)
    assert result.loss.numpy() == pytest.approx(exact, rel=1e-5)


# --- degenerate batches


def _finite(first, second, temperature=0.1):
    variable = tf.Variable(first)
    with tf.GradientTape() as tape:
        result = contrastive.nt_xent(variable, second, temperature)
    gradient = tape.gradient(result.loss, variable)
    assert np.isfinite([result.loss, result.accuracy, result.entropy]).all()
    assert np.isfinite(gradient).all()
    return result, gradient.numpy()


def test_one_pair_has_nothing_to_tell_apart():
    """The other view is the only candidate: loss 0, found for certain, and nothing to learn."""
    result, gradient = _finite(*_vectors(1))
    assert (result.loss.numpy(), result.accuracy.numpy(), result.entropy.numpy()) == (0.0, 1.0, 0.0)
    assert np.abs(gradient).max() < 1e-6


def test_identical_views_of_all_images():
    """All likenesses equal: 2 ln(2 N - 1), and the first of N second views is taken: one of N right."""
    vectors = np.tile(np.float32([[0.3, -2.0, 1.0]]), [4, 1])
    result, gradient = _finite(vectors, vectors)
    assert result.loss.numpy() == pytest.approx(2 * np.log(7), rel=1e-5)
    assert result.accuracy.numpy() == 0.25
    assert result.entropy.numpy() == pytest.approx(np.log(4), rel=1e-5)
    assert np.abs(gradient).max() < 1e-5


def test_zero_vectors():
    """They are at no angle to anything: likeness 0 everywhere, and a gradient of the size of the others'."""
    zeros = np.zeros([4, 3], np.float32)
    result, _ = _finite(zeros, zeros)
    assert result.loss.numpy() == pytest.approx(2 * np.log(7), rel=1e-5)
    first, second = _vectors(4, 3)
    first[1] = 0.0
    _, gradient = _finite(first, second)
    assert np.abs(gradient).max() < 100


def test_huge_and_tiny_vectors():
    first, second = _vectors(4, 3)
    usual, _ = _finite(first, second)
    for scale in (1e-4, 1e15):
        result, _ = _finite(np.float32(scale) * first, second)
        assert result.loss.numpy() == pytest.approx(usual.loss.numpy(), rel=1e-4)
