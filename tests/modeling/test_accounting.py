"""Tests of counts, each derived by hand."""

import pytest
import tensorflow as tf

from official_rethink.modeling import accounting


def _count(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return accounting.multiply_adds(tf.function(function).get_concrete_function(*specs).graph)


def test_convolution():
    # 8 x 8 x 5 outputs, each of 3 x 3 x 4 products.
    def convolve(images, kernel):
        return tf.nn.conv2d(images, kernel, 1, 'SAME')

    assert _count(convolve, [1, 8, 8, 4], [3, 3, 4, 5]) == 8 * 8 * 5 * 3 * 3 * 4


def test_strided_and_grouped_convolution():
    # Two groups: each output sees 2 of 4 channels; stride 2 leaves 4 x 4 places.
    def convolve(images, kernel):
        return tf.nn.conv2d(images, kernel, 2, 'SAME')

    assert _count(convolve, [1, 8, 8, 4], [3, 3, 2, 6]) == 4 * 4 * 6 * 3 * 3 * 2


def test_depthwise_convolution():
    def convolve(images, kernel):
        return tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], 'SAME')

    assert _count(convolve, [1, 8, 8, 4], [3, 3, 4, 2]) == 8 * 8 * (4 * 2) * 3 * 3


def test_transposed_convolution():
    # Each of the 4 x 4 x 3 inputs is spread over 2 x 2 places and 5 channels.
    def convolve(images, kernel):
        return tf.nn.conv2d_transpose(images, kernel, [1, 8, 8, 5], 2)

    assert _count(convolve, [1, 4, 4, 3], [2, 2, 5, 3]) == 4 * 4 * 3 * 2 * 2 * 5


@pytest.mark.parametrize('transposed', [False, True])
def test_matrix_products(transposed):
    left = [7, 3] if transposed else [3, 7]

    def product(a, b):
        return tf.matmul(a, b, transpose_a=transposed)

    assert _count(product, left, [7, 5]) == 3 * 7 * 5
    assert _count(product, [2, *left], [2, 7, 5]) == 2 * 3 * 7 * 5


def test_einsum():
    assert _count(lambda a, b: tf.einsum('bhk,khd->bd', a, b), [2, 3, 4], [4, 3, 5]) == 2 * 3 * 4 * 5


def test_called_functions_count_and_elementwise_work_does_not():
    @tf.function(autograph=False)
    def inner(a, b):
        return tf.nn.relu(tf.matmul(a, b)) + 1.0

    assert _count(lambda a, b: inner(a, b) * 2.0, [3, 7], [7, 5]) == 3 * 7 * 5


def test_a_batch_of_unknown_size_is_one_image():
    assert _count(lambda a, b: tf.matmul(a, b), [None, 7], [7, 5]) == 7 * 5


def test_unknown_shape_is_an_error():
    with pytest.raises(ValueError, match='fixed image size'):
        _count(lambda a, b: tf.matmul(a, b), [3, 7], [7, None])


def test_count_of_a_model():
    # Convolution 3 * 3 * 3 * 4 + 4, normalisation 4 + 4 trainable and 4 + 4 running.
    model = tf.keras.Sequential(
        [tf.keras.layers.Conv2D(4, 3, padding='same'), tf.keras.layers.BatchNormalization()]
    )
    cost = accounting.count(model, [8, 8, 3])
    assert cost == accounting.Cost(parameters=112 + 8, parameters_total=112 + 16, flops=8 * 8 * 4 * 27)
