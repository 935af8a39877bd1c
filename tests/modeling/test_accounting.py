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


def _network():
    images = tf.keras.Input([8, 8, 3])
    features = tf.keras.layers.Conv2D(4, 3, padding='same', use_bias=False)(images)
    features = tf.keras.layers.BatchNormalization(synchronized=True)(features)
    features = tf.keras.layers.Activation('swish')(features)
    scores = tf.keras.layers.Dense(5, activation='softmax')(tf.reduce_mean(features, [1, 2]))
    return tf.keras.Model(images, scores)


def test_outlines_cost_what_networks_do():
    images = tf.random.stateless_normal([2, 8, 8, 3], [1, 2])
    whole = _network()
    with accounting.outlines():
        outline = _network()
        counted = accounting.count(outline, [8, 8, 3])
    assert counted == accounting.count(whole, [8, 8, 3])
    assert counted == accounting.Cost(parameters=108 + 8 + 25, parameters_total=108 + 16 + 25, flops=64 * 108 + 20)
    assert [variable.shape for variable in outline.variables] == [variable.shape for variable in whole.variables]
    assert not any(variable.is_initialized() for variable in outline.variables)
    # What is built afterwards has values, is normalised and bends.
    again = _network()
    again.set_weights(whole.get_weights())
    again.variables[2].assign(tf.fill([4], 0.5))  # offsets
    assert abs(again(images) - whole(images)).numpy().max() > 1e-3
    assert tf.keras.layers.Activation('relu')(tf.constant([-1.0])).numpy() == [0.0]


def test_outlines_end_with_an_error():
    with pytest.raises(ZeroDivisionError), accounting.outlines():
        1 / 0  # noqa: B018
    assert tf.keras.layers.Activation('relu')(tf.constant([-1.0])).numpy() == [0.0]
    assert tf.keras.layers.BatchNormalization()(tf.ones([1, 2]), training=True).numpy().tolist() == [[0.0, 0.0]]
