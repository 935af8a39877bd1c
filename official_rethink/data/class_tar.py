"""Images out of tar files, one after the other, with nothing ever extracted to disk.

ImageNet's official training file is a tar of one tar a class; other sets are one tar with a folder a class.
Both are read as a stream, from local disk or any file system that TensorFlow reads.
"""

import contextlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from official_rethink.common import errors
from official_rethink.data import problems

SUFFIXES = ('.tar', '.tar.gz', '.tgz')
_MAX_IMAGE = 256 << 20  # no photograph is larger; a header that claims more would fill the memory
_MAX_DEPTH = 1  # a tar in the tar, as in ImageNet's; no deeper


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
    if '://' in path:
        import tensorflow as tf

        if not tf.io.gfile.exists(path):
            raise errors.UserError(f"there is no file '{path}'.")
        return [path, tf.io.gfile.stat(path).length]
    if not os.path.isfile(path):
        raise errors.UserError(f"there is no file '{path}'.")
    status = os.stat(path)
    return [os.path.basename(path), status.st_size, status.st_mtime_ns]


def read(path: str) -> Iterator[Member]:
    """Yields the files of a tar, and of the tars in it, in their order.

    Links, devices, absolute names and names that climb out of the tar are never followed or read; each is
    yielded with its problem.

    Raises:
        UserError: it is no tar, or is cut off.
    """
    with _opened(path) as handle:
        yield from _members(handle, path, '', 0)


def folders(path: str) -> set[str]:
    """The first folders in a tar, a tar in it counting as one; of an uncompressed tar only the headers are read.

    Raises:
        UserError: it is no tar, or is cut off.
    """
    found = set()
    with _opened(path) as handle, _told(f"'{path}'"), tarfile.open(fileobj=handle, mode='r:*') as tar:
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


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if '://' not in path:
        with open(path, 'rb') as handle:
            yield handle
        return
    import tensorflow as tf

    with tf.io.gfile.GFile(path, 'rb') as remote:
        yield remote


def _members(handle: IO[bytes], path: str, folder: str, depth: int) -> Iterator[Member]:
    where = f"'{folder}' in '{path}'" if folder else f"'{path}'"
    # 'r|*' reads forward only: members of a tar within cannot be sought back to.
    with _told(where), tarfile.open(fileobj=handle, mode='r|*') as tar:
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
                yield from _members(inner, path, name.removesuffix('.tar'), depth + 1)
            elif not os.path.basename(info.name).startswith('.'):
                content = tar.extractfile(info)
                assert content is not None
                yield Member(name, content.read())


def find(path: str) -> Iterator[Member]:
    """Yields the files that `read` yields, by their places: only headers are read.

    Raises:
        UserError: it is no tar, is cut off, or is compressed, so that nothing has a place in it.
    """
    with _opened(path) as handle:
        yield from _found(handle, path, '', 0, 0)


def _found(handle: IO[bytes], path: str, folder: str, begin: int, depth: int) -> Iterator[Member]:
    where = f"'{folder}' in '{path}'" if folder else f"'{path}'"
    try:
        tar = tarfile.open(fileobj=handle, mode='r:')
    except tarfile.ReadError as error:
        raise errors.UserError(
            f'{where} is no tar whose members can be read alone: {error}. If it is compressed, gunzip it first.'
        ) from error
    with _told(where), tar:
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
                yield from _found(inner, path, name.removesuffix('.tar'), begin + info.offset_data, depth + 1)
            elif not os.path.basename(info.name).startswith('.'):
                yield Member(name, None, place=(begin + info.offset_data, info.size))


def read_at(path: str, begin: int, size: int) -> bytes:
    """Returns the content that `find` found.

    Raises:
        UserError: the file has become shorter.
    """
    with _opened(path) as handle:
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
