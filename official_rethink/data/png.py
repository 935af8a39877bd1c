"""PNG of masks: most of an instance mask is background, which is not compressed anew for every object.

Nor is it unpacked in training: the rectangle round the object stands in the file once more, as a small PNG in a chunk
of its own before the pixels. Readers pass over chunks that they do not know (PNG specification, 5.4: the letters of the
name say that it may be ignored, is private, and void once the pixels are changed). Its data are the rectangle's first
row and column, four bytes each, the highest first, and that PNG.
"""

import functools
import struct
import zlib

import numpy as np

_MAGIC = b'\x89PNG\r\n\x1a\n'
_MODULUS = 65521  # of the checksum at the end of a zlib stream (RFC 1950)
_HEADER, _LAST_BLOCK = b'\x78\x01', b'\x03\x00'

PART = b'paRT'
# Where in the file things begin: width and height, the name of the chunk after them, and, if that is `PART`, its PNG.
SIZE_AT, NAME_AT, PART_AT = 16, 37, 49


def encode(part: np.ndarray, top: int, left: int, height: int, width: int) -> bytes:
    """Encodes a mask that is 0 but for a rectangle.

    Deflate streams may be cut at a full flush and joined (RFC 1951), so that the rows over and under the rectangle
    come from a cache. On ellipses in 480 x 640 Pillow's encoder took six times as long (1.9 ms) for nearly three times
    the bytes: run lengths suit a mask better than what encoders try on pictures.

    Args:
        part: uint8 [h, w], which may be empty.
        top: row of the image that its first row is.
        left: column of the image that its first column is.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        An 8-bit grey PNG of height x width, with a `PART`.
    """
    before, after = top * (width + 1), (height - top - len(part)) * (width + 1)
    rows = np.zeros([len(part), width + 1], np.uint8)  # each begins with the number of its filter: none
    rows[:, left + 1 : left + 1 + part.shape[1]] = part
    middle = rows.tobytes()
    checksum = _zeros_sum(zlib.adler32(middle, _zeros_sum(1, before)), after)
    blocks = [_zeros(before), _deflated(middle), _zeros(after), _LAST_BLOCK]
    data = b''.join([_HEADER, *blocks, struct.pack('>I', checksum)])
    if not part.size:  # a PNG has at least one pixel
        part, top, left = np.zeros([1, 1], np.uint8), 0, 0
    again = _chunk(PART, struct.pack('>II', top, left) + _small(part))
    return _file(height, width, again, data)


def _small(mask: np.ndarray) -> bytes:
    height, width = mask.shape
    rows = np.zeros([height, width + 1], np.uint8)
    rows[:, 1:] = mask
    data = rows.tobytes()
    checksum = struct.pack('>I', zlib.adler32(data))
    return _file(height, width, b'', b''.join([_HEADER, _deflated(data), _LAST_BLOCK, checksum]))


def _file(height: int, width: int, extra: bytes, data: bytes) -> bytes:
    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return b''.join([_MAGIC, _chunk(b'IHDR', header), extra, _chunk(b'IDAT', data), _chunk(b'IEND', b'')])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(body, zlib.crc32(kind)))


def _deflated(data: bytes) -> bytes:
    """Blocks of a deflate stream that end at a byte, without a last block."""
    if not data:
        return b''
    # Run lengths alone: level 1 with Z_RLE took half the time of the default strategy and a third of its bytes.
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


@functools.lru_cache(maxsize=4096)
def _zeros(count: int) -> bytes:
    """`_deflated` of zeros: about a thousandth of them."""
    return _deflated(bytes(count))


def _zeros_sum(checksum: int, count: int) -> int:
    """The Adler-32 checksum after more zeros: its lower half stays, which its upper half gains once a byte."""
    low, high = checksum & 0xFFFF, checksum >> 16
    return (high + count * low) % _MODULUS << 16 | low
