"""AutoAugment v0: the table against Model Garden's, the draws against its statistics."""

import numpy as np
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import autoaugment, operations
from tests.augment import composing


def test_table_is_model_gardens():
    expected = reference.AutoAugment.detection_policy_v0()
    assert [list(sub_policy) for sub_policy in autoaugment.POLICY_V0] == expected
    defaults = reference.AutoAugment('detection_v0')
    assert (autoaugment.CUTOUT_CONST, autoaugment.TRANSLATE_CONST) == (
        defaults.cutout_const,
        defaults.translate_const,
    )


def test_statistics_are_model_gardens():
    ours = composing.ours(lambda scene, seed: autoaugment.distort(scene, 'v0', 'reflect', seed), 350)
    composing.assert_alike(ours, composing.model_gardens(reference.AutoAugment('detection_v0'), 350))


def test_steps_come_with_their_probabilities():
    """Of the five sub-policies, by hand, those that leave a transform pending."""

    def pending(seed: tf.Tensor) -> tf.Tensor:
        scene = operations.start(tf.zeros([8, 8, 3], tf.uint8), tf.zeros([0, 4]), None)
        return autoaugment.distort(scene, 'v0', 'grey', seed).pending

    seeds = tf.data.Dataset.range(1500).map(lambda index: tf.stack([0, tf.cast(index, tf.int32)]))
    matrices = np.stack(list(seeds.map(pending).as_numpy_iterator()))
    rotated = (matrices[:, 0, 1] != 0) & (matrices[:, 1, 0] != 0)
    sheared = (matrices[:, 0, 1] == 0) & (matrices[:, 1, 0] != 0)
    shifted = ~rotated & ~sheared & (matrices[:, 0, 2] != 0)
    # Rotate: 1/5 * 0.6. ShearY: 1/5, but the box-only operation settles it in 6 of 10: 1/5 * 0.4.
    # TranslateX: 1/5 * 0.6, settled by Equalize in 8 of 10: 1/5 * 0.6 * 0.2. Four standard deviations each.
    for events, probability in ((rotated, 0.12), (sheared, 0.08), (shifted, 0.024)):
        deviation = np.sqrt(probability * (1 - probability) / 1500)
        assert abs(events.mean() - probability) < 4 * deviation, (events.mean(), probability)
    angles = np.degrees(np.arcsin(matrices[rotated][:, 1, 0]))
    np.testing.assert_allclose(np.unique(np.round(angles)), [-30, 30])
    assert 0.35 < (angles > 0).mean() < 0.65
