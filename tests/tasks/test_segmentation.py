"""Segmentation steps: two devices equal one, XLA equals plain, statistics by hand, nothing labelled, evaluation."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling import dense_inference
from tests import devices
from tests.tasks import small
from tests.tasks import small_segmentation as tiny

KINDS = (tiny.SUPERVISED, tiny.SELF_TRAINING)


def _build(kind, **kwargs):
    tf.keras.utils.set_random_seed(3)
    task = tiny.task(kind, **kwargs)
    return task, task.build_model()


def _one_device_step(kind, inputs, **kwargs):
    """Losses of one step, and the weights' change under SGD at rate 1, which is minus the gradient.

    Step by step: tracing takes many times as long, and `test_two_devices_equal_one` traces the same step.
    """
    task, model = _build(kind, **kwargs)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = task.train_step(inputs, model, optimizer)
    change = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    return {name: value.numpy() for name, value in logs.items()}, change


def _two_device_step(kind, inputs, **kwargs):
    strategy = devices.two_devices()
    with strategy.scope():
        task, model = _build(kind, **kwargs)
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
    return functools.cache(lambda kind, **losses: _one_device_step(kind, tiny.batch(), **losses))


@pytest.mark.parametrize(('kind', 'losses'), [(KINDS[0], {'top_k_percent_pixels': 0.4}), (KINDS[1], {})])
def test_two_devices_equal_one(kind, losses, plain):
    """Same global batch, its labelled pixels spread unevenly: same losses and same gradients."""
    one_logs, one_change = plain(kind, **losses)
    two_logs, two_change = _two_device_step(kind, tiny.batch(), **losses)
    for name in one_logs.keys() - {'instances', 'pseudo/mean_score'}:
        np.testing.assert_allclose(two_logs[name], one_logs[name], rtol=2e-4, err_msg=name)
    for ours, theirs in zip(two_change, one_change, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(np.abs(theirs).max(), 1e-2))


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'losses'), [(KINDS[0], {'use_groundtruth_dimension': True}), (KINDS[1], {})])
def test_compiles_with_xla(kind, losses, plain):
    task, model = _build(kind, sync_bn=False, **losses)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    compiled = tf.function(lambda *batch: task.train_step(batch, model, optimizer), jit_compile=True)(*tiny.batch())
    for name, value in plain(kind, **losses)[0].items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-3, err_msg=name)


def test_joint_losses_and_statistics_by_hand():
    """human/… is the loss of the first four examples, pseudo/… of the last four: 0.8, 1, 0 and 0.3 of them labelled."""
    images, labels = tiny.batch()
    task, model = _build(tiny.SELF_TRAINING)
    outputs = task.base.forward(images, model)
    named = task.named_losses(images, labels, model)
    for origin, chosen in (('human', range(4)), ('pseudo', range(4, 8))):
        expected = task.base.losses_of(small.take(outputs, list(chosen)), small.take(labels, list(chosen)))
        np.testing.assert_allclose(named[f'{origin}/cls_loss'], expected['cls_loss'], rtol=1e-4)
    np.testing.assert_allclose(named['model_loss'], named['human/model_loss'], rtol=1e-4)
    assert named['pseudo/coverage'].numpy() == pytest.approx(np.mean(labels['coverage'][4:]), rel=1e-6)
    assert named['pseudo/coverage'].numpy() == pytest.approx(2.1 / 4, abs=0.02)
    assert named['pseudo/images_with_labels'].numpy() == pytest.approx(0.75)
    assert named['pseudo/mean_score'].numpy() == pytest.approx(0.75)
    assert named['instances'].numpy() == np.sum(labels['num_regions']) == 6 * 3


def test_nothing_labelled_anywhere():
    """Losses are exactly zero, and only the weight decay moves the weights."""
    kind = tiny.SELF_TRAINING
    logs, change = _one_device_step(kind, tiny.batch(void=(1.0,)))
    assert logs['model_loss'] == 0.0 and np.isfinite(logs['total_loss'])
    _, model = _build(kind)
    for variable, moved in zip(model.trainable_variables, change, strict=True):
        expected = -1e-4 * variable.numpy() if variable.shape.rank >= 2 else np.zeros(variable.shape)
        np.testing.assert_allclose(moved, expected, atol=1e-7)


def test_a_student_whose_pseudo_labels_are_all_ignored():
    """The joint loss is the human one over 1 + alpha; the means wait for a step that has both."""
    images, labels = tiny.batch(void=(0.2,))
    void = tf.concat([labels['label_map'][:4], tf.fill([4, tiny.SIZE, tiny.SIZE], tf.constant(255, tf.uint8))], axis=0)
    task, model = _build(tiny.SELF_TRAINING)
    kept = tf.concat([labels['kept_pixels'][:4], tf.zeros([4])], axis=0)
    emptied = {**labels, 'label_map': void, 'kept_pixels': kept}
    named = task.named_losses(images, emptied, model)
    assert named['pseudo/model_loss'].numpy() == 0.0 and named['pseudo/images_with_labels'].numpy() == 0.0
    assert named['model_loss'].numpy() == pytest.approx(named['human/model_loss'].numpy() / 2)
    assert model.loss_balance.weight.numpy() == 0.0
    named = task.named_losses(images, labels, model)
    np.testing.assert_allclose(named['model_loss'], named['human/model_loss'], rtol=1e-4)


def _evaluation_batch(count=3):
    """Originals of 40 x 24 and smaller, at scale 0.8; their truth padded to 40 x 30."""
    images, labels = tiny.batch(count)
    sizes = np.array([[40, 24], [40, 30], [20, 24]], np.int32)[:count]
    info = np.stack([np.float32([size, [32, 32], [0.8, 0.8], [0, 0]]) for size in sizes])
    truth = np.random.default_rng(5).integers(0, tiny.NUM_CLASSES, [count, 40, 30]).astype(np.uint8)
    for row, (height, width) in enumerate(sizes):
        truth[row, height:], truth[row, :, width:] = 255, 255
    truth[:, :2] = 255
    return images, {
        'label_map': labels['label_map'],
        'image_info': tf.constant(info),
        'groundtruths': {
            'source_id': tf.range(count, dtype=tf.int64) + 7,
            'height': tf.constant(sizes[:, 0]),
            'width': tf.constant(sizes[:, 1]),
            'label_map': tf.constant(truth),
        },
    }


def _overlap(truth, classes):
    values = [
        (((truth == k) & (classes == k)).sum(), (((truth == k) | (classes == k)) & (truth != 255)).sum())
        for k in range(tiny.NUM_CLASSES)
    ]
    return np.mean([both / either for both, either in values if either])


@pytest.mark.parametrize(('scales', 'flip'), [([1.0], False), ([0.5, 1.0, 1.5], True)])
def test_evaluation_counts_what_is_predicted(scales, flip):
    """mIoU of `predict_maps` at the originals' pixels and of `predict` at the network's; the loss is the plain one."""
    task, model = _build(tiny.SUPERVISED)
    task.task_config.inference.override({'scales': scales, 'flip': flip})
    images, labels = _evaluation_batch()
    shown = {}
    task.label_map_listener = shown.__setitem__
    step = tf.function(lambda batch: task.validation_step(batch, model))
    outputs = tf.nest.map_structure(lambda value: (value,), step((images, labels)))
    state = task.aggregate_logs(task.aggregate_logs(None, outputs), outputs)
    found = task.reduce_aggregated_logs(state)
    maps = task.predict_maps(images, labels['image_info'], model, tf.constant([40, 30]))
    truth = labels['groundtruths']['label_map'].numpy()
    assert found['mIoU'] == pytest.approx(_overlap(truth, maps['classes'].numpy()), abs=1e-9)
    resized = task.predict(images, labels['image_info'], model)['probabilities'].numpy().argmax(-1)
    content = dense_inference.content_size(labels['image_info'], (32, 32)).numpy().astype(int)
    inside = np.zeros([3, 32, 32], bool)
    for row, (height, width) in enumerate(content):
        inside[row, :height, :width] = True
    small_truth = np.where(inside, labels['label_map'], 255)
    counted = state['confusion_resized'].sum()
    assert counted == 2 * (small_truth != 255).sum()
    assert found['mIoU_resized'] == pytest.approx(_overlap(small_truth, resized), abs=1e-9)
    logits = model(task.preprocess(images), training=False)['logits']
    assert found['model_loss'] == pytest.approx(task.losses_of(logits, labels)['model_loss'].numpy(), rel=1e-5)
    assert {key: value.shape for key, value in shown.items()} == {7: (40, 24), 8: (40, 30), 9: (20, 24)}
    np.testing.assert_array_equal(shown[9], maps['classes'][2, :20, :24])
    assert 'PerCategory/background/IoU' in found and 'PerCategory/3/IoU' in found


def test_scale_one_is_plain_inference():
    """predict = softmax of the logits, resized: bit for bit, whether or not the logits were known."""
    task, model = _build(tiny.SUPERVISED)
    images, labels = _evaluation_batch()
    info = labels['image_info']
    logits = model(task.preprocess(images), training=False)['logits']
    content = dense_inference.content_size(info, (32, 32))
    view = dense_inference.View(logits, content / 4.0, False)
    plain = tf.nn.softmax(dense_inference.resized_logits(view, content, (32, 32)))
    np.testing.assert_array_equal(task.predict(images, info, model)['probabilities'], plain)
    known = task.dense_views(images, info, model, plain=logits)
    np.testing.assert_array_equal(dense_inference.probabilities(known, content, (32, 32)), plain)


def test_a_network_that_has_diverged_is_not_measured():
    task, model = _build(tiny.SUPERVISED)
    model.trainable_variables[-1].assign(np.full(model.trainable_variables[-1].shape, np.nan))
    outputs = tf.nest.map_structure(lambda value: (value,), task.validation_step(_evaluation_batch(), model))
    with pytest.raises(errors.UserError, match='diverged'):
        task.reduce_aggregated_logs(task.aggregate_logs(None, outputs))
