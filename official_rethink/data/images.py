"""Reading one image file safely: kept as it is if every reader agrees on it, converted or named if not.

What `tf.io.decode_image(channels=3)` and Pillow read alike keeps its bytes: JPEG (baseline or
progressive, grey or colour) and opaque PNG of up to 8 bits a channel, palette included. CMYK, 16-bit,
transparent and EXIF-rotated images are converted to 8-bit RGB. Everything else is a `BadImage`.

Truncation is found by walking the file's structure, at a small part of the cost of decoding: a JPEG
must lead from marker to marker to its end-of-image marker (which cannot occur by chance: in
compressed data 0xFF is always followed by 0x00 or a restart marker), a PNG from chunk to chunk, each
with its checksum, to IEND. What is kept is then decoded once, a JPEG at an eighth of its size, to see
that its tables are sound. Not found: a JPEG whose missing rows somebody closed with an end marker;
every decoder fills those with grey.
"""

import dataclasses
import io
import re
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

from official_rethink.common import files

_JPEG_MAGIC = b'\xff\xd8\xff'
_PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
_OTHER_MAGIC = {
    b'GIF8': 'a GIF image',
    b'BM': 'a BMP image',
    b'II*\x00': 'a TIFF image',
    b'MM\x00*': 'a TIFF image',
    b'%PDF': 'a PDF document',
    b'<': 'HTML or XML text, perhaps an error page saved by a download',
    b'version https://git-lfs': 'a Git LFS pointer, not the image itself',
}
_MARKER = re.compile(rb'\xff+([^\x00\xd0-\xd7\xff])', re.DOTALL)
_EOI, _SOS, _SOI, _TEM = 0xD9, 0xDA, 0xD8, 0x01
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: what every decoder reads
_ORIENTATION = 0x0112
_SWAPS_SIDES = (5, 6, 7, 8)
_QUALITY = 95  # of a JPEG that must be encoded again


class BadImage(ValueError):
    """The file is no image that can be stored; `kind` is for counting, the text says why."""

    def __init__(self, kind: str, message: str):
        """Args: two or three words; what was found and what is allowed."""
        super().__init__(message)
        self.kind = kind


@dataclasses.dataclass
class StoredImage:
    """An image as it is stored.

    Attributes:
        encoded: bytes that `tf.io.decode_image` reads with three channels.
        image_format: 'jpeg' or 'png'.
        height: in pixels, of the decoded image.
        width: in pixels, of the decoded image.
    """

    encoded: bytes
    image_format: str
    height: int
    width: int


def read_bytes(path: str) -> bytes:
    """Returns a file's bytes; TensorFlow is imported for remote paths only.

    Raises:
        BadImage: there is no such file, or it cannot be read.
    """
    try:
        with files.open_bytes(path) as handle:
            return bytes(handle.read())
    except FileNotFoundError as error:
        raise BadImage('missing image', 'there is no such file.') from error
    except Exception as error:  # every storage has its own errors; each is told as it is
        raise BadImage('unreadable image', f'cannot be read: {error}.') from error


def load(
    path: str, expected: tuple[int, int] | None = None, source: str = 'its entry says', upright: bool = True
) -> StoredImage:
    """Reads an image file; see `store`."""
    return store(read_bytes(path), expected, source, upright)


def store(
    data: bytes, expected: tuple[int, int] | None = None, source: str = 'its entry says', upright: bool = True
) -> StoredImage:
    """Checks an image and converts it if it must be.

    Args:
        data: the file's bytes.
        expected: height and width that its labels are for. They decide whether an EXIF rotation is applied:
            labels made on the unrotated pixels (their size tells) stay with these. With a square
            image, a half turn or no `expected`, the rotation is applied, as image viewers do.
        source: where `expected` comes from, for the message on another size.
        upright: False never applies a rotation, for labels that are known to be made without.

    Raises:
        BadImage: no JPEG or PNG, truncated, corrupt, or not of the expected size.
    """
    is_jpeg = data.startswith(_JPEG_MAGIC)
    if not is_jpeg and not data.startswith(_PNG_MAGIC):
        raise _not_an_image(data)
    keep = _walk_jpeg(data) if is_jpeg else check_png(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # Pillow's warning on sizes it still accepts
            return _decode_and_store(data, 'jpeg' if is_jpeg else 'png', keep, expected, source, upright)
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage('image too large', f'{error}'.rstrip('.') + '.') from error
    except Exception as error:  # Pillow raises a dozen types on broken data; each is told as it is
        # Pillow names the object it reads from by its address, which is another one every time.
        told = re.sub(r' <[^<>]* object at 0x[0-9a-fA-F]+>', '', str(error))
        raise BadImage('corrupt image', f'cannot be decoded: {told}.') from error


def _decode_and_store(
    data: bytes, image_format: str, keep: bool, expected: tuple[int, int] | None, source: str, upright: bool
) -> StoredImage:
    image: Image.Image = Image.open(io.BytesIO(data), formats=('JPEG', 'PNG'))
    width, height = image.size
    turned = _turns(image, expected) if upright else 1
    if turned in _SWAPS_SIDES:
        width, height = height, width
    if expected is not None and (height, width) != tuple(expected):
        raise BadImage(
            'wrong image size',
            f'is {height} x {width} (height x width), but {source} {expected[0]} x {expected[1]}.',
        )
    if keep and turned == 1:
        if image_format == 'jpeg':
            image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
        image.load()
        return StoredImage(data, image_format, height, width)
    if turned != 1:
        image = ImageOps.exif_transpose(image)
    rgb, stream = _to_rgb(image), io.BytesIO()
    if image_format == 'jpeg':
        rgb.save(stream, 'JPEG', quality=_QUALITY, subsampling=0)
    else:
        rgb.save(stream, 'PNG')
    return StoredImage(stream.getvalue(), image_format, height, width)


def _turns(image: Image.Image, expected: tuple[int, int] | None) -> int:
    """Returns the EXIF orientation to apply, 1 for none."""
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata that cannot be parsed has no say; the pixels are checked apart
        return 1
    if orientation not in range(2, 9):
        return 1
    unrotated = (image.height, image.width)
    rotated = unrotated[::-1] if orientation in _SWAPS_SIDES else unrotated
    if expected is not None and tuple(expected) == unrotated != rotated:
        return 1
    return orientation


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts any mode to RGB: 16 bits keep their upper 8, transparency shows white behind it."""
    if image.mode.startswith('I'):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if 'A' in image.getbands() or 'transparency' in image.info:
        layer = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', layer.size, (255, 255, 255, 255)), layer)
    image = image.convert('RGB')
    image.info.clear()  # neither metadata nor a transparent colour goes with the converted pixels
    return image


def _not_an_image(data: bytes) -> BadImage:
    if not data:
        return BadImage('empty image', 'the file is empty.')
    what = next((name for magic, name in _OTHER_MAGIC.items() if data.startswith(magic)), '')
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        what = 'a WebP image'
    what = what or f'neither (it starts with {data[:8]!r})'
    return BadImage('not an image', f'is {what}; allowed: JPEG, PNG.')


def _truncated(data: bytes, before: str) -> BadImage:
    return BadImage('truncated image', f'is truncated: it ends after {len(data)} bytes, before its {before}.')


def _walk_jpeg(data: bytes) -> bool:
    """Follows the markers to the end; returns whether the bytes can be kept (8 bits, 1 or 3 channels)."""
    position, keep, scans = 2, False, 0
    while match := _MARKER.search(data, position):
        marker, position = match.group(1)[0], match.end()
        if marker in (_SOI, _TEM):
            continue
        if marker == _EOI:
            if not scans:
                raise BadImage('corrupt image', 'has no image data between its headers and its end marker.')
            return keep
        segment = data[position : position + 10]
        length = int.from_bytes(segment[:2], 'big')
        if len(segment) < 2 or position + length > len(data):
            break
        if marker in _FRAMES and length >= 8:
            precision, components = segment[2], segment[7]
            keep = marker in _COMMON_FRAMES and precision == 8 and components in (1, 3)
        scans += marker == _SOS
        position += max(length, 2)
    raise _truncated(data, 'end-of-image marker')


def check_png(data: bytes) -> bool:
    """Checks every chunk of a PNG to the end; returns whether the bytes can be kept (up to 8 bits, opaque).

    Raises:
        BadImage: truncated, or a checksum is wrong.
    """
    position, keep, pixels = len(_PNG_MAGIC), False, False
    while position + 12 <= len(data):
        length, kind = struct.unpack('>I4s', data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            break
        body = memoryview(data)[position + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], 'big'):
            raise BadImage('corrupt image', f'is corrupt: wrong checksum of the chunk at byte {position}.')
        if kind == b'IHDR' and length >= 13:
            bit_depth, color_type = body[12], body[13]
            keep = bit_depth <= 8 and not color_type & 4
        keep = keep and kind != b'tRNS'
        pixels = pixels or kind == b'IDAT'
        if kind == b'IEND':
            if not pixels:
                raise BadImage('corrupt image', 'has no image data.')
            return keep
        position = end
    raise _truncated(data, 'IEND chunk')
