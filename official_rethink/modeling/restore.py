"""Guarded restore: weights from a checkpoint into named modules, every variable accounted for.

Model Garden's restore loads nothing and says it finished when a module's name is misspelt. Here the
saved and the live object graphs are walked together, so that what matched, what the checkpoint lacks
and what it has too much is known before a single weight is set.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from official_rethink.common import errors, whole_checkpoints

_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH'
_VALUE = 'VARIABLE_VALUE'
_LISTED = 6
# Beside the weights in a training run's checkpoint.
_BOOKKEEPING = ('save_counter/', 'optimizer/', 'window/')


@dataclasses.dataclass
class ModuleReport:
    """Attributes: variable paths that matched; that only the model has; that only the checkpoint has."""

    matched: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    extra: list[str] = dataclasses.field(default_factory=list)


class _Graph:
    """A checkpoint's object graph."""

    def __init__(self, path: str):
        self.reader = tf.train.load_checkpoint(path)
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self.reader.get_tensor(_GRAPH_KEY))
        self._nodes = graph.nodes
        self.shapes = self.reader.get_variable_to_shape_map()

    def children(self, node: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in self._nodes[node].children}

    def key(self, node: int) -> str:
        """The checkpoint key of a node's own value, '' if it has none."""
        for attribute in self._nodes[node].attributes:
            if attribute.name == _VALUE:
                return attribute.checkpoint_key
        return ''


def find_checkpoint(path: str) -> str:
    """Returns the checkpoint prefix that `path` names: a folder's newest whole one, or the prefix itself.

    Raises:
        UserError: there is no such checkpoint, or it cannot be read.
    """
    prefix: str | None = path
    if tf.io.gfile.isdir(path):
        left_out: list[str] = []
        prefix = whole_checkpoints.newest(path, left_out.append)
        if prefix is None:
            raise errors.UserError(f"no checkpoint in the folder '{path}'{'; '.join(['', *left_out]).rstrip('.')}.")
        for text in left_out:
            sys.stderr.write(f'warning: {text}\n')
    assert prefix is not None
    if not tf.io.gfile.exists(prefix + '.index'):
        raise errors.UserError(
            f"no checkpoint at '{path}' (looked for '{prefix}.index'); give a folder with checkpoints or a "
            "prefix such as run/ckpt-1000."
        )
    try:
        reader = tf.train.load_checkpoint(prefix)
        if not reader.has_tensor(_GRAPH_KEY):
            raise errors.UserError(
                f"'{prefix}' is a TF1 checkpoint, without an object graph; only TF2 checkpoints can be restored here."
            )
    except (tf.errors.OpError, ValueError) as error:
        if isinstance(error, errors.UserError):
            raise
        raise errors.UserError(f"'{prefix}' is not a readable checkpoint: {str(error).splitlines()[0]}") from error
    return prefix


def values_hash(path: str) -> str:
    """Returns the SHA-256 of a checkpoint's weights, by name.

    Two runs that went the same way have the same, though one was killed and resumed: how often it had been
    saved, and in which order its object graph was written, do not count; nor does the optimizer, of which a
    checkpoint made right after a restore holds less.
    """
    reader = tf.train.load_checkpoint(find_checkpoint(path))
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if name != _GRAPH_KEY and not name.startswith(_BOOKKEEPING):
            value = np.asarray(reader.get_tensor(name))
            content = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
            digest.update(f'{name} {value.dtype} {value.shape} '.encode() + content)
    return digest.hexdigest()


def _saved_paths(graph: _Graph, node: int, path: str, seen: dict[int, str]) -> None:
    """Collects node -> path of every value under `node`."""
    stack = [(node, path)]
    visited = set()
    while stack:
        current, current_path = stack.pop()
        if current in visited:
            continue
        visited.add(current)
        if graph.key(current):
            seen.setdefault(current, current_path)
        stack += [(child, f'{current_path}/{name}') for name, child in graph.children(current).items()]


class _Walk:
    """Walks one live module beside its saved counterpart."""

    def __init__(self, graph: _Graph):
        self.graph = graph
        self.report = ModuleReport()
        self.pairs: list[tuple[tf.Variable, str]] = []
        self.mismatched: list[str] = []
        self._used: set[int] = set()
        self._visited: set[int] = set()

    def visit(self, module: Any, node: int | None, path: str) -> None:
        """Pairs every variable under `module` with a saved value under `node`."""
        queue: list[tuple[Any, int | None, str]] = [(module, node, path)]
        while queue:
            live, saved, name = queue.pop(0)
            if id(live) in self._visited:
                continue
            self._visited.add(id(live))
            if isinstance(live, tf.Variable):
                self._pair(live, saved, name)
                continue
            saved_children = self.graph.children(saved) if saved is not None else {}
            children = tf.train.TrackableView.children(live)
            # A layer is listed under several names; those the checkpoint knows come first.
            for child_name in sorted(children, key=lambda item: item not in saved_children):
                queue.append(
                    (children[child_name], saved_children.get(child_name), f'{name}/{child_name}')
                )
            queue.sort(key=lambda item: item[1] is None)

    def _pair(self, variable: tf.Variable, saved: int | None, name: str) -> None:
        key = self.graph.key(saved) if saved is not None else ''
        if not key:
            self.report.missing.append(name)
            return
        self._used.add(saved)  # type: ignore[arg-type]
        shape = self.graph.shapes[key]
        if list(shape) != variable.shape.as_list():
            self.mismatched.append(f'{name}: checkpoint {list(shape)}, model {variable.shape.as_list()}')
            return
        self.report.matched.append(name)
        self.pairs.append((variable, key))

    def finish(self, node: int, path: str) -> None:
        """Notes the saved values that no live variable took."""
        saved: dict[int, str] = {}
        _saved_paths(self.graph, node, path, saved)
        self.report.extra = sorted(name for key, name in saved.items() if key not in self._used)


def saved_modules(path: str) -> list[str]:
    """Names of the modules a checkpoint (folder or prefix) holds."""
    return sorted(_Graph(find_checkpoint(path)).children(0))


def module_names(modules: str | Sequence[str], allowed: Sequence[str]) -> list[str]:
    """Resolves `init_checkpoint_modules` to module names.

    Args:
        modules: 'all', one name, or a list of names; ['all'] means 'all'.
        allowed: the model's modules.

    Raises:
        UserError: an empty list, or a name the model does not have.
    """
    names = [modules] if isinstance(modules, str) else list(modules)
    if names == ['all']:
        return list(allowed)
    if not names:
        raise errors.UserError(
            "task.init_checkpoint_modules is empty, so nothing would be restored; use 'all' or name modules of: "
            + ', '.join(allowed)
        )
    for name in names:
        if name not in allowed:
            raise errors.unknown_name('module in task.init_checkpoint_modules', name, ['all', *allowed])
    return names


def _listed(names: Sequence[str]) -> str:
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return ', '.join(names[:_LISTED]) + more


def restore(
    items: Mapping[str, Any], path: str, modules: str | Sequence[str] = 'all'
) -> dict[str, ModuleReport]:
    """Restores whole modules, or none.

    Args:
        items: module name to live module, as `model.checkpoint_items` gives them.
        path: a checkpoint folder or prefix that holds modules of the same names.
        modules: which of them; see `module_names`.

    Returns:
        What matched, was missing and was extra, per module.

    Raises:
        UserError: an unknown module, a module the checkpoint lacks, a variable missing there or of
            another shape. No weight has been set then.
    """
    names = module_names(modules, list(items))
    prefix = find_checkpoint(path)
    graph = _Graph(prefix)
    saved_modules = graph.children(0)
    reports, pairs, problems = {}, [], []
    for name in names:
        if name not in saved_modules:
            problems.append(
                f"it has no module '{name}' (it has: {', '.join(sorted(saved_modules))})"
            )
            continue
        walk = _Walk(graph)
        walk.visit(items[name], saved_modules[name], name)
        walk.finish(saved_modules[name], name)
        reports[name] = walk.report
        pairs += walk.pairs
        if walk.mismatched:
            problems.append(
                f"{len(walk.mismatched)} shapes differ: {_listed(walk.mismatched)}; leave '{name}' out of "
                'task.init_checkpoint_modules, or make the model equal'
            )
        if walk.report.missing:
            problems.append(
                f"{len(walk.report.missing)} of the model's variables are not in it: {_listed(walk.report.missing)}"
            )
        if not walk.report.matched:
            problems.append(f"nothing of '{name}' matched")
    if problems:
        raise errors.UserError(f"checkpoint '{prefix}' does not fit the model: " + '; '.join(problems) + '.')
    for variable, key in pairs:
        variable.assign(tf.cast(graph.reader.get_tensor(key), variable.dtype))
    return reports


def describe(reports: Mapping[str, ModuleReport]) -> str:
    """One line a module: matched, missing, extra."""
    return '\n'.join(
        f'{name}: {len(report.matched)} matched, {len(report.missing)} missing, {len(report.extra)} extra'
        for name, report in reports.items()
    )
