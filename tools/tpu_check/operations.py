"""What a traced step holds: operations that only a host can run, and where in our code each one was written."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Without a tensor of strings these would pass for numbers; all but the last write somewhere or call Python.
_HOST_ONLY = ('PyFunc', 'PyFuncStateless', 'EagerPyFunc', 'NumpyFunction', 'Unique', 'UniqueV2', 'Where')
_HOST_PREFIXES = ('Decode', 'Encode', 'ReadFile', 'WriteFile', 'Print', 'WriteSummary', 'Iterator', 'LookupTable')


class Found(NamedTuple):
    """An operation. Attributes: its type, its name in the graph, 'file:line' of our code, or TensorFlow's."""

    type: str
    name: str
    place: str


def all_operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Every operation of a traced function and of the functions it calls."""
    seen: set[str] = set()
    graphs = [graph]
    while graphs:
        current: Any = graphs.pop()
        yield from current.get_operations()
        for name, function in current._functions.items():
            inner = getattr(function, 'graph', None)
            if name not in seen and inner is not None:
                seen.add(name)
                graphs.append(inner)


def place(operation: tf.Operation) -> str:
    """The innermost line of the project's code that led to an operation; else the innermost one at all."""
    frames = list(operation.traceback or ())
    own = [frame for frame in frames if _is_own(frame.filename)]
    if not frames:
        return 'unknown'
    frame = (own or frames)[-1]
    path = os.path.relpath(frame.filename, ROOT) if own else frame.filename
    return f'{path}:{frame.lineno}'


def _is_own(path: str) -> bool:
    inside = os.path.relpath(path, ROOT)
    return inside.startswith(('official_rethink' + os.sep, 'export' + os.sep))


def host_only(graph: tf.Graph) -> list[Found]:
    """Operations that no TPU runs: on strings, on files, in Python, and those whose result has no static shape."""
    return [
        Found(operation.type, operation.name, place(operation))
        for operation in all_operations(graph)
        if _is_host_only(operation)
    ]


def _is_host_only(operation: tf.Operation) -> bool:
    if operation.type in ('Assert', 'NoOp', 'Placeholder'):
        return False  # XLA leaves assertions out
    if operation.type in _HOST_ONLY or operation.type.startswith(_HOST_PREFIXES):
        return True
    reads_or_gives = [*operation.inputs, *operation.outputs]
    return operation.type != 'Const' and any(tensor.dtype == tf.string for tensor in reads_or_gives)


def places(graph: tf.Graph) -> dict[str, str]:
    """Every operation's name to its place, so that a compiler's message can be read."""
    return {operation.name: place(operation) for operation in all_operations(graph)}
