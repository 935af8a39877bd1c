"""Evaluation where every shape has to be known beforehand, as on TPUs: the last batches are filled up.

A filler is a black image that nothing is labelled on. Whoever counts knows it by a truth of height 0 (boxes), by the
class 0 (of an image) or by its pixels, all void (label maps), and leaves it out.
"""

from typing import Any

import tensorflow as tf

from official_rethink.data import label_maps

# Labels whose nothing is not 0. An image's scale is 1, so that nobody divides by 0.
_NOTHING = {
    'boxes': -1,
    'classes': -1,
    'label_map': label_maps.IGNORE,
    'image_info': [[1, 1], [1, 1], [1, 1], [0, 0]],
}


def needed() -> bool:
    """Whether what is traced has to say every shape beforehand, as a TPU's programs do."""
    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.TPUStrategy) or getattr(strategy, 'stands_for_tpus', False)


def fill(dataset: tf.data.Dataset, batch_size: int, replicas: int) -> tf.data.Dataset:
    """Makes all batches full, and as many for every replica.

    Args:
        dataset: of batches of any size, (images, labels).
        batch_size: of a replica.
        replicas: each takes the next batch, in turn.

    Returns:
        Batches of static shape, a multiple of `replicas` of them; at the end fillers.
    """
    examples = dataset.unbatch()
    fillers = tf.data.Dataset.from_tensors(_filler(examples.element_spec)).repeat(batch_size * replicas - 1)
    whole = examples.concatenate(fillers).batch(batch_size * replicas, drop_remainder=True)
    return whole.rebatch(batch_size, drop_remainder=True)


def _filler(spec: Any, name: str = '') -> Any:
    if isinstance(spec, dict):
        return {key: _filler(value, key) for key, value in spec.items()}
    if isinstance(spec, tuple):
        return tuple(_filler(value) for value in spec)
    return tf.broadcast_to(tf.cast(tf.constant(_NOTHING.get(name, 0)), spec.dtype), spec.shape)
