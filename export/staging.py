"""A folder that appears under its name when it is whole, or not at all."""

import contextlib
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator

from official_rethink.common import errors, files

MARK = 'export.json'  # written last, by which an export is known
_SUFFIX = '.tmp'


def check_room(folder: str, overwrite: bool, mark: str) -> None:
    """Refuses a folder that is in the way.

    Args:
        folder: the one to be written.
        overwrite: whether an older one of the same kind may be replaced.
        mark: the file by which the older one is known; a folder of anything else is never replaced.

    Raises:
        UserError: it is there and may not be replaced.
    """
    remote = files.is_remote(folder)
    if remote and not files.names(folder) and not files.exists(folder):
        return
    if not remote and (not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder))):
        return
    if not (files.exists if remote else os.path.exists)(os.path.join(folder, mark)):
        raise errors.UserError(
            f"--export_dir '{folder}' is there already and is no export, so it is not replaced; name "
            'another folder.'
        )
    if not overwrite:
        raise errors.UserError(
            f"--export_dir '{folder}' holds an export already; name another folder, or replace it with "
            '--overwrite.'
        )


@contextlib.contextmanager
def staged(folder: str, mark: str = MARK) -> Iterator[str]:
    """Gives a hidden neighbour of `folder` to write to, and renames it to `folder` when the block ends well.

    What was at `folder` is replaced. A killed process leaves the hidden neighbour; the next one removes it. An object
    store renames no folder: what goes there is written on this machine and copied, `mark` last of all; an older
    export's is removed first, so that a folder with it is always whole.
    """
    if files.is_remote(folder):
        with tempfile.TemporaryDirectory(prefix='export-') as temporary:
            yield temporary
            _replace_remote(temporary, folder, mark)
        return
    folder = os.path.abspath(folder)
    parent, name = os.path.split(folder)
    os.makedirs(parent, exist_ok=True)
    prefix = f'.{name}.{socket.gethostname()}-'
    _remove_left_over(parent, prefix)
    temporary = os.path.join(parent, f'{prefix}{os.getpid()}{_SUFFIX}')
    shutil.rmtree(temporary, ignore_errors=True)
    os.mkdir(temporary)
    try:
        yield temporary
        _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_remote(temporary: str, folder: str, mark: str) -> None:
    import tensorflow as tf

    if tf.io.gfile.exists(f'{folder}/{mark}'):
        tf.io.gfile.remove(f'{folder}/{mark}')
        tf.io.gfile.rmtree(folder)
    files.upload(temporary, folder, last=mark)


def _swap(temporary: str, folder: str) -> None:
    old = ''
    if os.path.isdir(folder):
        old = f'{temporary.removesuffix(_SUFFIX)}-{uuid.uuid4().hex[:8]}{_SUFFIX}'
        os.rename(folder, old)
    os.rename(temporary, folder)
    if old:
        shutil.rmtree(old)


def _remove_left_over(parent: str, prefix: str) -> None:
    """Removes what processes of this machine left that live no more."""
    for name in os.listdir(parent):
        if name.startswith(prefix) and name.endswith(_SUFFIX):
            number = name.removeprefix(prefix).removesuffix(_SUFFIX).split('-')[0]
            if number.isdigit() and not os.path.exists(f'/proc/{number}') and os.path.isdir('/proc'):
                shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
