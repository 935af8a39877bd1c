"""Weight decay is the references': half the sum of squares."""

import tensorflow as tf

from official_rethink.modeling import weight_decay


def test_half_the_squares():
    assert float(weight_decay.l2(0.5)(tf.constant([[1.0, -3.0]]))) == 2.5  # 0.5 / 2 * (1 + 9)


def test_without_decay_nothing_is_added():
    assert weight_decay.l2(0.0) is None
