"""A tf.data service in this process: all examples come, to one worker each; addresses where nobody answers."""

import collections
import types as python

import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import checks, types, validation_service
from official_rethink.configs import detection as configs
from official_rethink.dataloaders import reader
from tests import ports
from tests.dataloaders import test_sharing as sharing

pattern = sharing.pattern
COUNT, READ = sharing.COUNT, 40  # batches of three


@pytest.fixture(scope='module')
def address():
    """A dispatcher with two machines."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    config = {'dispatcher_address': dispatcher.target.split('://')[1]}
    machines = [service.WorkerServer(service.WorkerConfig(**config)) for _ in range(2)]
    yield dispatcher.target
    del machines, dispatcher


def _params(pattern, address, split='train', **values):
    served = {'enable_tf_data_service': True, 'tf_data_service_address': address}
    given = {'is_training': True, 'global_batch_size': 3, 'shuffle_buffer_size': 1, **served, **values}
    return types.ShardData(input_path=pattern(split), **given)


def _numbers(dataset, count):
    """The numbers of the images, and the seeds of their augmentation."""
    batches = [(images.numpy()[:, 0, 0, 0], labels['seed'].numpy()) for images, labels in dataset.take(count)]
    return (
        [int(grey) - 1 for images, _ in batches for grey in images],
        [tuple(seed) for _, seeds in batches for seed in seeds.tolist()],
    )


def test_all_examples_come_about_equally_often_and_each_is_augmented_anew(pattern, address):
    """120 of a set of 24: five passes, of which the first and last may be apart by what the machines hold."""
    dataset = reader.read(_params(pattern, address), sharing.SIZE, 3, parser=sharing._Plain())
    assert dataset.element_spec[0] == tf.TensorSpec([3, 16, 16, 3], tf.uint8)
    numbers, seeds = _numbers(dataset, READ)
    counted = collections.Counter(numbers)
    assert set(counted) == set(range(COUNT)) and max(counted.values()) <= 10
    assert len(set(seeds)) == len(seeds)


def test_machines_augment_one_image_at_one_place_differently(pattern):
    """Two services of one machine each read the same images in the same order."""
    service, seen = tf.data.experimental.service, []
    tf.random.set_seed(3)
    for _ in range(2):
        dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
        machine = service.WorkerServer(service.WorkerConfig(dispatcher_address=dispatcher.target.split('://')[1]))
        dataset = reader.read(_params(pattern, dispatcher.target), sharing.SIZE, 3, parser=sharing._Plain())
        seen.append(_numbers(dataset, 8))
        del machine
    assert seen[0][0] == seen[1][0] and not set(seen[0][1]) & set(seen[1][1])


def test_workers_share_the_batches_of_a_job(pattern, address):
    """Of two workers neither gets a batch, which its seeds name, that the other has."""
    params = _params(pattern, address, tf_data_service_job_name='shared', global_batch_size=6)
    parts = [
        iter(reader.read(params, sharing.SIZE, 3, input_context=sharing._context(2, worker), parser=sharing._Plain()))
        for worker in range(2)
    ]
    seen = [[tuple(seed) for _ in range(10) for seed in next(part)[1]['seed'].numpy().tolist()] for part in parts]
    assert len(seen[0]) == len(seen[1]) == 30 and not set(seen[0]) & set(seen[1])


def test_several_workers_need_a_name(pattern, address):
    with pytest.raises(errors.UserError, match='job_name is not set, but 2 workers take batches of .* no other run'):
        params = _params(pattern, address, global_batch_size=6)
        reader.read(params, sharing.SIZE, 3, 0, sharing._context(2, 0), parser=sharing._Plain())


def test_chosen_images_come_from_a_service(pattern, address):
    """What is chosen, and how often, is known to machines that have no table of this process."""
    params = _params(pattern, address, 'few')
    dataset = reader.read(params, sharing.SIZE, 3, parser=sharing._Plain(), copies={'4': 2, '7': 1})
    counted = collections.Counter(_numbers(dataset, 30)[0])
    assert set(counted) == {4, 7} and counted[4] > counted[7]


# --- the config


def _rules(part='train_data', **values):
    task = configs.DetectionTask()
    getattr(task, part).override({'is_training': part == 'train_data', **values})
    sources = {f'task.{part}.tf_data_service_address': 'run.yaml'}
    return checks.Rules(python.SimpleNamespace(task=task), checks.Where(sources)), part


@pytest.mark.parametrize('given', ['', None, 'h:5050', 'grpc://h', 'http://h:80', 'grpc://h:0', 'grpc://h:70000'])
def test_a_wrong_address_is_named(given):
    rules, part = _rules(enable_tf_data_service=True, tf_data_service_address=given)
    with pytest.raises(errors.UserError, match=r'task.train_data.tf_data_service_address is .*such as grpc://10.0.0.2'):
        validation_service.check(rules, part, True)


@pytest.mark.parametrize(
    ('part', 'values', 'words'),
    [
        ('validation_data', {'enable_tf_data_service': True}, 'enable_tf_data_service is True.*each example once'),
        ('train_data', {'tf_data_service_address': 'grpc://h:1'}, 'enable_tf_data_service.*not enabled'),
        ('train_data', {'apply_tf_data_service_before_batching': True}, 'before_batching is True.*false'),
    ],
)
def test_what_a_service_is_not_for_is_refused(part, values, words):
    rules, part = _rules(part, **values)
    with pytest.raises(errors.UserError, match=words):
        validation_service.check(rules, part, part == 'train_data')


def test_an_address_where_nobody_answers_is_named(address):
    rules, part = _rules(enable_tf_data_service=True, tf_data_service_address=address)
    validation_service.check(rules, part, True)
    validation_service.check_answers(rules, part)
    silent = f'grpc://localhost:{ports.free_ports(1)[0]}'
    rules, part = _rules(enable_tf_data_service=True, tf_data_service_address=silent)
    with pytest.raises(errors.UserError, match=rf"answers at '{silent}', which is task.*set in run.yaml.*to false"):
        validation_service.check_answers(rules, part)
