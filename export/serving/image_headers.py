"""The size of an encoded image, read from its header before anything is decoded."""

import dataclasses
import struct

from export.serving import limits

FORMATS = 'JPEG, PNG, BMP or GIF'
# What begins otherwise but is an image as well, so that the answer can name it.
_OTHERS = {b'RIFF': 'WebP', b'II*\0': 'TIFF', b'MM\0*': 'TIFF', b'%PDF': 'PDF', b'<svg': 'SVG', b'<?xm': 'SVG or XML'}
_FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the others are tables
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}  # without a length


@dataclasses.dataclass(frozen=True)
class Header:
    """What a header tells.

    Attributes:
        format: one of FORMATS.
        height: in pixels.
        width: in pixels.
        pixels: that decoding takes room for; of a GIF, all its pictures.
    """

    format: str
    height: int
    width: int
    pixels: int


class _ShortError(Exception):
    """The data ends within its header."""


def read(data: bytes, instance: int) -> Header:
    """Reads the header.

    Args:
        data: an encoded image.
        instance: its place in the request.

    Raises:
        Refusal: 415 if the format is none of FORMATS, 422 if the header is broken or a side is 0.
    """
    row = next((row for row in _READERS if data.startswith(row[0])), None)
    if row is None:
        raise _unknown(data, instance)
    _, name, reader = row
    try:
        found = reader(data)
    except (_ShortError, struct.error, IndexError):
        raise limits.Refusal(
            422, 'broken_image', f'instance {instance} is a {name} whose header is cut off or broken', instance
        ) from None
    if found.height < 1 or found.width < 1:
        raise limits.Refusal(
            422,
            'empty_image',
            f'instance {instance} is a {name} of {found.height} x {found.width} pixels; each side needs 1 or more',
            instance,
        )
    return found


def _unknown(data: bytes, instance: int) -> limits.Refusal:
    if not data:
        return limits.Refusal(
            422, 'empty_image', f'instance {instance} has no bytes; a {FORMATS} file is needed', instance
        )
    name = next((name for start, name in _OTHERS.items() if data.startswith(start)), '')
    if data[4:8] == b'ftyp':
        name = 'HEIC, AVIF or MP4'
    shown = f'looks like {name}' if name else f'begins with the bytes {data[:8].hex()}'
    return limits.Refusal(
        415, 'image_format', f'instance {instance} {shown}; allowed: {FORMATS}', instance
    )


def _png(data: bytes) -> Header:
    if data[12:16] != b'IHDR':
        raise _ShortError
    width, height = struct.unpack_from('>II', data, 16)
    return Header('PNG', height, width, height * width)


def _bmp(data: bytes) -> Header:
    width, height = struct.unpack_from('<ii', data, 18)
    return Header('BMP', abs(height), width, abs(height) * max(width, 0))


def _jpeg(data: bytes) -> Header:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise _ShortError
        while data[place] == 0xFF:
            place += 1
        marker = data[place]
        place += 1
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from('>HH', data, place + 3)
            return Header('JPEG', height, width, height * width)
        if marker == 0xDA:  # pixels, before any frame
            raise _ShortError
        if marker not in _BARE_MARKERS:
            (length,) = struct.unpack_from('>H', data, place)
            place += max(length, 2)


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from('<HHB', data, 6)
    place = 13 + _colours(flags)
    pictures, total = 0, 0
    while place < len(data) and data[place] != 0x3B:
        if data[place] == 0x21:
            place = _blocks(data, place + 2)
        elif data[place] == 0x2C:
            columns, rows, flags = struct.unpack_from('<HHB', data, place + 5)
            pictures, total = pictures + 1, total + columns * rows
            width, height = max(width, columns), max(height, rows)
            place = _blocks(data, place + 10 + _colours(flags) + 1)
        else:
            raise _ShortError
    if not pictures:
        raise _ShortError
    return Header('GIF', height, width, max(total, height * width))


def _colours(flags: int) -> int:
    """Bytes of a GIF's table of colours."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, place: int) -> int:
    """Behind a GIF's chain of blocks."""
    while data[place]:
        place += data[place] + 1
    return place + 1


_READERS = (
    (b'\xff\xd8\xff', 'JPEG', _jpeg),
    (b'\x89PNG\r\n\x1a\n', 'PNG', _png),
    (b'BM', 'BMP', _bmp),
    (b'GIF8', 'GIF', _gif),
)
