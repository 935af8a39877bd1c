"""TF_CONFIG and CLUSTER_SPEC as Vertex AI writes them, and what follows from them."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from official.core import config_definitions as cfg

from official_rethink.common import cluster, errors
from tests import ports

CHIEF = ['cmle-training-workerpool0-1-0:2222']
WORKERS = ['cmle-training-workerpool1-1-0:2222', 'cmle-training-workerpool1-1-1:2222']


def tf_config(machines: Any, kind: str = 'chief', index: Any = 0, **more: Any) -> dict[str, str]:
    value = {'cluster': machines, 'task': {'type': kind, 'index': index, 'trial': '1'}, 'environment': 'cloud', **more}
    return {'TF_CONFIG': json.dumps(value)}


def cluster_spec(machines: Any, kind: str, index: int = 0) -> dict[str, str]:
    value = {'cluster': machines, 'environment': 'cloud', 'task': {'type': kind, 'index': index}}
    return {'CLUSTER_SPEC': json.dumps(value)}


def test_chief_and_workers() -> None:
    found = cluster.read(tf_config({'chief': CHIEF, 'worker': WORKERS}, 'worker', 1))
    assert found is not None
    assert (found.num_workers, found.role, found.index, found.is_chief) == (3, 'worker', 1, False)
    first = cluster.read(tf_config({'chief': CHIEF, 'worker': WORKERS}))
    assert first is not None and first.is_chief


def test_without_a_chief_the_first_worker_is_it() -> None:
    found = cluster.read(tf_config({'worker': WORKERS}, 'worker', 0))
    assert found is not None and found.is_chief


def test_worker_pools_are_the_same_machines() -> None:
    pools = cluster_spec({'workerpool0': CHIEF, 'workerpool1': WORKERS}, 'workerpool1', 1)
    roles = tf_config({'chief': CHIEF, 'worker': WORKERS}, 'worker', 1)
    one, other = cluster.read(pools), cluster.read(roles)
    assert one is not None and other is not None
    assert one.as_tf_config() == other.as_tf_config()
    assert json.loads(one.as_tf_config()) == {
        'cluster': {'chief': CHIEF, 'worker': WORKERS},
        'task': {'type': 'worker', 'index': 1},
    }


def test_tf_config_comes_first_and_empty_is_none() -> None:
    both = tf_config({'chief': CHIEF}) | cluster_spec({'workerpool0': CHIEF, 'workerpool1': WORKERS}, 'workerpool0')
    found = cluster.read(both)
    assert found is not None and found.num_workers == 1
    for nothing in ({}, {'TF_CONFIG': ''}, {'TF_CONFIG': '{}'}, {'TF_CONFIG': '{"cluster": {}}', 'CLUSTER_SPEC': ' '}):
        assert cluster.read(nothing) is None
    late = cluster.read({'TF_CONFIG': '{}'} | cluster_spec({'workerpool0': CHIEF}, 'workerpool0'))
    assert late is not None and late.source == 'CLUSTER_SPEC'


@pytest.mark.parametrize(
    ('environment', 'words'),
    [
        ({'TF_CONFIG': '{"cluster": '}, ('TF_CONFIG is not valid JSON', 'line 1, column 13')),
        ({'CLUSTER_SPEC': 'x' * 200}, ('CLUSTER_SPEC is not valid JSON', '...')),
        ({'TF_CONFIG': '[1]'}, ('TF_CONFIG is [1]', '"cluster" and "task"')),
        (tf_config(['a:1']), ('TF_CONFIG.cluster', 'roles with lists of host:port')),
        (tf_config({'chief': 'a:1'}), ('TF_CONFIG.cluster.chief', "'a:1'", 'a list of host:port')),
        (tf_config({'cheif': CHIEF}), ("unknown TF_CONFIG.cluster 'cheif'", "Did you mean 'chief'?")),
        (tf_config({'chief': CHIEF}, 'chef'), ("unknown TF_CONFIG.task.type 'chef'", "Did you mean 'chief'?")),
        (tf_config({'chief': CHIEF}, 'worker'), ('TF_CONFIG.task', '1 of chief')),
        (tf_config({'chief': CHIEF, 'worker': WORKERS}, 'worker', 2), ('TF_CONFIG.task', '2 of worker')),
        (tf_config({'chief': CHIEF}, index=-1), ('TF_CONFIG.task.index is -1', 'a whole number from 0')),
        (tf_config({'chief': CHIEF, 'worker': CHIEF}), ('each address once', CHIEF[0])),
        ({'TF_CONFIG': json.dumps({'cluster': {'chief': CHIEF}})}, ('TF_CONFIG.task is None',)),
    ],
)
def test_a_malformed_variable_is_named(environment: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(errors.UserError) as raised:
        cluster.read(environment)
    for word in words:
        assert word in str(raised.value)


def read(machines: Any, kind: str = 'chief') -> cluster.Cluster:
    found = cluster.read(tf_config(machines, kind))
    assert found is not None
    return found


def test_settings_of_each_kind_of_job() -> None:
    alone, many = read({'chief': CHIEF}), read({'chief': CHIEF, 'worker': WORKERS})
    assert cluster.settings(alone, 0, False) == {}
    assert cluster.settings(alone, 8, False) == {'distribution_strategy': 'mirrored', 'num_gpus': 8}
    assert cluster.settings(alone, 0, True) == {'distribution_strategy': 'tpu', 'tpu': 'local'}
    assert cluster.settings(many, 0, False) == {'distribution_strategy': 'multi_worker_mirrored', 'num_gpus': 0}
    assert cluster.settings(many, 4, False) == {'distribution_strategy': 'multi_worker_mirrored', 'num_gpus': 4}


def test_what_the_user_set_stays() -> None:
    many = read({'chief': CHIEF, 'worker': WORKERS})
    assert cluster.settings(many, 4, False, lambda key: key == 'runtime.distribution_strategy') == {}
    kept = cluster.settings(many, 4, False, lambda key: key == 'runtime.num_gpus')
    assert kept == {'distribution_strategy': 'multi_worker_mirrored'}


@pytest.mark.parametrize(
    ('found', 'tpu', 'words'),
    [
        (read({'chief': CHIEF, 'ps': ['a:1']}), False, "role is 'ps'"),
        (read({'chief': CHIEF, 'evaluator': ['a:1']}, 'evaluator'), False, "role is 'evaluator'"),
        (read({'chief': CHIEF, 'worker': WORKERS}), True, 'machines with TPUs is 3'),
    ],
)
def test_what_nothing_trains_with_is_refused(found: cluster.Cluster, tpu: bool, words: str) -> None:
    with pytest.raises(errors.UserError, match=words):
        cluster.settings(found, 0, tpu)


def test_a_config_gets_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, 'num_gpus', lambda: 2)
    monkeypatch.setattr(cluster, 'has_tpu', lambda: False)
    params = cfg.ExperimentConfig()
    params.lock()
    environment = cluster_spec({'workerpool0': CHIEF, 'workerpool1': WORKERS}, 'workerpool0')
    given, words = cluster.apply(params, lambda key: False, environment)
    assert (given.runtime.distribution_strategy, given.runtime.num_gpus) == ('multi_worker_mirrored', 2)
    assert words.startswith('CLUSTER_SPEC names 3 machines, this is chief 0: ')
    assert json.loads(environment['TF_CONFIG'])['cluster'] == {'chief': CHIEF, 'worker': WORKERS}
    assert params.runtime.distribution_strategy == 'mirrored'


def test_one_machine_is_left_alone() -> None:
    params = cfg.ExperimentConfig()
    environment: dict[str, str] = {}
    assert cluster.apply(params, lambda key: False, environment) == (params, '')
    assert environment == {}
    alone = cluster_spec({'workerpool0': CHIEF}, 'workerpool0')
    assert cluster.apply(params, lambda key: False, alone) == (params, '')  # no GPU here, and a cluster of one
    assert 'TF_CONFIG' not in alone


def test_folders_of_a_managed_job() -> None:
    both = {'AIP_MODEL_DIR': 'gs://b/model/', 'AIP_CHECKPOINT_DIR': 'gs://b/checkpoints/'}
    assert cluster.default_folder(both) == 'gs://b/checkpoints'
    assert cluster.default_folder({'AIP_MODEL_DIR': 'gs://b/model/'}) == 'gs://b/model'
    assert cluster.default_folder({}) == ''


WORKER = """
from official_rethink.common import cluster, entry_point
entry_point.quieten()
from official.core import config_definitions as cfg
from official_rethink.tasks import runner
params, words = cluster.apply(cfg.ExperimentConfig(), lambda key: False)
strategy = runner.build_strategy(params)
import tensorflow as tf
def step():
    replica = tf.distribute.get_replica_context()
    return replica.all_reduce('sum', tf.cast(replica.replica_id_in_sync_group, tf.float32) + 1.0)
total = float(tf.function(lambda: strategy.run(step))())
print(words.split(':')[0], type(strategy).__name__, strategy.num_replicas_in_sync, total)
"""


@pytest.mark.slow
def test_two_processes_are_one_strategy() -> None:
    """Given Vertex AI's variable and nothing else, two machines add up what each of them has."""
    pools = {f'workerpool{pool}': [f'127.0.0.1:{port}'] for pool, port in enumerate(ports.free_ports(2))}
    workers = []
    for pool in pools:
        environment = {**os.environ, **cluster_spec(pools, pool), 'CUDA_VISIBLE_DEVICES': ''}
        environment.pop('TF_CONFIG', None)
        workers.append(
            subprocess.Popen(
                [sys.executable, '-c', WORKER],
                env=environment,
                cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        said = [worker.communicate(timeout=300) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert [out.splitlines()[-1] for out, _ in said] == [
        'CLUSTER_SPEC names 2 machines, this is chief 0 CollectiveAllReduceStrategy 2 3.0',
        'CLUSTER_SPEC names 2 machines, this is worker 0 CollectiveAllReduceStrategy 2 3.0',
    ]


@pytest.mark.parametrize('strategy', ['mirrored', 'off', 'one_device', 'tpu', 'parameter_server'])
def test_machines_that_would_train_each_on_its_own_are_refused(strategy: str) -> None:
    machines = cluster.read(cluster_spec({'workerpool0': CHIEF, 'workerpool1': WORKERS}, 'workerpool1'))
    with pytest.raises(errors.UserError, match=f"is '{strategy}'.*multi_worker_mirrored.*3 machines"):
        cluster.check_strategy(machines, strategy)
    cluster.check_strategy(machines, 'multi_worker_mirrored')
    cluster.check_strategy(None, strategy)
