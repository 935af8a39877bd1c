"""Label maps: a class id a pixel. How they are encoded, decoded and checked, with PASCAL VOC's palette.

0 is background, 1..K-1 are classes, 255 is void: neither trained on nor counted. Shards hold 8-bit grey PNG, since
`tf.io.decode_png` turns a palette into colours; people and VOC folders get palette PNG of the same indices.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from official_rethink.data import images

IGNORE = 255
MAX_CLASSES = 255  # background counted: ids 0..254 beside the void
_PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
_HEADER = slice(24, 26)  # bit depth and colour type, behind signature, length, 'IHDR', width and height
_GREY, _PALETTE = 0, 3
_COLOR_TYPES = {2: 'RGB', 4: 'grey with transparency', 6: 'RGB with transparency'}
_ALLOWED = 'a palette PNG, or an 8-bit grey one, whose values are class ids'
_LEVEL = 3  # 40 % of the default level's time for half as many bytes again


def palette() -> np.ndarray:
    """Returns PASCAL VOC's colours, uint8 [256, 3].

    A colour's bits come from its index, three at a time: bit 0 of the index is the highest bit of red, bit 1 of green,
    bit 2 of blue, bit 3 the second highest of red, and so on. 0 is black, 1 dark red, 255 a light cream.
    """
    index = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for shift in range(8):
        for channel in range(3):
            bit = 3 * shift + channel
            colors[:, channel] |= ((index >> bit) & 1) << (7 - shift)
    return colors.astype(np.uint8)


def encode(label_map: np.ndarray) -> bytes:
    """Encodes uint8 [H, W] as 8-bit grey PNG, the form that records hold; of score maps too.

    Raises:
        ValueError: another type or shape, or no pixel.
    """
    return _encoded(Image.fromarray(_checked(label_map)))


def encode_palette(label_map: np.ndarray) -> bytes:
    """Encodes uint8 [H, W] as palette PNG in PASCAL's colours, the form of VOC folders; `encode`'s errors."""
    image = Image.fromarray(_checked(label_map))
    image.putpalette(palette().tobytes())
    return _encoded(image)


def _checked(label_map: np.ndarray) -> np.ndarray:
    if label_map.dtype != np.uint8 or label_map.ndim != 2 or not label_map.size:
        raise ValueError(f'a label map is {label_map.dtype} {list(label_map.shape)}; allowed: uint8 [H, W].')
    return np.ascontiguousarray(label_map)


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, 'PNG', compress_level=_LEVEL)
    return stream.getvalue()


class Read(NamedTuple):
    """A file's label map, uint8 [H, W], and the colours of its palette, uint8 [N, 3]; None: it is grey."""

    label_map: np.ndarray
    colors: np.ndarray | None


def decode(png: bytes) -> np.ndarray:
    """Returns uint8 [H, W]: the indices of a palette PNG or the values of an 8-bit grey one; `read`'s errors."""
    return read(png).label_map


def read(png: bytes) -> Read:
    """Decodes a palette PNG or an 8-bit grey one.

    Whatever the palette's colours are, its indices count. Grey of fewer bits is refused, since programs disagree
    whether its white is 1 or 255.

    Raises:
        images.BadImage: no PNG, truncated, corrupt, or with pixels that are no class ids, as colours are.
    """
    if not png.startswith(_PNG_MAGIC):
        raise images.BadImage('not a label map', f'is no PNG (it starts with {png[:8]!r}); allowed: {_ALLOWED}.')
    images.check_png(png)
    bits, color_type = png[_HEADER]
    if color_type not in (_GREY, _PALETTE):
        name = _COLOR_TYPES.get(color_type, f'colour type {color_type}')
        message = f'is {name}, whose colours are no class ids; allowed: {_ALLOWED}.'
        raise images.BadImage('label map of colours', message)
    if color_type == _GREY and bits != 8:
        raise images.BadImage('label map of odd depth', f'is grey of {bits} bits a pixel; allowed: {_ALLOWED}.')
    try:
        with Image.open(io.BytesIO(png), formats=('PNG',)) as image:
            label_map = np.array(image)
            colors = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    except Image.DecompressionBombError as error:
        raise images.BadImage('image too large', f'{error}'.rstrip('.') + '.') from error
    except Exception as error:  # Pillow raises a dozen types on broken data; each is told as it is
        raise images.BadImage('corrupt image', f'cannot be decoded: {error}.') from error
    return Read(label_map, colors if color_type == _PALETTE else None)


def pixels(label_map: np.ndarray) -> np.ndarray:
    """Counts the pixels of each value, int64 [256]."""
    return np.bincount(label_map.ravel(), minlength=256)


def unlisted(label_map: np.ndarray, num_classes: int) -> dict[int, int]:
    """Returns the values that are neither an id in 0..num_classes-1 nor void, with their numbers of pixels."""
    counts = pixels(label_map)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts[:IGNORE]) if value >= num_classes}


def classes(label_map: np.ndarray) -> list[int]:
    """Returns the ids that occur, in order, without background and void."""
    return [int(value) for value in np.flatnonzero(pixels(label_map)[:IGNORE]) if value]
