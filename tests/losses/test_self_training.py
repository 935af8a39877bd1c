"""The balance of human and pseudo loss: formula by hand, gradients, resume, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.configs import types
from official_rethink.losses import self_training
from tests import devices


def _balance(**values):
    return self_training.LossBalance(types.LossBalance(**values))


def test_first_step_by_hand():
    """Bias-corrected means are the losses: ratio 2 / 4 = 0.5, L = (2 + 1 * 0.5 * 4) / 2 = 2."""
    balanced = _balance(alpha=1.0)(tf.constant(2.0), tf.constant(4.0))
    assert balanced.ratio.numpy() == pytest.approx(0.5)
    assert balanced.loss.numpy() == pytest.approx(2.0)


def test_two_steps_by_hand():
    """Decay 0.9. Step 1: human 2, pseudo 4. Step 2: human 1, pseudo 8.

    human: 0.9 * 0.1 * 2 + 0.1 * 1 = 0.28; pseudo: 0.9 * 0.1 * 4 + 0.1 * 8 = 1.16; ratio 0.28 / 1.16.
    alpha 0.5: L = (1 + 0.5 * ratio * 8) / 1.5.
    """
    balance = _balance(alpha=0.5, decay=0.9)
    balance(tf.constant(2.0), tf.constant(4.0))
    balanced = balance(tf.constant(1.0), tf.constant(8.0))
    ratio = 0.28 / 1.16
    assert balanced.ratio.numpy() == pytest.approx(ratio, rel=1e-5)
    assert balanced.loss.numpy() == pytest.approx((1 + 0.5 * ratio * 8) / 1.5, rel=1e-5)
    corrected = balance.human_mean.numpy() / balance.weight.numpy()
    assert corrected == pytest.approx(0.28 / 0.19, rel=1e-5)


def test_plain_sum_when_not_normalized():
    balanced = _balance(alpha=0.5, normalize=False)(tf.constant(2.0), tf.constant(4.0))
    assert balanced.loss.numpy() == pytest.approx(4.0)
    assert balanced.ratio.numpy() == 1.0


def test_alpha_zero_is_supervised():
    assert _balance(alpha=0.0)(tf.constant(3.0), tf.constant(9.0)).loss.numpy() == pytest.approx(3.0)


def test_ratio_carries_no_gradient():
    """dL/dh = 1 / 2 and dL/dp = ratio / 2 with ratio held at 0.5; a live ratio would give other values."""
    balance = _balance(alpha=1.0)
    human, pseudo = tf.Variable(2.0), tf.Variable(4.0)
    with tf.GradientTape() as tape:
        loss = balance(human, pseudo).loss
    gradients = tape.gradient(loss, [human, pseudo])
    np.testing.assert_allclose(gradients, [0.5, 0.25], rtol=1e-5)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_step_that_is_not_finite_leaves_the_means(bad):
    balance = _balance(decay=0.9)
    balance(tf.constant(2.0), tf.constant(4.0))
    before = [variable.numpy() for variable in balance.variables]
    balance(tf.constant(bad), tf.constant(1.0))
    assert [variable.numpy() for variable in balance.variables] == before
    assert np.isfinite(balance(tf.constant(2.0), tf.constant(4.0)).ratio)


def test_zero_pseudo_loss_is_finite():
    balanced = _balance()(tf.constant(2.0), tf.constant(0.0))
    assert balanced.loss.numpy() == pytest.approx(1.0)


def test_steps_without_a_label_leave_the_means():
    """Else the first labelled step after n empty ones would count 1 / (1 - 0.99**n) times what it should."""
    balance = _balance(decay=0.9)
    for human, pseudo in ((2.0, 0.0), (0.0, 4.0), (0.0, 0.0)):
        balance(tf.constant(human), tf.constant(pseudo))
    assert not any(variable.numpy() for variable in balance.variables)
    assert balance(tf.constant(2.0), tf.constant(4.0)).ratio.numpy() == pytest.approx(0.5)


def test_means_survive_a_checkpoint(tmp_path):
    first = _balance()
    for human, pseudo in ((2.0, 4.0), (1.0, 3.0)):
        first(tf.constant(human), tf.constant(pseudo))
    path = tf.train.Checkpoint(balance=first).write(str(tmp_path / 'ckpt'))
    second = _balance()
    tf.train.Checkpoint(balance=second).read(path).assert_consumed()
    ours = first(tf.constant(5.0), tf.constant(7.0)).loss
    assert second(tf.constant(5.0), tf.constant(7.0)).loss.numpy() == ours.numpy()


def test_the_same_on_two_replicas_as_on_one():
    """Replica losses 1 and 3 (human), 2 and 6 (pseudo) average to 2 and 4, the one-device case above."""
    strategy = devices.two_devices()
    with strategy.scope():
        balance = _balance()

    @tf.function
    def step():
        def replica():
            index = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
            return balance(1.0 + 2.0 * index, 2.0 + 4.0 * index).ratio

        return strategy.experimental_local_results(strategy.run(replica))

    for _ in range(2):
        ratios = [float(value) for value in step()]
        assert ratios == pytest.approx([0.5, 0.5])
    assert balance.human_mean.numpy() == pytest.approx(0.0199 * 2.0, rel=1e-4)
