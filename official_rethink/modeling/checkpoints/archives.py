"""Takes one checkpoint out of a tar or zip (wheels too), into a temporary folder, and refuses what is unsafe.

Every member is judged before any is read: a name that leaves the folder, a link or a device file anywhere in
an archive makes all of it suspect.
"""

import contextlib
import dataclasses
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from official_rethink.common import errors

_BLOCK = 1 << 20
_MAX_MEMBERS = 10_000
# Weights hardly compress: a file that declares far more than it can hold is a bomb.
MAX_RATIO = 50
_SINGLE_FILES = ('.h5', '.hdf5', '.pth', '.pt', '.pth.tar')
_INDEX = '.index'
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, NotImplementedError, RuntimeError),
)


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    size: int


def _refuse(path: str, reason: str) -> errors.UserError:
    return errors.UserError(f"the archive '{path}' is refused: {reason}. Nothing was taken out of it.")


def _check_name(path: str, name: str) -> str:
    """Returns the name with forward slashes, if it stays in its folder."""
    plain = name.replace('\\', '/')
    if plain.startswith('/') or (len(plain) > 1 and plain[1] == ':'):
        raise _refuse(path, f"its member '{name}' has an absolute name")
    if '..' in plain.split('/'):
        raise _refuse(path, f"its member '{name}' leads out of its folder")
    if '\0' in plain:
        raise _refuse(path, f'its member {name!r} has a name with a NUL')
    return plain


class _Budget:
    """Counts members and declared bytes against what the archive's own size allows."""

    def __init__(self, path: str):
        self._path = path
        self._members = 0
        self._left = MAX_RATIO * os.path.getsize(path) + _BLOCK

    def spend(self, name: str, size: int) -> None:
        self._members += 1
        self._left -= size
        if self._members > _MAX_MEMBERS:
            raise _refuse(self._path, f'it has more than {_MAX_MEMBERS} members')
        if size < 0 or self._left < 0:
            raise _refuse(
                self._path,
                f"up to its member '{name}', which says that it has {size} bytes, it declares more than "
                f'{MAX_RATIO} times its own size',
            )


def _tar_members(path: str, archive: tarfile.TarFile) -> list[_Member]:
    budget, found = _Budget(path), []
    for entry in archive:
        name = _check_name(path, entry.name)
        if entry.issym() or entry.islnk():
            raise _refuse(path, f"its member '{entry.name}' is a link to '{entry.linkname}'")
        if not (entry.isreg() or entry.isdir()) or entry.issparse():
            raise _refuse(path, f"its member '{entry.name}' is neither a plain file nor a folder")
        budget.spend(name, entry.size)
        if entry.isreg():
            found.append(_Member(name, entry.size))
    return found


def _zip_members(path: str, archive: zipfile.ZipFile) -> list[_Member]:
    budget, found = _Budget(path), []
    for entry in archive.infolist():
        name = _check_name(path, entry.filename)
        mode = entry.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refuse(path, f"its member '{entry.filename}' is a link or a device")
        budget.spend(name, entry.file_size)
        if not entry.is_dir():
            found.append(_Member(name, entry.file_size))
    return found


def _checkpoints(members: Sequence[_Member]) -> dict[str, list[_Member]]:
    """Groups the members that make up a checkpoint, by its name."""
    found: dict[str, list[_Member]] = {}
    for member in members:
        if member.name.endswith(_SINGLE_FILES):
            found[member.name] = [member]
        elif member.name.endswith(_INDEX):
            prefix = member.name.removesuffix(_INDEX)
            parts = [other for other in members if other.name.startswith(prefix + '.data-')]
            found[prefix] = [member, *parts]
    return found


def _choose(path: str, members: Sequence[_Member], wanted: str) -> tuple[str, list[_Member]]:
    found = _checkpoints(members)
    if not found:
        names = ', '.join(sorted(member.name for member in members)[:6]) or 'nothing'
        raise errors.UserError(
            f"no checkpoint in the archive '{path}' (it holds {names}); looked for *{_INDEX} with its .data files, "
            + ', '.join('*' + ending for ending in _SINGLE_FILES)
        )
    if wanted:
        if wanted not in found:
            raise errors.unknown_name('checkpoint', wanted, found, where=f"--member, of the archive '{path}'")
        return wanted, found[wanted]
    if len(found) > 1:
        names = ', '.join(sorted(found))
        raise errors.UserError(f"the archive '{path}' holds {len(found)} checkpoints; choose with --member: {names}")
    return next(iter(found.items()))


def _copy(source: IO[bytes], target: str, member: _Member) -> None:
    """Copies exactly the declared number of bytes."""
    left = member.size
    with open(target, 'xb') as handle:
        while left:
            block = source.read(min(_BLOCK, left))
            if not block:
                raise EOFError(f"its member '{member.name}' ends {left} bytes early")
            handle.write(block)
            left -= len(block)
        if source.read(1):
            raise EOFError(f"its member '{member.name}' is longer than it says")


def _take_out(path: str, folder: str, members: list[_Member], wanted: str, opener: Callable[[str], IO[bytes]]) -> str:
    name, parts = _choose(path, members, wanted)
    needed = sum(part.size for part in parts)
    if needed > shutil.disk_usage(folder).free:
        raise errors.UserError(f"no space in '{folder}' for the {needed} bytes of '{name}'; set TMPDIR.")
    for part in parts:
        with opener(part.name) as source:
            # Parts share the checkpoint's folder, so their last names are distinct.
            _copy(source, os.path.join(folder, os.path.basename(part.name)), part)
    return os.path.join(folder, os.path.basename(name))


def _tar_opener(archive: tarfile.TarFile) -> Callable[[str], IO[bytes]]:
    def opened(name: str) -> IO[bytes]:
        handle = archive.extractfile(name)
        assert handle is not None, name  # Only plain files were listed.
        return handle

    return opened


def _drain(path: str, archive: tarfile.TarFile) -> None:
    """Reads on to the end, where a compressed tar has its checksum."""
    assert archive.fileobj is not None
    for _ in range(2 + MAX_RATIO * os.path.getsize(path) // _BLOCK):
        if not archive.fileobj.read(_BLOCK):
            return
    raise _refuse(path, f'it unpacks to more than {MAX_RATIO} times its own size')


@contextlib.contextmanager
def opened(path: str, member: str = '') -> Iterator[str]:
    """Gives the path of the one checkpoint in an archive; it is gone when the block ends.

    Args:
        path: a tar (plain, .gz, .bz2, .xz), zip or wheel.
        member: the checkpoint's name in the archive, where it holds several.

    Raises:
        UserError: an unsafe member, a bomb, damage, no checkpoint or more than one.
    """
    with tempfile.TemporaryDirectory(prefix='checkpoint-') as folder:
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as packed:
                    taken = _take_out(path, folder, _zip_members(path, packed), member, packed.open)
            else:
                with tarfile.open(path) as archive:
                    taken = _take_out(path, folder, _tar_members(path, archive), member, _tar_opener(archive))
                    _drain(path, archive)
        except _DAMAGED as error:
            raise errors.UserError(f"the archive '{path}' is damaged: {error}.") from error
        yield taken
