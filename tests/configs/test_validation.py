"""Tests of ranges and choices: each a value Model Garden 2.15 accepts, or fails on late."""

import pytest
import yaml
from official.core import exp_factory

from official_rethink.common import errors
from official_rethink.configs import parse, validation

EFFICIENTNET = 'retinanet_efficientnet_coco'
SPINENET = 'retinanet_spinenet_coco'
STUDENT = 'self_training_retinanet_efficientnet_coco'

_MODEL = 'task.model.'
_DATA = 'task.train_data.'
_OPTIMIZER = 'trainer.optimizer_config.'


def _refused(experiment, override):
    with pytest.raises(errors.UserError) as caught:
        parse.load_experiment(experiment, (), override)
    return str(caught.value)


# Key, value, what the error has to say beside key, value and place.
_BAD = [
    # The traps that were measured in Model Garden.
    (_MODEL + 'num_classes', 'ninety', 'a whole number'),
    ('task.losses.focal_loss_gamma', '-3', '0 or more'),
    ('trainer.train_steps', '-1', '0 or more'),
    ('trainer.schedule.base_train_steps', '-1', 'over 0'),
    ('runtime.mixed_precision_dtype', 'float61', "Did you mean 'float16'"),
    ('trainer.best_checkpoint_eval_metric', 'APP', "Did you mean 'AP'"),
    ('task.init_checkpoint_modules', '[backbnoe]', "Did you mean 'backbone'"),
    ('task.init_checkpoint_modules', '[]', 'nothing would be restored'),
    ('task.init_checkpoint_modules', '[all,backbone]', "'all' alone"),
    (_MODEL + 'max_level', 'seven', 'a whole number'),
    # Runtime and trainer.
    ('runtime.distribution_strategy', 'miror', "Did you mean 'mirrored'"),
    ('runtime.num_gpus', '-1', '0 or more'),
    ('runtime.loss_scale', 'static', "'dynamic'"),
    ('runtime.loss_scale', '0', 'over 0'),
    ('trainer.max_to_keep', '0', '1 or more'),
    ('trainer.loss_upper_bound', '0', 'over 0'),
    ('trainer.validation_steps', '0', '-1 for all'),
    ('trainer.summary_interval', '7', 'trainer.steps_per_loop is 100 (set in trainer.schedule, derived)'),
    ('trainer.best_checkpoint_metric_comp', 'hihger', "Did you mean 'higher'"),
    ('trainer.best_checkpoint_metric_comp', 'lower', "metric is 'AP' (set in factory)"),
    ('trainer.schedule.decay', 'cosin', "Did you mean 'cosine'"),
    ('trainer.schedule.decay', 'stepwise', 'at least one share'),
    ('trainer.schedule.stepwise_boundaries', '[0.9,0.5]', 'increasing shares'),
    ('trainer.schedule.stepwise_boundaries', '[1.0]', 'increasing shares'),
    ('trainer.schedule.warmup_factor', '1.5', 'from 0 to 1'),
    ('trainer.schedule.base_learning_rate', '0', 'over 0'),
    ('trainer.schedule.base_warmup_steps', '-1', '0 or more'),
    ('trainer.schedule.evaluations', '0', 'over 0'),
    ('trainer.schedule.base_batch_size', '0', 'over 0'),
    # Optimizer and learning rate.
    (_OPTIMIZER + 'optimizer.type', 'sdg', "Did you mean 'sgd'"),
    (_OPTIMIZER + 'optimizer.type', 'null', 'adam'),
    (_OPTIMIZER + 'optimizer.sgd.momentum', '1.0', 'from 0 to under 1'),
    (_OPTIMIZER + 'optimizer.sgd.global_clipnorm', '0', 'over 0'),
    (_OPTIMIZER + 'learning_rate.type', 'cosine', 'initial_learning_rate is not set'),
    (_OPTIMIZER + 'warmup.type', 'linear', 'warmup_steps is not set'),
    # Model.
    (_MODEL + 'num_classes', '1', '2 or more'),
    (_MODEL + 'min_level', '8', 'task.model.max_level is 7 (set in factory)'),
    (_MODEL + 'min_level', '1', '2 or more'),
    (_MODEL + 'input_size', '[640,640]', '[height, width, 3]'),
    (_MODEL + 'input_size', '[640,640,1]', '[height, width, 3]'),
    (_MODEL + 'input_size', '[640,600,3]', 'such as 512 or 640 instead of 600'),
    (_MODEL + 'backbone.efficientnet.model_id', 'b77', "Did you mean 'b7'"),
    (_MODEL + 'backbone.efficientnet.stochastic_depth_drop_rate', '1.0', 'from 0 to under 1'),
    (_MODEL + 'backbone.type', 'null', 'efficientnet'),
    (_MODEL + 'decoder.type', 'identity', "'fpn' or 'nasfpn'"),
    (_MODEL + 'decoder.fpn.fusion_type', 'summ', "Did you mean 'sum'"),
    (_MODEL + 'decoder.fpn.num_filters', '0', '1 or more'),
    (_MODEL + 'norm_activation.activation', 'swsh', "Did you mean 'swish'"),
    (_MODEL + 'norm_activation.norm_momentum', '1.0', 'from 0 to under 1'),
    (_MODEL + 'norm_activation.norm_epsilon', '0', 'over 0'),
    (_MODEL + 'head.num_filters', '0', '1 or more'),
    (_MODEL + 'head.num_convs', '-1', '0 or more'),
    (_MODEL + 'anchor.num_scales', '0', '1 or more'),
    (_MODEL + 'anchor.aspect_ratios', '[]', 'at least one number'),
    (_MODEL + 'anchor.aspect_ratios', '[1.0,-0.5]', 'all over 0'),
    (_MODEL + 'anchor.anchor_size', '0', 'over 0'),
    (_MODEL + 'detection_generator.apply_nms', 'false', 'need final boxes'),
    (_MODEL + 'detection_generator.nms_version', 'v4', 'v1, v2'),
    (_MODEL + 'detection_generator.soft_nms_sigma', '0.3', "only 'v1' has Soft-NMS"),
    (_MODEL + 'detection_generator.nms_iou_threshold', '1.5', 'from 0 to 1'),
    (_MODEL + 'detection_generator.max_num_detections', '0', '1 or more'),
    (_MODEL + 'detection_generator.box_coder_weights', '[1.0]', 'four numbers'),
    # Losses and matching.
    ('task.losses.focal_loss_alpha', '1.5', 'from 0 to 1'),
    ('task.losses.huber_loss_delta', '0', 'over 0'),
    ('task.losses.box_loss_weight', '-1', '0 or more'),
    ('task.losses.box_loss_weight', '0.5', 'a whole number'),
    ('task.losses.l2_weight_decay', '-1e-4', '0 or more'),
    ('task.matching.unmatched_threshold', '0.6', 'match_threshold is 0.5'),
    # Data.
    (_DATA + 'global_batch_size', '0', 'over 0'),
    (_DATA + 'augmentation.policy', 'S5', 'S1, S2, S3, S4'),
    (_DATA + 'augmentation.scale_min', '3.0', 'at most scale_max'),
    (_DATA + 'augmentation.randaugment_magnitude', '11', '10'),
    (_DATA + 'augmentation.flip_probability', '2', '1'),
    (_DATA + 'is_training', 'false', 'true'),
    ('task.validation_data.is_training', 'true', 'false'),
    ('task.validation_data.global_batch_size', '0', '1 or more'),
    (_DATA + 'drop_remainder', 'false', 'shapes of a training step are fixed'),
    (_DATA + 'tfds_name', 'coco', 'read from input_path'),
    (_DATA + 'max_num_instances', '0', '1 or more'),
    (_DATA + 'shuffle_buffer_size', '0', '1 or more'),
]


@pytest.mark.parametrize(
    ('key', 'value', 'says'), _BAD, ids=[f'{key.split(".")[-1]}={value}' for key, value, _ in _BAD]
)
def test_bad_value_is_refused_with_key_place_and_rule(key, value, says):
    message = _refused(EFFICIENTNET, f'{key}={value}')
    # The missing fields of a branch, and augmentations, are reported under the group's name.
    assert key in message or f"{key.rsplit('.', 1)[0]} (set in" in message
    assert '--params_override' in message
    assert says in message


_BAD_STUDENT = [
    ('task.pseudo_data.score_threshold', '1.5', 'from 0 to 1'),
    ('task.pseudo_data.score_threshold', '-0.1', 'from 0 to 1'),
    ('task.pseudo_data.abort_after_empty_steps', '0', '1 or more'),
    # Model Garden's calculate_batch_sizes(8, 0.05) gives (8, 0) and trains on.
    ('task.pseudo_data.global_batch_size', '0', 'human and pseudo examples are both needed'),
    ('task.train_data.global_batch_size', '0', 'over 0'),
    ('task.pseudo_data.augmentation.policy', 'SS4', "Did you mean 'S4'"),
    ('task.balance.alpha', '-1', '0 or more'),
    ('task.balance.decay', '1.0', 'from 0 to under 1'),
    ('task.balance.decay', '-0.1', 'from 0 to under 1'),
    ('task.balance.normalize', '1', 'true or false'),
]


@pytest.mark.parametrize(('key', 'value', 'says'), _BAD_STUDENT)
def test_bad_value_of_a_student(key, value, says):
    message = _refused(STUDENT, f'{key}={value}')
    assert key in message and '--params_override' in message and says in message


@pytest.mark.parametrize(
    ('override', 'says'),
    [
        ('task.model.decoder.type=fpn', "needs the decoder 'identity'"),
        ('task.model.min_level=4', 'spinenet.min_level is 3 (set in factory)'),
        ('task.model.backbone.spinenet.max_level=6', 'task.model.max_level is 7'),
        ('task.model.backbone.spinenet.model_id=50', "'50'"),
        ('task.model.detection_generator.nms_version=v2', "only 'v1' has Soft-NMS"),
        ('task.model.norm_activation.activation=gelu', 'relu, swish'),
        ('task.init_checkpoint_modules=[decoder]', 'all, backbone, head'),
        # P3 to P5 need multiples of 32, SpineNet's inner blocks of 128.
        (
            'task.model.input_size=[96,96,3],task.model.max_level=5,task.model.backbone.spinenet.max_level=5',
            'such as 128 instead of 96',
        ),
    ],
)
def test_spinenet_has_rules_of_its_own(override, says):
    assert says in _refused(SPINENET, override)


@pytest.mark.parametrize(
    ('key', 'value', 'says'),
    [
        ('task.model.detection_generator.nms_version', 'batched', "take 'v2'"),
        ('runtime.mixed_precision_dtype', 'float16', 'bfloat16 or float32'),
    ],
)
def test_what_tpus_have_not(key, value, says):
    message = _refused(EFFICIENTNET, f'{key}={value},runtime.distribution_strategy=tpu')
    assert key in message and 'runtime.distribution_strategy' in message and says in message
    parse.load_experiment(EFFICIENTNET, (), f'{key}={value}')


@pytest.mark.parametrize(
    ('fields', 'missing'),
    [
        ('type=cosine', 'cosine.initial_learning_rate'),
        ('type=cosine,cosine.initial_learning_rate=0.1', 'cosine.decay_steps'),
        ('type=stepwise', 'stepwise.boundaries'),
        ('type=exponential,exponential.initial_learning_rate=0.1', 'exponential.decay_steps'),
        ('type=polynomial,polynomial.initial_learning_rate=0.1', 'polynomial.decay_steps'),
        ('type=power', 'power.initial_learning_rate'),
    ],
)
def test_a_learning_rate_chosen_by_hand_needs_its_fields(fields, missing):
    prefix = 'trainer.optimizer_config.learning_rate.'
    override = ','.join(prefix + field for field in fields.split(','))
    message = _refused(EFFICIENTNET, override)
    assert f'{prefix}{missing} is not set' in message and 'derived from trainer.schedule' in message


def test_a_learning_rate_chosen_by_hand_stays():
    prefix = 'trainer.optimizer_config.learning_rate.'
    params = parse.load_experiment(
        EFFICIENTNET,
        (),
        f'{prefix}type=stepwise,{prefix}stepwise.boundaries=[10,20],{prefix}stepwise.values=[1.0,0.1,0.01]',
    )
    assert params.trainer.optimizer_config.learning_rate.stepwise.values == [1.0, 0.1, 0.01]
    for values, says in (('[1.0]', '3 values for the 2 boundaries'), ('[1.0,0.1]', '3 values')):
        assert says in _refused(
            EFFICIENTNET,
            f'{prefix}type=stepwise,{prefix}stepwise.boundaries=[10,20],{prefix}stepwise.values={values}',
        )


def test_a_cosine_that_ends_before_the_run_is_refused(tmp_path):
    """Unless it ends at a rate over 0, or later by its offset; as when a shorter run's params.yaml is the base."""
    cosine = {'type': 'cosine', 'cosine': {'initial_learning_rate': 0.1, 'decay_steps': 90}}
    base = tmp_path / 'params.yaml'
    base.write_text(yaml.safe_dump({'trainer': {'optimizer_config': {'learning_rate': cosine}}}))
    rate, longer = 'trainer.optimizer_config.learning_rate.', 'trainer.schedule.base_train_steps=100'
    with pytest.raises(errors.UserError, match='decay_steps is 90 .*trainer.train_steps is 100.*type to null'):
        parse.load_experiment(EFFICIENTNET, [str(base)], longer)
    for enough in ('cosine.alpha=0.01', 'cosine.offset=10'):
        parse.load_experiment(EFFICIENTNET, [str(base)], f'{longer},{rate}{enough}')
    params = parse.load_experiment(EFFICIENTNET, [str(base)], f'{longer},{rate}type=null')
    assert params.trainer.optimizer_config.learning_rate.cosine.decay_steps == 100


def test_one_kind_of_clipping():
    prefix = 'trainer.optimizer_config.optimizer.sgd.'
    message = _refused(EFFICIENTNET, f'{prefix}clipnorm=1.0,{prefix}global_clipnorm=1.0')
    assert 'only one kind of clipping' in message


@pytest.mark.parametrize(
    'override',
    [
        # Model Garden's RetinaNet loads nothing for [all]; here it means all.
        'task.init_checkpoint_modules=[all]',
        'task.init_checkpoint_modules=backbone',
        'task.init_checkpoint_modules=[backbone,head]',
        'task.losses.focal_loss_gamma=0',
        'task.model.detection_generator.soft_nms_sigma=0.3,task.model.detection_generator.nms_version=v1',
        'trainer.best_checkpoint_eval_metric=total_loss,trainer.best_checkpoint_metric_comp=lower',
        'trainer.best_checkpoint_eval_metric=PerCategory/cat/AP,task.per_category_metrics=true',
        'trainer.best_checkpoint_eval_metric=ARmax100',
        'trainer.best_checkpoint_export_subdir="",trainer.best_checkpoint_eval_metric=anything',
        'task.train_data.augmentation.scale_min=0.1,task.train_data.augmentation.scale_max=1.9',
        'task.test_data.input_path=coco/test*',
    ],
)
def test_good_values_pass(override):
    parse.load_experiment(EFFICIENTNET, (), override)


def test_alpha_zero_is_a_choice():
    assert parse.load_experiment(STUDENT, (), 'task.balance.alpha=0').task.balance.alpha == 0


def test_validation_also_finds_what_code_has_set():
    params = exp_factory.get_exp_config(EFFICIENTNET)
    params.task.model.num_classes = 'ninety'
    with pytest.raises(errors.UserError, match="task.model.num_classes is 'ninety'; allowed: a whole number"):
        validation.validate(params)


def test_batches_have_to_fit_the_replicas():
    params = parse.load_experiment(STUDENT, (), 'task.pseudo_data.global_batch_size=20')
    validation.validate_runtime(params, 1)
    validation.validate_runtime(params, 4)
    with pytest.raises(errors.UserError, match=r'pseudo_data.global_batch_size is 20.*such as 16 or 24'):
        validation.validate_runtime(params, 8)
    params = parse.load_experiment(STUDENT)
    with pytest.raises(errors.UserError, match=r'validation_data.global_batch_size is 8.*such as 16'):
        validation.validate_runtime(params, 16)
