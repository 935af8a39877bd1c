"""Tests of drawing samples: counts by hand, nothing twice, the same for the same image."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.modeling import sampling

POSITIVE, NEGATIVE = np.arange(40) < 10, np.arange(40) >= 20


def _draw(positive, negative, number, share, seed=0):
    seeds = tf.constant([[seed, 1]] * len(positive))
    return sampling.draw(tf.constant(positive), tf.constant(negative), number, share, seeds).numpy()


@pytest.mark.parametrize(
    ('number', 'share', 'positives', 'negatives'),
    # 10 positives and 20 negatives: the share bounds positives, negatives fill up, and there may be too few.
    [(8, 0.5, 4, 4), (8, 1.0, 8, 0), (24, 0.5, 10, 14), (16, 0.25, 4, 12), (100, 0.5, 10, 20), (1, 0.25, 0, 1)],
)
def test_how_many(number, share, positives, negatives):
    drawn = _draw([POSITIVE], [NEGATIVE], number, share)[0]
    assert (drawn & POSITIVE).sum() == positives
    assert (drawn & NEGATIVE).sum() == negatives
    assert not drawn[10:20].any()


def test_without_any_candidate_nothing_is_drawn():
    nothing = np.zeros(40, bool)
    assert not _draw([nothing], [nothing], 8, 0.5).any()
    assert _draw([nothing], [NEGATIVE], 8, 0.5).sum() == 8
    assert _draw([POSITIVE], [nothing], 8, 0.5).sum() == 4


def test_every_candidate_is_as_likely():
    counts = np.sum([_draw([POSITIVE], [NEGATIVE], 8, 0.5, seed)[0] for seed in range(600)], axis=0)
    # 4 of 10 positives and 4 of 20 negatives: 240 and 120 expected, standard deviations 12 and 10.
    assert np.all(np.abs(counts[:10] - 240) < 5 * 12)
    assert np.all(np.abs(counts[20:] - 120) < 5 * 10)


def test_an_image_is_drawn_alike_in_any_batch():
    draws = np.random.default_rng(0).uniform(size=(3, 40))
    positive, negative = draws < 0.2, draws > 0.4
    seeds = sampling.seeds_of(tf.constant(draws), sampling.ANCHORS)
    together = sampling.draw(tf.constant(positive), tf.constant(negative), 8, 0.5, seeds)
    for row in range(3):
        own = sampling.seeds_of(tf.constant(draws[row : row + 1]), sampling.ANCHORS)
        alone = sampling.draw(tf.constant(positive[row : row + 1]), tf.constant(negative[row : row + 1]), 8, 0.5, own)
        np.testing.assert_array_equal(alone[0], together[row])


def test_compiles_with_xla():
    positive, negative = tf.constant([POSITIVE]), tf.constant([NEGATIVE])
    compiled = tf.function(sampling.draw, jit_compile=True)
    drawn = compiled(positive, negative, 8, 0.5, tf.constant([[0, 1]])).numpy()[0]
    assert (drawn & POSITIVE).sum() == (drawn & NEGATIVE).sum() == 4 == drawn.sum() / 2


def test_regions_are_filled_up_with_negatives_first():
    positive = np.array([[True, False, False, False, False]])
    negative = np.array([[False, True, False, False, True]])
    taken = sampling.BoxSampler(4, 0.25)(tf.constant(positive), tf.constant(negative), tf.constant([[False] * 5]))
    # One positive, both negatives, and one of the two that are neither.
    assert set(taken.numpy()[0][:3]) == {0, 1, 4} and taken.shape == [1, 4]
