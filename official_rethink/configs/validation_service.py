"""Checks of a tf.data service: for whom it is, the form of its address, and whether anybody answers there."""

import re
import socket
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks

_ADDRESS = re.compile(r'grpc://(?P<host>\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})')
_EXAMPLE = 'grpc://host:port of the dispatcher, such as grpc://10.0.0.2:5050'
_NEVER = {
    'enable_shared_tf_data_service_between_parallel_trainers': 'a trainer that is slower would miss examples',
    'apply_tf_data_service_before_batching': 'batches are made by the service',
}
_TIMEOUT = 5.0  # seconds


def check(rules: checks.Rules, part: str, training: bool) -> None:
    """Checks the fields of a data part."""
    name, data = f'task.{part}.', getattr(rules.config.task, part)
    for field, reason in _NEVER.items():
        if getattr(data, field):
            raise rules.fail(name + field, f'false; {reason}')
    if not data.enable_tf_data_service:
        if data.tf_data_service_address and training:
            rule = 'an address is given, but the service is not enabled; set the first to true, or leave the second out'
            raise rules.clash(name + 'enable_tf_data_service', name + 'tf_data_service_address', rule)
        return
    if not training:
        raise rules.fail(
            name + 'enable_tf_data_service', 'false; an evaluation counts each example once, which a service does not'
        )
    address(rules, name + 'tf_data_service_address')


def address(rules: checks.Rules, key: str) -> tuple[str, int]:
    """Takes an address apart.

    Raises:
        UserError: it is not of the form.
    """
    found = _ADDRESS.fullmatch(rules.value(key) or '')
    if not found or not 0 < int(found['port']) < 2**16:
        raise rules.fail(key, _EXAMPLE)
    return found['host'].strip('[]'), int(found['port'])


def check_answers(rules: checks.Rules, part: str, connect: Any = socket.create_connection) -> None:
    """Sees that somebody listens at the address: TensorFlow would ask again and again, and say nothing.

    Args:
        rules: of the config.
        part: a data part.
        connect: opens a connection, or raises OSError.

    Raises:
        UserError: nobody does.
    """
    data, key = getattr(rules.config.task, part), f'task.{part}.tf_data_service_address'
    if not data.enable_tf_data_service:
        return
    try:
        connect(address(rules, key), timeout=_TIMEOUT).close()
    except OSError as error:
        raise errors.UserError(
            f"no tf.data service answers at '{rules.value(key)}', which is {key} (set in {rules.where(key)}): {error}. "
            f'Start its dispatcher and workers first, or set task.{part}.enable_tf_data_service to false.'
        ) from error
