"""Which modules the repository has and which of them each one imports, read from the source."""

import ast
import os
from collections.abc import Iterable, Mapping

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED = ('official_rethink', 'export')
PACKAGES = (*SHIPPED, 'benchmarks', 'tools', 'tests')


def modules(root: str = ROOT, packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Returns the path (relative to `root`) of every module under `packages`, by its dotted name.

    A package's own name stands for its `__init__.py`.
    """
    found = {}
    for package in packages:
        for folder, folders, files in os.walk(os.path.join(root, package)):
            folders[:] = sorted(name for name in folders if not name.startswith(('.', '__pycache__')))
            for name in sorted(files):
                if name.endswith('.py'):
                    path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, '/')
                    found[path[:-3].removesuffix('/__init__').replace('/', '.')] = path
    return dict(sorted(found.items()))


def parse(path: str, root: str = ROOT) -> ast.Module:
    """Returns the syntax tree of a source file."""
    with open(os.path.join(root, path), encoding='utf-8') as handle:
        return ast.parse(handle.read(), path)


def imports(name: str, path: str, known: Mapping[str, str], root: str = ROOT) -> list[str]:
    """Returns the `known` modules that a module imports anywhere, also inside functions."""
    package = name if path.endswith('__init__.py') else name.rpartition('.')[0]
    found: set[str] = set()
    for node in ast.walk(parse(path, root)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split('.')
            base = '.'.join(parts[: len(parts) - node.level + 1]) if node.level else ''
            source = '.'.join(filter(None, [base, node.module or '']))
            for alias in node.names:
                whole = f'{source}.{alias.name}'
                found.add(whole if whole in known else source)
    return sorted((found & set(known)) - {name})


def is_entry_point(path: str, root: str = ROOT) -> bool:
    """Whether a module can be run: it ends with the usual test of `__name__`."""
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in parse(path, root).body
    )
