"""Full batches for evaluation: every example once, in order, fillers at the end that nobody counts."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.dataloaders import full_batches, reader
from official_rethink.tasks import classification
from tests.tasks import small


def _dataset(count, batch_size):
    numbers = np.arange(1, count + 1, dtype=np.int32)
    labels = {
        'label': numbers,
        'boxes': np.ones([count, 2, 4], np.float32),
        'image_info': np.ones([count, 4, 2], np.float32),
        'groundtruths': {'height': numbers, 'label_map': np.zeros([count, 3], np.uint8)},
    }
    images = np.ones([count, 2, 2, 3], np.uint8)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)


@pytest.mark.parametrize(('count', 'batch_size', 'replicas'), [(7, 2, 2), (8, 2, 2), (1, 3, 4), (0, 2, 2), (5, 4, 1)])
def test_every_example_once(count, batch_size, replicas):
    filled = full_batches.fill(_dataset(count, batch_size), batch_size, replicas)
    assert all(spec.shape.is_fully_defined() for spec in tf.nest.flatten(filled.element_spec))
    batches = list(filled)
    assert len(batches) == -(-count // (batch_size * replicas)) * replicas
    numbers = [number for _, labels in batches for number in labels['label'].numpy().tolist()]
    assert numbers == [*range(1, count + 1), *[0] * (len(batches) * batch_size - count)]


def test_a_filler_holds_nothing():
    images, labels = list(full_batches.fill(_dataset(1, 2), 2, 1))[0]
    assert not images[1].numpy().any() and labels['groundtruths']['height'].numpy().tolist() == [1, 0]
    assert (labels['boxes'][1].numpy() == -1).all()
    assert (labels['groundtruths']['label_map'][1].numpy() == 255).all()
    assert labels['image_info'][1].numpy().tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]


def test_fillers_count_nowhere(monkeypatch):
    """A classifier counts a batch with two fillers as it does the batch without them."""
    from official_rethink.configs import classification as configs  # noqa: PLC0415

    params = configs.ClassificationTask()
    backbone = small.small_params().model.backbone.as_dict()
    params.override({'model': {'num_classes': 3, 'input_size': [8, 8, 3], 'backbone': backbone}})
    task = classification.ClassificationTask(params)
    logits = tf.constant([[9.0, 0, 1], [0, 1, 2], [5, 0, 0], [5, 0, 0]])
    monkeypatch.setattr(task, '_logits', lambda images, model: logits[: images.shape[0]])
    found = []
    for labels in ([1, 2], [1, 2, 0, 0]):
        images = tf.zeros([len(labels), 8, 8, 3], tf.uint8)
        step = task.validation_step((images, {'label': tf.constant(labels)}), None)
        found.append({name: float(value) for name, value in step['sums'].items()})
    assert found[0] == pytest.approx(found[1]) and found[0]['examples'] == 2 and found[0]['accuracy'] == 1


def test_only_where_it_is_needed(tmp_path):
    """On other strategies the last batch stays as short as it is."""
    (tmp_path / 'val-00000-of-00001.tfrecord').touch()
    data = small.small_params().validation_data.replace(input_path=str(tmp_path / 'val*'), is_training=False)
    plain = reader.read(data, (32, 32)).element_spec[0].shape

    class Extended(tf.distribute.OneDeviceStrategy):
        stands_for_tpus = True

    with Extended('/cpu:0').scope():
        filled = reader.read(data, (32, 32)).element_spec[0].shape
    assert (plain.as_list(), filled.as_list()) == ([None, 32, 32, 3], [8, 32, 32, 3])
