"""ResNet-50 in plain operations, by its publishers' own definitions, with random values under their names."""

import collections
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

BLOCKS = (3, 4, 6, 3)
EPSILON = 1e-5


class Weights:
    """Makes random values on first use and keeps them by name."""

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)
        self.tensors: dict[str, np.ndarray] = {}

    def kernel(self, name: str, size: int, channels: int, filters: int) -> np.ndarray:
        """HWIO, of a spread that keeps activations near 1."""
        spread = np.sqrt(2.0 / (size * size * channels))
        return self._keep(name, self._random.normal(0, spread, [size, size, channels, filters]))

    def vector(self, name: str, low: float, high: float, length: int) -> np.ndarray:
        """Uniform values."""
        return self._keep(name, self._random.uniform(low, high, [length]))

    def _keep(self, name: str, value: np.ndarray) -> np.ndarray:
        return self.tensors.setdefault(name, value.astype(np.float32))


def pad(features: tf.Tensor, amount: int) -> tf.Tensor:
    """Zeros on all sides."""
    return tf.pad(features, [[0, 0], [amount, amount], [amount, amount], [0, 0]])


def normalize(features: tf.Tensor, weights: Weights, name: str, words: tuple[str, ...], dot: str) -> tf.Tensor:
    """A batch norm in inference."""
    length = features.shape[-1]
    gamma = weights.vector(f'{name}{dot}{words[0]}', 0.5, 1.5, length)
    beta = weights.vector(f'{name}{dot}{words[1]}', -0.2, 0.2, length)
    mean = weights.vector(f'{name}{dot}{words[2]}', -0.2, 0.2, length)
    variance = weights.vector(f'{name}{dot}{words[3]}', 0.0005, 1.5, length)
    return (features - mean) / tf.sqrt(variance + EPSILON) * gamma + beta


class Simclr:
    """google-research/simclr: numbered layers, padding on both sides where a convolution strides."""

    def __init__(self, seed: int, name: Callable[[str, int], str]):
        """Args: seed of the values; name of the n-th 'conv2d' or 'batch_normalization'."""
        self.weights = Weights(seed)
        self._name = name
        self._made: collections.Counter[str] = collections.Counter()

    def _next(self, kind: str) -> str:
        self._made[kind] += 1
        return self._name(kind, self._made[kind] - 1)

    def _convolve(self, features: tf.Tensor, filters: int, size: int, strides: int, relu: bool = True) -> tf.Tensor:
        kernel = self.weights.kernel(self._next('conv2d') + '/kernel', size, features.shape[-1], filters)
        if strides > 1:
            features = pad(features, (size - 1) // 2)
        features = tf.nn.conv2d(features, kernel, strides, 'VALID' if strides > 1 else 'SAME')
        words = ('gamma', 'beta', 'moving_mean', 'moving_variance')
        features = normalize(features, self.weights, self._next('batch_normalization'), words, '/')
        return tf.nn.relu(features) if relu else features

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in 0..255 to the four groups' outputs."""
        self._made.clear()
        features = self._convolve(tf.cast(images, tf.float32) / 255.0, 64, 7, 2)
        features = tf.nn.max_pool2d(features, 3, 2, 'SAME')
        found = {}
        for group, blocks in enumerate(BLOCKS):
            for block in range(blocks):
                strides = 2 if group and not block else 1
                filters, shortcut = 64 * 2**group, features
                if not block:
                    shortcut = self._convolve(features, 4 * filters, 1, strides, relu=False)
                inner = self._convolve(features, filters, 1, 1)
                inner = self._convolve(inner, filters, 3, strides)
                features = tf.nn.relu(self._convolve(inner, 4 * filters, 1, 1, relu=False) + shortcut)
            found[str(group + 2)] = features
        return found


def simclr_tf1_name(kind: str, number: int) -> str:
    """As TF1's layers number themselves."""
    return f'base_model/{kind}_{number}' if number else f'base_model/{kind}'


def simclr_tf2_tree(weights: Mapping[str, np.ndarray]) -> tf.train.Checkpoint:
    """The TF1 values as the TF2 code's tree of objects holds them."""
    count = iter(range(1000))

    def part(names: Mapping[str, str], layer: str) -> tf.Module:
        owner = tf.Module()
        inner = tf.Module()
        for name, source in names.items():
            setattr(inner, name, tf.Variable(weights[source]))
        setattr(owner, layer, inner)
        return owner

    def pair() -> list[tf.Module]:
        number = next(count)
        norm = simclr_tf1_name('batch_normalization', number)
        words = ('gamma', 'beta', 'moving_mean', 'moving_variance')
        return [
            part({'kernel': simclr_tf1_name('conv2d', number) + '/kernel'}, 'conv2d'),
            part({word: f'{norm}/{word}' for word in words}, 'bn'),
        ]

    resnet = tf.Module()
    first = pair()
    resnet.initial_conv_relu_max_pool = [first[0], tf.Module(), first[1], tf.Module(), tf.Module()]
    groups = []
    for blocks in BLOCKS:
        group: Any = tf.Module()
        group.layers = []
        for block in range(blocks):
            made: Any = tf.Module()
            made.projection_layers = [] if block else pair()
            made.conv_relu_dropblock_layers = []
            for _ in range(3):
                made.conv_relu_dropblock_layers += [*pair(), tf.Module()]
            group.layers.append(made)
        groups.append(group)
    resnet.block_groups = groups
    model: Any = tf.Module()
    model.resnet_model = resnet
    model.supervised_head = part({'kernel': 'head'}, 'dense') if 'head' in weights else tf.Module()
    return tf.train.Checkpoint(model=model, global_step=tf.Variable(7, dtype=tf.int64))


class Torchvision:
    """torchvision's ResNet-50 under MoCo's names: OIHW, padding on both sides, stride in the 3x3."""

    def __init__(self, seed: int, prefix: str = 'module.encoder_q.'):
        self._weights = Weights(seed)
        self._prefix = prefix

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """Values in PyTorch's order of axes."""
        return {
            name: np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if value.ndim == 4 else value
            for name, value in self._weights.tensors.items()
        }

    def _convolve(
        self, features: tf.Tensor, names: tuple[str, str], filters: int, size: int, strides: int
    ) -> tf.Tensor:
        channels = features.shape[-1]
        kernel = self._weights.kernel(f'{self._prefix}{names[0]}.weight', size, channels, filters)
        features = tf.nn.conv2d(pad(features, (size - 1) // 2), kernel, strides, 'VALID')
        words = ('weight', 'bias', 'running_mean', 'running_var')
        return normalize(features, self._weights, self._prefix + names[1], words, '.')

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in 0..255 to the four groups' outputs."""
        inputs = (tf.cast(images, tf.float32) / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        features = tf.nn.relu(self._convolve(inputs, ('conv1', 'bn1'), 64, 7, 2))
        around = [[0, 0], [1, 1], [1, 1], [0, 0]]
        features = tf.nn.max_pool2d(tf.pad(features, around, constant_values=-1e9), 3, 2, 'VALID')
        found = {}
        for group, blocks in enumerate(BLOCKS):
            for block in range(blocks):
                place, strides = f'layer{group + 1}.{block}.', 2 if group and not block else 1
                filters, shortcut = 64 * 2**group, features
                if not block:
                    names = (place + 'downsample.0', place + 'downsample.1')
                    shortcut = self._convolve(features, names, 4 * filters, 1, strides)
                inner = tf.nn.relu(self._convolve(features, (place + 'conv1', place + 'bn1'), filters, 1, 1))
                inner = tf.nn.relu(self._convolve(inner, (place + 'conv2', place + 'bn2'), filters, 3, strides))
                inner = self._convolve(inner, (place + 'conv3', place + 'bn3'), 4 * filters, 1, 1)
                features = tf.nn.relu(inner + shortcut)
            found[str(group + 2)] = features
        return found
