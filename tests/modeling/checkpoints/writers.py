"""Writes checkpoints in their originals' formats, by other means than the readers under test use."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
STORAGES = {'float32': 'FloatStorage', 'int64': 'LongStorage', 'float64': 'DoubleStorage', 'float16': 'HalfStorage'}


def write_tf1(prefix: str, tensors: Mapping[str, np.ndarray]) -> None:
    """A TF1 checkpoint, by the op that TF1's Saver runs."""
    names = sorted(tensors)
    values = [tf.constant(tensors[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[''] * len(names), tensors=values)
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[prefix], destination_prefix=prefix + '-merged')
    for ending in ('.index', '.data-00000-of-00001'):
        tf.io.gfile.rename(f'{prefix}-merged{ending}', prefix + ending, overwrite=True)


class Raw(bytes):
    """Pickle opcodes that stand for themselves."""


def _text(value: str) -> bytes:
    data = value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def dump(value: Any) -> bytes:
    """Protocol-2 opcodes of a value, as PyTorch orders them; `Raw` passes through."""
    if isinstance(value, Raw):
        return bytes(value)
    if value is None:
        return b'N'
    if isinstance(value, bool):
        return b'\x88' if value else b'\x89'
    if isinstance(value, int):
        data = pickle.encode_long(value)
        return b'\x8a' + bytes([len(data)]) + data
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        return b'(' + b''.join(map(dump, value)) + b't'
    if isinstance(value, list):
        return b'](' + b''.join(map(dump, value)) + b'e'
    if isinstance(value, dict):
        pairs = b''.join(dump(key) + dump(item) for key, item in value.items())
        return b'ccollections\nOrderedDict\n)R(' + pairs + b'u'
    raise TypeError(type(value))


def tensor(key: str, array: np.ndarray, length: int | None = None, **changes: Any) -> Raw:
    """The opcodes that rebuild a tensor out of the storage `key`; `changes` lie about it."""
    strides, step = [], 1
    for size in reversed(array.shape):
        strides.insert(0, step)
        step *= size
    said = {'offset': 0, 'shape': array.shape, 'strides': tuple(strides), **changes}
    storage = changes.get('storage', f'torch\n{STORAGES[array.dtype.name]}')
    identity = b'(' + _text('storage') + b'c' + storage.encode() + b'\n' + _text(key) + _text('cpu')
    identity += dump(array.size if length is None else length) + b'NtQ'
    arguments = b'(' + identity + dump(said['offset']) + dump(tuple(said['shape'])) + dump(tuple(said['strides']))
    return Raw(b'ctorch._utils\n_rebuild_tensor_v2\n' + arguments + b'\x89' + dump({}) + b'tR')


def content_of(tensors: Mapping[str, np.ndarray]) -> dict[str, Raw]:
    """A state dict whose storages are called 0, 1, ..."""
    return {name: tensor(str(place), array) for place, (name, array) in enumerate(tensors.items())}


def legacy_bytes(content: Any, storages: Mapping[str, np.ndarray]) -> bytes:
    """A PyTorch file as `torch.save` wrote them before 1.6."""
    system = {'protocol_version': 1001, 'little_endian': True}
    parts = [b'\x80\x02' + dump(value) + b'.' for value in (MAGIC_NUMBER, 1001, system, content, list(storages))]
    parts += [struct.pack('<q', array.size) + array.tobytes() for array in storages.values()]
    return b''.join(parts)


def write_legacy(path: str, tensors: Mapping[str, np.ndarray], wrap: str = '') -> None:
    """A legacy file of a state dict; `wrap` puts it under that key."""
    content = content_of(tensors)
    storages = {str(place): array for place, array in enumerate(tensors.values())}
    with open(path, 'wb') as handle:
        handle.write(legacy_bytes({wrap: content, 'epoch': 200} if wrap else content, storages))


def write_zip(path: str, tensors: Mapping[str, np.ndarray]) -> None:
    """A PyTorch file as `torch.save` writes them since 1.6."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02' + dump(content_of(tensors)) + b'.')
        archive.writestr('archive/byteorder', 'little')
        for place, array in enumerate(tensors.values()):
            archive.writestr(f'archive/data/{place}', array.tobytes())
        archive.writestr('archive/version', '3\n')
