"""The folder of a run: whose it is at the moment, and which settings it was made with."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO, Any

import tensorflow as tf
import yaml

from official_rethink.common import errors, files, nested, whole_checkpoints
from official_rethink.common.cluster import Cluster

PARAMS = 'params.yaml'
TEST = 'test.json'

_MAY_DIFFER = ('runtime.', 'task.test_data.', 'trainer.max_to_keep')
# Where a tf.data service is found changes nothing that it does.
_MAY_DIFFER_IN_ALL_DATA = ('.tf_data_service_address', '.tf_data_service_job_name')


@contextlib.contextmanager
def locked(folder: str, cluster: Cluster | None = None) -> Iterator[None]:
    """Holds the folder for one process, or for the workers of one job; another job on the same machine is refused.

    The lock is the kernel's, so a killed process leaves none behind. Workers share the folder's lock and hold one of
    their own each, so that the same worker of a second job is refused too.

    Args:
        folder: is made if it is missing; object stores have no locks.
        cluster: the job's machines, if it has more than one.

    Raises:
        UserError: another process holds it.
    """
    if files.is_remote(folder):
        yield
        return
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as stack:

        def hold(name: str, how: int) -> None:
            handle = stack.enter_context(open(os.path.join(folder, name), 'w', encoding='utf-8'))
            _lock(handle, how, folder)

        many = cluster is not None and cluster.num_workers > 1
        hold('.lock', fcntl.LOCK_SH if many else fcntl.LOCK_EX)
        if many:
            assert cluster is not None
            hold(f'.lock-{cluster.role}-{cluster.index}', fcntl.LOCK_EX)
        yield


def _lock(handle: IO[str], how: int, folder: str) -> None:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except OSError as error:
        raise errors.UserError(f"another process is at work in '{folder}'; wait for it or stop it.") from error


def check_params(params: Any, folder: str) -> None:
    """Looks whether a folder's run, if it holds one, has these settings.

    Raises:
        UserError: it has others; the text names them.
    """
    path = os.path.join(folder, PARAMS)
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path, 'r') as handle:
        old = nested.leaves(yaml.safe_load(handle.read()))
    new = nested.leaves(yaml.safe_load(_text(params)))
    changed = [
        f'{key}: there {old.get(key)!r}, now {new.get(key)!r}'
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        and not key.startswith(_MAY_DIFFER)
        and not key.endswith(_MAY_DIFFER_IN_ALL_DATA)
    ]
    if changed and whole_checkpoints.candidates(folder):
        raise errors.UserError(
            f"'{folder}' holds a run with other settings ({'; '.join(changed[:5])}); give another --model_dir, "
            'or delete it to start anew.'
        )


def save_params(params: Any, folder: str) -> None:
    """Writes params.yaml, whole or not at all."""
    files.write_text(os.path.join(folder, PARAMS), _text(params))


def _text(params: Any) -> str:
    return str(yaml.safe_dump(params.as_dict(), default_flow_style=False))
