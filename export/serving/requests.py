"""A request's body: JSON with instances and parameters, as Vertex AI and TensorFlow Serving write them."""

import base64
import binascii
import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.serving import image_headers, limits, tensors
from official_rethink.common import errors

_FIELDS = ('instances', 'parameters', 'signature_name')
_BYTES, _TENSOR, _EXAMPLE = 'image_bytes', 'image_tensor', 'tf_example'
_NAMES = ('b64', 'inputs', _BYTES, _TENSOR, _EXAMPLE)
_SIGNATURES = (_BYTES, _TENSOR, _EXAMPLE, 'serving_default')
_FORMS = (
    '{"image_bytes": {"b64": "..."}}, {"b64": "..."}, {"tf_example": {"b64": "..."}}, or {"image_tensor": [[[r, g, b], '
    '...], ...]}'
)


@dataclasses.dataclass(frozen=True)
class Instance:
    """One image of a request, not yet decoded.

    Attributes:
        encoded: a file's bytes, or None.
        pixels: or uint8 RGB [H, W, 3].
        height: as the header, or the lists, tell.
        width: likewise.
        room: pixels that decoding takes room for.
    """

    encoded: bytes | None
    pixels: np.ndarray | None
    height: int
    width: int
    room: int


@dataclasses.dataclass(frozen=True)
class Request:
    """A body whose form is right and whose images are within the limits."""

    instances: list[Instance]
    parameters: Mapping[str, Any]

    @property
    def room(self) -> int:
        """Pixels of all images."""
        return sum(instance.room for instance in self.instances)


def parse(body: bytes, bounds: limits.Limits) -> Request:
    """Reads a body.

    Args:
        body: UTF-8.
        bounds: what is allowed.

    Raises:
        Refusal: 400, 413, 415 or 422.
    """
    document = _json(body)
    if not isinstance(document, dict):
        raise _malformed(f'the body is {_kind(document)}; needed: {{"instances": [...]}}')
    for name in document:
        if name not in _FIELDS:
            if name == 'inputs':
                raise _malformed('the body is in column form ("inputs"); needed: rows, {"instances": [...]}')
            raise _unknown('field', name, _FIELDS)
    signature = document.get('signature_name', 'serving_default')
    if not isinstance(signature, str) or signature not in _SIGNATURES:
        raise _unknown('signature_name', signature, _SIGNATURES)
    parameters = document.get('parameters')
    if parameters is not None and not isinstance(parameters, dict):
        raise _malformed(f'"parameters" is {_kind(parameters)}; needed: an object')
    given = document.get('instances')
    if not isinstance(given, list):
        found = 'missing' if 'instances' not in document else _kind(given)
        raise _malformed(f'"instances" is {found}; needed: a list of {_FORMS}')
    if not given:
        raise _malformed(f'"instances" is empty; needed: 1 to {bounds.instances}')
    if len(given) > bounds.instances:
        raise limits.too_large(
            'instances', f'the request has {len(given)} instances', len(given), bounds.instances
        )
    instances: list[Instance] = []
    room = 0
    for number, one in enumerate(given):
        instances.append(_instance(one, number, signature, bounds))
        room += instances[-1].room
        if room > bounds.request_pixels:
            words = f'the images up to instance {number} have {room:,} pixels together'
            raise limits.too_large('request_pixels', words, room, bounds.request_pixels, number)
    return Request(instances, parameters or {})


def _json(body: bytes) -> Any:
    if not body.strip():
        raise _malformed('the body is empty; needed: {"instances": [...]}')
    try:
        return json.loads(body.decode('utf-8'), object_pairs_hook=_pairs, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f'the body is not UTF-8 at byte {error.start}') from None
    except RecursionError:
        raise _malformed('the body is nested too deeply') from None
    except json.JSONDecodeError as error:
        raise _malformed(
            f'the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}'
        ) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise _malformed(f'the body has a number that cannot be read: {str(error)[:80]}') from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = collections.Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _malformed(f'{twice[:40]!r} is given twice in one object')
    return found


def _constant(name: str) -> Any:
    raise _malformed(f'the body has {name}, which JSON does not have')


def _instance(given: Any, number: int, signature: str, bounds: limits.Limits) -> Instance:
    """Reads one image's form, its size, and compares that with the limits."""
    name, value = _named(given, number)
    if name == 'inputs':
        name = signature if signature != 'serving_default' else _BYTES if isinstance(value, dict) else _TENSOR
    elif name == 'b64':
        name, value = signature if signature in (_BYTES, _EXAMPLE) else _BYTES, {'b64': value}
    if name == _TENSOR:
        return _tensor(value, number, bounds)
    data = _decoded(value, name, number)
    if name == _EXAMPLE:
        data = _from_example(data, number)
    header = image_headers.read(data, number)
    if header.pixels > bounds.image_pixels:
        words = f'instance {number} is a {header.format} of {header.height} x {header.width}, {header.pixels:,} pixels'
        raise limits.too_large('image_pixels', words, header.pixels, bounds.image_pixels, number)
    return Instance(data, None, header.height, header.width, header.pixels)


def _named(given: Any, number: int) -> tuple[str, Any]:
    if isinstance(given, list):
        return _TENSOR, given
    if not isinstance(given, dict):
        raise _malformed(f'instance {number} is {_kind(given)}; needed: {_FORMS}', number)
    for name in given:
        if name not in _NAMES:
            raise _unknown(f'field of instance {number}', name, _NAMES, number)
    if len(given) != 1:
        found = ', '.join(sorted(given)) or 'nothing'
        raise _malformed(f'instance {number} has {found}; needed: one of {_FORMS}', number)
    return next(iter(given.items()))


def _decoded(value: Any, name: str, number: int) -> bytes:
    """The bytes of {"b64": text}."""
    if not isinstance(value, dict) or set(value) != {'b64'}:
        raise _malformed(f'{name} of instance {number} is {_kind(value)}; needed: {{"b64": "..."}}', number)
    text = value['b64']
    if not isinstance(text, str):
        raise _malformed(f'b64 of instance {number} is {_kind(text)}; needed: text', number)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(f'b64 of instance {number} is not base64: {error}', number) from None


def _from_example(data: bytes, number: int) -> bytes:
    import tensorflow as tf  # noqa: PLC0415
    from google.protobuf import message  # noqa: PLC0415

    try:
        example = tf.train.Example.FromString(data)
    except message.DecodeError:
        raise limits.Refusal(
            422, 'broken_example', f'tf_example of instance {number} is no serialized tf.Example', number
        ) from None
    values = example.features.feature['image/encoded'].bytes_list.value
    if len(values) != 1:
        raise limits.Refusal(
            422,
            'broken_example',
            f'tf_example of instance {number} has {len(values)} values of image/encoded; needed: 1',
            number,
        )
    return bytes(values[0])


def _tensor(value: Any, number: int, bounds: limits.Limits) -> Instance:
    """Reads nested lists, which take forty times the memory of an array and must not wait in it."""
    height, width = tensors.size(value, number)
    if height * width > bounds.image_pixels:
        words = f'instance {number} is a tensor of {height} x {width}, {height * width:,} pixels'
        raise limits.too_large('image_pixels', words, height * width, bounds.image_pixels, number)
    return Instance(None, tensors.read(value, height, width, number), height, width, height * width)


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return {None: 'null', True: 'true', False: 'false'}[value]
    names = {dict: 'an object', list: 'a list', str: 'text', int: 'a number', float: 'a number'}
    return names[type(value)]


def _malformed(message: str, instance: int | None = None) -> limits.Refusal:
    return limits.Refusal(400, 'malformed', message, instance)


def _unknown(what: str, name: Any, allowed: Sequence[str], instance: int | None = None) -> limits.Refusal:
    shown = name[:60] if isinstance(name, str) else _kind(name)
    return limits.Refusal(400, 'unknown_name', str(errors.unknown_name(what, shown, allowed)).rstrip('.'), instance)
