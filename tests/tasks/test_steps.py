"""Train steps: two devices equal one, XLA equals plain, pseudo statistics and losses by hand."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.tasks import detection
from tests import devices
from tests.tasks import small

KINDS = (small.SUPERVISED, small.SELF_TRAINING)


def _build(kind, **kwargs):
    tf.keras.utils.set_random_seed(3)
    task = small.small_task(kind, **kwargs)
    return task, task.build_model()


def _one_device_step(kind, inputs):
    """Losses of one step, and the weights' change under SGD at rate 1, which is minus the gradient.

    Step by step: tracing takes many times as long, and `test_two_devices_equal_one` traces the same step.
    """
    task, model = _build(kind)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = task.train_step(inputs, model, optimizer)
    change = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    return {name: value.numpy() for name, value in logs.items()}, change


def _two_device_step(kind, inputs):
    strategy = devices.two_devices()
    with strategy.scope():
        task, model = _build(kind)
        optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    # Half of the human and half of the pseudo examples go to each replica, human first.
    shares = [[0, 1, 4, 5], [2, 3, 6, 7]]
    values = strategy.experimental_distribute_values_from_function(
        lambda context: small.take(inputs, shares[context.replica_id_in_sync_group])
    )
    before = [variable.numpy() for variable in model.trainable_variables]

    @tf.function
    def step():
        logs = strategy.run(lambda batch: task.train_step(batch, model, optimizer), args=(values,))
        return {name: strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}

    logs = {name: value.numpy() for name, value in step().items()}
    return logs, [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]


@pytest.fixture(scope='module')
def plain():
    """Gives a kind's step on one device."""
    return functools.cache(lambda kind: _one_device_step(kind, small.batch()))


@pytest.mark.parametrize('kind', KINDS)
def test_two_devices_equal_one(kind, plain):
    """Same global batch: same losses and same gradients, to float32's rounding of the batch statistics."""
    one_logs, one_change = plain(kind)
    two_logs, two_change = _two_device_step(kind, small.batch())
    for name in one_logs.keys() - {'instances', 'pseudo/kept_fraction', 'pseudo/mean_score'}:
        np.testing.assert_allclose(two_logs[name], one_logs[name], rtol=2e-4, err_msg=name)
    for ours, theirs in zip(two_change, one_change, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(np.abs(theirs).max(), 1e-2))


@pytest.mark.parametrize('kind', KINDS)
def test_compiles_with_xla(kind, plain):
    task, model = _build(kind, sync_bn=False)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    compiled = tf.function(lambda *batch: task.train_step(batch, model, optimizer), jit_compile=True)(*small.batch())
    for name, value in plain(kind)[0].items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-3, err_msg=name)


def test_joint_losses_are_those_of_the_parts():
    """human/… is the base task's loss on the first four examples' outputs, pseudo/… on the last four's."""
    images, labels = small.batch()
    task, model = _build(small.SELF_TRAINING)
    outputs = task.base.forward(images, model)
    named = task.named_losses(images, labels, model)
    for origin, chosen in (('human', range(4)), ('pseudo', range(4, 8))):
        expected = task.base.losses_of(small.take(outputs, list(chosen)), small.take(labels, list(chosen)))
        for name, value in expected.items():
            np.testing.assert_allclose(named[f'{origin}/{name}'], value, rtol=1e-4, err_msg=name)
    # First step: the ratio makes both terms equal, so the joint loss is the human loss.
    np.testing.assert_allclose(named['model_loss'], named['human/model_loss'], rtol=1e-4)


def test_pseudo_statistics_by_hand():
    """Pseudo examples 4 to 7 hold 2, 1, 0 and 3 boxes of 3, 2, 1 and 4 candidates, each scored 0.75."""
    images, labels = small.batch()
    task, model = _build(small.SELF_TRAINING)
    named = task.named_losses(images, labels, model)
    assert named['pseudo/boxes_per_image'].numpy() == pytest.approx(1.5)
    assert named['pseudo/images_with_boxes'].numpy() == pytest.approx(0.75)
    assert named['pseudo/kept_fraction'].numpy() == pytest.approx(0.6)
    assert named['pseudo/mean_score'].numpy() == pytest.approx(0.75)


@pytest.mark.parametrize('kind', KINDS)
def test_no_box_anywhere_is_finite(kind):
    task, model = _build(kind)
    named = task.named_losses(*small.batch(boxes_per_image=(0, 0, 0, 1))[:1], _emptied(), model)
    for name, value in named.items():
        assert np.isfinite(value), name


def _emptied():
    _, labels = small.batch(boxes_per_image=(0, 0, 0, 1))
    return {
        **labels,
        'boxes': tf.fill(labels['boxes'].shape, -1.0),
        'classes': tf.fill(labels['classes'].shape, -1),
        'num_instances': tf.zeros_like(labels['num_instances']),
        'num_kept': tf.zeros_like(labels['num_kept']),
        'score_sum': tf.zeros_like(labels['score_sum']),
    }


def test_weight_decay_is_added_once():
    """total - model = decay / 2 * sum of squares of the regularised kernels, whatever the joint loss is."""
    task, model = _build(small.SELF_TRAINING)
    optimizer = tf.keras.optimizers.legacy.SGD(0.0)
    logs = task.train_step(small.batch(), model, optimizer)
    kernels = [v for v in model.trainable_variables if v.shape.rank >= 2]
    decay = 1e-4 / 2 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert float(logs['total_loss'] - logs['model_loss']) == pytest.approx(decay, rel=1e-2)


def test_predict_gives_original_pixels():
    """An image of 64 x 16 shown at scale 0.5: boxes come back doubled and clipped to 64 x 16."""
    task, model = _build(small.SUPERVISED)
    images, _ = small.batch(count=1)
    info = tf.constant([[[64.0, 16.0], [32.0, 8.0], [0.5, 0.5], [0.0, 0.0]]])
    scaled = task.predict(images, info, model)
    plain = task.predict(images, tf.constant([[[1e6, 1e6], [32.0, 8.0], [1.0, 1.0], [0.0, 0.0]]]), model)
    expected = np.clip(plain['boxes'].numpy() * 2, 0, [64, 16, 64, 16])
    np.testing.assert_allclose(scaled['boxes'], expected, rtol=1e-5)
    assert scaled['classes'].dtype == tf.int32


@pytest.mark.parametrize(('version', 'sigma'), [('v1', 0.3), ('v1', None), ('v2', None), ('batched', None)])
@pytest.mark.parametrize('dtype', ['float32', 'mixed_bfloat16'])
def test_every_suppression_takes_any_batch_and_precision(version, sigma, dtype):
    """Model Garden's version 1 wants a fixed batch and its batched version float32; 3 images go through both."""
    tf.keras.mixed_precision.set_global_policy(dtype)
    try:
        tf.keras.utils.set_random_seed(3)
        params = small.small_params()
        params.model.detection_generator.override({'nms_version': version, 'soft_nms_sigma': sigma})
        task = detection.DetectionTask(params)
        model = task.build_model()
        images, labels = small.batch(count=3)
        step = tf.function(
            lambda x, info: task.predict(x, info, model),
            input_signature=[tf.TensorSpec([None, small.SIZE, small.SIZE, 3], tf.uint8), tf.TensorSpec([None, 4, 2])],
        )
        together = step(images, labels['image_info'])
        alone = step(images[1:2], labels['image_info'][1:2])
    finally:
        tf.keras.mixed_precision.set_global_policy('float32')
    assert together['boxes'].shape == [3, 100, 4]
    tolerance = 1e-3 if dtype == 'float32' else 3e-2
    np.testing.assert_allclose(together['scores'][1], alone['scores'][0], atol=tolerance)
    assert int(together['num_detections'][1]) == int(alone['num_detections'][0])
