"""Two-stage detection steps: two devices equal one, every weight learns, cascade, nothing labelled, evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import accounting
from tests import devices
from tests.tasks import small
from tests.tasks import small_maskrcnn as tiny

CASCADE = {'roi_sampler': {'cascade_iou_thresholds': [0.6, 0.7]}, 'detection_head': {'class_agnostic_bbox_pred': True}}


def _build(**kwargs):
    tf.keras.utils.set_random_seed(3)
    task = tiny.task(**kwargs)
    return task, task.build_model()


def _step(inputs, **kwargs):
    """Losses of one step, and the weights' change under SGD at rate 1, which is minus the gradient.

    Step by step: tracing takes many times as long, and `test_two_devices_equal_one` traces the same step.
    """
    task, model = _build(**kwargs)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = task.train_step(inputs, model, optimizer)
    change = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    return {name: value.numpy() for name, value in logs.items()}, change, model


@pytest.fixture(scope='module')
def alone():
    """A step on one device."""
    return _step(tiny.batch())


def test_two_devices_equal_one(alone):
    inputs = tiny.batch()
    one_logs, one_change, _ = alone
    strategy = devices.two_devices()
    with strategy.scope():
        task, model = _build()
        optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    values = strategy.experimental_distribute_values_from_function(
        lambda context: small.take(inputs, [[0, 1], [2, 3]][context.replica_id_in_sync_group])
    )
    before = [variable.numpy() for variable in model.trainable_variables]

    @tf.function
    def step():
        logs = strategy.run(lambda batch: task.train_step(batch, model, optimizer), args=(values,))
        return {name: strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}

    for name, value in step().items():
        if name != 'instances':
            np.testing.assert_allclose(value, one_logs[name], rtol=1e-3, err_msg=name)
    for variable, old, theirs in zip(model.trainable_variables, before, one_change, strict=True):
        scale = max(np.abs(theirs).max(), 1e-2)
        np.testing.assert_allclose(variable.numpy() - old, theirs, atol=2e-3 * scale, err_msg=variable.name)


@pytest.mark.parametrize('model', [None, CASCADE], ids=['one stage', 'cascade'])
def test_every_weight_learns_and_only_kernels_decay(model):
    """He et al.: nothing is frozen; and normalisation and offsets have no weight decay."""
    task, built = _build(model=model)
    images, labels = tiny.batch(boxes_per_image=(3, 2))

    with tf.GradientTape() as tape:
        named = task.named_losses(images, labels, built)
    found = tape.gradient(named['model_loss'], built.trainable_variables)
    assert all(np.isfinite(value) for value in named.values())
    for variable, gradient in zip(built.trainable_variables, found, strict=True):
        # Some are small: the region proposal network starts from weights of 1e-5.
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name
    assert len(built.trainable_variables) == len(built.variables)
    kernels = sum(variable.shape.rank >= 2 for variable in built.trainable_variables)
    assert len(built.losses) == kernels
    stages = 3 if model else 1
    assert sum(name.startswith('detection_head') for name in built.checkpoint_items) == stages


def test_the_step_is_the_same_again(alone):
    first, change, _ = alone
    second, again, _ = _step(tiny.batch())
    assert first == second
    for ours, theirs in zip(change, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_labelled():
    """Background alone: no box and no mask is learnt, and nothing is NaN."""
    logs, change, _ = _step(tiny.empty_batch())
    assert logs['rpn_box_loss'] == logs['frcnn_box_loss'] == logs['mask_loss'] == 0.0
    assert logs['rpn_score_loss'] > 0 and logs['frcnn_cls_loss'] > 0
    assert all(np.isfinite(moved).all() for moved in change)


def test_without_masks():
    logs, _, model = _step(tiny.batch(), model={'include_mask': False})
    assert 'mask_loss' not in logs and 'mask_head' not in model.checkpoint_items


@pytest.mark.slow
def test_compiles_with_xla():
    task, model = _build()
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    compiled = tf.function(lambda *batch: task.train_step(batch, model, optimizer), jit_compile=True)
    logs = compiled(*tiny.batch())
    assert all(np.isfinite(value) for value in logs.values())


def test_an_image_is_detected_alike_in_any_batch():
    """Group norm: what the network says of an image does not depend on the others."""
    task, model = _build()
    images, labels = tiny.batch()
    together = task.predict(images, labels['image_info'], model)
    alone = task.predict(images[:1], labels['image_info'][:1], model)
    np.testing.assert_allclose(together['scores'][0], alone['scores'][0], atol=1e-5)
    np.testing.assert_allclose(together['boxes'][0], alone['boxes'][0], atol=1e-3)
    assert together['masks'].shape == [4, 10, 14, 14]


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('roi_sampler.cascade_iou_thresholds=[0.6]', 'class_agnostic_bbox_pred is False'),
        ('roi_sampler.cascade_iou_thresholds=[0.5,0.6,0.7]', 'at most 2 IoU'),
        ('mask_sampler.num_sampled_masks=600', 'at most the second'),
        ('mask_head=null', 'masks need it'),
        ('input_size=[1333,1344,3]', '1280 or 1344 instead of 1333'),
        ('decoder.type=identity', "'fpn' or 'nasfpn'"),
        ('norm_activation.normalization=frozen_batch', 'without a checkpoint'),
    ],
)
def test_bad_models_are_named(override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load('maskrcnn_resnetfpn_gn_coco', (), f'task.model.{override}')


def test_describe_counts_every_region():
    """The box head's first convolution alone, on 30 regions of 7 x 7: 3 x 3 from 16 to 16 channels."""
    task, model = _build(model={'include_mask': False})
    whole = accounting.count(model, [tiny.SIZE, tiny.SIZE, 3], task.counted(model)).flops
    task, model = _build(model={'include_mask': False, 'detection_head': {'num_convs': 2}})
    more = accounting.count(model, [tiny.SIZE, tiny.SIZE, 3], task.counted(model)).flops
    assert more - whole == 30 * 7 * 7 * 3 * 3 * 16 * 16
