"""The release's NAS-FPN and segmentation head in plain operations, with random values under its names."""

import tensorflow as tf

from tests.modeling.checkpoints import resnets

EPSILON = 1e-3
# Ghiasi et al., NAS-FPN, figure 6 in the release's order: level, operation, the two inputs, whether an output.
NODES = (
    *((4, 'gp', 1, 3, False), (4, 'sum', 1, 5, False), (3, 'sum', 0, 6, True), (4, 'sum', 6, 7, True)),
    *((5, 'gp', 7, 8, True), (7, 'gp', 6, 9, True), (6, 'gp', 9, 10, True)),
)


class Release:
    """Five levels out of three of a backbone, `repeats` cells, all levels summed at stride 4, `convs` convolutions."""

    def __init__(self, seed: int, filters: int, repeats: int, convs: int, classes: int):
        """Args: seed of the values; the rest as the release's YAML files."""
        self.weights = resnets.Weights(seed)
        self._filters, self._repeats, self._convs, self._classes = filters, repeats, convs, classes

    def _norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        gamma, variance = (self.weights.vector(f'{name}/{word}', 0.5, 1.5, x.shape[-1]) for word in (
            'gamma', 'moving_variance'
        ))
        beta, mean = (self.weights.vector(f'{name}/{word}', -0.2, 0.2, x.shape[-1]) for word in ('beta', 'moving_mean'))
        return (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def _separable(self, x: tf.Tensor, name: str, size: int) -> tf.Tensor:
        channels = x.shape[-1]
        window = self.weights.vector(f'{name}/depthwise_kernel', -1.0, 1.0, size * size * channels)
        kernel = self.weights.tensors[f'{name}/depthwise_kernel'] = window.reshape(size, size, channels, 1)
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], 'SAME')
        x = tf.nn.conv2d(x, self.weights.kernel(f'{name}/pointwise_kernel', 1, channels, self._filters), 1, 'SAME')
        return x + self.weights.vector(f'{name}/bias', -0.2, 0.2, self._filters)

    def logits(self, endpoints: dict[str, tf.Tensor]) -> tf.Tensor:
        """Levels 3 to 5 of the backbone to logits at stride 4."""
        levels = {}
        for level in (3, 4, 5):
            x = self._separable(endpoints[str(level)], f'resample_l{level}/separable_conv2d', 1)
            levels[level] = self._norm(x, f'resample_l{level}/bn')
        for level in (6, 7):
            levels[level] = tf.nn.max_pool2d(levels[level - 1], 2, 2, 'SAME')
        for cell in range(self._repeats):
            levels = self._cell(levels, f'fpn_cells/cell_{cell}')
        side = 2 * levels[3].shape[1]
        x = tf.add_n([tf.compat.v1.image.resize_bilinear(value, [side, side]) for value in levels.values()])
        for place in range(self._convs):
            name = f'segmentation/conv-{place}'
            x = tf.nn.conv2d(x, self.weights.kernel(f'{name}/kernel', 3, self._filters, self._filters), 1, 'SAME')
            x += self.weights.vector(f'{name}/bias', -0.2, 0.2, self._filters)
            x = tf.nn.relu(self._norm(x, f'{name}-bn'))
        kernel = self.weights.kernel('segmentation/conv2d/kernel', 1, self._filters, self._classes)
        return tf.nn.conv2d(x, kernel, 1, 'SAME') + self.weights.vector(
            'segmentation/conv2d/bias', -0.2, 0.2, self._classes
        )

    def _cell(self, levels: dict[int, tf.Tensor], scope: str) -> dict[int, tf.Tensor]:
        nodes = [(level, x) for level, x in levels.items()]
        used = set()
        for number, (level, operation, first, second, is_output) in enumerate(NODES):
            # The global pooling's gate is the coarser input's.
            order = sorted((first, second), key=lambda place: -nodes[place][0])
            coarse, fine = (_at(level, *nodes[place]) for place in order)
            used |= {first, second}
            if operation == 'gp':
                fine = fine * tf.sigmoid(tf.reduce_max(coarse, [1, 2], keepdims=True))
            x = coarse + fine
            for place, (other, features) in enumerate(nodes):
                if is_output and place not in used and other == level:
                    x += features
                    used.add(place)
            name = f'{scope}/sub_policy{number}/op_after_combine{len(nodes)}'
            nodes.append((level, self._norm(self._separable(tf.nn.relu(x), f'{name}/conv', 3), f'{name}/bn')))
        return dict(sorted(nodes[-5:]))


def _at(level: int, found: int, x: tf.Tensor) -> tf.Tensor:
    if level > found:
        return tf.nn.max_pool2d(x, 2 ** (level - found), 2 ** (level - found), 'SAME')
    return tf.repeat(tf.repeat(x, 2 ** (found - level), 1), 2 ** (found - level), 2)
