"""Two processes go on from one device's checkpoint as it does itself; what their workers exchange; the comparison."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.tasks import gathering, trainer
from tests import devices, replicas
from tests.tasks import replica_runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
KIND, STEPS, MORE = replica_runs.SEGMENTATION, 2, 1
# The shipped policy takes as long to trace as the network.
_QUICK = 'task.train_data.augmentation.policy=S1,task.pseudo_data.augmentation.policy=S1'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Three steps of a student by the train command on one device, and the third by two processes too."""
    folder = tmp_path_factory.mktemp('replicas')
    command = [sys.executable, '-m', 'tests.replicas', f'--kinds={KIND}', f'--steps={STEPS}', f'--more={MORE}']
    command += [f'--output_dir={folder}', f'--arrangements={replicas.ONE_THEN_TWO}', f'--params_override={_QUICK}']
    env = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800, check=False)
    return folder / KIND, done


@pytest.mark.slow
def test_two_processes_go_on_as_one_device_does(run):
    """Losses, weights, momenta, statistics of batch norm, the balance of losses; metrics of training and evaluation."""
    folder, done = run
    assert done.returncode == 0 and done.stdout.endswith('equal\n'), done.stdout + done.stderr[-3000:]
    found = [
        replicas.result(str(folder / name), STEPS, STEPS + MORE) for name in ('one_device', 'one_then_two_processes')
    ]
    away = replicas.differences(found[1], found[0])
    assert away.keys() == set(replicas.PARTS)
    assert all(share <= replicas.TOLERANCES[part] for part, (share, _) in away.items()), away
    assert {'validation mIoU', 'train instances', 'train loss_ratio'} <= found[1][replicas.METRIC].keys()
    assert len(found[1][replicas.WEIGHT]) > 40 and len(found[1][replicas.BALANCE]) == 3
    # A comparison of what has not moved would say nothing.
    before = replicas.state(str(folder / 'one_device'), STEPS)
    for part in (replicas.WEIGHT, replicas.SLOT, replicas.STATISTIC, replicas.BALANCE):
        moved = max(float(np.max(np.abs(before[part][key] - found[0][part][key]))) for key in before[part])
        assert moved > 10 * replicas.TOLERANCES[part], part


@pytest.mark.slow
def test_two_processes_agree_to_the_last_bit(run):
    """What each keeps of every variable, its own copies of batch norm's statistics too; every number of their logs."""
    folder, _ = run
    copies, logs = replica_runs.ends(str(folder / 'one_then_two_processes'), workers=2)
    assert any('moving_variance' in name for name in copies) and any('pseudo_mean' in name for name in copies)
    for name, value in copies.items():
        assert len(value) == 2
        np.testing.assert_array_equal(value[0], value[1], err_msg=name)
    # Worker 0 has the steps of one device in its log too, which worker 1 does not read.
    first, second = (json.loads(log) for log in logs)
    assert [entry for entry in first if entry[1] > STEPS] == second and [entry[1] for entry in second] == [3, 3]


def _result(**values):
    found = {part: {'a': np.float32([0.0, 2.0])} for part in replicas.PARTS}
    return {**found, **{part: {'a': np.float32(value)} for part, value in values.items()}}


def test_differences_are_shares_of_the_largest_value():
    away = replicas.differences(_result(weight=[0.5, 2.0], loss=[0.0, 1.0]), _result(balance=[0.0, 1e-3]))
    assert away['weight'] == (0.25, 'a') and away['loss'] == (0.5, 'a') and away['slot'] == (0.0, 'a')
    # Beside nothing there is no share: values under 0.01 count as that.
    assert away['balance'][0] == pytest.approx((2.0 - 1e-3) / 0.01)


def test_what_is_not_a_number_is_no_rounding():
    away = replicas.differences(_result(weight=[np.nan, 2.0], slot=[1.0]), _result(loss=[0.0, np.nan]))
    assert away['weight'][0] == away['slot'][0] == away['loss'][0] == np.inf


def test_a_variable_that_only_one_has_is_told():
    ours = _result()
    ours['statistic'] = {}
    with pytest.raises(ValueError, match='a'):
        replicas.differences(ours, _result())


@pytest.mark.parametrize('ours,theirs', [(1, 2), (2, 1)])
def test_what_a_window_has_gathered_goes_on_on_another_number_of_devices(tmp_path, ours, theirs):
    """A mean of 1, 3, 8 of weight 1 each, and a sum of as many, of which the last is met after the restore."""
    def window(number):
        one = tf.distribute.OneDeviceStrategy('/cpu:0')
        strategy = devices.two_devices() if number == 2 else one
        with strategy.scope():
            return strategy, trainer.Window([tf.keras.metrics.Mean('mean'), tf.keras.metrics.Sum('sum')])

    def feed(strategy, gathered, *values):
        number = strategy.num_replicas_in_sync
        each = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group :: number])
        )
        strategy.run(lambda part: [metric.update_state(part) for metric in gathered.metrics], args=(each,))

    strategy, begun = window(ours)
    feed(strategy, begun, 1.0, 3.0)
    begun.seconds.assign(2.5)
    path = tf.train.Checkpoint(window=begun).write(str(tmp_path / 'state'))
    strategy, resumed = window(theirs)
    tf.train.Checkpoint(window=resumed).read(path).assert_consumed()
    assert [float(metric.result()) for metric in resumed.metrics] == [2.0, 4.0]
    assert float(resumed.seconds.numpy()) == 2.5
    feed(strategy, resumed, 8.0, 0.0)
    assert [float(metric.result()) for metric in resumed.metrics] == [3.0, 12.0]


def test_one_process_keeps_its_results_as_they_are():
    with devices.two_devices().scope():
        gather = gathering.Gatherer()
    found = {'scores': (tf.constant([1.0]), tf.constant([2.0]))}
    assert gather(found) is found and gathering.Gatherer()(found) is found


def test_results_survive_the_exchange():
    """Any type and shape, an odd number of bytes, and nothing at all."""
    given = [np.arange(7, dtype=np.uint8), np.float32([[np.nan, -0.0, 1e-45]]), np.zeros([0, 4], np.int64), np.int32(3)]
    packed = gathering._packed(given)
    assert packed.dtype == np.float32 and packed.min() >= 0 and packed.max() < 65536
    for ours, theirs in zip(gathering._unpacked(packed), given, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours.tobytes(), theirs.tobytes())
