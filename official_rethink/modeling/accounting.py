"""Counts parameters and multiply-adds of a model without running it.

Convention of the papers' tables: one FLOP is one multiply-add of a convolution or a matrix product;
normalisation, activation, resizing and non-maximum suppression are not counted. Profilers that count
a multiplication and an addition as two give about twice the number.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import resource_variable_ops

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


@contextlib.contextmanager
def outlines() -> Iterator[None]:
    """Lets networks be built, and traced, for what is counted of them alone.

    Variables get no values, nor the memory for them: initial values of 67 million parameters take a second, those of
    EfficientNet-L2 have 2 GB. All variables share a name, as TensorFlow prepares the operation that makes one for
    each name anew. Batch normalisation and activations, which change no shape and of which nothing counts, are left
    out: they are half of the operations of a network.
    """

    def shaped(next_creator: Any, **arguments: Any) -> tf.Variable:
        if arguments.get('shape') is None:  # only its value says which
            return next_creator(**arguments)
        known = ('trainable', 'shape', 'dtype', 'synchronization', 'aggregation')
        return resource_variable_ops.UninitializedVariable(**{name: arguments.get(name) for name in known})

    with contextlib.ExitStack() as stack:
        stack.enter_context(tf.variable_creator_scope(shaped))
        for layer, call in ((tf.keras.layers.BatchNormalization, _as_it_is), (tf.keras.layers.Activation, _unchanged)):
            owner = next(base for base in layer.__mro__ if 'call' in vars(base))
            stack.callback(setattr, owner, 'call', owner.call)
            owner.call = call
        yield


def _as_it_is(layer: Any, inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
    """Stands in for a batch norm's `call`; Keras reads which arguments there are."""
    del layer, training, mask
    return inputs


def _unchanged(layer: Any, inputs: tf.Tensor) -> tf.Tensor:
    """Stands in for an activation's `call`."""
    del layer
    return inputs


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
    spec = tf.TensorSpec([1, *input_size], tf.float32)
    traced = tf.function(forward, autograph=False).get_concrete_function(spec)
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
