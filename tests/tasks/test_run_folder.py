"""A folder is one job's: its workers live together in it, another job is refused."""

import contextlib

import pytest
from official.core import config_definitions as cfg

from official_rethink.common import cluster, errors
from official_rethink.tasks import run_folder

MACHINES = {'worker': ('a:1', 'b:1')}


def worker(index, machines=MACHINES, role='worker'):
    return cluster.Cluster(machines, role, index, 'TF_CONFIG')


ALONE = None
BESIDE = {
    'the other worker': (worker(0), worker(1)),
    'chief and worker': tuple(
        worker(0, {'chief': ('a:1',), 'worker': ('b:1',)}, role) for role in ('chief', 'worker')
    ),
}
REFUSED = {
    'one process twice': (ALONE, ALONE),
    'the same worker of another job': (worker(1), worker(1)),
    'one process where workers are': (worker(0), ALONE),
    'workers where one process is': (ALONE, worker(0)),
    'a cluster of one': (ALONE, worker(0, {'worker': ('a:1',)})),
}


@pytest.mark.parametrize('pair', BESIDE.values(), ids=BESIDE.keys())
def test_workers_of_one_job(pair, tmp_path):
    with contextlib.ExitStack() as stack:
        for one in pair:
            stack.enter_context(run_folder.locked(str(tmp_path / 'run'), one))
    # Nothing is left behind that would keep the next start away.
    with run_folder.locked(str(tmp_path / 'run')):
        assert (tmp_path / 'run').is_dir()


@pytest.mark.parametrize('pair', REFUSED.values(), ids=REFUSED.keys())
def test_another_job_is_refused(pair, tmp_path):
    first, second = (run_folder.locked(str(tmp_path), one) for one in pair)
    with first, pytest.raises(errors.UserError, match='another process is at work'), second:
        raise AssertionError('held twice')


def test_settings_are_compared_only_where_a_run_was_saved(tmp_path):
    params = cfg.ExperimentConfig()
    run_folder.check_params(params, str(tmp_path / 'new'))
    run_folder.save_params(params, str(tmp_path))
    other = params.replace(trainer=params.trainer.replace(train_steps=7))
    run_folder.check_params(other, str(tmp_path))
    (tmp_path / 'ckpt-5.index').touch()
    with pytest.raises(errors.UserError, match='trainer.train_steps: there 0, now 7'):
        run_folder.check_params(other, str(tmp_path))
    # The number of devices and machines may change from start to start.
    moved = params.replace(runtime=params.runtime.replace(distribution_strategy='multi_worker_mirrored', num_gpus=8))
    run_folder.check_params(moved, str(tmp_path))
