"""Joint training: the weighted sum by hand, one backbone under both, each stream's own running statistics."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling import joint
from tests import devices
from tests.tasks import small, small_joint


@pytest.fixture(scope='module')
def built():
    """One joint task and model, for tests that leave its trainable weights alone."""
    return _build()


def _build(kind=small_joint.JOINT, **kwargs):
    tf.keras.utils.set_random_seed(3)
    task = small_joint.task(kind, **kwargs)
    return task, task.build_model()


def _step(task, model, inputs):
    """Losses of one step, and minus the gradient of each weight, by SGD at rate 1."""
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = task.train_step(inputs, model, optimizer)
    change = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    return {name: value.numpy() for name, value in logs.items()}, change


def test_the_loss_is_the_weighted_sum(built):
    """3 * detection + 0.25 * cross entropy, the latter computed here from the logits."""
    task, model = built
    task.task_config.override({'joint': {'detection_weight': 3.0, 'classification_weight': 0.25}})
    features, labels = small_joint.batch()
    named = task.named_losses(features, labels, model)
    alone = task.base.named_losses(features['detection'], labels['detection'], model)
    logits = model.classify(task.preprocess(features['classification']), training=True).numpy().astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    column = labels['classification']['label'].numpy() - 1
    entropy = -np.mean(np.log(shares[np.arange(4), column]))
    assert float(named['detection/model_loss']) == pytest.approx(float(alone['model_loss']), rel=1e-5)
    assert float(named['classification/cls_loss']) == pytest.approx(entropy, rel=1e-5)
    assert float(named['model_loss']) == pytest.approx(3 * float(alone['model_loss']) + 0.25 * entropy, rel=1e-5)
    assert float(named['classification/accuracy']) == np.mean(shares.argmax(axis=1) == column)
    # 12 boxes to detect (2 + 1 + 0 + 3, twice) and 4 images to classify.
    assert int(named['instances']) == 16
    task.task_config.override({'joint': {'detection_weight': 1.0, 'classification_weight': 1.0}})


def test_both_losses_reach_the_backbone_and_each_its_own_head(built):
    task, model = built
    features, labels = small_joint.batch()
    with tf.GradientTape(persistent=True) as tape:
        named = task.named_losses(features, labels, model)
    branch, detector = model.classification, model.detector
    for loss, own, other in (
        ('detection/model_loss', detector.head, branch),
        ('classification/cls_loss', branch, detector.head),
    ):
        first = tape.gradient(named[loss], model.backbone.trainable_variables[0])
        assert np.abs(first.numpy()).max() > 0, loss
        assert any(np.abs(g.numpy()).max() > 0 for g in tape.gradient(named[loss], own.trainable_variables)), loss
        assert tape.gradient(named[loss], other.trainable_variables) == [None] * len(other.trainable_variables), loss


def test_weight_zero_is_detection_alone():
    """The same losses, gradients and running statistics as the detection task's own step."""
    task, model = _build(classification_weight=0.0)
    features, labels = small_joint.batch()
    logs, change = _step(task, model, (features, labels))
    tf.keras.utils.set_random_seed(3)
    alone = small.small_task()
    plain = alone.build_model()
    expected_logs, expected = _step(alone, plain, (features['detection'], labels['detection']))
    assert 'classification/cls_loss' not in logs and task.further_images[0] == 0
    for name, value in expected_logs.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)
    for ours, theirs in zip(change, expected, strict=False):  # ours has the classifier's head at its end
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for ours, theirs in zip(*map(joint.running_statistics, (model.backbone, plain.backbone)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_each_stream_has_its_own_running_statistics(built):
    """The classifier's pass leaves the backbone's alone, and moves its own by 1 - momentum of the batch's."""
    _, model = built
    shared = joint.running_statistics(model.backbone)
    own = model.classification.statistics
    before, own_before = [v.numpy() for v in shared], [v.numpy() for v in own]
    images = 2.0 + tf.random.stateless_normal([4, small_joint.SIZE, small_joint.SIZE, 3], [3, 4])
    model.classify(images, training=True)
    for variable, value in zip(shared, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    first = next(layer for layer in model.backbone.submodules if hasattr(layer, 'moving_mean'))
    convolution = next(
        layer for layer in model.backbone.layers if isinstance(layer, tf.keras.layers.Conv2D)
    )
    mean = convolution(images).numpy().mean(axis=(0, 1, 2))
    expected = first.momentum * own_before[0] + (1 - first.momentum) * mean
    place = [variable is first.moving_mean for variable in shared].index(True)
    np.testing.assert_allclose(own[place].numpy(), expected, rtol=1e-4, atol=1e-6)
    # In inference both are only read.
    own_before = [v.numpy() for v in own]
    model.classify(images, training=False)
    for variable, value in zip([*shared, *own], [*before, *own_before], strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_inference_uses_the_classifiers_statistics(built):
    _, model = built
    images = tf.random.stateless_normal([2, small_joint.SIZE, small_joint.SIZE, 3], [1, 2])
    before = model.classify(images, training=False).numpy()
    branch = model.classification
    kept = [variable.numpy() for variable in branch.statistics]
    for variable in branch.statistics:
        variable.assign(variable + 1.0)
    assert np.abs(model.classify(images, training=False).numpy() - before).max() > 1e-4
    for variable, value in zip(branch.statistics, kept, strict=True):
        variable.assign(value)


def test_no_box_anywhere_is_finite(built):
    task, model = built
    features, labels = small_joint.batch(boxes_per_image=(0, 0, 0, 1))
    detected = labels['detection']
    empty = {**detected, 'boxes': tf.fill(detected['boxes'].shape, -1.0)}
    empty |= {
        'classes': tf.fill(detected['classes'].shape, -1),
        'num_instances': tf.zeros_like(detected['num_instances']),
    }
    named = task.named_losses(features, {**labels, 'detection': empty}, model)
    assert all(np.isfinite(value) for value in named.values())
    assert float(named['box_loss']) == 0.0 and float(named['classification/cls_loss']) > 0


def test_a_student_joins_three_losses():
    """First step: the balance makes the student's loss the human loss; the cross entropy is added to it."""
    task, model = _build(small_joint.SELF_TRAINING_JOINT)
    features, labels = small_joint.batch()
    named = task.named_losses(features, labels, model)
    expected = float(named['human/model_loss']) + float(named['classification/cls_loss'])
    assert float(named['model_loss']) == pytest.approx(expected, rel=1e-4)
    assert {'pseudo/model_loss', 'loss_ratio'} <= set(named)
    names = {metric.name for metric in task.build_metrics(training=True)}
    assert set(named) - {'instances'} <= names | {'human/model_loss'}


def test_weight_decay_is_added_once_and_on_the_head_too(built):
    task, model = built
    optimizer = tf.keras.optimizers.legacy.SGD(0.0)
    logs = task.train_step(small_joint.batch(), model, optimizer)
    kernels = [v for v in model.trainable_variables if v.shape.rank >= 2]
    assert any(v is model.classification.head.kernel for v in kernels)
    decay = 1e-4 / 2 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert float(logs['total_loss'] - logs['model_loss']) == pytest.approx(decay, rel=1e-2)


def test_two_devices_equal_one():
    """Same global batches: same losses and gradients; the classifier's running statistics are synchronised."""
    inputs = small_joint.batch()
    one_logs, one_change = _step(*_build(), inputs)
    strategy = devices.two_devices()
    with strategy.scope():
        task, model = _build()
        optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    shares = (
        {'detection': [0, 1, 4, 5], 'classification': [0, 1]},
        {'detection': [2, 3, 6, 7], 'classification': [2, 3]},
    )

    def part(context):
        chosen = shares[context.replica_id_in_sync_group]
        return tuple({name: small.take(values[name], chosen[name]) for name in chosen} for values in inputs)

    values = strategy.experimental_distribute_values_from_function(part)
    before = [variable.numpy() for variable in model.trainable_variables]

    @tf.function
    def step():
        logs = strategy.run(lambda batch: task.train_step(batch, model, optimizer), args=(values,))
        return {name: strategy.reduce('MEAN', value, axis=None) for name, value in logs.items() if name != 'instances'}

    logs = {name: value.numpy() for name, value in step().items()}
    change = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    for name, value in logs.items():
        np.testing.assert_allclose(value, one_logs[name], rtol=2e-4, err_msg=name)
    for ours, theirs in zip(change, one_change, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(np.abs(theirs).max(), 1e-2))


def test_a_joint_checkpoint_starts_a_detector_and_a_detector_starts_joint_training(built, tmp_path):
    task, model = built
    prefix = tf.train.Checkpoint(model=model, **model.checkpoint_items).save(str(tmp_path / 'joint'))
    alone = small.small_task()
    alone.task_config.override({'init_checkpoint': prefix, 'init_checkpoint_modules': 'all'})
    detector = alone.build_model()
    alone.initialize(detector)
    for ours, theirs in zip(detector.backbone.variables, model.backbone.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())

    prefix = tf.train.Checkpoint(model=detector, **detector.checkpoint_items).save(str(tmp_path / 'detector'))
    other, fresh = _build()
    other.task_config.override({'init_checkpoint': prefix, 'init_checkpoint_modules': 'all'})
    other.initialize(fresh)
    # Without a classifier in the checkpoint its running statistics start as the backbone's.
    for own, shared in zip(fresh.classification.statistics, joint.running_statistics(detector.backbone), strict=True):
        np.testing.assert_array_equal(own.numpy(), shared.numpy())
    other.task_config.override({'init_checkpoint_modules': ['backbone', 'classification']})
    with pytest.raises(errors.UserError, match="no module 'classification'"):
        other.initialize(fresh)
