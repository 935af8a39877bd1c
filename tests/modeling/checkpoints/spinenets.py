"""The release's RetinaNet on SpineNet in plain operations, with random values under its names."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf

from tests.modeling.checkpoints import resnets

EPSILON = 1e-3
WORDS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
FILTERS = {2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}
ANCHORS = 9
CLASSES = 91
# Level, kind, parents, whether it is an output: Du et al., SpineNet, figure of SpineNet-49.
BLOCKS = (
    *((2, 'b', (0, 1), 0), (4, 'r', (0, 1), 0), (3, 'b', (2, 3), 0), (4, 'b', (2, 4), 0), (6, 'r', (3, 5), 0)),
    *((4, 'b', (3, 5), 0), (5, 'r', (6, 7), 0), (7, 'r', (6, 8), 0), (5, 'b', (8, 9), 0), (5, 'b', (8, 10), 0)),
    *((4, 'b', (5, 10), 1), (3, 'b', (4, 10), 1), (5, 'b', (7, 12), 1), (7, 'b', (5, 14), 1), (6, 'b', (12, 14), 1)),
)


@dataclasses.dataclass
class _Node:
    features: tf.Tensor
    level: int
    kind: str
    children: int = 0


class Release:
    """SpineNet with `repeats` of each block and all of a block's channels in its connections, and the head."""

    def __init__(self, seed: int, repeats: int, alpha: float, head_filters: int, head_convs: int):
        """Args: seed of the values; the rest as the release's scaling map and YAML files."""
        self.weights = resnets.Weights(seed)
        self._repeats, self._alpha = repeats, alpha
        self._head_filters, self._head_convs = head_filters, head_convs
        self._made: collections.Counter[str] = collections.Counter()

    def _norm(self, features: tf.Tensor, name: str) -> tf.Tensor:
        length = features.shape[-1]
        ranges = ((0.5, 1.5), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5))
        gamma, beta, mean, variance = (
            self.weights.vector(f'{name}/{word}', low, high, length)
            for word, (low, high) in zip(WORDS, ranges, strict=True)
        )
        return (features - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def _convolve(self, features: tf.Tensor, scope: str, filters: int, size: int, strides: int = 1) -> tf.Tensor:
        number = self._made[scope]
        self._made[scope] += 1
        end = f'_{number}' if number else ''
        kernel = self.weights.kernel(f'{scope}/conv2d{end}/kernel', size, features.shape[-1], filters)
        if strides > 1:
            features = resnets.pad(features, (size - 1) // 2)
        features = tf.nn.conv2d(features, kernel, strides, 'VALID' if strides > 1 else 'SAME')
        return self._norm(features, f'{scope}/batch_normalization{end}')

    def _group(self, features: tf.Tensor, scope: str, filters: int, kind: str) -> tf.Tensor:
        for _ in range(self._repeats):
            out = 4 * filters if kind == 'b' else filters
            shortcut = features
            if features.shape[-1] != out:
                shortcut = self._convolve(features, scope, out, 1)
            if kind == 'b':
                inner = tf.nn.silu(self._convolve(features, scope, filters, 1))
                inner = tf.nn.silu(self._convolve(inner, scope, filters, 3))
                inner = self._convolve(inner, scope, out, 1)
            else:
                inner = tf.nn.silu(self._convolve(features, scope, filters, 3))
                inner = self._convolve(inner, scope, filters, 3)
            features = tf.nn.silu(inner + shortcut)
        return features

    def _connect(self, node: _Node, level: int, kind: str, scope: str) -> tf.Tensor:
        node.children += 1
        channels = node.features.shape[-1] // (4 if node.kind == 'b' else 1)
        middle = int(channels * self._alpha)
        features = tf.nn.silu(self._convolve(node.features, scope, middle, 1))
        if level > node.level:
            features = tf.nn.silu(self._convolve(features, scope, middle, 3, 2))
            further = level - node.level - 1
            if further:
                features = tf.nn.max_pool2d(features, 3 if further == 1 else 5, 2**further, 'SAME')
        elif level < node.level:
            times = 2 ** (node.level - level)
            features = tf.repeat(tf.repeat(features, times, axis=1), times, axis=2)
        return self._convolve(features, scope, FILTERS[level] * (4 if kind == 'b' else 1), 1)

    def backbone(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in 0..255 to levels 3 to 7."""
        self._made.clear()
        inputs = (tf.cast(images, tf.float32) / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        features = tf.nn.silu(self._convolve(inputs, 'spinenet', 64, 7, 2))
        features = tf.nn.max_pool2d(features, 3, 2, 'SAME')
        nodes: list[_Node] = []
        for _ in range(2):
            features = self._group(features, 'spinenet', 64, 'b')
            nodes.append(_Node(features, 2, 'b'))
        outputs = {}
        for index, (level, kind, parents, is_output) in enumerate(BLOCKS):
            scope = f'spinenet/sub_policy{index}'
            name = f'{scope}/resample_with_alpha_resample_{index}_'
            features = tf.add_n([
                self._connect(nodes[parent], level, kind, f'{name}{place}') for place, parent in enumerate(parents)
            ])
            for node in nodes if is_output else []:
                if not node.children and node.level == level and node.features.shape[-1] == features.shape[-1]:
                    features += node.features
                    node.children += 1
            permuted = f'{scope}/scale_permuted_block_{len(nodes)}'
            features = self._group(tf.nn.silu(features), permuted, FILTERS[level], kind)
            nodes.append(_Node(features, level, kind))
            if is_output:
                outputs[level] = features
        return {
            str(level): tf.nn.silu(self._convolve(outputs[level], 'spinenet', 256, 1)) for level in range(3, 8)
        }

    def head(self, features: dict[str, tf.Tensor], net: str) -> dict[str, tf.Tensor]:
        """Levels to raw outputs [B, H, W, anchors x numbers], anchors in the release's order."""
        found = {}
        for level, value in features.items():
            scope = f'retinanet/{net}_net/{net}-'
            for index in range(self._head_convs):
                value = self._biased(value, f'{scope}{index}', self._head_filters)
                value = tf.nn.silu(self._norm(value, f'{scope}{index}-{level}'))
            found[level] = self._biased(value, f'{scope}predict', ANCHORS * (CLASSES if net == 'class' else 4))
        return found

    def _biased(self, features: tf.Tensor, name: str, filters: int) -> tf.Tensor:
        kernel = self.weights.kernel(name + '/kernel', 3, features.shape[-1], filters)
        return tf.nn.conv2d(features, kernel, 1, 'SAME') + self.weights.vector(name + '/bias', -0.2, 0.2, filters)


def by_anchor(output: tf.Tensor) -> np.ndarray:
    """[B, H, W, anchors x numbers] to [B, H, W, scales, ratios, numbers]."""
    return output.numpy().reshape(*output.shape[:3], 3, 3, -1)
