"""Imports point down the layers that the design names, and never in a circle."""

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import source_tree

# Lowest first. A longer name wins over the package it lies in.
LAYERS = (
    ('official_rethink.common', 'official_rethink'),
    ('official_rethink.augment', 'official_rethink.data', 'official_rethink.configs'),
    (
        'official_rethink.dataloaders',
        'official_rethink.modeling',
        'official_rethink.losses',
        'official_rethink.evaluation',
        'official_rethink.pseudo_labels',
    ),
    ('official_rethink.tasks',),
    ('official_rethink.registry_imports',),
    ('official_rethink.serving',),
    ('official_rethink.study',),
    (
        'official_rethink.describe',
        'official_rethink.import_checkpoint',
        'official_rethink.linear_evaluation',
        'official_rethink.prepare',
        'official_rethink.pseudo_label',
        'official_rethink.train',
        'official_rethink.study.__main__',
        'export',
    ),
    ('benchmarks', 'tools'),
    ('tests',),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def rank(module: str) -> int | None:
    """The layer a module is in, or None if the table has no place for it."""
    if module.count('.') == 1 and module.startswith('official_rethink.'):
        return RANKS.get(module)
    name = module
    while name:
        if name in RANKS:
            return RANKS[name]
        name = name.rpartition('.')[0]
    return None


def graph(root: str) -> dict[str, list[str]]:
    known = source_tree.modules(root)
    return {module: source_tree.imports(module, path, known, root) for module, path in known.items()}


def upward(edges: Mapping[str, list[str]]) -> list[str]:
    """The imports that point up, as 'who -> whom'; modules without a place count too."""
    found = [f'{module} is in no layer' for module in edges if rank(module) is None]
    for module, imported in edges.items():
        for target in imported:
            own, other = rank(module), rank(target)
            if own is not None and other is not None and other > own:
                found.append(f'{module} -> {target}')
    return found


def circle(edges: Mapping[str, list[str]]) -> list[str]:
    """The first circle of imports found, as the modules on it; [] if there is none."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for target in edges[module]:
            if found := visit(target, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in edges if (found := visit(module, []))), [])


def test_imports_point_down() -> None:
    assert upward(graph(source_tree.ROOT)) == []


def test_no_circle() -> None:
    assert circle(graph(source_tree.ROOT)) == []


def tree(folder: Path, sources: Mapping[str, str]) -> dict[str, list[str]]:
    for path, source in sources.items():
        os.makedirs((folder / path).parent, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(source))
    return graph(str(folder))


@pytest.mark.parametrize(
    'line',
    [
        'from official_rethink.tasks import detection',
        'import official_rethink.tasks.detection as below',
        'from ..tasks import detection',
        'from ..tasks.detection import Task',
        'def late():\n    from official_rethink.tasks import detection',
    ],
)
def test_an_upward_import_is_named(tmp_path: Path, line: str) -> None:
    edges = tree(
        tmp_path,
        {
            'official_rethink/__init__.py': '',
            'official_rethink/tasks/__init__.py': '',
            'official_rethink/tasks/detection.py': '',
            'official_rethink/losses/__init__.py': '',
            'official_rethink/losses/focal.py': line,
        },
    )
    assert upward(edges) == ['official_rethink.losses.focal -> official_rethink.tasks.detection']


def test_a_module_without_a_layer_is_named(tmp_path: Path) -> None:
    edges = tree(tmp_path, {'official_rethink/__init__.py': '', 'official_rethink/extra.py': ''})
    assert upward(edges) == ['official_rethink.extra is in no layer']


def test_a_circle_is_named(tmp_path: Path) -> None:
    edges = tree(
        tmp_path,
        {
            'export/__init__.py': '',
            'export/one.py': 'from export import two',
            'export/two.py': 'import export.three',
            'export/three.py': 'def late():\n    from export.one import thing',
        },
    )
    assert circle(edges) == ['export.one', 'export.two', 'export.three', 'export.one']
