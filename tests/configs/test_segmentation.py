"""Segmentation's own settings: what the experiments hold; mistakes are named with value, place and what is allowed."""

import pathlib

import pytest
from official.core import exp_factory

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import families, parse

NASFPN, DEEPLAB = 'seg_nasfpn_efficientnet_pascal', 'seg_deeplabv3plus_efficientnet_pascal'
RESNET = 'seg_deeplabv3plus_resnet_pascal'
STUDENTS = [f'self_training_{name}' for name in (NASFPN, DEEPLAB, RESNET)]
ZOPH = pathlib.Path(__file__).parents[2] / 'configs' / 'zoph2020'
BACKBONE = 'task.model.backbone.'


@pytest.mark.parametrize('experiment', [NASFPN, STUDENTS[0]])
def test_the_releases_settings(experiment):
    """Section 8.1 of the fact sheet."""
    params = parse.load_experiment(experiment)
    task, model = params.task, params.task.model
    assert (model.num_classes, model.input_size, model.min_level, model.max_level) == (21, [512, 512, 3], 3, 7)
    nasfpn = model.decoder.nasfpn
    assert (nasfpn.num_repeats, nasfpn.use_separable_conv, nasfpn.num_filters) == (7, True, 256)
    assert (model.head.level, model.head.num_convs, model.head.feature_fusion) == (2, 3, 'pyramid_fusion')
    norm = model.decoder_norm_activation
    assert (norm.norm_momentum, norm.norm_epsilon, norm.use_sync_bn, norm.activation) == (0.997, 1e-3, True, 'relu')
    assert (model.norm_activation.norm_momentum, model.norm_activation.activation) == (0.99, 'swish')
    assert task.losses.l2_weight_decay == 1e-5 and task.losses.label_smoothing == 0
    assert not task.losses.use_groundtruth_dimension and task.train_data.global_batch_size == 256
    optimizer = params.trainer.optimizer_config
    assert optimizer.optimizer.sgd.global_clipnorm == 10 and optimizer.learning_rate.type == 'cosine'
    assert (params.trainer.train_steps, optimizer.learning_rate.cosine.initial_learning_rate) == (20_000, 0.08)
    assert optimizer.warmup.linear.warmup_steps == 500
    assert optimizer.warmup.linear.warmup_learning_rate == pytest.approx(0.001)
    assert (task.inference.scales, task.inference.flip) == ([1.0], False)
    if experiment in STUDENTS:
        assert (task.pseudo_data.global_batch_size, task.pseudo_data.score_threshold) == (256, 0.5)
        assert task.pseudo_data.augmentation.policy == task.train_data.augmentation.policy == 'S4'


@pytest.mark.parametrize(('row', 'human', 'pseudo'), [('l2', 256, None), ('l2_self_training', 128, 128)])
def test_l2_keeps_rate_and_length_at_half_the_labelled_batch(row, human, pseudo):
    experiment = NASFPN if pseudo is None else STUDENTS[0]
    params = parse.load_experiment(experiment, [str(ZOPH / f'table6_efficientnet_{row}.yaml')])
    optimizer = params.trainer.optimizer_config
    assert params.task.model.backbone.efficientnet.model_id == 'l2'
    assert (params.trainer.train_steps, optimizer.learning_rate.cosine.initial_learning_rate) == (20_000, 0.2)
    assert optimizer.warmup.linear.warmup_learning_rate == pytest.approx(0.001)
    assert params.task.train_data.global_batch_size == human
    if pseudo:
        assert params.task.pseudo_data.global_batch_size == pseudo


def test_deeplab_may_have_an_output_stride_of_8():
    levels = 'task.model.decoder.aspp.level=3,task.model.head.level=3'
    override = f'{BACKBONE}dilated_efficientnet.output_stride=8,{levels}'
    override += ',task.model.decoder.aspp.dilation_rates=[12,24,36]'
    assert parse.load_experiment(DEEPLAB, (), override).task.model.backbone.get().output_stride == 8
    parse.load_experiment(RESNET, (), f'{BACKBONE}dilated_resnet.output_stride=8,{levels}')
    plain = f'{BACKBONE}type=resnet,task.model.decoder.aspp.level=5,task.model.head.level=5'
    assert parse.load_experiment(RESNET, (), plain).task.model.decoder.aspp.level == 5


@pytest.mark.parametrize(
    ('experiment', 'override', 'words'),
    [
        (NASFPN, 'task.model.num_classes=1', ['is 1', 'background']),
        (NASFPN, 'task.model.num_classes=256', ['is 256', '255']),
        (NASFPN, 'task.model.input_size=[500,512,3]', ['384 or 512 instead of 500']),
        (NASFPN, f'{BACKBONE}type=spinenet', ["'spinenet'", 'dilated_efficientnet']),
        (NASFPN, f'{BACKBONE}efficientnet.model_id=b9', ["'b9'"]),
        (NASFPN, f'{BACKBONE}type=dilated_efficientnet', ['every level']),
        (NASFPN, 'task.model.max_level=6', ['is 6', 'levels 3 to 7']),
        (NASFPN, 'task.model.decoder.type=nasfnp', ["Did you mean 'nasfpn'"]),
        (NASFPN, 'task.model.decoder.nasfpn.num_repeats=0', ['1 or more']),
        (NASFPN, 'task.model.head.feature_fusion=deeplabv3plus', ["needs 'pyramid_fusion'"]),
        (NASFPN, 'task.model.head.level=4', ['is 4', 'from 0 to 3']),
        (NASFPN, 'task.model.head.upsample_factor=2', ['is 2', '1;']),
        (NASFPN, 'task.model.head.logit_activation=softmax', ['logits']),
        (NASFPN, 'task.model.pyramid_resampling=center', ["Did you mean 'centres'"]),
        (NASFPN, 'task.model.decoder_norm_activation.activation=rleu', ["Did you mean 'relu'"]),
        (NASFPN, 'task.losses.class_weights=[1,2]', ['21 numbers']),
        (NASFPN, 'task.losses.top_k_percent_pixels=0', ['over 0']),
        (NASFPN, 'task.losses.top_k_percent_pixels=20', ['from 0 to 1']),
        (NASFPN, 'task.losses.label_smoothing=1', ['under 1']),
        (NASFPN, 'task.inference.scales=[]', ['at least one number']),
        (NASFPN, 'task.inference.scales=[1,1]', ['differ']),
        (NASFPN, 'task.inference.scales=[0.01]', ['0.1 to 4']),
        (NASFPN, 'task.validation_data.groundtruth_padded_size=[512]', ['[height, width]']),
        (NASFPN, 'task.init_checkpoint_modules=[backbnoe]', ["Did you mean 'backbone'"]),
        (NASFPN, 'trainer.best_checkpoint_eval_metric=miou', ["Did you mean 'mIoU'"]),
        (NASFPN, 'trainer.best_checkpoint_metric_comp=lower', ["'higher' one"]),
        (DEEPLAB, f'{BACKBONE}dilated_efficientnet.output_stride=4', ['is 4', '8 or 16']),
        (DEEPLAB, f'{BACKBONE}dilated_efficientnet.model_id=b9', ["'b9'"]),
        (DEEPLAB, f'{BACKBONE}dilated_efficientnet.output_stride=8', ['aspp.level is 4', 'coarsest level is 3']),
        (DEEPLAB, 'task.model.decoder.aspp.dilation_rates=[0]', ['1 or more']),
        (DEEPLAB, 'task.model.decoder.aspp.pool_kernel_size=[512,512]', ['null']),
        (DEEPLAB, 'task.model.head.low_level=4', ['is 4', 'from 2 to 3']),
        (DEEPLAB, 'task.model.head.feature_fusion=pyramid_fusion', ["needs 'deeplabv3plus'"]),
        (DEEPLAB, 'task.model.input_size=[520,512,3]', ['512 or 528']),
        (RESNET, f'{BACKBONE}dilated_resnet.model_id=18', ['18', '101']),
        (STUDENTS[2], 'task.pseudo_data.score_threshold=1.5', ['from 0 to 1']),
        (STUDENTS[2], 'task.pseudo_data.abort_after_empty_steps=0', ['1 or more']),
        (STUDENTS[2], 'task.pseudo_data.keep_images_without_boxes=true', ['keep_images_without_labels']),
    ],
)
def test_mistakes_are_named(experiment, override, words):
    with pytest.raises(errors.UserError) as caught:
        parse.load_experiment(experiment, (), override)
    text = str(caught.value)
    assert override.split('=')[0].rsplit('.', 1)[-1] in text
    assert all(word in text for word in [*words, '--params_override']), text


def test_metrics_that_choose_the_best_checkpoint():
    task = exp_factory.get_exp_config(NASFPN).task
    known = families.of(task).metrics(task)
    assert known['mIoU'] == known['PerCategory/'] == 'higher' and known['model_loss'] == 'lower'
    task.per_category_metrics = False
    assert 'PerCategory/' not in families.of(task).metrics(task) and families.of(task).background
