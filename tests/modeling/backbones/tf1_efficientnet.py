"""EfficientNet from a dictionary of the release's TF1 names, in plain operations: the oracle of the tests.

It shares nothing with the package: blocks are read off the release's own strings, sizes off the arrays.
"""

import math
import re

import numpy as np
import tensorflow as tf

# repeats, kernel, stride, expansion, filters in, filters out, as efficientnet_builder.py writes them.
STRINGS = (
    'r1_k3_s11_e1_i32_o16_se0.25',
    'r2_k3_s22_e6_i16_o24_se0.25',
    'r2_k5_s22_e6_i24_o40_se0.25',
    'r3_k3_s22_e6_i40_o80_se0.25',
    'r3_k5_s11_e6_i80_o112_se0.25',
    'r4_k5_s22_e6_i112_o192_se0.25',
    'r1_k3_s11_e6_i192_o320_se0.25',
)
COEFFICIENTS = {
    'b0': (1.0, 1.0),
    'b1': (1.0, 1.1),
    'b2': (1.1, 1.2),
    'b3': (1.2, 1.4),
    'b4': (1.4, 1.8),
    'b5': (1.6, 2.2),
    'b6': (1.8, 2.6),
    'b7': (2.0, 3.1),
    'b8': (2.2, 3.6),
    'l2': (4.3, 5.3),
    'lite0': (1.0, 1.0),
    'lite1': (1.0, 1.1),
    'lite2': (1.1, 1.2),
    'lite3': (1.2, 1.4),
    'lite4': (1.4, 1.8),
}
EPSILON = 1e-3


def _rounded(filters, width):
    value = filters * width
    result = max(8, int(value + 4) // 8 * 8)
    return result + 8 if result < 0.9 * value else result


def blocks(model):
    """Kernel, stride, expansion, channels in and out of every block."""
    width, depth = COEFFICIENTS[model]
    lite = model.startswith('lite')
    found, channels = [], 32 if lite else _rounded(32, width)
    for number, text in enumerate(STRINGS):
        repeats, kernel, stride, expansion, out = map(
            int, re.fullmatch(r'r(\d)_k(\d)_s(\d)\d_e(\d)_i\d+_o(\d+)_se0\.25', text).groups()
        )
        if not (lite and number in (0, 6)):
            repeats = math.ceil(depth * repeats)
        for repeat in range(repeats):
            found.append((kernel, stride if repeat == 0 else 1, expansion, channels, _rounded(out, width)))
            channels = _rounded(out, width)
    return found


def shapes(model):
    """Every variable of the release's graph with its shape, by name."""
    lite = model.startswith('lite')
    width = COEFFICIENTS[model][0]
    found = {}

    def norm(name, channels):
        found.update({f'{name}/{part}': (channels,) for part in ('gamma', 'beta', 'moving_mean', 'moving_variance')})

    scope = f'efficientnet-{model}'
    stem = 32 if lite else _rounded(32, width)
    found[f'{scope}/stem/conv2d/kernel'] = (3, 3, 3, stem)
    norm(f'{scope}/stem/tpu_batch_normalization', stem)
    for index, (kernel, _, expansion, inner, out) in enumerate(blocks(model)):
        block = f'{scope}/blocks_{index}'
        wide = inner * expansion
        convolutions = [(1, 1, inner, wide)] * (expansion != 1) + [(1, 1, wide, out)]
        for number, shape in enumerate(convolutions):
            found[f'{block}/conv2d{"_1" * number}/kernel'] = shape
        found[f'{block}/depthwise_conv2d/depthwise_kernel'] = (kernel, kernel, wide, 1)
        for number, channels in enumerate([wide] * (expansion != 1) + [wide, out]):
            norm(f'{block}/tpu_batch_normalization' + (f'_{number}' if number else ''), channels)
        if not lite:
            squeezed = max(1, int(inner * 0.25))
            found[f'{block}/se/conv2d/kernel'] = (1, 1, wide, squeezed)
            found[f'{block}/se/conv2d/bias'] = (squeezed,)
            found[f'{block}/se/conv2d_1/kernel'] = (1, 1, squeezed, wide)
            found[f'{block}/se/conv2d_1/bias'] = (wide,)
    head = 1280 if lite else _rounded(1280, width)
    found[f'{scope}/head/conv2d/kernel'] = (1, 1, blocks(model)[-1][-1], head)
    norm(f'{scope}/head/tpu_batch_normalization', head)
    found[f'{scope}/head/dense/kernel'] = (head, 1000)
    found[f'{scope}/head/dense/bias'] = (1000,)
    return found


def trainable(model):
    """Number of trainable parameters, classifier included."""
    return sum(math.prod(shape) for name, shape in shapes(model).items() if '/moving_' not in name)


def random_values(model, seed=0, gain=1.5):
    """Values that keep a signal alive through the whole depth, none of them at its default.

    With a gain of 1.5 L2 is chaotic: a millionth on the input is four fifths at its last level.
    """
    generator = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes(model).items():
        if name.endswith('kernel'):
            fan_in = math.prod(shape[:2]) if 'depthwise' in name else math.prod(shape[:-1])
            values[name] = generator.normal(0, math.sqrt(gain / fan_in), shape)
        elif name.endswith(('gamma', 'moving_variance')):
            values[name] = generator.uniform(0.6, 1.4, shape)
        else:
            values[name] = generator.normal(0, 0.2, shape)
    return {name: value.astype(np.float32) for name, value in values.items()}


def forward(values, model, images):
    """Runs the network on images of the release's own scale.

    Returns:
        What it gives at strides 4, 8, 16, 32, by level, and its logits under 'logits'.
    """
    lite = model.startswith('lite')
    activate = tf.nn.relu6 if lite else lambda x: x * tf.sigmoid(x)

    def norm(x, name):
        gamma, beta, mean, variance = (
            values[f'{name}/{part}'] for part in ('gamma', 'beta', 'moving_mean', 'moving_variance')
        )
        return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta

    def convolved(x, name, stride=1):
        return tf.nn.conv2d(x, values[f'{name}/kernel'], stride, 'SAME')

    scope = f'efficientnet-{model}'
    x = tf.constant(images, tf.float32)
    x = activate(norm(convolved(x, f'{scope}/stem/conv2d', 2), f'{scope}/stem/tpu_batch_normalization'))
    found, rows = {}, blocks(model)
    for index, (_, stride, expansion, inner, out) in enumerate(rows):
        block, y = f'{scope}/blocks_{index}', x
        norms = [f'{block}/tpu_batch_normalization' + (f'_{number}' if number else '') for number in range(3)]
        if expansion != 1:
            y = activate(norm(convolved(y, f'{block}/conv2d'), norms.pop(0)))
        y = tf.nn.depthwise_conv2d(
            y, values[f'{block}/depthwise_conv2d/depthwise_kernel'], [1, stride, stride, 1], 'SAME'
        )
        y = activate(norm(y, norms.pop(0)))
        if not lite:
            gate = tf.reduce_mean(y, [1, 2], keepdims=True)
            gate = activate(convolved(gate, f'{block}/se/conv2d') + values[f'{block}/se/conv2d/bias'])
            gate = convolved(gate, f'{block}/se/conv2d_1') + values[f'{block}/se/conv2d_1/bias']
            y = tf.sigmoid(gate) * y
        y = norm(convolved(y, f'{block}/conv2d' + ('_1' if expansion != 1 else '')), norms.pop(0))
        x = y + x if stride == 1 and inner == out else y
        if index + 1 == len(rows) or rows[index + 1][1] == 2:
            found[str(len(found) + 1)] = x
    del found['1']
    x = activate(norm(convolved(x, f'{scope}/head/conv2d'), f'{scope}/head/tpu_batch_normalization'))
    pooled = tf.reduce_mean(x, [1, 2])
    found['logits'] = tf.matmul(pooled, values[f'{scope}/head/dense/kernel']) + values[f'{scope}/head/dense/bias']
    return {name: value.numpy() for name, value in found.items()}
