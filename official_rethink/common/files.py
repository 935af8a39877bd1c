"""Files that are either whole or not there: atomic writes, hashes, JSON."""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from typing import IO, Any

from official_rethink.common import errors

_BLOCK = 1 << 20


def _gfile() -> Any:
    # TensorFlow takes seconds to import, and `--help` needs none of it.
    from tensorflow import io  # noqa: PLC0415

    return io.gfile


# Questions about this machine's own files bring no TensorFlow: processes that read images ask them by the dozen.


def exists(path: str) -> bool:
    """Whether a file or folder is there; remote paths included."""
    return bool(_gfile().exists(path)) if is_remote(path) else os.path.exists(path)


def is_folder(path: str) -> bool:
    """Whether a folder is there; remote paths included."""
    return bool(_gfile().isdir(path)) if is_remote(path) else os.path.isdir(path)


def is_file(path: str) -> bool:
    """Whether a file, not a folder, is there; remote paths included."""
    return bool(path) and exists(path) and not is_folder(path)


def glob(pattern: str) -> list[str]:
    """Returns the paths that match, sorted; remote paths included."""
    return sorted(_gfile().glob(pattern))


def names(folder: str) -> list[str]:
    """Returns the names of what lies in a folder, sorted; none if it is not there; remote folders included."""
    if not is_folder(folder):
        return []
    # An object store marks the folders among them.
    return sorted(name.rstrip('/') for name in (_gfile() if is_remote(folder) else os).listdir(folder))


def size(path: str) -> int:
    """Returns a file's length in bytes; remote paths included."""
    return int(_gfile().stat(path).length)


def open_bytes(path: str) -> Any:
    """Opens a file for reading bytes; remote paths included, and they alone bring TensorFlow.

    Raises:
        OSError: this machine's file system says so, such as FileNotFoundError; TensorFlow has errors of its own.
    """
    return _gfile().GFile(path, 'rb') if is_remote(path) else open(path, 'rb')


@contextlib.contextmanager
def atomic_write(path: str, mode: str = 'w') -> Iterator[IO[Any]]:
    """Opens a temporary neighbour of `path` and renames it to `path` when the block ends well.

    Args:
        path: the final name; its folder is made if it is missing.
        mode: 'w' for text, 'wb' for bytes.
    """
    gfile = _gfile()
    folder = os.path.dirname(path)
    if folder:
        gfile.makedirs(folder)
    temporary = f'{path}.{uuid.uuid4().hex[:8]}.tmp'
    try:
        with gfile.GFile(temporary, mode) as handle:
            yield handle
        gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        if gfile.exists(temporary):
            gfile.remove(temporary)
        raise


def write_text(path: str, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with atomic_write(path) as handle:
        handle.write(text)


def write_json(path: str, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + '\n')


def read_json(path: str) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: the file is missing or is not JSON; the text names path, line and column.
    """
    gfile = _gfile()
    if not gfile.exists(path) or gfile.isdir(path):
        raise errors.UserError(f"no file at '{path}'.")
    try:
        with gfile.GFile(path, 'rb') as handle:
            return json.loads(handle.read().decode('utf-8'))
    except json.JSONDecodeError as error:
        raise errors.UserError(
            f"'{path}' is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except UnicodeDecodeError as error:
        raise errors.UserError(f"'{path}' is not UTF-8 text: {error.reason} at byte {error.start}.") from error


def hash_of(value: Any) -> str:
    """Returns the SHA-256, in hex, of a JSON-able value; equal values give equal hashes."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_hash(*paths: str) -> str:
    """Returns the SHA-256, in hex, of the files' bytes in the order given."""
    digest = hashlib.sha256()
    gfile = _gfile()
    for path in paths:
        with gfile.GFile(path, 'rb') as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def is_remote(path: str) -> bool:
    """Whether a path names another file system than this machine's, as gs://bucket/name does."""
    return '://' in path


def upload(folder: str, remote: str, last: str = '') -> None:
    """Copies a folder of this machine to a remote one, so that `last` is there only when the rest is.

    Args:
        folder: with the folders below it.
        remote: where its files go.
        last: name of the file in `folder` that says that the whole is there; '' if there is none.
    """
    gfile = _gfile()
    names = [
        os.path.relpath(os.path.join(base, name), folder) for base, _, listed in os.walk(folder) for name in listed
    ]
    for name in sorted(names, key=lambda name: (name == last, name)):
        target = f'{remote.rstrip("/")}/{name.replace(os.sep, "/")}'
        gfile.makedirs(os.path.dirname(target))
        gfile.copy(os.path.join(folder, name), target, overwrite=True)


def fetch(paths: Iterable[str], remote: str, folder: str) -> None:
    """Copies files below a remote folder to the same places below a folder of this machine."""
    gfile = _gfile()
    for path in paths:
        target = os.path.join(folder, *path.removeprefix(remote.rstrip('/') + '/').split('/'))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        gfile.copy(path, target, overwrite=True)
