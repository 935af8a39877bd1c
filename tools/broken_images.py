"""Shards of small pictures, some of them broken, each in another way: what labelling has to get past."""

import io
import itertools
import os
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from official_rethink.data import records

_LFS = b'version https://git-lfs.github.com/spec/v1\n'


def _picture(rng: np.random.Generator, image_format: str) -> tuple[bytes, int, int]:
    """Draws four blocks on a plain ground; returns bytes, height and width."""
    height, width = int(rng.integers(40, 90)), int(rng.integers(40, 110))
    pixels = np.zeros((height, width, 3), np.uint8) + rng.integers(0, 255, 3, np.uint8)
    for _ in range(4):
        y, x = int(rng.integers(0, height - 10)), int(rng.integers(0, width - 10))
        pixels[y : y + int(rng.integers(5, 40)), x : x + int(rng.integers(5, 40))] = rng.integers(0, 255, 3, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, image_format)
    return stream.getvalue(), height, width


def _example(number: int, data: bytes, height: int, width: int, image_format: str = 'jpeg') -> bytes:
    name = f'{number:05d}.{image_format}'
    return records.to_example(records.Record(str(number + 1), data, image_format, height, width, name))


def _bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))

    header = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')


def broken(number: int, kind: int, rng: np.random.Generator) -> bytes:
    """Returns the record of image `number`, broken in the way `kind` (taken modulo the ways there are)."""
    jpeg, height, width = _picture(rng, 'JPEG')
    png, png_height, png_width = _picture(rng, 'PNG')
    flipped = bytearray(png)
    flipped[60] ^= 255
    others = [_picture(rng, name) for name in ('GIF', 'BMP', 'WEBP', 'TIFF')]
    ways = (
        b'no example at all',
        b'',
        _example(number, jpeg[: len(jpeg) // 2], height, width),
        _example(number, png[: len(png) // 2], png_height, png_width, 'png'),
        _example(number, jpeg, height + 1, width),
        _example(number, png, png_width + 500, png_height, 'png'),
        _example(number, bytes(flipped), png_height, png_width, 'png'),
        _example(number, b'', height, width),
        _example(number, b'<html>404</html>', 64, 64),
        *(_example(number, *other) for other in others),
        _example(number, _bomb(), 60000, 60000, 'png'),
        _example(number, _LFS, 9, 9),
        _example(number, jpeg[:2], height, width),
        _example(number, jpeg[:-2], height, width),
        _example(number, bytes(5000), 64, 64),
        _example(number, jpeg[:20] + bytes(150) + jpeg[170:], height, width),
        _example(number, png[:8], png_height, png_width, 'png'),
    )
    return ways[kind % len(ways)]


def write(folder: str, sizes: Sequence[int], num_broken: int, seed: int = 0) -> str:
    """Writes shards without a description, as another program would have.

    Args:
        folder: made if it is missing.
        sizes: records of each shard.
        num_broken: how many of them are broken, at random places.
        seed: of the pictures and the places.

    Returns:
        The shards' pattern.
    """
    import tensorflow as tf  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    places = {int(place): kind for kind, place in enumerate(rng.choice(sum(sizes), num_broken, replace=False))}
    os.makedirs(folder, exist_ok=True)
    numbers = itertools.count()
    for shard, size in enumerate(sizes):
        path = os.path.join(folder, f'web-{shard:05d}-of-{len(sizes):05d}.tfrecord')
        with tf.io.TFRecordWriter(path) as writer:
            for number in itertools.islice(numbers, size):
                image_format = 'png' if number % 2 else 'jpeg'
                if number in places:
                    writer.write(broken(number, places[number], rng))
                else:
                    writer.write(_example(number, *_picture(rng, image_format.upper()), image_format))
    return os.path.join(folder, 'web-*')
