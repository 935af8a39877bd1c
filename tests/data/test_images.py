"""Every oddity of JPEG and PNG files is stored readable or named."""

import io
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.data import images

HEIGHT, WIDTH = 32, 40


def picture() -> np.ndarray:
    """Blocks of 8 x 8 pixels, so that JPEG keeps them nearly exactly; no symmetry."""
    blocks = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def decoded(stored: images.StoredImage) -> np.ndarray:
    return tf.io.decode_image(stored.encoded, channels=3).numpy()


RGB = Image.fromarray(picture())
KEPT = {
    'jpeg': encode(RGB, 'JPEG', quality=95),
    'progressive jpeg': encode(RGB, 'JPEG', progressive=True),
    'grey jpeg': encode(RGB.convert('L'), 'JPEG'),
    'subsampled jpeg': encode(RGB, 'JPEG', subsampling=2),
    'jpeg with restart markers': encode(RGB, 'JPEG', restart_marker_blocks=2),
    'jpeg with bytes after its end': encode(RGB, 'JPEG') + b'camera data \xff\xd8',
    'png': encode(RGB, 'PNG'),
    'grey png': encode(RGB.convert('L'), 'PNG'),
    'palette png': encode(RGB.convert('P'), 'PNG'),
    '3-colour palette png': encode(RGB.quantize(3), 'PNG'),
    '1-bit png': encode(RGB.convert('1'), 'PNG'),
}


@pytest.mark.parametrize('name', KEPT)
def test_what_every_reader_reads_keeps_its_bytes(name: str):
    stored = images.store(KEPT[name])
    assert stored.encoded == KEPT[name]
    assert (stored.height, stored.width) == (HEIGHT, WIDTH)
    assert stored.image_format == ('png' if 'png' in name else 'jpeg')
    with Image.open(io.BytesIO(KEPT[name])) as image:
        expected = np.asarray(image.convert('RGB')).astype(int)
    # libjpeg-turbo's fast and exact inverse transforms and up-sampling differ by a few values.
    assert np.abs(decoded(stored) - expected).max() <= (0 if 'png' in name else 4)


def test_cmyk_jpeg_becomes_rgb():
    data = encode(RGB.convert('CMYK'), 'JPEG', quality=95)
    stored = images.store(data)
    with Image.open(io.BytesIO(stored.encoded)) as image:
        assert image.mode == 'RGB'
    assert np.abs(decoded(stored).astype(int) - picture()).mean() < 3


@pytest.mark.parametrize('channels', [1, 3])
def test_16_bits_keep_the_upper_8(channels: int):
    values = picture()[..., :channels].squeeze()
    wide = values.astype(np.uint16) * 256 + 77
    data = cv2.imencode('.png', wide)[1].tobytes()
    stored = images.store(data)
    assert stored.encoded != data
    shown = values[..., ::-1] if channels == 3 else np.repeat(values[..., None], 3, axis=-1)
    np.testing.assert_array_equal(decoded(stored), shown)


@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P'])
def test_transparency_shows_white(mode: str):
    image = Image.new('RGBA', (WIDTH, HEIGHT), (10, 10, 10, 255))
    image.paste((10, 10, 10, 0), (0, 0, 8, 8))
    data = encode(image.convert(mode), 'PNG')
    result = decoded(images.store(data))
    assert (result[:8, :8] == 255).all()
    assert (result[8:, 8:] == 10).all()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


# Where the stored picture's top left pixel block comes from, by the EXIF standard's own words:
# 6 = "the 0th row is the visual right-hand side, the 0th column the visual top", and so on.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize('orientation', TURNS)
def test_exif_rotation_is_applied(orientation: int):
    data = encode(RGB, 'JPEG', quality=98, subsampling=0, exif=exif(orientation))
    stored = images.store(data)
    expected = TURNS[orientation](picture())
    assert (stored.height, stored.width) == expected.shape[:2]
    assert np.abs(decoded(stored).astype(int) - expected).mean() < 3
    assert (stored.encoded == data) == (orientation == 1)
    with Image.open(io.BytesIO(stored.encoded)) as image:
        assert orientation == 1 or image.getexif().get(0x0112, 1) == 1  # not turned twice


def test_labels_made_on_unrotated_pixels_stay_with_them():
    data = encode(RGB, 'JPEG', exif=exif(6))
    assert images.store(data, (HEIGHT, WIDTH)).encoded == data
    assert images.store(data, (WIDTH, HEIGHT)).height == WIDTH
    half_turn = encode(RGB, 'JPEG', quality=98, exif=exif(3))  # both sizes fit: viewers turn it
    assert images.store(half_turn, (HEIGHT, WIDTH)).encoded != half_turn


def test_png_exif_rotation():
    stored = images.store(encode(RGB, 'PNG', exif=exif(8)))
    np.testing.assert_array_equal(decoded(stored), TURNS[8](picture()))


@pytest.mark.parametrize('name', KEPT)
@pytest.mark.parametrize('part', [0.02, 0.5, 0.9, 'one byte short'])
def test_truncated_files_are_named(name: str, part: float | str):
    data = KEPT[name].removesuffix(b'camera data \xff\xd8')
    end = len(data) - 1 if part == 'one byte short' else max(int(len(data) * part), 10)
    with pytest.raises(images.BadImage, match=f'truncated: it ends after {end} bytes') as caught:
        images.store(data[:end])
    assert caught.value.kind == 'truncated image'


def test_end_marker_of_an_embedded_thumbnail_does_not_hide_truncation():
    data = KEPT['jpeg']
    thumbnail = encode(RGB.resize((8, 8)), 'JPEG')
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    whole = data[:2] + segment + data[2:]
    assert images.store(whole).encoded == whole
    with pytest.raises(images.BadImage, match='truncated'):
        images.store(whole[:-40])




BAD = {
    'empty': (b'', 'empty image', 'the file is empty'),
    'text': (b'hello world, I am no image', 'not an image', "starts with b'hello wo'); allowed: JPEG, PNG"),
    'html': (b'<html>404</html>', 'not an image', 'error page'),
    'gif': (encode(RGB, 'GIF'), 'not an image', 'a GIF image; allowed: JPEG, PNG'),
    'webp': (encode(RGB, 'WEBP'), 'not an image', 'a WebP image'),
    'bmp': (encode(RGB, 'BMP'), 'not an image', 'a BMP image'),
    'tiff': (encode(RGB, 'TIFF'), 'not an image', 'a TIFF image'),
    'lfs': (b'version https://git-lfs.github.com/spec/v1', 'not an image', 'Git LFS'),
    'zeros': (bytes(1000), 'not an image', 'allowed: JPEG, PNG'),
    'jpeg zeroed from the middle': (KEPT['jpeg'][:-90] + bytes(90), 'truncated image', 'end-of-image'),
    'jpeg without scans': (
        b'\xff\xd8\xff\xe0\x00\x10' + bytes(14) + b'\xff\xd9',
        'corrupt image',
        'no image data',
    ),
    'jpeg whose headers are overwritten': (
        KEPT['jpeg'][:20] + bytes(150) + KEPT['jpeg'][170:],
        'corrupt image',
        'cannot be decoded: cannot identify image file.',  # and not an address in the memory, another one each time
    ),
    'jpeg without tables': (
        KEPT['jpeg'].replace(b'\xff\xdb', b'\xff\xef').replace(b'\xff\xc4', b'\xff\xef'),
        'corrupt image',
        'cannot be decoded',
    ),
    'png with a flipped bit': (
        KEPT['png'][:60] + bytes([KEPT['png'][60] ^ 1]) + KEPT['png'][61:],
        'corrupt image',
        'checksum',
    ),
    'png without pixels': (
        KEPT['png'][:33] + b'\x00\x00\x00\x00IEND' + zlib.crc32(b'IEND').to_bytes(4, 'big'),
        'corrupt image',
        'no image data',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_what_is_no_image_is_named(name: str):
    data, kind, words = BAD[name]
    with pytest.raises(images.BadImage) as caught:
        images.store(data)
    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_enormous_png_is_refused_before_its_pixels_are_made():
    header = (100_000).to_bytes(4, 'big') * 2 + bytes([8, 2, 0, 0, 0])
    chunk = b'IHDR' + header
    data = KEPT['png'].replace(
        KEPT['png'][8:33], len(header).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big')
    )
    with pytest.raises(images.BadImage, match='exceeds limit') as caught:
        images.store(data)
    assert caught.value.kind == 'image too large'


def test_wrong_size_is_named():
    with pytest.raises(images.BadImage, match=r'is 32 x 40 \(height x width\), but its entry says 40 x 30'):
        images.store(KEPT['jpeg'], (40, 30))


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(images.BadImage, match='no such file') as caught:
        images.load(str(tmp_path / 'none.jpg'))
    assert caught.value.kind == 'missing image'
    with pytest.raises(images.BadImage, match='cannot be read'):
        images.load(str(tmp_path))


def test_local_and_url_paths_give_the_same_bytes(tmp_path):
    (tmp_path / 'a.png').write_bytes(KEPT['png'])
    assert images.read_bytes(f'file://{tmp_path}/a.png') == images.read_bytes(f'{tmp_path}/a.png')
