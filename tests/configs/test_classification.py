"""Classification experiments: the release's figures, the quick files, and every value that is refused."""

import pathlib

import pytest
from official.modeling import optimization

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = (
    'imagenet_efficientnet', 'imagenet_resnet', 'self_training_imagenet_efficientnet', 'self_training_imagenet_resnet'
)  # fmt: skip


def _load(experiment, override='', files=()):
    return parse.load_experiment(experiment, [str(ROOT / 'configs' / name) for name in files], override)


def test_efficientnet_is_the_releases():
    """350 epochs of 1,281,167 images by 2048: 218,950 steps (218,949 there), rate 0.016 * 8, decay 0.97 in stairs."""
    params = _load('imagenet_efficientnet')
    trainer = params.trainer
    assert trainer.train_steps == 218_950
    rate = trainer.optimizer_config.learning_rate.exponential
    assert (rate.initial_learning_rate, rate.decay_rate, rate.staircase) == (pytest.approx(0.128), 0.97, True)
    epoch = 1_281_167 / 2048
    assert rate.decay_steps == round(2.4 * epoch)
    assert trainer.optimizer_config.warmup.linear.warmup_steps == round(5 * epoch)
    optimizer = trainer.optimizer_config.optimizer.rmsprop
    assert (optimizer.rho, optimizer.momentum, optimizer.epsilon) == (0.9, 0.9, 1e-3)
    assert trainer.optimizer_config.ema.average_decay == 0.9999
    assert trainer.best_checkpoint_eval_metric == 'accuracy'
    task = params.task
    assert (task.losses.label_smoothing, task.losses.l2_weight_decay) == (0.1, 1e-5)
    assert (task.model.input_size, task.model.dropout_rate, task.model.num_classes) == ([600, 600, 3], 0.5, 1000)


def test_learning_rate_over_a_run():
    """Warm-up from 0 over 5 epochs to where the stairs then are; 0.97 ** 10 of the rate in epoch 25."""
    config = _load('imagenet_efficientnet').trainer.optimizer_config
    rate = optimization.OptimizerFactory(config).build_learning_rate()
    epoch = 1_281_167 / 2048
    assert float(rate(0)) == 0.0
    assert float(rate(round(2.5 * epoch))) == pytest.approx(0.128 * 0.97**2 / 2, rel=1e-2)
    assert float(rate(round(25 * epoch))) == pytest.approx(0.128 * 0.97**10, rel=1e-5)


def test_resnet_is_model_gardens():
    params = _load('imagenet_resnet')
    rate = params.trainer.optimizer_config.learning_rate.stepwise
    assert params.trainer.train_steps == 28_151  # 90 epochs by 4096
    assert rate.values == pytest.approx([1.6, 0.16, 0.016, 0.0016])
    assert rate.boundaries == [round(28_151 * epoch / 90) for epoch in (30, 60, 80)]


def test_students_read_three_pseudo_images_a_human_one():
    task = _load('self_training_imagenet_efficientnet').task
    assert task.pseudo_data.global_batch_size == 3 * task.train_data.global_batch_size
    assert (task.balance.alpha, task.balance.normalize) == (3.0, False)
    assert (task.pseudo_data.labels, task.pseudo_data.score_threshold) == ('soft', 0.3)
    task.train_data.augmentation.override({'policy': 'autoaugment'})
    assert task.pseudo_data.augmentation.policy == 'randaugment', 'the two share one object'


@pytest.mark.parametrize(
    ('experiment', 'names'),
    [
        ('imagenet_resnet', ['classification']),
        ('self_training_imagenet_resnet', ['classification', 'self_training_classification']),
    ],
)
def test_quick_files_load_and_name_their_command(experiment, names):
    files = [f'quick/{name}.yaml' for name in names]
    params = _load(experiment, files=files)
    assert params.trainer.train_steps == 600 and params.task.model.num_classes == 10
    text = (ROOT / 'configs' / files[-1]).read_text()
    assert f'--experiment={experiment}' in text and f'--config_file=configs/{files[-1]}' in text


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('task.model.num_classes=1', 'num_classes is 1'),
        ('task.model.input_size=[600,600]', 'input_size'),
        ('task.model.output_softmax=true', 'the loss takes logits'),
        ('task.model.add_head_batch_norm=true', 'add_head_batch_norm'),
        ('task.model.dropout_rate=1.0', 'dropout_rate'),
        ('task.losses.label_smoothing=1.0', 'label_smoothing'),
        ('task.train_data.augmentation.policy=autoagument', "Did you mean 'autoaugment'"),
        ('task.train_data.augmentation.randaugment_magnitude=31', 'from 0 to 30'),
        ('task.train_data.augmentation.area_min=0.0', 'area_min'),
        ('task.train_data.augmentation.area_max=0.05', 'the first may be at most the second'),
        ('task.train_data.crop_fraction=1.5', 'crop_fraction'),
        ('task.train_data.resize=lanczos', 'resize'),
        ('task.pseudo_data.labels=softer', "Did you mean 'soft'"),
        ('task.pseudo_data.temperature=0.0', 'temperature'),
        ('task.pseudo_data.images_per_class=0', 'images_per_class'),
        ('task.pseudo_data.score_threshold=1.5', 'score_threshold'),
        ('task.init_checkpoint_modules=[backbnoe]', "Did you mean 'backbone'"),
        ('task.top_k=1', 'top_k'),
        ('trainer.best_checkpoint_eval_metric=AP', 'accuracy'),
        ('trainer.best_checkpoint_eval_metric=cls_loss', "the best is the 'lower' one"),
        ('trainer.schedule.base_decay_steps=null', 'steps between two drops'),
        ('runtime.distribution_strategy="off"', 'averaged weights can only be swapped'),
        ('task.model.backbone.type=spinenet', 'no feature pyramid'),
    ],
)
def test_bad_values_are_named(override, message):
    with pytest.raises(errors.UserError, match=message):
        _load('self_training_imagenet_efficientnet', override)


@pytest.mark.parametrize('experiment', EXPERIMENTS)
def test_every_experiment_loads(experiment):
    assert experiment in parse.experiments()
    _load(experiment)
