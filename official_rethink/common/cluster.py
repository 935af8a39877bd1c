"""What a managed job says about its machines (TF_CONFIG, CLUSTER_SPEC), and the strategy that follows from it.

Vertex AI gives every container both variables. TF_CONFIG calls the machine of the first worker pool `chief` and
those of the second `worker`; CLUSTER_SPEC calls the pools `workerpool0` to `workerpool3`. TensorFlow reads the
first alone, so that one is made from the other where it is missing.
"""

import dataclasses
import glob
import json
import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from official_rethink.common import errors

TF_CONFIG, CLUSTER_SPEC = 'TF_CONFIG', 'CLUSTER_SPEC'
FOLDERS = ('AIP_CHECKPOINT_DIR', 'AIP_MODEL_DIR')

_ROLES = ('chief', 'worker', 'ps', 'evaluator')
# Vertex AI's order of worker pools, and what older services call the chief.
_ALIASES = {**{f'workerpool{index}': role for index, role in enumerate(_ROLES)}, 'master': 'chief', 'primary': 'chief'}
_TRAINING = ('chief', 'worker')
_TPU_DEVICES = ('/dev/accel[0-9]*', '/dev/vfio/[0-9]*')


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The machines of a job, and which one this is.

    Attributes:
        machines: role -> addresses (host:port); roles are chief, worker, ps, evaluator, none of them empty.
        role: of this machine.
        index: of this machine among those of its role, from 0.
        source: the variable that said so.
    """

    machines: Mapping[str, tuple[str, ...]]
    role: str
    index: int
    source: str

    @property
    def num_workers(self) -> int:
        """Machines that train: the chief and the workers."""
        return sum(len(self.machines.get(role, ())) for role in _TRAINING)

    @property
    def is_chief(self) -> bool:
        """Whether this machine writes what one alone may write; without a chief it is the first worker."""
        return self.index == 0 and self.role == ('chief' if 'chief' in self.machines else 'worker')

    def as_tf_config(self) -> str:
        """The value of TF_CONFIG that TensorFlow's resolver takes."""
        machines = {role: list(addresses) for role, addresses in self.machines.items()}
        return json.dumps({'cluster': machines, 'task': {'type': self.role, 'index': self.index}})


def read(environment: Mapping[str, str]) -> Cluster | None:
    """Reads the cluster of a managed job.

    Args:
        environment: variables, such as os.environ.

    Returns:
        The cluster, TF_CONFIG's before CLUSTER_SPEC's; None where neither is set or both are empty.

    Raises:
        UserError: a variable is not JSON, or does not say where this machine is in the cluster.
    """
    for name in (TF_CONFIG, CLUSTER_SPEC):
        if environment.get(name, '').strip():
            found = _parse(name, environment[name])
            if found:
                return found
    return None


def _parse(name: str, text: str) -> Cluster | None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise errors.UserError(
            f'{name} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}: {_short(text)}.'
        ) from error
    if not isinstance(value, dict):
        raise errors.bad_value(name, value, 'a JSON object with "cluster" and "task"', 'the environment')
    if not value.get('cluster'):
        return None  # '{}' is what a process outside of any cluster is given
    machines = _machines(name, value['cluster'])
    task = value.get('task')
    if not isinstance(task, dict) or 'type' not in task:
        raise errors.bad_value(f'{name}.task', task, '{"type": a role, "index": a number}', 'the environment')
    role = _role(f'{name}.task.type', task['type'])
    index = _index(f'{name}.task.index', task.get('index', 0))
    # The evaluator stands outside of TensorFlow's cluster, and need not be listed in it.
    if role != 'evaluator' and index >= len(machines.get(role, ())):
        there = ', '.join(f'{len(addresses)} of {one}' for one, addresses in machines.items())
        raise errors.bad_value(f'{name}.task', task, f'a machine of the cluster, which has {there}', 'the environment')
    return Cluster(machines, role, index, name)


def _machines(name: str, cluster: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict):
        raise errors.bad_value(f'{name}.cluster', cluster, 'roles with lists of host:port', 'the environment')
    found: dict[str, tuple[str, ...]] = {}
    for key, addresses in cluster.items():
        role = _role(f'{name}.cluster', key)
        good = isinstance(addresses, list) and all(isinstance(item, str) and item for item in addresses)
        if not good:
            raise errors.bad_value(f'{name}.cluster.{key}', addresses, 'a list of host:port', 'the environment')
        if addresses:
            found[role] = found.get(role, ()) + tuple(addresses)
    every = [address for addresses in found.values() for address in addresses]
    double = sorted({address for address in every if every.count(address) > 1})
    if double:
        raise errors.bad_value(f'{name}.cluster', double[0], 'each address once', 'the environment')
    return found


def _role(what: str, value: Any) -> str:
    role = _ALIASES.get(value, value) if isinstance(value, str) else value
    if role not in _ROLES:
        raise errors.unknown_name(what, value, (*_ROLES, *_ALIASES), 'the environment')
    return str(role)


def _index(what: str, value: Any) -> int:
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise errors.bad_value(what, value, 'a whole number from 0', 'the environment')
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + '...')


def default_folder(environment: Mapping[str, str]) -> str:
    """The folder a managed job keeps its checkpoints in, or '' outside of one."""
    return next((environment[name].rstrip('/') for name in FOLDERS if environment.get(name)), '')


def num_gpus() -> int:
    """GPUs that TensorFlow can use on this machine."""
    import tensorflow as tf  # noqa: PLC0415  `--help` needs none of it

    return len(tf.config.list_physical_devices('GPU'))


def has_tpu() -> bool:
    """Whether TPU chips are attached to this machine."""
    return any(glob.glob(pattern) for pattern in _TPU_DEVICES)


def settings(
    cluster: Cluster, gpus: int, tpu: bool, is_set: Callable[[str], bool] = lambda key: False
) -> dict[str, Any]:
    """What `runtime` has to say on this machine, so far as the user has not said it.

    Args:
        cluster: the job's machines.
        gpus: on this machine.
        tpu: whether this machine has TPU chips.
        is_set: whether the user set a key, such as 'runtime.num_gpus'.

    Returns:
        Fields of `runtime` and their values; none where the user has set the strategy.

    Raises:
        UserError: this machine has a role, or the cluster a size, that nothing here trains with.
    """
    if is_set('runtime.distribution_strategy'):
        return {}
    if cluster.role not in _TRAINING or 'ps' in cluster.machines:
        role = 'ps' if 'ps' in cluster.machines else cluster.role
        raise errors.bad_value(
            f'{cluster.source}: role', role, 'chief and worker; training is synchronous and evaluates between steps'
        )
    found: dict[str, Any] = {}
    if tpu:
        if cluster.num_workers > 1:
            raise errors.bad_value(
                f'{cluster.source}: machines with TPUs', cluster.num_workers, '1; TPUStrategy drives one host here'
            )
        found = {'distribution_strategy': 'tpu', 'tpu': 'local'}
    elif cluster.num_workers > 1:
        found = {'distribution_strategy': 'multi_worker_mirrored', 'num_gpus': gpus}
    elif gpus:
        found = {'distribution_strategy': 'mirrored', 'num_gpus': gpus}
    return {name: value for name, value in found.items() if not is_set(f'runtime.{name}')}


def check_strategy(cluster: Cluster | None, strategy: str) -> None:
    """Refuses a strategy that would make each machine of a job train on its own, all in one folder.

    Args:
        cluster: the job's machines.
        strategy: runtime.distribution_strategy.

    Raises:
        UserError: it would.
    """
    if cluster and cluster.num_workers > 1 and strategy != 'multi_worker_mirrored':
        raise errors.bad_value(
            'runtime.distribution_strategy',
            strategy,
            f'multi_worker_mirrored, as {cluster.source} names {cluster.num_workers} machines; leave it out, and it is '
            'chosen',
        )


def apply(
    params: Any, is_set: Callable[[str], bool], environment: MutableMapping[str, str] | None = None
) -> tuple[Any, str]:
    """Gives a config the strategy of the managed job it runs in; outside of one it is left as it is.

    TF_CONFIG is written where only CLUSTER_SPEC was given, or where it uses other names for the roles.

    Args:
        params: an experiment's config, which is not changed.
        is_set: whether the user set a key.
        environment: os.environ if None.

    Returns:
        The config, and what was found and chosen, in words ('' where nothing was).
    """
    environment = os.environ if environment is None else environment
    cluster = read(environment)
    if cluster is None:
        return params, ''
    found = settings(cluster, num_gpus(), has_tpu(), is_set)
    if cluster.num_workers > 1:
        environment[TF_CONFIG] = cluster.as_tf_config()
    if not found:
        return params, ''
    machines = f'{cluster.num_workers} machine{"s" if cluster.num_workers > 1 else ""}'
    chosen = ', '.join(f'runtime.{name}={value}' for name, value in found.items())
    words = f'{cluster.source} names {machines}, this is {cluster.role} {cluster.index}: {chosen}'
    return params.replace(runtime=params.runtime.replace(**found)), words
