"""The API's own message types, where google-cloud-aiplatform is installed: names, and the check of a request."""

import functools
import importlib.util
from collections.abc import Mapping
from typing import Any

PACKAGE = 'google.cloud.aiplatform_v1'
INSTALL = 'pip install --require-hashes --no-deps -r requirements-vertex.lock'

# Of google-cloud-aiplatform 2.7.0, for machines without it; a test compares them.
_ACCELERATORS = (
    *('NVIDIA_TESLA_K80', 'NVIDIA_TESLA_P100', 'NVIDIA_TESLA_V100', 'NVIDIA_TESLA_P4', 'NVIDIA_TESLA_T4'),
    *('NVIDIA_TESLA_A100', 'NVIDIA_A100_80GB', 'NVIDIA_L4', 'NVIDIA_H100_80GB', 'NVIDIA_H100_MEGA_80GB'),
    *('NVIDIA_H200_141GB', 'NVIDIA_B200', 'NVIDIA_GB200', 'NVIDIA_RTX_PRO_6000'),
    *('TPU_V2', 'TPU_V3', 'TPU_V4_POD', 'TPU_V5_LITEPOD'),
)


class MismatchError(Exception):
    """A request that the API's message type cannot hold as it is: a mistake of this package, not of its user."""


@functools.cache
def available() -> bool:
    """Whether the message types can be imported."""
    try:
        return importlib.util.find_spec(PACKAGE) is not None
    except ModuleNotFoundError:  # not even its parent packages
        return False


def _types() -> Any:
    from google.cloud.aiplatform_v1 import types  # noqa: PLC0415  takes seconds, and is not always there

    return types


def accelerators() -> tuple[str, ...]:
    """The names of AcceleratorType, without the unspecified one."""
    if not available():
        return _ACCELERATORS
    return tuple(item.name for item in _types().AcceleratorType if item.value)


def check(message: str, value: Mapping[str, Any]) -> bool:
    """Reads a request into its message type and back, refusing fields that the type does not have.

    Args:
        message: 'CustomJob', 'CustomJobSpec' or 'HyperparameterTuningJob'.
        value: the request, in the lowerCamelCase of JSON.

    Returns:
        True where it was checked; False where the package is not installed.

    Raises:
        MismatchError: a field is unknown or of another type, or something is lost on the way.
    """
    if not available():
        return False
    from google.protobuf import json_format  # noqa: PLC0415

    target = getattr(_types(), message).pb()()
    try:
        json_format.ParseDict(dict(value), target, ignore_unknown_fields=False)
    except json_format.ParseError as error:
        raise MismatchError(f'{message}: {error}') from error
    back = json_format.MessageToDict(target)
    if normalized(back) != normalized(value):
        raise MismatchError(f'{message}: {normalized(value)} was read as {normalized(back)}')
    return True


def normalized(value: Any) -> Any:
    """A JSON value without what the API's JSON leaves out: empty texts and lists, false, zero.

    64-bit numbers are texts there, as in protocol buffers' JSON.
    """
    if isinstance(value, Mapping):
        parts = {key: normalized(item) for key, item in value.items()}
        return {key: item for key, item in parts.items() if item not in (None, '', [], {})}
    if isinstance(value, (list, tuple)):
        return [normalized(item) for item in value]
    if value is False or value is None:
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
