"""A folder that appears under its name when it is whole, or not at all."""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterator

from official_rethink.common import errors

_SUFFIX = '.tmp'


def check_room(folder: str, overwrite: bool, mark: str) -> None:
    """Refuses a folder that is in the way.

    Args:
        folder: the one to be written.
        overwrite: whether an older one of the same kind may be replaced.
        mark: the file by which the older one is known; a folder of anything else is never replaced.

    Raises:
        UserError: it is there and may not be replaced, or is no local path.
    """
    if '://' in folder:
        raise errors.bad_value(
            'export_dir', folder, 'a folder of this machine; copy it from there', where='--export_dir'
        )
    if not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder)):
        return
    if not os.path.exists(os.path.join(folder, mark)):
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
def staged(folder: str) -> Iterator[str]:
    """Gives a hidden neighbour of `folder` to write to, and renames it to `folder` when the block ends well.

    What was at `folder` is replaced. A killed process leaves the hidden neighbour; the next one removes it.
    """
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
