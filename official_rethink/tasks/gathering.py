"""What every worker of an evaluation found, on every worker, so that each computes the numbers of the whole set."""

import io
from typing import Any

import numpy as np
import tensorflow as tf


class Gatherer:
    """Exchanges the results of a step of an evaluation between the workers of a strategy.

    A strategy over several processes hands each the results of its own replicas. A process alone has all of them, and
    nothing is done.
    """

    def __init__(self) -> None:
        """Remembers the strategy whose scope it is made in."""
        self._strategy = tf.distribute.get_strategy()
        self._exchange: Any = None

    def __call__(self, per_replica: Any) -> Any:
        """Returns the results of all replicas; every worker has to call it equally often.

        Args:
            per_replica: a structure of dictionaries of tuples of numeric tensors, one of each local replica.

        Returns:
            The same of tuples with one tensor of each replica of all workers, in the replicas' order, so the examples
            of a batch are in its own order.
        """
        leaves = tf.nest.flatten(per_replica)
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1 or len(self._strategy.extended.worker_devices) == replicas:
            return per_replica
        workers = [_unpacked(part) for part in self._gathered(_packed([np.asarray(leaf) for leaf in leaves]))]
        # A leaf of the flat structure is one replica's; those of the next worker follow within its tuple.
        return _regrouped(per_replica, [iter(part) for part in workers])

    def _gathered(self, values: np.ndarray) -> list[np.ndarray]:
        """Every worker's array, which may be of any length."""
        if self._exchange is None:
            self._exchange = tf.function(
                self._all_gather, input_signature=[tf.TensorSpec([None], tf.float32)], autograph=False
            )
        joined, lengths = self._exchange(tf.constant(values))
        ends = np.cumsum(lengths.numpy().astype(np.int64))
        parts = np.split(joined.numpy(), ends[:-1])
        return parts[:: len(self._strategy.extended.worker_devices)]

    def _all_gather(self, values: tf.Tensor) -> Any:
        def replica() -> Any:
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group % len(self._strategy.extended.worker_devices) == 0
            given = tf.cond(first, lambda: values, lambda: values[:0])
            length = tf.cast(tf.size(given), tf.float64)[tf.newaxis]
            return context.all_gather(given, axis=0), context.all_gather(length, axis=0)

        joined, lengths = self._strategy.run(replica)
        return tuple(self._strategy.experimental_local_results(value)[0] for value in (joined, lengths))


def _packed(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays as one of float32 whole numbers under 65,536: a type that every device and every collective knows."""
    stream = io.BytesIO()
    np.savez(stream, *arrays)
    content = stream.getvalue()
    content += bytes(len(content) % 2)
    return np.frombuffer(content, np.uint16).astype(np.float32)


def _unpacked(values: np.ndarray) -> list[np.ndarray]:
    with np.load(io.BytesIO(values.astype(np.uint16).tobytes()), allow_pickle=False) as found:
        return [found[f'arr_{index}'] for index in range(len(found.files))]


def _regrouped(structure: Any, workers: list[Any]) -> Any:
    """Puts the workers' arrays, which come in the order of the flat structure, into tuples over all replicas."""
    if isinstance(structure, dict):
        # As `tf.nest` goes through a dictionary.
        found = {name: _regrouped(structure[name], workers) for name in sorted(structure)}
        return {name: found[name] for name in structure}
    return tuple(tf.constant(next(part)) for part in workers for _ in structure)
