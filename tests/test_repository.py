"""The repository's own files agree with each other and with the tree."""

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import source_tree, update_build

ROOT = Path(source_tree.ROOT)
PIN = re.compile(r'^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\s;\\]+)', re.MULTILINE)
MAX_LINES = 400
EXTRAS = ('beam', 'serving', 'vertex')
OVER = tuple(f'requirements-{name}.lock' for name in (*EXTRAS, 'build', 'cuda'))
LOCKS = ('requirements.lock', 'requirements-dev.lock', 'requirements-tpu.lock', *OVER)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding='utf-8')


def pins(path: str) -> dict[str, str]:
    return {re.sub(r'[-_.]+', '-', name).lower(): version for name, version in PIN.findall(read(path))}


def tracked() -> list[str]:
    """The files under version control; without git (an unpacked archive), those a checkout would have."""
    listing = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        return [path for path in listing.stdout.split('\0') if path and (ROOT / path).is_file()]
    return [*source_tree.modules().values(), 'Makefile', 'pyproject.toml', 'README.md', 'BUILD', *LOCKS]


def test_pip_check() -> None:
    done = subprocess.run([sys.executable, '-m', 'pip', 'check'], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, 'No broken requirements found.\n')


# --- requirements and locks


@pytest.mark.parametrize('name', [path.removesuffix('.lock') for path in LOCKS])
def test_direct_requirements_are_pinned_with_a_reason_and_locked(name: str) -> None:
    locked = pins(f'{name}.lock')
    direct = pins(f'{name}.txt')
    assert direct
    assert {package: locked.get(package) for package in direct} == direct
    reason = ''
    for line in read(f'{name}.txt').splitlines():
        if line.startswith('#'):
            reason = line
        elif not line:
            reason = ''
        else:
            assert PIN.fullmatch(line), f'{name}.txt: {line!r} is not an exact pin'
            assert reason, f'{name}.txt: {line!r} has no reason above it'


def test_locks_agree_with_each_other() -> None:
    """One set of versions: what lies over the first lock moves nothing in it, nor what another one brings."""
    dev = pins('requirements-dev.lock')
    assert pins('requirements.lock').items() <= dev.items()
    for path in OVER:
        over = pins(path)
        assert {name: version for name, version in over.items() if dev.get(name, version) != version} == {}, path
    for extra in EXTRAS:
        assert pins(f'requirements-{extra}.lock').items() <= dev.items(), f'no test of [{extra}] may be skipped'


@pytest.mark.parametrize('extra', EXTRAS)
def test_extras_of_the_package_are_what_is_locked(extra: str) -> None:
    project = tomllib.loads(read('pyproject.toml'))['project']
    assert sorted(project['optional-dependencies']) == sorted(EXTRAS)
    listed = project['optional-dependencies'][extra]
    assert listed == [line for line in read(f'requirements-{extra}.txt').splitlines() if line and line[0] != '#']
    assert f'-c requirements-dev.lock -o requirements-{extra}.lock requirements-{extra}.txt' in read('Makefile')


@pytest.mark.parametrize('path', LOCKS)
def test_locks_name_hashes_and_no_address(path: str) -> None:
    text = read(path)
    entries = [entry for entry in re.split(r'\n(?=[A-Za-z0-9])', text) if PIN.match(entry)]
    assert len(entries) == len(pins(path))
    assert [entry.splitlines()[0] for entry in entries if '--hash=sha256:' not in entry] == []
    assert re.findall(r'\S*(?:://|--index-url|--find-links|--extra-index-url)\S*', text) == []


@pytest.mark.skipif(Path(sys.prefix) != ROOT / '.venv', reason='not in the environment that `make` sets up')
def test_environment_is_what_the_lock_says() -> None:
    listing = subprocess.run(
        [sys.executable, '-m', 'pip', 'list', '--format=freeze', '--disable-pip-version-check'],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {re.sub(r'[-_.]+', '-', name).lower(): version for name, version in PIN.findall(listing.stdout)}
    found.pop('pip')
    assert found == pins('requirements-dev.lock')


# --- files


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(r'(?<![\w.)}])/(?:(?:home|Users|root|work|mnt)/\w+|tmp/\w+/)')
    ours = str(Path(__file__).relative_to(ROOT))
    found = []
    for path in tracked():
        if path.endswith(('.png', '.jpg', '.lock')) or path == ours:
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if match := pattern.search(line):
                found.append(f'{path}:{number}: {match[0]}')
    assert found == []


def test_files_have_one_subject() -> None:
    lengths = {path: len(read(path).splitlines()) for path in source_tree.modules().values()}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_work_left_over() -> None:
    pattern = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError\(\)?\s*$', re.MULTILINE)
    ours = str(Path(__file__).relative_to(ROOT))
    paths = [path for path in source_tree.modules().values() if path != ours]
    assert {path: pattern.findall(read(path)) for path in paths if pattern.search(read(path))} == {}


def test_library_never_names_keras_alone() -> None:
    """`import keras` gives Keras 3 where it is installed, whose objects do not mix with tf.keras."""
    found = []
    for path in source_tree.modules().values():
        for node in ast.walk(source_tree.parse(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ''] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f'{path}: {name}' for name in names if name.split('.')[0] in ('keras', 'tf_keras')]
    assert found == []


def test_each_module_has_its_test_folder() -> None:
    """Tests mirror the package: a room with modules has a folder of the same name, with tests in it."""
    known = source_tree.modules()
    ours = [name.split('.') for name in known if name.startswith('official_rethink.')]
    rooms = {parts[1] for parts in ours if len(parts) == 3}
    tested = {name.split('.')[1] for name in known if name.startswith('tests.') and '.test_' in name}
    assert sorted(rooms - tested) == []


# --- Makefile


def test_help_lists_every_target() -> None:
    phony = ' '.join(re.findall(r'^\.PHONY:(.*)$', read('Makefile'), re.MULTILINE)).split()
    targets = re.findall(r'^([a-z][a-z-]*):', read('Makefile'), re.MULTILINE)
    assert sorted(phony) == sorted(targets)
    done = subprocess.run(['make', '-s', 'help'], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [words[0] for words in lines] == targets
    assert all(len(words) > 2 for words in lines)


def test_missing_python_is_explained(tmp_path: Path) -> None:
    """An interpreter that is not 3.11 is refused, and the message says where to get one."""
    other = tmp_path / 'python'
    other.write_text('#!/bin/sh\necho 3.13\n')
    other.chmod(0o755)
    done = subprocess.run(
        ['sh', 'tools/find_python.sh'],
        cwd=ROOT,
        env={'PYTHON': str(other), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, '')
    for word in ('Python 3.11 is needed', 'apt-get install python3.11', 'brew', 'pyenv', 'PYTHON='):
        assert word in done.stderr


def test_find_python_takes_the_named_one(tmp_path: Path) -> None:
    named = tmp_path / 'my-python'
    named.write_text('#!/bin/sh\ncase "$2" in *version*) echo 3.11;; esac\n')
    named.chmod(0o755)
    done = subprocess.run(
        ['sh', 'tools/find_python.sh'],
        cwd=ROOT,
        env={'PYTHON': str(named), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(named)


# --- BUILD


def rules() -> dict[str, dict[str, Any]]:
    """The targets of BUILD by name, with their attributes; BUILD's rules are Python calls."""
    found = {}
    for node in ast.parse(read('BUILD')).body:
        assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        attributes = {keyword.arg: keyword.value for keyword in node.value.keywords}
        if 'name' in attributes and 'srcs' in attributes and isinstance(attributes['srcs'], ast.List):
            values = {name: ast.literal_eval(value) for name, value in attributes.items() if name}
            found[values['name']] = values | {'kind': ast.unparse(node.value.func)}
    return found


def test_build_is_up_to_date() -> None:
    assert read('BUILD') == update_build.generate(), 'write it with `make build-file`'


def test_build_has_every_module_and_test() -> None:
    kinds = [values for values in rules().values() if values['kind'] != 'py_binary']
    by_source = {values['srcs'][0]: values['kind'] for values in kinds}
    wanted = {
        path: 'py_test' if path.split('/')[-1].startswith('test_') else 'py_library'
        for path in source_tree.modules().values()
    }
    assert by_source == wanted


def test_build_dependencies_exist() -> None:
    names = rules().keys() | {'configs'}
    for name, values in rules().items():
        assert [target for target in values.get('deps', []) if target[1:] not in names] == [], name


def test_build_says_of_whatever_needs_a_test_s_code_that_it_is_for_tests() -> None:
    only = {name for name, values in rules().items() if values.get('testonly') or values['kind'] == 'py_test'}
    needing = {name for name, values in rules().items() if {dep[1:] for dep in values.get('deps', [])} & only}
    assert needing <= only


def test_build_follows_the_tree(tmp_path: Path) -> None:
    """A new module, an import and an entry point each change what BUILD must say."""
    (tmp_path / 'export').mkdir()
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'export' / '__init__.py').write_text('')
    (tmp_path / 'tools' / 'pytest_main.py').write_text('')
    before = update_build.generate(str(tmp_path))
    assert 'export_run' not in before
    source = "from export import below\nif __name__ == '__main__':\n    pass\n"
    (tmp_path / 'export' / 'run.py').write_text(source)
    (tmp_path / 'export' / 'below.py').write_text('')
    after = update_build.generate(str(tmp_path))
    assert 'name = "export_run_main"' in after
    library = after[after.index('name = "export_run",') :]
    assert '":export",\n        ":export_below",' in library[: library.index('py_')]


# --- configs


def unannotated(config: type) -> list[str]:
    """Class attributes of a dataclass that look like fields but are none, so no file can set them."""
    return [
        name
        for name, value in vars(config).items()
        if not name.startswith('_')
        and name not in config.__annotations__
        and not callable(value)
        and not isinstance(value, (property, classmethod, staticmethod))
        and not inspect.isdatadescriptor(value)
    ]


def test_every_config_field_is_annotated() -> None:
    checked = 0
    for module in source_tree.modules(packages=['official_rethink/configs']):
        for name, value in vars(importlib.import_module(module)).items():
            if inspect.isclass(value) and dataclasses.is_dataclass(value) and value.__module__ == module:
                assert unannotated(value) == [], f'{module}.{name}'
                checked += 1
    assert checked > 0


def test_an_unannotated_field_is_found() -> None:
    @dataclasses.dataclass
    class Config:
        steps: int = 1
        trials = 10

        def method(self) -> None: ...

    assert unannotated(Config) == ['trials']
