"""Counts parameters and multiply-adds of a model without running it.

Convention of the papers' tables: one FLOP is one multiply-add of a convolution or a matrix product;
normalisation, activation, resizing and non-maximum suppression are not counted. Profilers that count
a multiplication and an addition as two give about twice the number.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

_CALLS = ('PartitionedCall', 'StatefulPartitionedCall')
_BRANCHES = ('If', 'StatelessIf')


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        parameters: trainable ones.
        parameters_total: with the running statistics of batch normalisation.
        flops: multiply-adds of one forward pass of one image.
    """

    parameters: int
    parameters_total: int
    flops: int


def count(
    model: tf.keras.Model, input_size: Sequence[int], forward: Callable[[tf.Tensor], Any] | None = None
) -> Cost:
    """Counts a model that takes images and, in training, gives out raw predictions.

    Args:
        model: built or not; tracing builds what is missing, such as a head.
        input_size: height, width, channels.
        forward: the forward pass to count, of one image [1, H, W, C]; None for the model in training mode, in which a
            one-stage detector gives out raw predictions, so anchors and suppression stay out.
    """
    forward = forward or (lambda images: model(images, training=True))
    traced = tf.function(forward).get_concrete_function(tf.TensorSpec([1, *input_size], tf.float32))
    return Cost(
        parameters=_size(model.trainable_variables),
        parameters_total=_size(model.variables),
        flops=multiply_adds(traced.graph),
    )


def _size(variables: Sequence[tf.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def multiply_adds(graph: tf.Graph) -> int:
    """Sums the multiply-adds of a graph's convolutions and matrix products, functions it calls included.

    A batch of unknown size counts as one image.

    Raises:
        ValueError: another side of a shape is not known.
    """
    return _sum(list(_operations(graph)))


def _operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    for operation in graph.get_operations():
        yield operation
        if operation.type in _CALLS:
            yield from _operations(graph._get_function(operation.get_attr('f').name).graph)
        if operation.type in _BRANCHES:  # the dearer one
            branches = (graph._get_function(operation.get_attr(f'{end}_branch').name) for end in ('then', 'else'))
            yield from max((list(_operations(branch.graph)) for branch in branches), key=_sum)


def _sum(operations: Sequence[tf.Operation]) -> int:
    return sum(map(_of_operation, operations))


def _of_operation(operation: tf.Operation) -> int:
    kind = operation.type
    if kind == 'Conv2D':  # kernel [h, w, channels in a group, filters], output [B, H, W, filters]
        return _elements(operation.outputs[0]) * math.prod(_shape(operation.inputs[1])[:3])
    if kind == 'DepthwiseConv2dNative':  # kernel [h, w, channels, multiplier]
        return _elements(operation.outputs[0]) * math.prod(_shape(operation.inputs[1])[:2])
    if kind == 'Conv2DBackpropInput':  # a transposed convolution; kernel [h, w, out, in], input [B, H, W, in]
        return _elements(operation.inputs[2]) * math.prod(_shape(operation.inputs[1])[:3])
    if kind in ('MatMul', 'BatchMatMul', 'BatchMatMulV2'):
        left = _shape(operation.inputs[0])
        transposed = operation.get_attr('transpose_a' if kind == 'MatMul' else 'adj_x')
        return _elements(operation.outputs[0]) * left[-2 if transposed else -1]
    if kind == 'Einsum':
        return _of_einsum(operation)
    return 0


def _of_einsum(operation: tf.Operation) -> int:
    """Each combination of all letters is one multiply-add, if there are two operands."""
    if len(operation.inputs) < 2:
        return 0
    terms = operation.get_attr('equation').decode().split('->')[0].split(',')
    sizes: dict[str, int] = {}
    for letters, operand in zip(terms, operation.inputs, strict=True):
        sizes.update(zip(letters, _shape(operand), strict=True))
    return math.prod(sizes.values())


def _shape(tensor: tf.Tensor) -> list[int]:
    sides = tensor.shape.as_list()
    if sides and sides[0] is None:
        # Keras compiles a convolution in groups as a function of its own, for batches of any size.
        sides[0] = 1
    if None in sides:
        raise ValueError(f'the shape of {tensor.name} is not known: {tensor.shape}; trace with a fixed image size.')
    return sides


def _elements(tensor: tf.Tensor) -> int:
    return math.prod(_shape(tensor))
