"""Which anchors and regions a two-stage detector trains on: drawn at random, positives up to a share.

What is drawn of an image follows from what is known of it: a generator with a state would begin anew when a run is
resumed, and an image would train otherwise on another number of replicas.
"""

from typing import Any

import tensorflow as tf

ANCHORS, REGIONS = 1, 2  # salts, so that the two draw differently


def seeds_of(values: tf.Tensor, salt: int) -> tf.Tensor:
    """A seed for each image, int32 [B, 2], made of the bits of what is known of it, [B, ...]."""
    flat = tf.reshape(tf.cast(values, tf.float32), [tf.shape(values)[0], -1])
    bits = tf.bitcast(tf.reduce_sum(flat, axis=1), tf.int32)
    return tf.stack([bits, tf.fill(tf.shape(bits), salt)], axis=1)


def draw(
    positive: tf.Tensor, negative: tf.Tensor, num_samples: int, positive_fraction: float, seeds: tf.Tensor
) -> tf.Tensor:
    """Draws candidates of each image without repeating one.

    Args:
        positive: bool [B, N].
        negative: bool [B, N], true nowhere where `positive` is.
        num_samples: how many of each image, if it has as many.
        positive_fraction: most of them that are positive; negatives fill the rest.
        seeds: int32 [B, 2].

    Returns:
        bool [B, N], which are drawn.
    """
    count = tf.shape(positive)[1]
    order = tf.map_fn(
        lambda seed: tf.random.stateless_uniform([count], seed), seeds, fn_output_signature=tf.float32
    )
    most = min(round(num_samples * positive_fraction), positive.shape[1])
    chosen_positive = _first(positive, order, tf.fill([tf.shape(positive)[0]], most))
    left = num_samples - tf.reduce_sum(tf.cast(chosen_positive, tf.int32), axis=1)
    return chosen_positive | _first(negative, order, left)


def _first(candidates: tf.Tensor, order: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """The `counts` [B] candidates of each image that come first in a random order, or all."""
    keys = tf.where(candidates, order, 2.0)
    rank = tf.argsort(tf.argsort(keys, axis=1, stable=True), axis=1, stable=True)
    return candidates & (rank < counts[:, tf.newaxis])


class BoxSampler(tf.keras.layers.Layer):
    """In the place of Model Garden's `BoxSampler`."""

    def __init__(self, num_samples: int, positive_fraction: float, **kwargs: Any):
        """Args: regions of an image; most of them that are positive; Keras'."""
        super().__init__(**kwargs)
        self._num_samples, self._positive_fraction = num_samples, positive_fraction

    def call(self, positive_matches: tf.Tensor, negative_matches: tf.Tensor, ignored_matches: tf.Tensor) -> tf.Tensor:
        """Draws regions.

        Args:
            positive_matches: bool [B, N].
            negative_matches: bool [B, N].
            ignored_matches: bool [B, N].

        Returns:
            int32 [B, num_samples], indices. An image with too few candidates is filled up with other regions,
            negatives first.
        """
        del ignored_matches
        bits = tf.cast(positive_matches, tf.float32) * tf.range(1.0, positive_matches.shape[1] + 1.0)
        seeds = seeds_of(bits + tf.cast(negative_matches, tf.float32), REGIONS)
        drawn = draw(positive_matches, negative_matches, self._num_samples, self._positive_fraction, seeds)
        score = 2 * tf.cast(drawn, tf.int32) + tf.cast(negative_matches, tf.int32)
        return tf.nn.top_k(score, k=self._num_samples)[1]
