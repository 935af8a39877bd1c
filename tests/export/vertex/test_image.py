"""The Dockerfile, so far as it can be judged without an engine, and the locks it and `submit` are installed from."""

import dataclasses
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.vertex import api_types
from tests.export import images
from tools import set_up, source_tree

ROOT = Path(source_tree.ROOT)
SECRET = re.compile(r'password|passwd|secret|token|api_?key|credential|PRIVATE KEY|ya29\.', re.IGNORECASE)


@dataclasses.dataclass
class Instruction:
    name: str
    text: str
    stage: int

    @property
    def sources(self) -> list[str]:
        """What a COPY takes from the tree; nothing if it takes it from another stage."""
        words = self.text.split()
        return [] if any(word.startswith('--from') for word in words) else [w for w in words[:-1] if w[0] != '-']


def instructions() -> list[Instruction]:
    lines = (ROOT / 'Dockerfile').read_text().splitlines()
    joined = '\n'.join(line for line in lines if not line.lstrip().startswith('#')).replace('\\\n', '\0')
    found, stage = [], -1
    for line in joined.splitlines():
        if line.strip():
            name, _, text = line.strip().partition(' ')
            stage += name == 'FROM'
            found.append(Instruction(name, text.strip().replace('\0', '\\\n'), stage))
    return found


def of(name: str) -> list[Instruction]:
    return [one for one in instructions() if one.name == name]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path away from the builder: the last pattern that matches decides."""
    result = False
    for line in (ROOT / '.dockerignore').read_text().splitlines():
        if not line or line.startswith('#'):
            continue
        keeps, pattern = line.startswith('!'), line.lstrip('!')
        parts = path.split('/')
        above = ['/'.join(parts[: count + 1]) for count in range(len(parts))]
        if pattern.startswith('**/'):
            hit = any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
        else:
            hit = any(fnmatch.fnmatchcase(one, pattern) and one.count('/') == pattern.count('/') for one in above)
        result = not keeps if hit else result
    return result


def test_instructions_are_docker_s_and_python_is_3_11() -> None:
    known = {'ARG', 'FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'ENTRYPOINT', 'CMD'}
    assert {one.name for one in instructions()} <= known
    assert len(of('FROM')) == 2
    assert of('ARG')[0].text == 'PYTHON=3.11-slim-bookworm'
    assert all(one.text.startswith('python:${PYTHON}') for one in of('FROM'))
    assert set_up.PYTHONS['run'] == (3, 11)


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    sources = [source for one in of('COPY') for source in one.sources]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    assert not ignored('configs/quick/retinanet.yaml')
    outside = ('.git/config', '.venv/bin/python', 'data/train.tfrecord', 'README.md', 'tests/conftest.py')
    for path in (*outside, 'tools/pretrained.py'):
        assert ignored(path), path
    assert ignored('export/__pycache__/staging.cpython-311.pyc')


def test_every_exception_of_dockerignore_is_copied() -> None:
    kept = [line[1:] for line in (ROOT / '.dockerignore').read_text().splitlines() if line.startswith('!')]
    assert sorted(kept) == sorted(source for one in of('COPY') for source in one.sources)


def test_the_locks_are_installed_with_hashes() -> None:
    [make, cuda] = [one.text for one in of('RUN') if one.stage == 0]
    assert make.startswith('python tools/set_up.py --kind=run')
    copied = [source for one in of('COPY') if one.stage == 0 for source in one.sources]
    assert {set_up.LOCKS['run'], set_up.BUILD_LOCK, 'tools/set_up.py'} <= set(copied)
    assert '--require-hashes' in cuda and '--no-deps' in cuda and '-r requirements-cuda.lock' in cuda


@pytest.mark.parametrize('text', [one.text for one in of('RUN')], ids=lambda text: text.split()[0] + text[-12:])
def test_commands_are_the_shell_s(text: str) -> None:
    done = subprocess.run(['sh', '-n', '-c', text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert subprocess.run(['sh', '-n', '-c', text + ' && ('], capture_output=True, check=False).returncode != 0


def test_it_does_not_run_as_root_and_holds_no_secret() -> None:
    last = instructions()[-3:]
    assert [one.name for one in last] == ['USER', 'ENTRYPOINT', 'CMD']
    assert last[0].text not in ('root', '0')
    assert any('useradd --uid 1000' in one.text for one in of('RUN') if one.stage == 1)
    assert json.loads(last[1].text) == ['python']
    assert SECRET.findall((ROOT / 'Dockerfile').read_text()) == []
    assert not any(one.name == 'ADD' for one in instructions())


def test_what_is_copied_is_enough_to_run(tmp_path: Path) -> None:
    """The last stage's files alone, as its user finds them, answer its own command and those of jobs."""
    for one in of('COPY'):
        for source in one.sources if one.stage == 1 else []:
            target = tmp_path / source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns('__pycache__', '*.tmp'))
            else:
                shutil.copy(ROOT / source, target)
    environment = {'PATH': os.environ['PATH'], 'PYTHONPATH': str(tmp_path), 'HOME': str(tmp_path)}
    default = json.loads(of('CMD')[0].text)
    modules = ['export.vertex.trial', 'official_rethink.pseudo_label', 'official_rethink.study']
    for words in (default, *(['-m', module, '--help'] for module in modules)):
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert 'usage: python -m' in done.stdout
    images.check_bytecode([(one.name, one.text) for one in instructions()], tmp_path)


@pytest.mark.skipif(not shutil.which('hadolint'), reason='`command -v hadolint` finds nothing')
def test_hadolint() -> None:
    done = subprocess.run(['hadolint', 'Dockerfile'], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, '')


# --- locks


def test_the_locks_named_are_the_locks_installed() -> None:
    assert '-r requirements-vertex.lock' in api_types.INSTALL
    assert '-r requirements-cuda.lock' in (ROOT / 'Dockerfile').read_text()
    for path in ('requirements-vertex.lock', 'requirements-cuda.lock'):
        assert (ROOT / path).is_file()
