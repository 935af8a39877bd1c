"""Every module imports, from the tree's wheel, without a word from it or from its dependencies."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tools import source_tree

ROOT = Path(source_tree.ROOT)
CONFIGS = sorted((ROOT / 'configs').rglob('*.yaml'))
NOISE_SETTINGS = ('PYTHONWARNINGS', 'TF_CPP_MIN_LOG_LEVEL', 'TF_USE_LEGACY_KERAS', 'PYTHONPATH')
IMPORT_ALL = """
import importlib, os, sys
target, *names = sys.argv[1:]
sys.path.insert(0, target)
from official_rethink.common import entry_point
entry_point.quieten()
for name in names:
    module = importlib.import_module(name)
    if not os.path.realpath(module.__file__).startswith(os.path.realpath(target) + os.sep):
        sys.exit(f'{name} came from {module.__file__}')
# Where these are imported late, their words would reach the user's screen all the same.
import tensorflow_datasets
from official_rethink.augment import resampling
resampling._general_warp()
"""
IMPORT_ENTRY_POINTS = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    heavy = sorted({'tensorflow', 'official', 'matplotlib', 'cv2'} & set(sys.modules))
    if heavy:
        sys.exit(f'{name} imports {heavy} at once')
"""


def run(script: str, *arguments: str, folder: Path) -> tuple[int, str, str]:
    """Runs a script in a process that knows nothing of this one; returns code, output and error output."""
    environment = {name: value for name, value in os.environ.items() if name not in NOISE_SETTINGS}
    done = subprocess.run(
        [sys.executable, '-c', script, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network from a copy, so that nothing is left behind in the tree."""
    copy, output = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for package in source_tree.SHIPPED:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copytree(ROOT / 'configs', copy / 'configs')
    for name in ('pyproject.toml', 'setup.py', 'requirements.txt', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index', '--no-build-isolation']
    command += ['--wheel-dir', str(output), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = output.glob('*.whl')
    return built


def test_wheel_holds_the_shipped_files_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if '.dist-info/' not in name}
        [metadata_name] = [name for name in archive.namelist() if name.endswith('/METADATA')]
        metadata = archive.read(metadata_name).decode()
    wanted = {
        str(path.relative_to(ROOT))
        for package in source_tree.SHIPPED
        for path in (ROOT / package).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts and path.suffix not in ('.md', '.tmp', '.pyc')
    }
    wanted |= {f'official_rethink/config_files/{path.relative_to(ROOT / "configs")}' for path in CONFIGS}
    assert {name for name in found if not name.endswith('.md')} == wanted
    assert 'Requires-Dist: tensorflow==2.15.1' in metadata
    assert 'License-Expression: Apache-2.0' in metadata


def test_every_module_imports_from_the_wheel_in_silence(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / 'target'
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    names = list(source_tree.modules(packages=source_tree.SHIPPED))
    assert 'official_rethink.common.errors' in names
    assert run(IMPORT_ALL, str(target), *names, folder=tmp_path) == (0, '', '')


def test_the_installed_script_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """It lists the YAML files it brought, names a mistyped command, and draws scenes; from nothing but the wheel."""
    environment, folder = tmp_path / 'environment', tmp_path / 'empty'
    folder.mkdir()
    venv.create(environment, with_pip=False, symlinks=True)
    [site] = environment.glob('lib/python*/site-packages')
    pip = [sys.executable, '-m', 'pip', f'--python={environment / "bin/python"}', '--disable-pip-version-check']
    subprocess.run([*pip, 'install', '--quiet', '--no-deps', '--no-index', str(wheel)], check=True)
    # What the lock holds is borrowed from here; our own code is not on this path.
    (site / 'borrowed.pth').write_text('\n'.join(path for path in sys.path if path.endswith('site-packages')))

    def call(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [str(environment / 'bin/official-rethink'), *words],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in NOISE_SETTINGS},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    code, text, _ = call('configs')
    assert (code, text.splitlines()) == (0, sorted(str(path.relative_to(ROOT / 'configs')) for path in CONFIGS))
    code, _, message = call('trian')
    assert (code, message[: message.index('.')]) == (2, "error: unknown command 'trian' (set in official-rethink)")
    assert not list(folder.iterdir())
    code, text, message = call('prepare', 'scenes', '--output_dir=drawn', '--num_images=3', '--size=64')
    assert (code, message[:25]) == (0, 'writing train: 3/3 images'), message
    assert sorted(path.name for path in folder.glob('drawn/*')) == ['train-00000-of-00001.tfrecord', 'train.json']


def test_noise_and_absence_are_noticed(tmp_path: Path) -> None:
    """The check above fails on a word to the screen, and on a module that the wheel left out."""
    common = tmp_path / 'target' / 'official_rethink' / 'common'
    common.mkdir(parents=True)
    (common.parent / '__init__.py').write_text('')
    for path in (ROOT / 'official_rethink/common').glob('*.py'):  # the start of a command, and what it needs
        shutil.copy(path, common)
    (common / 'loud.py').write_text('import sys\nsys.stderr.write("deprecated")\nsys.exit(3)\n')
    loud = run(IMPORT_ALL, str(tmp_path / 'target'), 'official_rethink.common.loud', folder=tmp_path)
    assert loud == (3, '', 'deprecated')
    code, _, message = run(IMPORT_ALL, str(tmp_path / 'target'), 'official_rethink.train', folder=tmp_path)
    assert code == 1
    assert "No module named 'official_rethink.train'" in message


def test_entry_points_start_without_tensorflow() -> None:
    """`--help` and a mistyped flag must not take the seconds that TensorFlow's import takes."""
    known = source_tree.modules(packages=source_tree.SHIPPED)
    names = [name for name, path in known.items() if source_tree.is_entry_point(path)]
    assert run(IMPORT_ENTRY_POINTS, *names, folder=ROOT) == (0, '', '')
