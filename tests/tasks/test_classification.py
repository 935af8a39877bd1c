"""Classification and Noisy Student: losses by hand, exact accuracy on any number of replicas, averaged weights."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from official.modeling.optimization import ema_optimizer

from official_rethink.common import errors
from official_rethink.configs import classification as configs
from official_rethink.data import records
from official_rethink.losses import self_training as balance
from official_rethink.modeling import restore
from official_rethink.tasks import classification, evaluate, self_training
from tests import devices
from tests.pseudo_labels import making

K = 3


def _params(cls=configs.ClassificationTask, num_classes=K, **data):
    params = cls()
    params.override(
        {
            'model': {
                'num_classes': num_classes,
                'input_size': [8, 8, 3],
                'backbone': {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25}},
            },
            'losses': {'label_smoothing': 0.3},
            'train_data': {'global_batch_size': 1, **data},
        }
    )
    return params


def _write(path, labels):
    """Images of one shade each, 0, 1, 2 and so on."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, label in enumerate(labels):
            encoded = making.png(8, 8, None, shade=number)
            writer.write(
                records.to_example(records.Record(str(number), encoded, 'png', 8, 8, class_label=label))
            )


def _fixed_model():
    """Logits that grow with the image's shade at another rate for each class."""
    model = tf.keras.Sequential([tf.keras.layers.GlobalAveragePooling2D(), tf.keras.layers.Dense(K)])
    model.build([None, 8, 8, 3])
    # The order of the first two logits turns between shades 3 and 4.
    shades = tf.tile(tf.constant([3, 4], tf.uint8)[:, None, None, None], [1, 8, 8, 3])
    mean = float(tf.reduce_mean(classification.ClassificationTask(_params()).preprocess(shades)))
    model.layers[1].set_weights([np.float32([[0.0, 100.0, 1.0]] * 3) / 3, np.float32([0.0, -100 * mean, -1e3])])
    return model


@functools.cache
def _one_device():
    return tf.distribute.OneDeviceStrategy('cpu:0')


def test_student_loss_by_hand():
    """Noisy Student's sum, alpha 3: L = L_h + 3 L_p.

    Logits (ln 2, 0, 0) for all, so -log p = ln 2, 2 ln 2, 2 ln 2.
    Human, class 1, smoothing 0.3 (0.8, 0.1, 0.1): 1.2 ln 2.
    Pseudo, soft (0.5, 0.25, 0.25) and (0, 0, 1): (1.5 + 2) / 2 ln 2 = 1.75 ln 2.
    L = (1.2 + 3 * 1.75) ln 2 = 6.45 ln 2.
    """
    params = _params(configs.SelfTrainingClassificationTask)
    params.balance.override({'alpha': 3.0, 'normalize': False})
    task = self_training.SelfTrainingClassificationTask(params)
    task._balance = balance.LossBalance(params.balance)
    logits = tf.constant([[math.log(2), 0.0, 0.0]] * 3)
    task.base.forward = lambda features, model, labels: logits
    labels = {
        'targets': tf.constant([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]),
        'label': tf.constant([1, 1, 3]),
        'confidence': tf.constant([1.0, 0.5, 1.0]),
    }
    named = {name: float(value) for name, value in task.named_losses(None, labels, None).items()}
    assert named['human/cls_loss'] == pytest.approx(1.2 * math.log(2))
    assert named['pseudo/cls_loss'] == pytest.approx(1.75 * math.log(2))
    assert named['model_loss'] == pytest.approx(6.45 * math.log(2))
    # The student's first class is 1: the teacher's on one of two pseudo images, whose mean confidence is 0.75.
    assert (named['pseudo/accuracy'], named['pseudo/mean_score'], named['instances']) == (0.5, 0.75, 3)


def test_student_loss_balanced_by_hand():
    """Zoph's balance at the first step: both terms weigh alike, so the joint loss is the human loss."""
    params = _params(configs.SelfTrainingClassificationTask)
    task = self_training.SelfTrainingClassificationTask(params)
    task._balance = balance.LossBalance(params.balance)
    task.base.forward = lambda features, model, labels: tf.constant([[math.log(2), 0.0, 0.0]] * 2)
    labels = {
        'targets': tf.constant([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        'label': tf.constant([1, 2]),
        'confidence': tf.ones([2]),
    }
    named = task.named_losses(None, labels, None)
    assert float(named['pseudo/cls_loss']) == pytest.approx(2 * math.log(2))
    assert float(named['model_loss']) == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize('strategy', [tf.distribute.get_strategy, devices.two_devices])
def test_accuracy_counts_every_image_once(tmp_path, strategy):
    """Seven images in batches of four: on two devices the last batch leaves one of them with less, or nothing.

    Shades 0 to 3 have class 1 in front, 4 to 6 class 2, class 3 is last.
    Labels 1 1 2 1 2 2 3: hits at shades 0, 1, 3, 4, 5; top 2 all but shade 6's class 3.
    """
    _write(tmp_path / 'val-00000-of-00001.tfrecord', [1, 1, 2, 1, 2, 2, 3])
    params = _params()
    params.override({'top_k': 2})
    with strategy().scope():
        task = classification.ClassificationTask(params)
        model = _fixed_model()
    data = configs.Data(input_path=str(tmp_path / 'val*'), global_batch_size=4, crop_fraction=1.0)
    found = evaluate.evaluate(strategy(), task, model, data)
    assert found['accuracy'] == 5 / 7 and found['top_2_accuracy'] == 6 / 7
    images, labels = next(iter(task.build_inputs(data.replace(global_batch_size=7))))
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(labels['label'] - 1, model(task.preprocess(images)))
    assert found['cls_loss'] == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)


@pytest.mark.parametrize('strategy', [_one_device, devices.two_devices])
def test_averaged_weights_by_hand(strategy):
    """Weights and running statistics, on one device and two.

    The average starts at 0; after step n its decay is min(0.9999, (1 + n) / (10 + n)): 2/11, then 3/12.
    a1 = 9/11 w1; a2 = 1/4 a1 + 3/4 w2. Swapping shows the average, swapping back the weights.
    """
    with strategy().scope():
        model = tf.keras.Sequential([tf.keras.layers.BatchNormalization(momentum=0.5), tf.keras.layers.Dense(1)])
        model.build([None, 2])
        inner = tf.keras.optimizers.legacy.SGD(0.1)
        optimizer = ema_optimizer.ExponentialMovingAverage(
            inner, average_decay=0.9999, trainable_weights_only=False
        )
        optimizer.shadow_copy(model)

    @tf.function
    def step(values):
        def one():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(values, training=True) ** 2)
            variables = model.trainable_variables
            optimizer.apply_gradients(list(zip(tape.gradient(loss, variables), variables, strict=True)))

        strategy().run(one)

    seen = []
    for values in ([[1.0, 3.0], [2.0, 5.0]], [[0.0, 1.0], [4.0, 2.0]]):
        step(tf.constant(values))
        seen.append([variable.numpy() for variable in model.variables])
    expected = [9 / 11 * first / 4 + 3 / 4 * second for first, second in zip(*seen, strict=True)]
    with strategy().scope():
        optimizer.swap_weights()
    for ours, theirs in zip(model.variables, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)
    with strategy().scope():
        optimizer.swap_weights()
    for ours, theirs in zip(model.variables, seen[1], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)


def test_its_backbone_starts_another_model(tmp_path):
    """'backbone' fits a classifier of other classes; 'all' does not, and says which module differs."""
    tf.keras.utils.set_random_seed(1)
    first = classification.ClassificationTask(_params()).build_model()
    assert list(first.checkpoint_items) == ['backbone', 'head']
    path = tf.train.Checkpoint(**first.checkpoint_items).save(str(tmp_path / 'ckpt'))
    params = _params(num_classes=K + 2)
    params.override({'init_checkpoint': path, 'init_checkpoint_modules': ['backbone']})
    task = classification.ClassificationTask(params)
    second = task.build_model()
    task.initialize(second)
    for ours, theirs in zip(second.backbone.variables, first.backbone.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    message = r"head/kernel: checkpoint \[\d+, 3\], model \[\d+, 5\].*leave 'head' out"
    with pytest.raises(errors.UserError, match=message):
        restore.restore(second.checkpoint_items, path)


def test_a_step_trains_the_whole_model():
    params = _params()
    params.override({'losses': {'l2_weight_decay': 1e-2}})
    tf.keras.utils.set_random_seed(1)
    task = classification.ClassificationTask(params)
    model = task.build_model()
    images = tf.cast(tf.random.stateless_uniform([4, 8, 8, 3], [1, 2], 0, 256, tf.int32), tf.uint8)
    labels = {'targets': tf.one_hot([0, 1, 2, 0], K), 'label': tf.constant([1, 2, 3, 1])}
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer = tf.keras.optimizers.legacy.SGD(0.1)
    logs = tf.function(lambda: task.train_step((images, labels), model, optimizer))()
    assert int(logs['instances']) == 4
    # Weight decay once: half the squares of the kernels.
    kernels = [old for old in before if old.ndim >= 2]
    decay = 1e-2 / 2 * sum(float((kernel**2).sum()) for kernel in kernels)
    assert float(logs['total_loss'] - logs['model_loss']) == pytest.approx(decay, rel=1e-3)
    moved = [not np.array_equal(v, old) for v, old in zip(model.trainable_variables, before, strict=True)]
    assert all(moved)
