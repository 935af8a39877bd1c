"""A tf.data service: other machines read, decode and augment, and workers take their batches from there."""

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import types

_PLACES = 2**62


def place() -> tf.Tensor:
    """Draws a number int64 [], anew at every call, for an example's augmentation.

    Each machine of a service counts its own examples, so a count would give an image that stands at one place of two
    machines the same augmentation twice. Nothing else is at hand that differs between machines, so this is unseeded:
    the public functions would take the run's seed, which all of them have.
    """
    return tf.raw_ops.RandomUniformInt(
        shape=tf.zeros([0], tf.int32),
        minval=tf.constant(0, tf.int64),
        maxval=tf.constant(_PLACES, tf.int64),
        seed=0,
        seed2=0,
    )


def distributed(dataset: tf.data.Dataset, params: types.ShardData, workers: int, run: str) -> tf.data.Dataset:
    """Has a service make the batches of a dataset that begins with the names of its shards.

    The service hands each shard to one of its machines, and each batch to one worker, in the order in which they ask.

    Args:
        dataset: of batches, endless.
        params: the data config.
        workers: how many share the batches.
        run: what tells this stream apart from others of the same job name.

    Raises:
        UserError: several workers have no name to share a job by.
    """
    name = params.tf_data_service_job_name
    if workers > 1 and not name:
        raise errors.UserError(
            f"tf_data_service_job_name is not set, but {workers} workers take batches of '{params.input_path}' from "
            f"the service at '{params.tf_data_service_address}'; give it a name that no other run uses, else each of "
            'them is given all examples.'
        )
    return dataset.apply(
        tf.data.experimental.service.distribute(
            processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
            service=params.tf_data_service_address,
            job_name=f'{name}_{run}' if name else None,
        )
    )
