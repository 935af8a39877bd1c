"""RandAugment with boxes: the operations against Model Garden's list, the draws against its statistics."""

import numpy as np
import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import operations, randaugment
from tests.augment import composing, pictures


def test_operations_are_model_gardens():
    expected = reference.RandAugment.build_for_detection()
    assert list(randaugment.OPERATIONS) == expected.available_ops
    assert (randaugment.CUTOUT_CONST, randaugment.TRANSLATE_CONST) == (
        expected.cutout_const,
        expected.translate_const,
    )


def test_statistics_of_one_layer_are_model_gardens():
    ours = composing.ours(lambda scene, seed: randaugment.distort(scene, 1, 10.0, 'reflect', seed), 350)
    composing.assert_alike(
        ours, composing.model_gardens(reference.RandAugment.build_for_detection(1, 10), 350)
    )


def test_statistics_of_two_layers_are_model_gardens():
    """At magnitude 3, where two operations seldom push the square off and back, which ours shows again."""
    ours = composing.ours(lambda scene, seed: randaugment.distort(scene, 2, 3.0, 'reflect', seed), 350)
    composing.assert_alike(
        ours, composing.model_gardens(reference.RandAugment.build_for_detection(2, 3), 350)
    )


def test_each_operation_and_identity_are_drawn_equally_often():
    image = tf.constant(pictures.noise(24, 24) // 2 + 20)

    def outcome(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scene = randaugment.distort(operations.start(image, tf.zeros([0, 4]), None), 1, 10.0, 'grey', seed)
        return scene.image, scene.pending

    seeds = tf.data.Dataset.range(1020).map(lambda index: tf.stack([tf.cast(index, tf.int32), 0]))
    images, pendings = zip(*seeds.map(outcome).as_numpy_iterator(), strict=True)
    unmoved = np.array([np.array_equal(pending, np.eye(3)) for pending in pendings])
    untouched = unmoved & np.array([np.array_equal(result, image) for result in images])
    # 5 of 17 are geometric, identity is one of 17: 300 and 60 expected, bounds at four standard deviations.
    assert abs((~unmoved).sum() - 300) < 58
    assert abs(untouched.sum() - 60) < 30
    kinds = {result.tobytes() for result in np.array(images)[unmoved & ~untouched]}
    # Invert and Solarize at magnitude 10 give the same picture; Cutout's square covers this one whole.
    assert len(kinds) >= 9


def test_no_layers_change_nothing():
    scene = operations.start(tf.constant(pictures.noise(6, 6)), tf.zeros([0, 4]), None)
    after = randaugment.distort(scene, 0, 10.0, 'grey', tf.constant([1, 2]))
    np.testing.assert_array_equal(after.image, scene.image)
