"""Makes the virtual environment that the Makefile's targets run in, or finds that it is there already.

Standard library only: this runs before anything is installed. The order of events makes it safe to kill:
a stamp is written last and names the lock's hash, so an environment without its stamp is made anew.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMPORTS = 'from official_rethink import registry_imports'
BUILD_LOCK = 'requirements-build.lock'
LOCKS = {
    'run': 'requirements.lock',
    'dev': 'requirements-dev.lock',
    'next': 'requirements-next.lock',
    'tpu': 'requirements-tpu.lock',
}
PYTHONS = {'run': (3, 11), 'dev': (3, 11), 'next': (3, 12), 'tpu': (3, 11)}


def digest(kind: str, environment: str) -> str:
    """Returns what the stamp must hold: the locks' hash, the interpreter, the folder (it cannot be moved)."""
    total = hashlib.sha256()
    for name in (BUILD_LOCK, LOCKS[kind]):
        with open(os.path.join(ROOT, name), 'rb') as handle:
            total.update(handle.read())
    version = '.'.join(map(str, sys.version_info[:3]))
    return f'{total.hexdigest()} python {version} in {os.path.realpath(environment)}\n'


def stamp_path(kind: str, environment: str) -> str:
    """Returns the file whose presence means that the environment is complete."""
    return os.path.join(environment, f'install-stamp-{kind}')


def is_complete(kind: str, environment: str) -> bool:
    """Whether the environment holds exactly what the lock of `kind` says."""
    python = os.path.join(environment, 'bin', 'python')
    try:
        with open(stamp_path(kind, environment), encoding='utf-8') as handle:
            return handle.read() == digest(kind, environment) and os.path.exists(python)
    except FileNotFoundError:
        return False


def write_stamp(kind: str, environment: str) -> None:
    """Marks the environment as complete, in one rename."""
    path = stamp_path(kind, environment)
    with open(path + '.tmp', 'w', encoding='utf-8') as handle:
        handle.write(digest(kind, environment))
    os.replace(path + '.tmp', path)


def locked_names(path: str) -> set[str]:
    """Returns the names of the packages in a lock file, as the registry spells them."""
    with open(path, encoding='utf-8') as handle:
        return set(re.findall(r'^([A-Za-z0-9][\w.-]*)==', handle.read(), re.MULTILINE))


@contextlib.contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Waits until no other process sets up the same tree."""
    with open(path, 'w', encoding='utf-8') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print('Another set-up of this tree is running; waiting for it.', flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def create(environment: str) -> None:
    """Makes an empty environment, whatever was there before."""
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, '-m', 'venv', environment], check=True)


def install(kind: str, environment: str) -> None:
    """Fills the environment from the locks: build tools, everything, build tools away, consistency check."""
    python = os.path.join(environment, 'bin', 'python')
    pip = [python, '-m', 'pip', '--disable-pip-version-check', '--no-input']
    # Without resolution the locks alone decide; without build isolation nothing unpinned is fetched to build.
    from_lock = [*pip, 'install', '-qq', '--require-hashes', '--no-deps', '--no-compile']
    from_lock += ['--use-pep517', '--no-build-isolation']
    build_lock, lock = os.path.join(ROOT, BUILD_LOCK), os.path.join(ROOT, LOCKS[kind])
    subprocess.run([*from_lock, '-r', build_lock], check=True)
    subprocess.run([*from_lock, '-r', lock], check=True)
    leftovers = sorted(locked_names(build_lock) - locked_names(lock))
    if leftovers:
        subprocess.run([*pip, 'uninstall', '-qq', '--yes', *leftovers], check=True)
    subprocess.run([*pip, 'check'], check=True, stdout=subprocess.DEVNULL)
    if kind != 'tpu' and os.path.isdir(os.path.join(ROOT, 'official_rethink')):  # an image gets it later
        # Bytecode of what the commands import: compiling all would take minutes, and where PYTHONDONTWRITEBYTECODE is
        # set, as images and CI do, every process of a study would compile TensorFlow's sources again.
        environ = {**os.environ, 'PYTHONDONTWRITEBYTECODE': '', 'TF_CPP_MIN_LOG_LEVEL': '3'}
        subprocess.run([python, '-W', 'ignore', '-c', IMPORTS], cwd=ROOT, env=environ, check=True)


def set_up(kind: str, environment: str) -> None:
    """Brings the environment to the state that the lock of `kind` describes, unless it is there."""
    started = time.monotonic()
    # The development set holds the run set at equal versions, so it may be laid over a complete one.
    interrupted = os.path.exists(stamp_path('started', environment))
    if interrupted or not (kind == 'dev' and is_complete('run', environment)):
        print(f'Making {os.path.relpath(environment)} (about 2.5 GB, some minutes, once).', flush=True)
        create(environment)
    print(f'Installing {LOCKS[kind]}, exact versions checked by hash.', flush=True)
    started_stamp = stamp_path('started', environment)
    with open(started_stamp, 'w', encoding='utf-8'):
        pass
    install(kind, environment)
    os.remove(started_stamp)
    if kind == 'dev':
        write_stamp('run', environment)
    write_stamp(kind, environment)
    print(f'Set up in {time.monotonic() - started:.0f} s.', flush=True)


def main(argv: list[str]) -> int:
    """Sets up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kind', choices=sorted(LOCKS), default='run', help='run, + test + lint, the next set, libtpu')
    parser.add_argument('--environment', default=os.path.join(ROOT, '.venv'), help='the folder to make')
    arguments = parser.parse_args(argv)
    wanted = PYTHONS[arguments.kind]
    if sys.version_info[:2] != wanted:
        found = f'{sys.version.split()[0]} ({sys.executable})'
        print(f'Python {".".join(map(str, wanted))} is needed, this is {found}.', file=sys.stderr)
        return 2
    environment = os.path.abspath(arguments.environment)
    if is_complete(arguments.kind, environment):
        return 0
    with exclusive(os.path.join(ROOT, '.install-stamp.lock')):
        if is_complete(arguments.kind, environment):
            return 0
        try:
            set_up(arguments.kind, environment)
        except subprocess.CalledProcessError as error:
            command = ' '.join(map(str, error.cmd))
            print(
                f'Set-up stopped: `{command}` ended with {error.returncode}; its message is above. Is the '
                'package registry reachable, and is there space for 2.5 GB? Call again to start anew.',
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
