"""Evaluation on more replicas than images are left: every family measures what one device measures."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.configs import types
from official_rethink.tasks import evaluate
from tests import devices
from tests.tasks import small, small_maskrcnn, small_segmentation

COUNT = 3


def _detection_inputs(module):
    images, labels = module.batch(COUNT)
    truth = {
        'source_id': tf.range(COUNT, dtype=tf.int64),
        'height': tf.fill([COUNT], module.SIZE),
        'width': tf.fill([COUNT], module.SIZE),
        'num_detections': labels['num_instances'],
        'boxes': labels['boxes'],
        'classes': labels['classes'],
        'areas': tf.ones(labels['classes'].shape),
        'is_crowds': tf.zeros_like(labels['classes']),
        'is_difficult': tf.zeros_like(labels['classes']),
    }
    return images, {**labels, 'groundtruths': truth}


def _segmentation_inputs():
    images, labels = small_segmentation.batch(COUNT)
    size = tf.fill([COUNT], small_segmentation.SIZE)
    truth = {'source_id': tf.range(COUNT, dtype=tf.int64), 'height': size, 'width': size}
    return images, {**labels, 'groundtruths': {**truth, 'label_map': labels['label_map']}}


FAMILIES = {
    'detection': (small.small_task, lambda: _detection_inputs(small)),
    'segmentation': (small_segmentation.task, _segmentation_inputs),
    'two stages': (
        lambda: small_maskrcnn.task(experiment='maskrcnn_resnetfpn_syncbn_coco', model={'include_mask': False}),
        lambda: _detection_inputs(small_maskrcnn),
    ),
}


def _metrics(strategy, family):
    make, inputs = FAMILIES[family]
    with strategy.scope():
        tf.keras.utils.set_random_seed(3)
        task = make()
        model = task.build_model()
    data = tf.data.Dataset.from_tensor_slices(inputs()).batch(1)
    task.build_inputs = lambda params, context=None: data
    return evaluate.evaluate(strategy, task, model, types.ShardData(input_path='none', global_batch_size=2))


@pytest.mark.parametrize('family', FAMILIES)
def test_a_replica_without_an_image(family):
    one = _metrics(tf.distribute.get_strategy(), family)
    two = _metrics(devices.two_devices(), family)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-5, err_msg=name)
