"""One replica of many, as TPUStrategy traces it, on a machine without a TPU.

`tf.distribute.TPUStrategy` cannot be built where there is no TPU, and on one device every sum over replicas drops out
of a step. This strategy says that it has N replicas and traces the function of one of them: TPUStrategy's own replica
context, a replica id that is known on the device alone, and a real all-reduce wherever replicas add something up,
in gradients, synchronised batch norm and losses. What is traced is lowered to XLA and never run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.python.distribute import distribute_lib, one_device_strategy, tpu_strategy

_GROUP = 1


class _ReplicaContext(tpu_strategy._TPUReplicaContext):
    """TPUStrategy's; of its devices there is the one that stands for the core."""

    @property
    def devices(self) -> tuple[str, ...]:
        return self._strategy.extended.worker_devices


class _Extended(one_device_strategy.OneDeviceExtended):
    """Variables as on one device, sums over all replicas."""

    def __init__(self, strategy: tf.distribute.Strategy, replicas: int):
        super().__init__(strategy, '/cpu:0')
        self._replicas = replicas
        self._reductions = 0

    @property
    def _num_replicas_in_sync(self) -> int:
        return self._replicas

    def _call_for_each_replica(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        strategy = self._container_strategy()
        # As in TPUStrategy, where it is an input of the replicated program.
        replica_id = gen_xla_ops.xla_replica_id()
        with tf.device(self._device), _ReplicaContext(strategy, replica_id):
            return function(*args, **kwargs)

    def _reduce_to(self, reduce_op: tf.distribute.ReduceOp, value: Any, destinations: Any, options: Any) -> Any:
        del destinations, options
        value = tf.convert_to_tensor(value)
        if reduce_op == tf.distribute.ReduceOp.MEAN:
            value = tf.math.scalar_mul(1.0 / self._replicas, value)  # as TPUStrategy
        self._reductions += 1
        # The one sum over replicas that TensorFlow's CPU package lowers to XLA's all-reduce.
        total = tf.raw_ops.CollectiveReduceV2(
            input=value,
            group_size=tf.constant(self._replicas),
            group_key=tf.constant(_GROUP),
            instance_key=tf.constant(self._reductions),
            ordering_token=[],
            merge_op='Add',
            final_op='Id',
        )
        total.set_shape(value.shape)
        return total


class ReplicaOfMany(distribute_lib.Strategy):
    """A strategy of N replicas of which one is traced; nothing can be run on it.

    Attributes:
        stands_for_tpus: so that code which asks for TPUStrategy does what it does there.
    """

    stands_for_tpus = True

    def __init__(self, replicas: int):
        """Args: replicas: the cores that share a step, at least 2 (of one nothing is summed)."""
        if replicas < 2:
            raise ValueError(f'replicas is {replicas}; at least 2.')
        super().__init__(_Extended(self, replicas))
