"""Label maps: PASCAL's colours, PNG there and back, and what is refused by name."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.data import images, label_maps


def png_of(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, 'PNG')
    return stream.getvalue()


def random_map(height: int = 7, width: int = 11) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)


def test_palette_is_pascals():
    """The colours that the VOC development kit publishes for its 21 classes and the void."""
    colors = label_maps.palette()
    assert (colors.shape, colors.dtype) == ((256, 3), np.uint8)
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {index: tuple(colors[index]) for index in known} == known
    assert len(np.unique(colors, axis=0)) == 256


@pytest.mark.parametrize('encode', [label_maps.encode, label_maps.encode_palette])
@pytest.mark.parametrize('label_map', [random_map(), np.array([[255]], np.uint8), np.zeros((3, 1), np.uint8)])
def test_there_and_back(encode, label_map: np.ndarray):
    found = label_maps.decode(encode(label_map))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, label_map)


def test_records_form_is_what_tensorflow_reads():
    label_map = random_map()
    found = tf.io.decode_png(label_maps.encode(label_map), channels=1)
    np.testing.assert_array_equal(found[..., 0], label_map)
    # The other form is not: it comes back as the brightness of colours, hence the two.
    found = tf.io.decode_png(label_maps.encode_palette(label_map), channels=1)
    assert (found.numpy()[..., 0] != label_map).any()


def test_palette_form_shows_pascals_colours():
    label_map = random_map()
    shown = np.asarray(Image.open(io.BytesIO(label_maps.encode_palette(label_map))).convert('RGB'))
    np.testing.assert_array_equal(shown, label_maps.palette()[label_map])


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_small_palettes_and_other_colours_keep_their_indices(bits: int):
    """Pillow writes as few bits as it is told; the palette here is grey, unlike PASCAL's."""
    label_map = np.arange(2**bits, dtype=np.uint8).reshape(1, -1).repeat(3, 0)
    image = Image.fromarray(label_map)
    image.putpalette([value for index in range(2**bits) for value in (index, index, index)])
    stream = io.BytesIO()
    image.save(stream, 'PNG', bits=bits)
    assert stream.getvalue()[24] == bits
    np.testing.assert_array_equal(label_maps.decode(stream.getvalue()), label_map)


def test_a_transparent_palette_entry_changes_nothing():
    image = Image.fromarray(random_map())
    image.putpalette(label_maps.palette().tobytes())
    stream = io.BytesIO()
    image.save(stream, 'PNG', transparency=0)
    np.testing.assert_array_equal(label_maps.decode(stream.getvalue()), random_map())


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(random_map()).save(stream, 'JPEG')
    return stream.getvalue()


@pytest.mark.parametrize(
    ('data', 'kind', 'words'),
    [
        (png_of(Image.new('RGB', (3, 2))), 'label map of colours', 'is RGB, whose colours are no class ids; allowed'),
        (png_of(Image.new('RGBA', (3, 2))), 'label map of colours', 'RGB with transparency'),
        (png_of(Image.new('LA', (3, 2))), 'label map of colours', 'grey with transparency'),
        (png_of(Image.new('1', (3, 2))), 'label map of odd depth', 'grey of 1 bits'),
        (png_of(Image.new('I;16', (3, 2))), 'label map of odd depth', 'grey of 16 bits'),
        (jpeg(), 'not a label map', 'is no PNG'),
        (b'', 'not a label map', 'is no PNG'),
        (label_maps.encode(random_map())[:-20], 'truncated image', 'IEND'),
        (label_maps.encode(random_map())[:60] + b'?' + label_maps.encode(random_map())[61:], 'corrupt', 'checksum'),
    ],
)
def test_what_is_no_label_map_is_named(data: bytes, kind: str, words: str):
    with pytest.raises(images.BadImage, match=words) as caught:
        label_maps.decode(data)
    assert caught.value.kind.startswith(kind)


@pytest.mark.parametrize(('shape', 'kind'), [((2, 2), np.int64), ((2, 2, 1), np.uint8), ((0, 2), np.uint8)])
def test_what_cannot_be_encoded_is_refused(shape: tuple[int, ...], kind: type):
    wrong = np.zeros(shape, kind)
    for encode in (label_maps.encode, label_maps.encode_palette):
        with pytest.raises(ValueError, match=r'a label map is .* allowed: uint8 \[H, W\]'):
            encode(wrong)


def test_counting():
    label_map = np.array([[0, 3, 3], [255, 20, 254]], np.uint8)
    counts = label_maps.pixels(label_map)
    assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == {0: 1, 3: 2, 20: 1, 254: 1, 255: 1}
    assert counts.shape == (256,)
    assert label_maps.classes(label_map) == [3, 20, 254]
    assert label_maps.unlisted(label_map, 4) == {20: 1, 254: 1}
    assert label_maps.unlisted(label_map, 21) == {254: 1}
    assert label_maps.unlisted(label_map, 255) == {}
    assert label_maps.classes(np.full((2, 2), 255, np.uint8)) == []
