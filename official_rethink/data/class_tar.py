"""Images out of tar files, one after the other, with nothing ever extracted to disk.

ImageNet's official training file is a tar of one tar a class; other sets are one tar with a folder a class.
Both are read as a stream, from local disk or any file system that TensorFlow reads.
"""

import contextlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Literal, NamedTuple

from official_rethink.common import errors, files
from official_rethink.data import problems

SUFFIXES = ('.tar', '.tar.gz', '.tgz')
_MAX_IMAGE = 256 << 20  # no photograph is larger; a header that claims more would fill the memory
_MAX_DEPTH = 1  # a tar in the tar, as in ImageNet's; no deeper
# How tarfile opens: forward only, compressed or not, as members of a tar within a tar need; or with seeking.
_STREAM: Literal['r|*'] = 'r|*'
_PLACES: Literal['r:'] = 'r:'


class Member(NamedTuple):
    """A file in a tar.

    Attributes:
        name: path within the tar, a class's own tar as its folder.
        data: its content; None where it is not read but found.
        problem: what is wrong with it.
        place: where its content begins in the tar, and how many bytes it has; None where it is read.
    """

    name: str
    data: bytes | None
    problem: problems.Problem | None = None
    place: tuple[int, int] | None = None


def is_tar(path: str) -> bool:
    """Whether a path is named like a tar."""
    return path.lower().endswith(SUFFIXES)


def fingerprint(path: str) -> list[Any]:
    """Name, size and time of the file, for a hash of the inputs.

    Raises:
        UserError: there is no such file.
    """
    remote = files.is_remote(path)
    if not (files.exists(path) if remote else os.path.isfile(path)):
        raise errors.UserError(f"there is no file '{path}'.")
    if remote:
        return [path, files.size(path)]
    status = os.stat(path)
    return [os.path.basename(path), status.st_size, status.st_mtime_ns]


def read(path: str) -> Iterator[Member]:
    """Yields the files of a tar, and of the tars in it, in their order.

    Links, devices, absolute names and names that climb out of the tar are never followed or read; each is
    yielded with its problem.

    Raises:
        UserError: it is no tar, or is cut off.
    """
    with files.open_bytes(path) as handle:
        yield from _members(handle, path, _STREAM)


def folders(path: str) -> set[str]:
    """The first folders in a tar, a tar in it counting as one; of an uncompressed tar only the headers are read.

    Raises:
        UserError: it is no tar, or is cut off.
    """
    found = set()
    with files.open_bytes(path) as handle, _told(f"'{path}'"), tarfile.open(fileobj=handle, mode='r:*') as tar:
        for info in tar:
            _forget(tar)
            name = info.name.removeprefix('./')
            if not _refused(info) and ('/' in name or name.lower().endswith('.tar')):
                found.add(name.split('/')[0].removesuffix('.tar'))
    return found


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Turns what is wrong with a tar into a UserError."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise errors.UserError(f'{where} is no whole tar: {error}. Fetch it again.') from error


def _members(
    handle: IO[bytes], path: str, mode: Literal['r|*', 'r:'], folder: str = '', begin: int = 0, depth: int = 0
) -> Iterator[Member]:
    """Yields the files of a tar, and of the tars in it, in their order.

    Args:
        handle: of the tar.
        path: of the outermost.
        mode: `_STREAM` for their contents, `_PLACES` for their places.
        folder: name of this tar in the outermost; '' of that itself.
        begin: where it begins there, in bytes.
        depth: of it.
    """
    where = f"'{folder}' in '{path}'" if folder else f"'{path}'"
    with _told(where), _tar(handle, mode, where) as tar:
        for info in tar:
            _forget(tar)
            if info.isdir():
                continue
            name = info.name.removeprefix('./')
            name = f'{folder}/{name}' if folder else name
            reason = _refused(info)
            if reason:
                yield _unsafe(path, name, reason)
            elif info.name.lower().endswith('.tar') and depth < _MAX_DEPTH:
                inner = tar.extractfile(info)
                assert inner is not None  # a regular file
                within = name.removesuffix('.tar')
                yield from _members(inner, path, mode, within, begin + info.offset_data, depth + 1)
            elif not os.path.basename(info.name).startswith('.'):
                yield _member(tar, info, name, begin, mode)


def _tar(handle: IO[bytes], mode: Literal['r|*', 'r:'], where: str) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=handle, mode=mode)
    except tarfile.ReadError as error:
        if mode == _STREAM:
            raise
        raise errors.UserError(
            f'{where} is no tar whose members can be read alone: {error}. If it is compressed, gunzip it first.'
        ) from error


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, name: str, begin: int, mode: str) -> Member:
    if mode == _PLACES:
        return Member(name, None, place=(begin + info.offset_data, info.size))
    content = tar.extractfile(info)
    assert content is not None  # a regular file
    return Member(name, content.read())


def find(path: str) -> Iterator[Member]:
    """Yields the files that `read` yields, by their places: only headers are read.

    Raises:
        UserError: it is no tar, is cut off, or is compressed, so that nothing has a place in it.
    """
    with files.open_bytes(path) as handle:
        yield from _members(handle, path, _PLACES)


def read_at(path: str, begin: int, size: int) -> bytes:
    """Returns the content that `find` found.

    Raises:
        UserError: the file has become shorter.
    """
    with files.open_bytes(path) as handle:
        handle.seek(begin)
        data = handle.read(size)
    if len(data) < size:
        raise errors.UserError(f"'{path}' ends before byte {begin + size:,}; it has been cut off meanwhile.")
    return data


def _forget(tar: tarfile.TarFile) -> None:
    """Drops the headers that were read; it keeps every one, and there may be millions."""
    tar.members = []  # type: ignore[attr-defined]


def _unsafe(path: str, name: str, reason: str) -> Member:
    return Member(name, b'', problems.Problem('unsafe tar member', path, name, '', reason))


def _refused(info: tarfile.TarInfo) -> str:
    """Why a member is not read; '' if it may be."""
    if info.isdir():
        return ''
    if info.issym() or info.islnk():
        return f"is a link to '{info.linkname}'; links are not followed."
    if not info.isfile():
        return 'is neither a file nor a folder.'
    if info.name.startswith(('/', '\\')) or '..' in info.name.replace('\\', '/').split('/'):
        return 'has a name that climbs out of the tar.'
    if info.size > _MAX_IMAGE and not info.name.lower().endswith('.tar'):
        return f'claims {info.size:,} bytes; allowed for an image: {_MAX_IMAGE:,}.'
    return ''
