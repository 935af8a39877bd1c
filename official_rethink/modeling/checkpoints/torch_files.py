"""PyTorch files, legacy and zip, as names and arrays, without PyTorch and without running what they hold."""

import io
import math
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from official_rethink.common import errors
from official_rethink.modeling.checkpoints import inert_pickle

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# A pickled whole number of ten bytes: how every legacy file begins, in protocol 2.
LEGACY_START = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.'
_WRAPPERS = ('state_dict', 'model', 'model_state_dict')
_MAX_DEPTH = 8
_MAX_PICKLE = 1 << 28
_LENGTH = struct.Struct('<q')


def _flatten(value: Any, path: str, found: dict[str, inert_pickle.Tensor], around: tuple[int, ...]) -> None:
    """Collects tensors by the names of the dictionaries and places of the lists they lie in."""
    if isinstance(value, inert_pickle.Tensor):
        found[path] = value
        return
    if not isinstance(value, dict | list | tuple):
        return
    if id(value) in around or len(around) > _MAX_DEPTH:
        raise errors.UserError(f'its dictionaries are nested more than {_MAX_DEPTH} deep, or contain themselves')
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        _flatten(item, f'{path}/{key}' if path else str(key), found, (*around, id(value)))


def tensors_of(content: Any) -> dict[str, inert_pickle.Tensor]:
    """Returns the tensors in a file's content by name.

    The entries of a state dict that lies under 'state_dict' or the like keep their own names; whatever lies
    beside it, such as an optimizer's state, is named by its path.
    """
    if not isinstance(content, dict):
        raise errors.UserError('it holds no dictionary of tensors')
    found: dict[str, inert_pickle.Tensor] = {}
    for key, value in content.items():
        wrapped = key in _WRAPPERS and isinstance(value, dict)
        _flatten(value, '' if wrapped else str(key), found, (id(content),))
    if not found:
        raise errors.UserError('it holds no tensors')
    return found


def _view(tensor: inert_pickle.Tensor, data: bytes) -> np.ndarray:
    """Gives bytes of a whole storage the tensor's shape; its limits were checked when it was built."""
    dtype = tensor.storage.dtype
    if dtype == 'bfloat16':
        wide = np.frombuffer(data, '<u2').astype(np.uint32) << 16
        flat = wide.view(np.float32)
    else:
        flat = np.frombuffer(data, np.dtype(dtype).newbyteorder('<'))
    strides = [stride * flat.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view)


def _itemsize(dtype: str) -> int:
    return 2 if dtype == 'bfloat16' else np.dtype(dtype).itemsize


class LegacyFile:
    """Four pickles, the storages' keys, then each storage as a count and its numbers."""

    def __init__(self, path: str):
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        with open(path, 'rb') as handle:
            if inert_pickle.load(handle) != _MAGIC_NUMBER or inert_pickle.load(handle) != _PROTOCOL:
                raise errors.UserError("it does not begin with PyTorch's magic number and protocol")
            system = inert_pickle.load(handle)
            if isinstance(system, dict) and system.get('little_endian') is False:
                raise errors.UserError('it was written on a big-endian machine')
            self.tensors = tensors_of(inert_pickle.load(handle))
            keys = inert_pickle.load(handle)
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise errors.UserError('its list of storages is damaged')
            self._find_storages(handle, keys)

    def _find_storages(self, handle: io.BufferedReader, keys: list[str]) -> None:
        storages = {tensor.storage.key: tensor.storage for tensor in self.tensors.values()}
        if lost := sorted(set(storages) - set(keys)):
            raise errors.UserError(f"the storages {', '.join(lost[:5])} that its tensors need are not in it")
        end = os.path.getsize(self._path)
        for key in keys:
            head = handle.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                raise errors.UserError('it is truncated: storages are missing at its end')
            length = _LENGTH.unpack(head)[0]
            storage = storages.get(key)
            if storage is None:
                raise errors.UserError(f"no tensor tells the type of its storage '{key}'")
            if length != storage.length:
                raise errors.UserError(f"its storage '{key}' has {length} numbers where {storage.length} were said")
            size = length * _itemsize(storage.dtype)
            if handle.tell() + size > end:
                raise errors.UserError(f"it is truncated: its storage '{key}' needs {size} bytes")
            self._places[key] = (handle.tell(), size)
            handle.seek(size, os.SEEK_CUR)
        if handle.tell() != end:
            raise errors.UserError(f'{end - handle.tell()} bytes follow its last storage')

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        tensor = self.tensors[name]
        place, size = self._places[tensor.storage.key]
        with open(self._path, 'rb') as handle:
            handle.seek(place)
            return _view(tensor, handle.read(size))


class ZipFile:
    """A zip with `<name>/data.pkl` and one member for each storage."""

    def __init__(self, path: str):
        self._path = path
        with zipfile.ZipFile(path) as archive:
            self._members = {member.filename: member for member in archive.infolist()}
            pickles = [name for name in self._members if is_pickle_member(name)]
            if len(pickles) != 1:
                raise errors.UserError(f"it has {len(pickles)} members 'data.pkl'; allowed: one")
            self._root = pickles[0].removesuffix('data.pkl')
            order = self._members.get(self._root + 'byteorder')
            if order is not None and self._bytes(archive, order.filename, 16).strip() != b'little':
                raise errors.UserError('it was written on a big-endian machine')
            content = self._bytes(archive, pickles[0], _MAX_PICKLE)
        self.tensors = tensors_of(inert_pickle.load(io.BytesIO(content)))
        for tensor in self.tensors.values():
            self._check(tensor.storage)

    def _bytes(self, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
        declared = self._members[name].file_size
        if declared > limit:
            raise errors.UserError(f"its member '{name}' says that it has {declared} bytes; allowed: {limit}")
        with archive.open(name) as handle:
            data = handle.read(limit + 1)
        if len(data) != declared:
            raise errors.UserError(f"its member '{name}' has another size than it says")
        return data

    def _check(self, storage: inert_pickle.Storage) -> None:
        member = self._members.get(f'{self._root}data/{storage.key}')
        if member is None:
            raise errors.UserError(f"the storage '{storage.key}' that its tensors need is not in it")
        size = storage.length * _itemsize(storage.dtype)
        if member.file_size != size:
            raise errors.UserError(f"its storage '{storage.key}' has {member.file_size} bytes where {size} were said")
        # PyTorch stores without compression; a member that unpacks to more than it takes is no such file.
        if member.compress_type != zipfile.ZIP_STORED:
            raise errors.UserError(f"its storage '{storage.key}' is compressed; PyTorch stores them as they are")

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        tensor = self.tensors[name]
        size = tensor.storage.length * _itemsize(tensor.storage.dtype)
        with zipfile.ZipFile(self._path) as archive:
            return _view(tensor, self._bytes(archive, f'{self._root}data/{tensor.storage.key}', size))


def is_pickle_member(name: str) -> bool:
    """Whether a zip's member is the pickle of a PyTorch file."""
    return name.endswith('/data.pkl') and name.count('/') == 1


class TorchSource:
    """A PyTorch file behind the interface of `readers.py`."""

    kind = 'PyTorch'

    def __init__(self, path: str):
        with open(path, 'rb') as handle:
            legacy = handle.read(len(LEGACY_START)) == LEGACY_START
        self._file = LegacyFile(path) if legacy else ZipFile(path)
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: tensor.shape for name, tensor in self._file.tensors.items()
        }
        self.bookkeeping: dict[str, str] = {}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor."""
        return self._file.read(name)
