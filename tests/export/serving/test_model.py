"""Loading a SavedModel to serve, what TensorFlow Serving would send it, headers, and the forms of masks and maps."""

import base64
import io
import json
import pathlib
import struct
import time
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from export.serving import answers, bad_requests, image_headers, limits, model, parameters, requests
from official_rethink.common import errors
from tests.export.serving import asgi, stub

RANDOM = np.random.default_rng(3)
NAMED = ((0, 'background'), (1, 'red'))
IMAGES = [RANDOM.integers(0, 256, [*size, 3], np.uint8) for size in ((4, 5), (9, 2), (4, 5))]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stub.save(tmp_path_factory.mktemp('stub'))


def test_finds_the_saved_model(folder: str, tmp_path: pathlib.Path) -> None:
    assert model.find(folder) == model.find(f'{folder}/saved_model') == f'{folder}/saved_model'
    with pytest.raises(errors.UserError, match='no saved_model.pb in .* or in its saved_model/'):
        model.find(str(tmp_path))


def test_what_is_told_of_it(folder: str) -> None:
    found = model.Model(model.find(folder))
    assert (found.kind, found.gives_masks, found.normalized) == ('detection', True, False)
    assert found.class_names == ['background', 'apple', 'bread']
    assert found.facts == {'normalized_coordinates': False, 'step': 7, 'version': '0.1'}


@pytest.mark.parametrize(
    ('kinds', 'batch'), [(('image_bytes',), 2), (('image_tensor',), None), (('tf_example',), None)]
)
def test_each_kind_of_input_gives_the_same(
    folder: str, tmp_path: pathlib.Path, kinds: tuple[str, ...], batch: int | None
) -> None:
    """Images of several sizes, in their order; three fill up batches of two."""
    found = model.Model(model.find(stub.save(tmp_path, kinds, batch, masks=False))).run(IMAGES)
    for image, outputs in zip(IMAGES, found, strict=True):
        height, width = image.shape[:2]
        red = image[..., 0].mean() / 255
        np.testing.assert_allclose(outputs['scores'], [red, red / 2], rtol=1e-5)
        np.testing.assert_allclose(outputs['boxes'][0], [0, 0, height, width])
        assert set(outputs) == {'boxes', 'scores', 'classes'}


def test_what_is_no_export_of_ours(tmp_path: pathlib.Path) -> None:
    other = tf.Module()
    other.serve = tf.function(lambda inputs: {'y': inputs}, input_signature=[tf.TensorSpec([None])])
    tf.saved_model.save(other, str(tmp_path), signatures={'serving_default': other.serve})
    with pytest.raises(errors.UserError, match='signatures of .* are serving_default; needed: metadata and one of'):
        model.Model(str(tmp_path))


@pytest.mark.parametrize('width', [1, 2, 3, 4, 5])
def test_bitmaps_lose_nothing(width: int) -> None:
    image = RANDOM.integers(0, 256, [3, width, 3], np.uint8)
    np.testing.assert_array_equal(tf.io.decode_image(model.bitmap(image), channels=3), image)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(model.bitmap(image)))), image)


def _as_tensorflow_serving(signature: Any, body: str) -> dict[str, tf.Tensor]:
    """Answers a body in row form as TensorFlow Serving's REST API documents it: {"b64": text} is bytes."""
    (name, spec), = signature.structured_input_signature[1].items()

    def value(given: Any) -> Any:
        if isinstance(given, dict):
            (key, inner), = given.items()
            return base64.b64decode(inner) if key == 'b64' else value(inner) if key == name else {}[key]
        return given

    rows = [value(row) for row in json.loads(body)['instances']]
    return signature(**{name: tf.stack([tf.constant(row, spec.dtype) for row in rows])})


def test_signatures_take_what_tensorflow_serving_sends(folder: str) -> None:
    loaded = tf.saved_model.load(f'{folder}/saved_model')
    text = bad_requests.text(model.bitmap(IMAGES[0]))
    signature = loaded.signatures['image_bytes']
    plain = _as_tensorflow_serving(signature, json.dumps({'instances': [{'b64': text}] * 2}))
    named = _as_tensorflow_serving(signature, json.dumps({'instances': [{'inputs': {'b64': text}}] * 2}))
    for name, value in plain.items():
        assert value.shape[0] == 2
        np.testing.assert_array_equal(value, named[name])
    tensor = _as_tensorflow_serving(
        loaded.signatures['image_tensor'], json.dumps({'instances': [IMAGES[0].tolist()] * 2})
    )
    np.testing.assert_allclose(tensor['detection_scores'], plain['detection_scores'])


def test_a_segmentation_network(tmp_path: pathlib.Path) -> None:
    """Over the application, in a batch of images of two sizes: the map of each in its own size, by both forms."""
    served = model.Model(model.find(stub.save_maps(tmp_path)))
    assert (served.kind, served.class_names) == ('segmentation', ['background', 'red'])
    assert served.facts == {'scales': [1.0], 'flip': False, 'version': '0.1'}
    made = asgi.Server(lambda: served)
    instances = [bad_requests.image(model.bitmap(image)) for image in IMAGES[:2]]
    both = made.send(bad_requests.body(*instances, parameters={'score_map': True}))
    lengths = made.send(bad_requests.body(*instances, parameters={'class_map': 'rle'}))
    assert both.status == lengths.status == 200, both.body
    for image, png, rle in zip(IMAGES, both.json['predictions'], lengths.json['predictions'], strict=False):
        red = (image[..., 0] > 127).astype(int)
        np.testing.assert_array_equal(_plane(png['class_map']), red)
        np.testing.assert_array_equal(_plane(png['score_map']), image[..., 1])
        assert png['image_size'] == list(image.shape[:2])
        counted = [{'class': label, 'name': name, 'pixels': int((red == label).sum())} for label, name in NAMED]
        assert png['classes'] == [row for row in counted if row['pixels']]
        assert 'class_map' not in rle and 'score_map' not in rle and len(rle['classes']) == len(png['classes'])
        for row in rle['classes']:
            np.testing.assert_array_equal(coco_mask.decode(row['mask']), red == row['class'])
    for bad in bad_requests.kinds(limits.Limits(), is_detector=False)[-3:]:
        refused = made.send(bad.body)
        assert refused.status == 400 and bad.told in refused.error['message']
    made.close()


def _plane(value: dict[str, str]) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(value['b64']), np.uint8), cv2.IMREAD_UNCHANGED)


def test_polygons_fill_the_mask_again() -> None:
    mask = np.zeros([20, 30], np.uint8)
    cv2.circle(mask, (8, 8), 6, 1, -1)
    mask[15, 25] = 1  # one pixel
    mask[18, 20:23] = 1  # a line
    found = answers.polygons(mask)
    assert len(found) == 3 and all(len(one) >= 6 and len(one) % 2 == 0 for one in found)
    filled = np.zeros_like(mask)
    for one in found:
        cv2.fillPoly(filled, [np.array(one, np.int32).reshape(-1, 2)], 1)
    np.testing.assert_array_equal(filled, mask)
    assert answers.polygons(np.zeros([4, 4], np.uint8)) == []


def test_masks_of_a_detector_without() -> None:
    assert parameters.parse({}, is_detector=True, gives_masks=False).masks == 'none'
    with pytest.raises(limits.Refusal, match="masks is 'rle'; allowed: 'none', for this model gives no masks"):
        parameters.parse({'masks': 'rle'}, is_detector=True, gives_masks=False)
    for value in (True, float('inf'), -0.1, [1]):
        with pytest.raises(limits.Refusal, match='score_threshold is'):
            parameters.parse({'score_threshold': value}, is_detector=True, gives_masks=False)


def _files() -> list[tuple[str, bytes]]:
    found = []
    picture, second, third = (Image.fromarray(RANDOM.integers(0, 256, [37, 53, 3], np.uint8)) for _ in range(3))
    for form, mode, more in (
        ('JPEG', 'RGB', {}),
        ('JPEG', 'L', {'progressive': True, 'comment': b'c' * 300}),
        ('JPEG', 'CMYK', {'optimize': True}),
        ('PNG', 'RGB', {}),
        ('PNG', 'P', {}),
        ('PNG', 'RGBA', {}),
        ('BMP', 'RGB', {}),
        ('GIF', 'P', {}),
        ('GIF', 'P', {'save_all': True, 'append_images': [second.convert('P'), third.convert('P')]}),
    ):
        file = io.BytesIO()
        picture.convert(mode).save(file, form, **more)
        found.append((form, file.getvalue()))
    return found


def test_sizes_are_read_from_headers() -> None:
    """As Pillow reads them; a file cut off anywhere, or with a byte changed, is told or refused, never an error."""
    files = _files()
    for form, data in files:
        found = image_headers.read(data, 0)
        assert (found.format, found.height, found.width) == (form, 37, 53)
        for cut in range(0, min(len(data), 400)):
            _read(data[:cut])
            _read(data[:cut] + bytes([RANDOM.integers(256)]) + data[cut + 1 :])
    assert [image_headers.read(data, 0).pixels for form, data in files if form == 'GIF'] == [1961, 3 * 1961]
    top_down = b'BM' + struct.pack('<IHHIIiiHH', 54, 0, 0, 54, 40, 5, -7, 1, 24)
    assert image_headers.read(top_down, 0) == image_headers.Header('BMP', 7, 5, 35)
    bottom_up = struct.pack('<i', -5)
    assert _read(top_down[:18] + bottom_up + top_down[22:]) == 422


def _read(data: bytes) -> int:
    try:
        image_headers.read(data, 0)
    except limits.Refusal as refusal:
        return refusal.status
    return 200


def test_a_parsed_request_holds_its_room() -> None:
    body = bad_requests.body(bad_requests.image(bad_requests.png(6, 7)), [[[1, 2, 3]]], parameters={'masks': 'none'})
    found = requests.parse(body, limits.Limits())
    assert [(one.height, one.width, one.room) for one in found.instances] == [(6, 7, 42), (1, 1, 1)]
    assert found.room == 43 and found.parameters == {'masks': 'none'}
    [pixels] = (one.pixels for one in found.instances if one.pixels is not None)
    assert pixels.dtype == np.uint8 and pixels.tolist() == [[[1, 2, 3]]]  # lists would take forty times as much


def test_a_name_that_is_given_twice_among_very_many_is_found_soon() -> None:
    names = ','.join(f'"{number}": 0' for number in range(200_000))
    started = time.monotonic()
    with pytest.raises(limits.Refusal, match="'7' is given twice"):
        requests.parse(f'{{{names}, "7": 1}}'.encode(), limits.Limits())
    assert time.monotonic() - started < 20  # comparing each with each would take half an hour
