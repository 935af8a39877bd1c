"""The kinds of file that published checkpoints are, each as names, shapes and arrays read one at a time.

PyTorch's are read by `torch_files.py`; `sources.py` finds out which kind a path is.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import h5py
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from official_rethink.common import errors
from official_rethink.modeling.checkpoints import archives, layout

_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH'
_MAX_HDF5_DEPTH = 16
# Flat lists that repeat what named objects hold, as a SavedModel keeps them.
_LISTS = ('variables', 'trainable_variables', 'non_trainable_variables', 'trainable_variables_list', 'keras_api')


class Source(Protocol):
    """One checkpoint.

    Attributes:
        kind: what wrote it, for messages.
        shapes: the tensors' shapes by name.
        bookkeeping: names that hold no weights, each with its reason; not in `shapes`.
    """

    kind: str
    shapes: Mapping[str, tuple[int, ...]]
    bookkeeping: dict[str, str]

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""


class TensorFlowSource:
    """A TF1 or TF2 checkpoint; TF2's values are named by their place in the object graph."""

    def __init__(self, prefix: str):
        self._reader = tf.train.load_checkpoint(prefix)
        self.bookkeeping: dict[str, str] = {}
        self._keys = {name: name for name in self._reader.get_variable_to_shape_map()}
        self.kind = 'TensorFlow 1'
        if _GRAPH_KEY in self._keys:
            self.kind = 'TensorFlow 2'
            self._keys = self._named_by_place()
        shapes, types = self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map()
        for name, key in list(self._keys.items()):
            if types[key] == tf.string:
                self.bookkeeping[name] = "the checkpoint's own records, no weights"
                del self._keys[name]
        self.shapes: Mapping[str, tuple[int, ...]] = {name: tuple(shapes[key]) for name, key in self._keys.items()}

    def _named_by_place(self) -> dict[str, str]:
        """Names every value by its place, as `layout.paths` names those of live models."""
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self._reader.get_tensor(_GRAPH_KEY))
        places: dict[str, str] = {}
        for skipped in (_LISTS, ()):
            for node, path in _walk(graph, skipped):
                for attribute in graph.nodes[node].attributes:
                    places.setdefault(attribute.checkpoint_key, path)
        return {places.get(key, key): key for key in self._keys}

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        try:
            return self._reader.get_tensor(self._keys[name])
        except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise errors.UserError(f"'{name}' cannot be read, the checkpoint is damaged: {first}") from error


def _walk(
    graph: trackable_object_graph_pb2.TrackableObjectGraph, skipped: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """Gives every object once, by its shortest path from the root."""
    queue, seen = [(0, '')], {0}
    while queue:
        node, path = queue.pop(0)
        yield node, path
        children = {child.local_name: child.node_id for child in graph.nodes[node].children}
        for name in sorted(children, key=layout.order_of_children):
            child = children[name]
            if name in skipped or child in seen or not 0 <= child < len(graph.nodes):
                continue
            seen.add(child)
            queue.append((child, f'{path}/{name}' if path else name))


class Hdf5Source:
    """A Keras HDF5 file's data sets; links out of the file are not followed."""

    kind = 'HDF5'

    def __init__(self, path: str):
        self._path = path
        self.shapes: Mapping[str, tuple[int, ...]] = {}
        self.bookkeeping: dict[str, str] = {}
        size = os.path.getsize(path)
        found: dict[str, tuple[int, ...]] = {}
        with h5py.File(path, 'r') as handle:
            self._collect(handle, '', found, size, 0)
        self.shapes = found

    def _collect(self, group: h5py.Group, path: str, found: dict[str, tuple[int, ...]], size: int, depth: int) -> None:
        if depth > _MAX_HDF5_DEPTH:
            raise errors.UserError(f'its groups are nested more than {_MAX_HDF5_DEPTH} deep')
        for name in group:
            place = f'{path}/{name}' if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise errors.UserError(f"'{place}' is a link; only data sets in the file itself are read")
            item = group[name]
            if isinstance(item, h5py.Group):
                self._collect(item, place, found, size, depth + 1)
            elif isinstance(item, h5py.Dataset) and item.dtype.kind in 'fiu' and not (
                item.external or item.is_virtual
            ):
                if math.prod(item.shape) * item.dtype.itemsize > max(1 << 20, archives.MAX_RATIO * size):
                    raise errors.UserError(f"'{place}' declares the shape {list(item.shape)}, far over the file's size")
                found[place] = tuple(item.shape)
            else:
                raise errors.UserError(f"'{place}' is neither a group nor numbers in the file itself")

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        try:
            with h5py.File(self._path, 'r') as handle:
                return np.asarray(handle[name])
        except (OSError, RuntimeError) as error:
            raise errors.UserError(f"'{name}' cannot be read, the file is damaged: {error}") from error
