"""The strategy over the two virtual devices that tests/conftest.py makes: one for all tests of a process."""

import functools

import tensorflow as tf


@functools.cache
def two_devices() -> tf.distribute.MirroredStrategy:
    """Returns the one MirroredStrategy of this process.

    Each strategy numbers its collective operations from the same start, while the runtime keeps the
    shape of each number for the life of the process: a second strategy fails with "Shape mismatch in
    the collective instance".
    """
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices('CPU')])
