"""Requests that a client may send by mistake or in malice, each with the answer that it has to get."""

import base64
import dataclasses
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from export.serving import limits

_JSON = {'content-type': 'application/json'}


@dataclasses.dataclass(frozen=True)
class BadRequest:
    """One of them.

    Attributes:
        name: what is wrong with it.
        status: of the answer.
        told: a part of the answer's message.
        body: as it is sent.
        headers: likewise.
        method: likewise.
        path: '' for the route of predictions.
    """

    name: str
    status: int
    told: str
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=lambda: dict(_JSON))
    method: str = 'POST'
    path: str = ''


def png(height: int, width: int, real: bool = True) -> bytes:
    """A grey PNG; without `real` its header alone tells that size, and its data are those of one pixel."""
    rows = (b'\0' + b'\x7f' * width) * height if real else b'\0\x7f'
    parts = [(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)), (b'IDAT', zlib.compress(rows))]
    chunks = [
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        for name, data in (*parts, (b'IEND', b''))
    ]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode('ascii')


def image(data: bytes) -> dict[str, Any]:
    """An instance."""
    return {'image_bytes': {'b64': text(data)}}


def body(*instances: Any, **more: Any) -> bytes:
    """A request's body."""
    return json.dumps({'instances': list(instances), **more}).encode()


def kinds(bounds: limits.Limits, is_detector: bool = True) -> list[BadRequest]:
    """All of them.

    Args:
        bounds: the server's limits.
        is_detector: whether it serves one.
    """
    made = (*_transport(bounds), *_malformed(bounds), *_forms(), *_images(bounds), *_tensors())
    return [*made, *(_of_detectors() if is_detector else _of_maps())]


_GOOD = image(png(8, 8))


def _transport(bounds: limits.Limits) -> Iterator[BadRequest]:
    good = body(_GOOD)
    yield BadRequest('another path', 404, "no '/predictions' here", good, path='/predictions')
    yield BadRequest('another method', 405, 'PUT', good, method='PUT')
    yield BadRequest('a body that is read by GET', 405, 'allowed: POST', b'', method='GET')
    yield BadRequest('no content type', 415, 'Content-Type is missing', good, {})
    form = {'content-type': 'application/x-www-form-urlencoded'}
    yield BadRequest('a form', 415, 'x-www-form-urlencoded', good, form)
    yield BadRequest('a bare image', 415, "'image/png'", png(8, 8), {'content-type': 'image/png'})
    yield BadRequest('another charset', 415, "'utf-16'", good, {'content-type': 'application/json; charset=utf-16'})
    yield BadRequest('compressed', 415, "'gzip'", good, {**_JSON, 'content-encoding': 'gzip'})
    large = b'{"instances": ["' + b'a' * bounds.body_bytes + b'"]}'
    yield BadRequest('a body that is too large', 413, f'at most {bounds.body_bytes:,}', large)


def _malformed(bounds: limits.Limits) -> Iterator[BadRequest]:
    yield BadRequest('an empty body', 400, 'the body is empty', b'')
    yield BadRequest('no JSON', 400, 'not JSON: Expecting', b'{"instances": [')
    yield BadRequest('single quotes', 400, 'line 1, column 2', b"{'instances': []}")
    yield BadRequest('no UTF-8', 400, 'not UTF-8 at byte 15', b'{"instances": "\xff\xfe"}')
    yield BadRequest('deep nesting', 400, 'nested too deeply', b'[' * 20_000)
    yield BadRequest('NaN', 400, 'NaN', b'{"instances": [NaN]}')
    yield BadRequest('a number of 5,000 digits', 400, 'number', b'{"instances": [' + b'7' * 5000 + b']}')
    yield BadRequest('a name twice', 400, "'instances' is given twice", b'{"instances": [1], "instances": [2]}')
    yield BadRequest('a bare list', 400, 'the body is a list', b'[1]')
    yield BadRequest('null', 400, 'the body is null', b'null')
    yield BadRequest('no instances', 400, '"instances" is missing', b'{}')
    yield BadRequest('a wrong name', 400, "Did you mean 'instances'?", b'{"instance": []}')
    yield BadRequest('half a character', 400, 'unknown field', b'{"\\ud800": 1}')
    yield BadRequest('column form', 400, 'column form', b'{"inputs": [1]}')
    yield BadRequest('instances that are no list', 400, '"instances" is an object', b'{"instances": {"b64": ""}}')
    yield BadRequest('no instance', 400, '"instances" is empty', b'{"instances": []}')
    many = body(*[_GOOD] * (bounds.instances + 1))
    yield BadRequest('too many instances', 413, f'has {bounds.instances + 1} instances', many)
    yield BadRequest('no such signature', 400, "signature_name 'classify'", body(_GOOD, signature_name='classify'))
    yield BadRequest('parameters that are a list', 400, '"parameters" is a list', body(_GOOD, parameters=[1]))


def _forms() -> Iterator[BadRequest]:
    yield BadRequest('a number', 400, 'instance 1 is a number', body(_GOOD, 7))
    yield BadRequest('text', 400, 'instance 0 is text', body(text(png(8, 8))))
    yield BadRequest('null as an instance', 400, 'instance 0 is null', body(None))
    yield BadRequest('an empty instance', 400, 'instance 0 has nothing', body({}))
    yield BadRequest('a wrong field', 400, "Did you mean 'image_bytes'?", body({'image_byte': {'b64': ''}}))
    yield BadRequest('two images in one', 400, 'has b64, image_bytes', body({**_GOOD, 'b64': ''}))
    yield BadRequest('text without b64', 400, 'image_bytes of instance 0 is text', body({'image_bytes': 'aGk='}))
    yield BadRequest('b64 of a number', 400, 'b64 of instance 0 is a number', body({'b64': 5}))
    yield BadRequest('no base64', 400, 'instance 0 is not base64', body({'b64': '!!!!'}))
    yield BadRequest('base64 cut off', 400, 'instance 0 is not base64', body({'b64': 'abcde'}))
    yield BadRequest('letters beyond ASCII', 400, 'instance 0 is not base64', body({'b64': 'äöüß'}))
    yield BadRequest('no tf.Example', 422, 'no serialized tf.Example', body({'tf_example': {'b64': text(b'\xff' * 9)}}))
    yield BadRequest('an empty tf.Example', 422, '0 values of image/encoded', body({'tf_example': {'b64': ''}}))


def _images(bounds: limits.Limits) -> Iterator[BadRequest]:
    good = png(8, 8)
    side = int(bounds.image_pixels**0.5) + 1
    part = int((bounds.image_pixels * 0.9) ** 0.5)
    often = bounds.request_pixels // part**2 + 1
    gif = b'GIF89a' + struct.pack('<HHBBB', 60_000, 60_000, 0, 0, 0)
    picture = b'\x2c' + struct.pack('<HHHHB', 0, 0, 60_000, 60_000, 0) + b'\x02\x01\0\0;'
    jpeg = b'\xff\xd8\xff\xc0\0\x11\x08' + struct.pack('>HH', 65_500, 65_500) + b'\x03' + b'\x01\x11\0' * 3
    bmp = b'BM' + struct.pack('<IHHIIiiHH', 54, 0, 0, 54, 40, 50_000, -50_000, 1, 24) + bytes(24)
    empty = b'BM' + struct.pack('<IHHIIiiHH', 54, 0, 0, 54, 40, 0, 5, 1, 24) + bytes(24)
    yield BadRequest('no bytes', 422, 'instance 0 has no bytes', body(image(b'')))
    yield BadRequest('WebP', 415, 'instance 1 looks like WebP', body(_GOOD, image(b'RIFF\x20\0\0\0WEBPVP8 ')))
    yield BadRequest('TIFF', 415, 'looks like TIFF', body(image(b'II*\0\x08\0\0\0')))
    yield BadRequest('a PDF', 415, 'looks like PDF', body(image(b'%PDF-1.7')))
    yield BadRequest('words', 415, 'begins with the bytes 68656c6c6f', body(image(b'hello')))
    yield BadRequest('a PNG cut off in its header', 422, 'header is cut off', body(image(good[:20])))
    yield BadRequest('a PNG cut off in its pixels', 422, 'instance 0 of 8 x 8', body(image(good[:45])))
    spoiled = good[:41] + bytes(10) + good[51:]
    yield BadRequest('a PNG with broken pixels', 422, 'instance 1 of 8 x 8', body(_GOOD, image(spoiled)))
    yield BadRequest('a PNG without a side', 422, '0 x 8 pixels', body(image(png(0, 8, real=False))))
    yield BadRequest('a PNG bomb', 413, f'at most {bounds.image_pixels:,}', body(image(png(side, side, real=False))))
    yield BadRequest('a PNG of 4 G pixels', 413, 'pixels; at most', body(image(png(65_535, 65_535, real=False))))
    yield BadRequest('a JPEG bomb', 413, 'JPEG of 65500 x 65500', body(image(jpeg)))
    yield BadRequest('a JPEG that ends', 422, 'JPEG whose header', body(image(jpeg[:6])))
    small = jpeg.replace(struct.pack('>HH', 65_500, 65_500), struct.pack('>HH', 8, 8))
    yield BadRequest('a JPEG without pixels', 422, 'cannot be decoded', body(image(small)))
    yield BadRequest('a GIF bomb', 413, 'GIF of 60000 x 60000', body(image(gif + picture)))
    yield BadRequest('a GIF without a picture', 422, 'GIF whose header', body(image(gif + b';')))
    yield BadRequest('a BMP bomb', 413, 'BMP of 50000 x 50000', body(image(bmp)))
    yield BadRequest('a BMP without a side', 422, '5 x 0 pixels', body(image(empty)))
    together = body(*[image(png(part, part, real=False))] * often)
    if often <= bounds.instances:
        yield BadRequest('images too large together', 413, f'at most {bounds.request_pixels:,}', together)


def _tensors() -> Iterator[BadRequest]:
    pixel = [1, 2, 3]
    yield BadRequest('a flat list', 422, 'instance 0 is 3;', body(pixel))
    yield BadRequest('a grey tensor', 422, 'is 1 x 2 x 1;', body([[[1], [2]]]))
    yield BadRequest('a tensor with a batch', 422, 'is 1 x 1 x 1 x 3;', body([[[pixel]]]))
    yield BadRequest('a tensor of no pixel', 422, 'is 1 x 0;', body([[]]))
    yield BadRequest('rows of two lengths', 422, 'different lengths', body([[pixel, pixel], [pixel]]))
    yield BadRequest('a value of 256', 422, 'has 256; allowed: whole numbers', body([[[1, 256, 3]]]))
    yield BadRequest('a negative value', 422, 'instance 1 has -1;', body(_GOOD, [[[1, -1, 3]]]))
    yield BadRequest('shares', 422, 'has 0.5;', body([[[0.5, 0.5, 0.5]]]))
    yield BadRequest('text in a tensor', 422, "has '7';", body([[[1, '7', 3]]]))
    yield BadRequest('null in a tensor', 422, 'has None;', body([[[1, None, 3]]]))
    deep = json.loads('[' * 400 + ']' * 400)
    yield BadRequest('lists in a tensor', 422, 'allowed: whole numbers', body([[[1, deep, 3]]]))
    yield BadRequest('true in a tensor', 422, 'has True;', body([[[True, 1, 3]]]))


def _with(**parameters: Any) -> bytes:
    return body(_GOOD, parameters=parameters)


def _of_detectors() -> Iterator[BadRequest]:
    yield BadRequest('an unknown parameter', 400, "Did you mean 'score_threshold'?", _with(score_treshold=0.5))
    yield BadRequest('a threshold over 1', 400, 'score_threshold is 50; allowed', _with(score_threshold=50))
    yield BadRequest('a threshold of text', 400, "score_threshold is '0.5'", _with(score_threshold='0.5'))
    yield BadRequest('no detection', 400, 'max_detections is 0', _with(max_detections=0))
    yield BadRequest('half a detection', 400, 'max_detections is 1.5', _with(max_detections=1.5))
    yield BadRequest('masks of an unknown form', 400, "masks is 'bitmap'", _with(masks='bitmap'))
    yield BadRequest("another model's parameter", 400, 'this kind of model', _with(class_map='png'))


def _of_maps() -> Iterator[BadRequest]:
    yield BadRequest('maps of an unknown form', 400, "class_map is 'jpeg'", _with(class_map='jpeg'))
    yield BadRequest('a map of scores by text', 400, "score_map is 'yes'", _with(score_map='yes'))
    yield BadRequest("another model's parameter", 400, 'this kind of model', _with(score_threshold=0.5))
