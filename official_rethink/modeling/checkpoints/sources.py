"""Opens a published checkpoint, whatever kind of file it is, as names, shapes and arrays read one at a time."""

import contextlib
import dataclasses
import glob
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from official_rethink.common import errors, files
from official_rethink.modeling.checkpoints import archives, readers, torch_files

MOVING_AVERAGE = ('auto', 'yes', 'no')
_AVERAGE = '/ExponentialMovingAverage'
_HDF5_START = b'\x89HDF\r\n\x1a\n'


@dataclasses.dataclass
class Opened:
    """A source with where it came from.

    Attributes:
        source: names, shapes, arrays.
        path: as the user gave it.
        sha256: of the file or files that were read.
    """

    source: readers.Source
    path: str
    sha256: str


class Averaged:
    """A TF1 source whose moving averages stand in for the raw values, or are hidden behind them."""

    def __init__(self, source: readers.Source, use_averages: bool):
        self.kind = source.kind
        self.bookkeeping = dict(source.bookkeeping)
        self._source = source
        averages = {name.removesuffix(_AVERAGE): name for name in source.shapes if name.endswith(_AVERAGE)}
        self._names = {name: name for name in source.shapes if not name.endswith(_AVERAGE)}
        for raw, average in averages.items():
            if use_averages or raw not in self._names:
                if raw in self._names:
                    self.bookkeeping[raw + ' (raw)'] = 'the moving average was taken (--moving_average)'
                self._names[raw] = average
            else:
                self.bookkeeping[average] = 'the raw value was taken (--moving_average=no)'
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: source.shapes[key] for name, key in self._names.items()
        }

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        return self._source.read(self._names[name])


def _averaged(source: readers.Source, moving_average: str) -> readers.Source:
    if moving_average not in MOVING_AVERAGE:
        raise errors.unknown_name('value of --moving_average', moving_average, MOVING_AVERAGE)
    has = any(name.endswith(_AVERAGE) for name in source.shapes)
    if moving_average == 'yes' and not has:
        raise errors.bad_value(
            '--moving_average', 'yes', f"auto or no; this {source.kind} checkpoint holds no '*{_AVERAGE}'"
        )
    return Averaged(source, moving_average != 'no') if has else source


def _prefix_in(folder: str) -> str:
    """Returns the one TensorFlow checkpoint in a folder (its newest, if the folder says so) or in a SavedModel."""
    if latest := tf.train.latest_checkpoint(folder):
        return latest
    for place in (folder, os.path.join(folder, 'variables')):
        found = sorted(glob.glob(os.path.join(glob.escape(place), '*.index')))
        if len(found) == 1:
            return found[0].removesuffix('.index')
        if found:
            names = ', '.join(os.path.basename(name).removesuffix('.index') for name in found)
            raise errors.UserError(f"the folder '{place}' holds {len(found)} checkpoints; name one of: {names}")
    raise errors.UserError(f"no checkpoint in the folder '{folder}' (looked for *.index, also in variables/).")


def _tensorflow(prefix: str) -> tuple[readers.Source, str]:
    parts = sorted(glob.glob(glob.escape(prefix) + '.data-*-of-*'))
    if not parts:
        raise errors.UserError(f"'{prefix}.index' has no '{prefix}.data-00000-of-00001' beside it.")
    try:
        source = readers.TensorFlowSource(prefix)
    except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, errors.UserError):
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise errors.UserError(f"'{prefix}' is not a readable TensorFlow checkpoint: {first}") from error
    return source, files.file_hash(prefix + '.index', *parts)


def _single_file(path: str, start: bytes) -> readers.Source | None:
    """Reads a file that holds a whole checkpoint; None if it is none."""
    try:
        if start.startswith(_HDF5_START):
            return readers.Hdf5Source(path)
        if start.startswith(torch_files.LEGACY_START):
            return torch_files.TorchSource(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(torch_files.is_pickle_member(name) for name in archive.namelist()):
                    return torch_files.TorchSource(path)
    except errors.UserError as error:
        raise errors.UserError(f"'{path}' cannot be read: {str(error).rstrip('.')}.") from error
    except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError) as error:
        raise errors.UserError(f"'{path}' is damaged: {error}.") from error
    return None


def _is_archive(path: str) -> bool:
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (OSError, EOFError, tarfile.TarError):
        return False


def _strip(path: str) -> str:
    """Turns the name of one of a TensorFlow checkpoint's files into its prefix."""
    head, _, tail = os.path.basename(path).rpartition('.')
    if head and (tail == 'index' or tail.startswith('data-')):
        return os.path.join(os.path.dirname(path), head)
    return path


@contextlib.contextmanager
def _located(path: str, member: str) -> Iterator[tuple[readers.Source, str]]:
    if os.path.isdir(path):
        yield _tensorflow(_prefix_in(path))
        return
    prefix = _strip(path)
    if os.path.exists(prefix + '.index'):
        yield _tensorflow(prefix)
        return
    if not os.path.exists(path):
        raise errors.UserError(f"no checkpoint at '{path}' (no such file or folder, and no '{path}.index').")
    with open(path, 'rb') as handle:
        start = handle.read(64)
    source = _single_file(path, start)
    if source is not None:
        yield source, files.file_hash(path)
    elif _is_archive(path):
        with archives.opened(path, member) as inner, _located(inner, '') as (source, _):
            yield source, files.file_hash(path)
    else:
        raise errors.UserError(
            f"'{path}' is not a checkpoint that can be read (it begins with {start[:8]!r}); allowed: a TensorFlow "
            'checkpoint (prefix or folder), HDF5, a PyTorch file, or a tar or zip of one.'
        )


@contextlib.contextmanager
def opened(path: str, moving_average: str = 'auto', member: str = '') -> Iterator[Opened]:
    """Opens a checkpoint for reading.

    Args:
        path: a TensorFlow prefix or folder, an HDF5 or PyTorch file, or an archive with one of these.
        moving_average: 'yes' for the averages of a TF1 checkpoint, 'no' for the raw values, 'auto' for the
            averages where there are any, as the originals evaluate.
        member: which checkpoint of an archive that holds several.

    Raises:
        UserError: nothing there, not a checkpoint, damaged, unsafe.
    """
    if not path:
        raise errors.bad_value('--source', path, 'the path of a checkpoint')
    with _near(path) as near, _located(near, member) as (source, digest):
        yield Opened(_averaged(source, moving_average), path, digest)


@contextlib.contextmanager
def _near(path: str) -> Iterator[str]:
    """Gives the path on this machine: HDF5, zip and memory maps read no other; a remote checkpoint is copied."""
    if not files.is_remote(path):
        yield path
        return
    gfile = tf.io.gfile
    prefix = _strip(path.rstrip('/'))
    if gfile.isdir(path):
        wanted = [f'{place}/*' for place in (prefix, f'{prefix}/variables')]
    else:
        wanted = [f'{prefix}.index', f'{prefix}.data-*'] if gfile.exists(f'{prefix}.index') else [path]
    found = [name for pattern in wanted for name in gfile.glob(pattern) if not gfile.isdir(name)]
    if not found:
        raise errors.UserError(f"no checkpoint at '{path}' (no such file or folder, and no '{path}.index').")
    with tempfile.TemporaryDirectory(prefix='checkpoint-') as folder:
        files.fetch(found, os.path.dirname(prefix), folder)
        near = os.path.join(folder, os.path.basename(prefix if len(wanted) > 1 else path))
        try:
            yield near
        except errors.UserError as error:  # of the copy, whose name tells nobody anything
            raise errors.UserError(str(error).replace(near, path.rstrip('/'))) from error
