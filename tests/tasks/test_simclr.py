"""The contrastive task: two devices equal one, XLA, a step learns, and its checkpoint starts a detector."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory
from official.modeling import optimization

from official_rethink.common import errors
from official_rethink.configs import parse, validation_data
from official_rethink.configs import simclr as configs
from official_rethink.data import scenes
from official_rethink.losses import contrastive as losses
from official_rethink.modeling import contrastive as modeling
from official_rethink.modeling import restore
from official_rethink.tasks import run_log, runner
from tests import devices
from tests.tasks import small, small_simclr


def _build(**kwargs):
    tf.keras.utils.set_random_seed(3)
    task = small_simclr.task(**kwargs)
    return task, task.build_model()


def _change(model, before):
    return [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]


def _one_device_step(views):
    """Logs of one step, and the weights' change under SGD at rate 1, which is minus the gradient."""
    task, model = _build()
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = task.train_step((views, {}), model, optimizer)
    return {name: value.numpy() for name, value in logs.items()}, _change(model, before)


def _two_device_step(views):
    strategy = devices.two_devices()
    with strategy.scope():
        task, model = _build()
        optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    half = len(views) // 2
    parts = strategy.experimental_distribute_values_from_function(
        lambda context: views[context.replica_id_in_sync_group * half :][:half]
    )
    before = [variable.numpy() for variable in model.trainable_variables]

    @tf.function
    def step():
        logs = strategy.run(lambda part: task.train_step((part, {}), model, optimizer), args=(parts,))
        return {name: strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}

    return {name: value.numpy() for name, value in step().items()}, _change(model, before)


def test_two_devices_equal_one():
    """The whole path: global batch norm, candidates of both devices, summed gradients."""
    views = small_simclr.views()
    one_logs, one_change = _one_device_step(views)
    two_logs, two_change = _two_device_step(views)
    for name, value in one_logs.items():
        np.testing.assert_allclose(two_logs[name], value, rtol=3e-4, err_msg=name)
    for ours, theirs in zip(two_change, one_change, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * max(np.abs(theirs).max(), 1e-2))


def test_compiles_with_xla():
    views = small_simclr.views()
    plain, _ = _one_device_step(views)
    task, model = _build(sync_bn=False)
    optimizer = tf.keras.optimizers.legacy.SGD(1.0)
    compiled = tf.function(lambda part: task.train_step((part, {}), model, optimizer), jit_compile=True)(views)
    for name, value in plain.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-3, err_msg=name)


def test_a_few_steps_learn():
    """On eight pairs the loss falls from about chance, 2 ln 15 at most, to under half of what it was."""
    task, model = _build(sync_bn=False)
    optimizer = tf.keras.optimizers.legacy.Adam(3e-3)
    views = small_simclr.views()
    step = tf.function(lambda: task.train_step((views, {}), model, optimizer))
    first = float(step()['contrastive_loss'])
    for _ in range(14):
        last = float(step()['contrastive_loss'])
    assert last < first / 2


def test_named_losses_are_nt_xent_of_the_projections():
    task, model = _build()
    views = small_simclr.views(4)
    images = tf.concat([views[:, 0], views[:, 1]], axis=0)
    # Eight images go through in one batch: batch norm has to see the same.
    projection = model(task.preprocess(images), training=True)['projection']
    expected = losses.nt_xent(projection[:4], projection[4:], 0.5)
    named = task.named_losses(views, {}, model)
    assert float(named['model_loss']) == pytest.approx(float(expected.loss), rel=1e-5)
    assert float(named['contrastive_accuracy']) == float(expected.accuracy)
    assert projection.dtype == tf.float32 and projection.shape == [8, 16]


def test_weight_decay_is_half_the_square_of_kernels():
    task, model = _build()
    logs = task.train_step((small_simclr.views(4), {}), model, tf.keras.optimizers.legacy.SGD(0.0))
    kernels = [variable for variable in model.trainable_variables if 'kernel' in variable.name]
    decay = 1e-4 / 2 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert float(logs['total_loss'] - logs['model_loss']) == pytest.approx(decay, rel=1e-2)
    assert len(kernels) == len([v for v in model.trainable_variables if v.shape.rank >= 2])


def test_an_evaluation_averages_batches_of_all_replicas():
    """Two steps on two replicas by hand: accuracies 1, 0, 0.5, 0.5."""
    task, reported = small_simclr.task(), ('contrastive_loss', 'contrastive_accuracy', 'contrastive_entropy')
    state = None
    for pair in ((1.0, 0.0), (0.5, 0.5)):
        numbers = {name: tuple(tf.constant(value) for value in pair) for name in reported}
        state = task.aggregate_logs(state, {'numbers': numbers})
    assert task.reduce_aggregated_logs(state) == dict.fromkeys(reported, 0.5)
    with pytest.raises(errors.UserError, match='do not fill one batch of 0; lower task.validation_data.global'):
        task.reduce_aggregated_logs(None)


def test_evaluation_leaves_the_model_alone():
    task, model = _build()
    views = small_simclr.views(4)
    before = [variable.numpy() for variable in model.variables]
    outputs = task.validation_step((views, {}), model)
    assert set(outputs) == {task.loss, 'numbers'}
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_its_checkpoint_starts_a_detector(tmp_path):
    """Every variable of the detector's backbone matches; neck and head stay as they were."""
    _, model = _build()
    path = tf.train.Checkpoint(model=model, **model.checkpoint_items).save(str(tmp_path / 'ckpt'))
    tf.keras.utils.set_random_seed(9)
    params = small.small_params()
    params.init_checkpoint, params.init_checkpoint_modules = path, ['backbone']
    task = type(small.small_task())(params)
    detector = task.build_model()
    head = [variable.numpy() for variable in detector.head.variables]
    report = restore.restore(detector.checkpoint_items, path, ['backbone'])['backbone']
    assert (len(report.matched), report.missing, report.extra) == (len(model.backbone.variables), [], [])
    tf.keras.utils.set_random_seed(9)
    task.initialize(detector)
    for ours, theirs in zip(detector.backbone.variables, model.backbone.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for variable, old in zip(detector.head.variables, head, strict=True):
        np.testing.assert_array_equal(variable, old)
    with pytest.raises(errors.UserError, match="no module 'decoder'"):
        restore.restore(detector.checkpoint_items, path, 'all')


def test_a_run_leaves_what_others_take(tmp_path):
    """Two true steps by the runner: the record, the best checkpoint by accuracy, its test, and the cost."""
    for split, seed, count in (('train', 1, 12), ('val', 2, 9)):
        settings = scenes.Settings(height=48, width=40, num_classes=3)
        scenes.write_scenes(str(tmp_path / 'data'), split, settings, seed, count, labelled=split == 'val')
    size = small_simclr.SIZE
    params = parse.load_experiment(
        'simclr_resnet_imagenet',
        (),
        f'task.model.input_size=[{size},{size},3],task.model.backbone.resnet.model_id=10,'
        'task.model.backbone.resnet.depth_multiplier=0.25,task.model.norm_activation.use_sync_bn=false,'
        f'task.train_data.input_path={tmp_path}/data/train*,task.train_data.global_batch_size=4,'
        f'task.validation_data.input_path={tmp_path}/data/val*,task.validation_data.global_batch_size=4,'
        'task.test_data.global_batch_size=4,trainer.schedule.train_epochs=null,trainer.schedule.base_train_steps=2,'
        'trainer.schedule.base_batch_size=4,trainer.schedule.base_warmup_steps=1,trainer.schedule.evaluations=2,'
        'runtime.distribution_strategy=one_device,runtime.num_gpus=0',
    )
    validation_data.validate_data(params)
    too_many = params.task.validation_data.replace(global_batch_size=10)
    with pytest.raises(errors.UserError, match='global_batch_size is 10.* at most 9, the images of'):
        validation_data.validate_data(params.replace(task=params.task.replace(validation_data=too_many)))
    model_dir = str(tmp_path / 'run')
    result = runner.run(params, runner.build_strategy(params), 'train_and_eval', model_dir)
    entries = run_log.read_metrics(model_dir)
    assert [entry['kind'] for entry in entries] == ['train', 'validation'] * 2
    assert {'contrastive_loss', 'contrastive_accuracy', 'contrastive_entropy'} <= set(entries[-1]['metrics'])
    best = max(entry['metrics']['contrastive_accuracy'] for entry in entries if entry['kind'] == 'validation')
    # Nine images, four a batch: eight are measured, in eighths; test.json measures the saved weights anew.
    assert result['metrics']['contrastive_accuracy'] == best and (best * 8).is_integer()
    cost = json.loads((tmp_path / 'run' / 'cost.json').read_text())
    assert (cost['images'], cost['pixels'], cost['instances']) == (8, 8 * 2 * size * size, 0)
    backbone = modeling.build(params.task.model).backbone
    report = restore.restore({'backbone': backbone}, f'{model_dir}/best', ['backbone'])['backbone']
    assert (len(report.matched), report.missing, report.extra) == (len(backbone.variables), [], [])


# --- LARS, and what it leaves out


def _lars(**changes):
    config = exp_factory.get_exp_config('simclr_resnet_imagenet').trainer.optimizer_config
    config.override({'learning_rate': {'type': 'constant', 'constant': {'learning_rate': 0.5}}})
    config.optimizer.lars.override(changes)
    return optimization.OptimizerFactory(config).build_optimizer(0.5)


def test_lars_by_hand():
    """w = (3, 4), gradient (0, 1), decay 0.1: g = (0.3, 1.4), ratio 0.01 * 5 / sqrt(0.09 + 1.96), then momentum 0.9."""
    optimizer = _lars(weight_decay_rate=0.1, eeta=0.01)
    weights, gradient = tf.Variable([3.0, 4.0], name='dense/kernel'), tf.constant([0.0, 1.0])
    optimizer.apply_gradients([(gradient, weights)])
    first = 0.5 * 0.01 * 5 / np.sqrt(2.05) * np.array([0.3, 1.4])
    np.testing.assert_allclose(weights, [3, 4] - first, rtol=1e-6)
    now = weights.numpy().astype(np.float64)
    optimizer.apply_gradients([(gradient, weights)])
    decayed = [0, 1] + 0.1 * now
    second = 0.9 * first + 0.5 * 0.01 * np.linalg.norm(now) / np.linalg.norm(decayed) * decayed
    np.testing.assert_allclose(weights, now - second, rtol=1e-6)


@pytest.mark.parametrize('name', ['batch_normalization_3/gamma', 'sync_batch_normalization/beta', 'd/bias', 'x/gamma'])
def test_lars_on_what_it_excludes_is_momentum_sgd(name):
    """No decay and no ratio: 3 - 0.5 * 2, then 0.9 * 1 + 1 more."""
    optimizer = _lars(weight_decay_rate=0.1)
    weights = tf.Variable([3.0], name=name)
    for expected in (2.0, 0.1):
        optimizer.apply_gradients([(tf.constant([2.0]), weights)])
        np.testing.assert_allclose(weights, [expected], rtol=1e-5)


@pytest.mark.parametrize('kind', ['resnet', 'efficientnet'])
def test_lars_excludes_batch_norm_and_biases_of_every_network_and_nothing_else(kind):
    """By rank: kernels have two or more axes, what batch norm and biases hold has one."""
    small_ones = {'resnet': {'model_id': 10, 'depth_multiplier': 0.25}, 'efficientnet': {'model_id': 'b0'}}
    params = small_simclr.params()
    params.model.override({'backbone': {'type': kind, kind: small_ones[kind]}, 'projection_head': {'num_layers': 3}})
    model = modeling.build(params.model)
    optimizer = _lars()
    for variable in model.trainable_variables:
        assert optimizer._use_weight_decay(variable.name) == (variable.shape.rank > 1), variable.name
        assert optimizer._do_layer_adaptation(variable.name) == (variable.shape.rank > 1), variable.name


# --- the model


def test_head_is_the_releases():
    """Two layers of no bias, batch norm on both, an offset on the first alone."""
    _, model = _build()
    shapes = [tuple(variable.shape) for variable in model.projection_head.trainable_variables]
    width = shapes[0][0]
    assert shapes == [(width, width), (width,), (width,), (width, 16), (16,)]
    norm = small_simclr.params().model.norm_activation
    wide = modeling.projection_head(configs.ProjectionHead(num_layers=3, hidden_width=7, output_width=5), 4, norm)
    kernels = [tuple(variable.shape) for variable in wide.trainable_variables if 'kernel' in variable.name]
    assert kernels == [(4, 7), (7, 7), (7, 5)]


def test_features_are_the_mean_of_the_deepest_level_by_hand():
    """Levels are compared as numbers: '10' is deeper than '9'."""
    levels = {'9': tf.ones([1, 4, 4, 2]), '10': tf.constant([[[[1.0, 0.0], [3.0, 8.0]]]])}
    np.testing.assert_array_equal(modeling.pooled(levels), [[2.0, 4.0]])
