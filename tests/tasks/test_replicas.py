"""Two processes of one device each go on from one device's checkpoint as it does itself; the exchange of results."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.tasks import gathering
from tests import devices, replicas

# float32 sums of two halves are rounded otherwise than those of the whole, and every step carries it on; see
# docs/many_devices.md, whose command compares every kind of task.
TOLERANCE = 1e-3
STEPS, BEFORE = 3, 1


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A step of contrastive training by one device, saved; two more by it, and by two processes from there."""
    folder = tmp_path_factory.mktemp('replicas')
    replicas.write_data(folder)
    one = replicas.Training(tf.distribute.OneDeviceStrategy('/cpu:0'), replicas.SIMCLR, folder)
    one.run(BEFORE)
    path = one.checkpoint.write(str(folder / 'one_device'))
    for metric in one.metrics:
        metric.reset_states()
    rest = replicas.result(one, STEPS - BEFORE)
    return rest, replicas.two_processes(folder, folder, [replicas.SIMCLR], STEPS - BEFORE, f'{path}@{BEFORE}')['simclr']


@pytest.mark.slow
def test_two_processes_go_on_as_one_device_does(run):
    """Losses of every step, weights, momenta, statistics of batch norm, metrics of training and evaluation."""
    one, (first, _) = run
    assert len(replicas.part(one, 'state')) > 80 and 'val/contrastive_loss' in replicas.part(one, 'metric')
    assert any('moving_variance' in name for name in replicas.part(one, 'state'))
    away = replicas.differences(first, one)
    assert max(away.values()) < TOLERANCE, away


@pytest.mark.slow
def test_two_processes_agree_to_the_last_bit(run):
    """What each keeps of every variable, its own copies of batch norm's statistics too; losses and metrics."""
    first, second = run[1]
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


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
