"""Builds any network with another normalisation than the batch norm it was written with.

Model Garden's layers, and ours, make a batch norm wherever they normalise. Within `scope` they get what the config
names instead, so no model is written twice.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from official_rethink.configs import normalization as configs

_BATCH_NORM_ONLY = ('momentum', 'synchronized', 'fused', 'renorm', 'moving_mean_initializer', 'virtual_batch_size')
_PACKAGE = 'official_rethink'


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class GroupNormalization(tf.keras.layers.GroupNormalization):
    """Normalises each image's channels in groups (Wu and He, "Group Normalization"), in float32.

    Keras' own multiplies by a mask of ones as large as the features, which costs as much memory again.
    """

    def __init__(self, groups: int = 32, **kwargs: Any):
        """Args: the most groups; the rest as Keras', or of a batch norm, which is left aside."""
        for name in _BATCH_NORM_ONLY:
            kwargs.pop(name, None)
        super().__init__(groups=groups, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Chooses the number of groups and makes factors and offsets."""
        channels, most = int(input_shape[self.axis]), self.get_config()['groups']
        self.groups = max(count for count in range(1, min(most, channels) + 1) if channels % count == 0)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises [B, ..., C]; every example for itself."""
        shape = tf.shape(inputs)
        grouped = tf.reshape(
            tf.cast(inputs, tf.float32), [shape[0], -1, self.groups, inputs.shape[-1] // self.groups]
        )
        mean, variance = tf.nn.moments(grouped, [1, 3], keepdims=True)
        normalized = tf.reshape((grouped - mean) * tf.math.rsqrt(variance + self.epsilon), shape)
        result = normalized * tf.cast(self.gamma, tf.float32) + tf.cast(self.beta, tf.float32)
        return tf.ensure_shape(tf.cast(result, inputs.dtype), inputs.shape)


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class FrozenBatchNormalization(tf.keras.layers.BatchNormalization):
    """A batch norm that keeps its statistics and factors, also in training."""

    def __init__(self, **kwargs: Any):
        """Args: Keras'."""
        super().__init__(**{**kwargs, 'trainable': False})


@tf.keras.utils.register_keras_serializable(package=_PACKAGE)
class NoNormalization(tf.keras.layers.Layer):
    """Gives on what it gets."""

    def __init__(self, **kwargs: Any):
        """Args: a layer's name; what else a batch norm takes is left aside."""
        super().__init__(name=kwargs.get('name'))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs."""
        return tf.identity(inputs)


def arguments(norm_activation: Any, regularizer: tf.keras.regularizers.Regularizer | None) -> dict[str, Any]:
    """What Model Garden's networks, decoders and heads take of a norm_activation, and of kernels' regularizer."""
    return {
        'activation': norm_activation.activation,
        'use_sync_bn': norm_activation.use_sync_bn,
        'norm_momentum': norm_activation.norm_momentum,
        'norm_epsilon': norm_activation.norm_epsilon,
        'kernel_regularizer': regularizer,
    }


@contextlib.contextmanager
def scope(config: Any, kind: str | None = None) -> Iterator[None]:
    """Within it, a batch norm that is made is what the config names.

    Layers make theirs when they are built, so a model has to be called within the scope too.

    Args:
        config: a norm_activation; Model Garden's own changes nothing.
        kind: to take instead of the config's.
    """
    kind = str(kind or getattr(config, 'normalization', configs.BATCH))
    if kind == configs.BATCH:
        yield
        return
    groups = getattr(config, 'num_groups', 32)
    made = {
        configs.GROUP: lambda **kwargs: GroupNormalization(groups, **kwargs),
        configs.FROZEN: FrozenBatchNormalization,
        configs.NONE: NoNormalization,
    }[kind]
    with contextlib.ExitStack() as replaced:
        for original in {tf.keras.layers.BatchNormalization, tf.keras.layers.experimental.SyncBatchNormalization}:
            replaced.enter_context(_made_instead(original, made))
        yield


@contextlib.contextmanager
def _made_instead(original: type, made: Callable[..., Any]) -> Iterator[None]:
    """Within it, whoever calls the class gets what `made` makes; what is derived from it stays.

    The class is changed and not the module it is found in: Model Garden holds modules under names of its own.
    """

    def new(kind: type, *args: Any, **kwargs: Any) -> Any:
        if kind is original:
            return made(*args, **kwargs)
        return original.__mro__[1].__new__(kind, *args, **kwargs)

    assert '__new__' not in vars(original), 'scopes do not nest'
    original.__new__ = staticmethod(new)  # type: ignore[assignment]
    try:
        yield
    finally:
        del original.__new__
