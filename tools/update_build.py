"""Writes BUILD from the tree: one target for each module and test, dependencies read from the imports.

`python -m tools.update_build` writes the file, `--check` only says whether it is up to date.
"""

import argparse
import os
import sys
from collections.abc import Mapping

from tools import source_tree

HEADER = """\
# Targets for every module and test, native rules. Written by `make build-file` from the tree; do not edit.
# Packages from the registry are not targets: they come with the interpreter, as `make bazel-test` shows.

package(default_visibility = ["//visibility:public"])

licenses(["notice"])

exports_files(["LICENSE"])

filegroup(
    name = "configs",
    srcs = glob(["configs/**/*.yaml"]),
)
"""
RUNNER = 'tools.pytest_main'
SKIPPED_SUFFIXES = ('.py', '.pyc', '.md', '.sh')


def label(module: str) -> str:
    """Returns a module's target name: `official_rethink.data.coco` is `official_rethink_data_coco`."""
    return module.replace('.', '_')


def is_test(module: str) -> bool:
    """Whether pytest collects the module."""
    return module.rpartition('.')[2].startswith('test_')


def rule(kind: str, **attributes: object) -> str:
    """Formats one rule as buildifier would."""
    lines = [f'{kind}(']
    for name, value in attributes.items():
        if isinstance(value, list):
            quoted = [f'"{item}"' for item in value]
            if len(quoted) == 1:
                lines.append(f'    {name} = [{quoted[0]}],')
            elif quoted:
                lines += [f'    {name} = [', *(f'        {item},' for item in quoted), '    ],']
        elif value is not None:
            text = value if isinstance(value, bool) else f'"{value}"'
            lines.append(f'    {name} = {text},')
    return '\n'.join([*lines, ')']) + '\n'


def dependencies(module: str, known: Mapping[str, str], root: str) -> list[str]:
    """Returns the labels a module needs: what it imports, and the package it lies in."""
    needed = set(source_tree.imports(module, known[module], known, root))
    parent = module.rpartition('.')[0]
    if parent in known:
        needed.add(parent)
    return [f':{label(name)}' for name in sorted(needed - {module})]


def package_data(path: str, root: str) -> list[str]:
    """Returns the files beside a package's `__init__.py` that its modules may read."""
    if not path.endswith('/__init__.py'):
        return []
    folder = os.path.dirname(path)
    names = sorted(os.listdir(os.path.join(root, folder)))
    return [
        f'{folder}/{name}'
        for name in names
        if not name.endswith(SKIPPED_SUFFIXES) and os.path.isfile(os.path.join(root, folder, name))
    ]


def library(module: str, known: Mapping[str, str], root: str) -> str:
    """Returns the rules of a module that is not a test: a library, and a binary if it can be run."""
    path = known[module]
    testonly = True if module.split('.')[0] == 'tests' else None
    text = rule(
        'py_library',
        name=label(module),
        testonly=testonly,
        srcs=[path],
        data=package_data(path, root),
        deps=dependencies(module, known, root),
    )
    if source_tree.is_entry_point(path, root):
        text += '\n' + rule(
            'py_binary',
            name=f'{label(module)}_main',
            testonly=testonly,
            srcs=[path],
            main=path,
            deps=[f':{label(module)}'],
        )
    return text


def test(module: str, known: Mapping[str, str], root: str) -> str:
    """Returns the rule of a test module, run by pytest."""
    path = known[module]
    with open(os.path.join(root, path), encoding='utf-8') as handle:
        source = handle.read()
    data = ['pyproject.toml'] + ([':configs'] if 'configs/' in source or '.yaml' in source else [])
    conftests = [name for name in known if name.rpartition('.')[2] == 'conftest']
    near = [f':{label(name)}' for name in conftests if module.startswith(name.rpartition('.')[0] + '.')]
    return rule(
        'py_test',
        name=label(module),
        size='large' if 'mark.slow' in source else 'medium',
        srcs=[path, known[RUNNER]],
        args=[path],
        data=data,
        main=known[RUNNER],
        # Tests at the top are about the whole tree, which a sandbox does not show.
        tags=['manual'] if module.count('.') == 1 else [],
        deps=sorted({*dependencies(module, known, root), *near, f':{label(RUNNER.rpartition(".")[0])}'}),
    )


def generate(root: str = source_tree.ROOT) -> str:
    """Returns the text that BUILD must have for the tree as it is."""
    known = source_tree.modules(root)
    rules = [(test if is_test(module) else library)(module, known, root) for module in known]
    return '\n'.join([HEADER, *rules])


def main(argv: list[str]) -> int:
    """Writes BUILD, or checks it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='only say whether BUILD is up to date')
    arguments = parser.parse_args(argv)
    path = os.path.join(source_tree.ROOT, 'BUILD')
    wanted = generate()
    found = ''
    if os.path.exists(path):
        with open(path, encoding='utf-8') as handle:
            found = handle.read()
    if found == wanted:
        return 0
    if arguments.check:
        print('BUILD is not what the tree gives; write it with `make build-file`.', file=sys.stderr)
        return 1
    with open(path + '.tmp', 'w', encoding='utf-8') as handle:
        handle.write(wanted)
    os.replace(path + '.tmp', path)
    print(f'BUILD has {wanted.count("name = ")} targets.')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
