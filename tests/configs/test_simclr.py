"""SimCLR's experiments: the published figures, at another batch size too, and what their checks refuse."""

import pathlib

import pytest

from export import export_saved_model
from official_rethink import pseudo_label
from official_rethink.common import errors
from official_rethink.configs import parse

RESNET = 'simclr_resnet_imagenet'
_HEAD = 'task.model.projection_head.'
_VIEWS = 'task.train_data.views.'
_LARS = 'trainer.optimizer_config.optimizer.lars.'


def test_published_figures():
    """Section 2.3 of the paper: 4096 pairs, LARS at 4.8 = 0.3 * 4096 / 256, decay 1e-6, 10 passes of warm-up."""
    params = parse.load_experiment(RESNET)
    config, task = params.trainer.optimizer_config, params.task
    assert task.train_data.global_batch_size == 4096 and task.model.input_size == [224, 224, 3]
    assert config.learning_rate.cosine.initial_learning_rate == pytest.approx(4.8)
    assert config.warmup.linear.warmup_steps == 3128 and config.warmup.linear.warmup_learning_rate == 0.0
    assert params.trainer.train_steps == 312_785 == config.learning_rate.cosine.decay_steps
    assert (config.optimizer.type, config.optimizer.lars.momentum) == ('lars', 0.9)
    assert config.optimizer.lars.weight_decay_rate == 1e-6 and task.l2_weight_decay == 0.0
    assert (task.temperature, task.model.backbone.resnet.model_id) == (0.1, 50)
    head = task.model.projection_head
    assert (head.num_layers, head.hidden_width, head.output_width) == (2, None, 128)
    assert task.model.norm_activation.use_sync_bn


def test_an_eighth_of_the_batch_keeps_images_and_scales_the_rate():
    params = parse.load_experiment(RESNET, (), 'task.train_data.global_batch_size=512')
    config = params.trainer.optimizer_config
    assert config.learning_rate.cosine.initial_learning_rate == pytest.approx(0.6)
    assert config.warmup.linear.warmup_steps == pytest.approx(8 * 3128, abs=8)
    assert params.trainer.train_steps == pytest.approx(8 * 312_785, abs=8)


def test_efficientnet_is_the_detectors():
    ours = parse.load_experiment('simclr_efficientnet_imagenet').task.model
    detector = parse.load_experiment('retinanet_efficientnet_coco').task.model
    assert ours.backbone.as_dict() == detector.backbone.as_dict()
    assert ours.norm_activation.as_dict() == detector.norm_activation.as_dict()


def test_quick_file_starts_the_quick_detector():
    """Same backbone, so that every variable has its place there."""
    root = pathlib.Path(__file__).parents[2] / 'configs' / 'quick'
    ours = parse.load_experiment(RESNET, [str(root / 'simclr.yaml')])
    detector = parse.load_experiment('retinanet_efficientnet_coco', [str(root / 'retinanet.yaml')])
    assert ours.task.model.backbone.type == detector.task.model.backbone.type == 'resnet'
    assert ours.task.model.backbone.resnet.as_dict() == detector.task.model.backbone.resnet.as_dict()
    assert ours.task.model.input_size == detector.task.model.input_size
    assert ours.trainer.train_steps == 900 and ours.trainer.validation_interval % ours.trainer.steps_per_loop == 0


_BAD = [
    ('task.temperature', '0', 'over 0'),
    ('task.l2_weight_decay', '-1', '0 or more'),
    ('task.l2_weight_decay', '1e-4', 'weight_decay_rate is 1e-06'),
    ('task.init_checkpoint_modules', '[decoder]', 'backbone, projection_head'),
    ('task.model.backbone.type', 'spinenet', 'any but a SpineNet'),
    ('task.model.backbone.resnet.model_id', '51', 'resnet.model_id'),
    ('task.model.input_size', '[224,200,3]', 'such as 192 or 224 instead of 200'),
    (_HEAD + 'num_layers', '0', '1 or more'),
    (_HEAD + 'hidden_width', '0', '1 or more'),
    (_HEAD + 'output_width', '0', '1 or more'),
    (_VIEWS + 'area_min', '0', 'over 0'),
    (_VIEWS + 'area_max', '1.5', 'from 0 to 1'),
    (_VIEWS + 'aspect_min', '2', 'aspect_max is 1.33'),
    (_VIEWS + 'blur_sigma_min', '3', 'blur_sigma_max is 2.0'),
    (_VIEWS + 'flip_probability', '2', 'from 0 to 1'),
    (_VIEWS + 'jitter_strength', '1.3', 'from 0 to 1.25'),
    (_VIEWS + 'blurr_probability', '0.1', "Did you mean 'task.train_data.views.blur_probability'"),
    ('task.train_data.max_num_instances', '5', "unknown key 'task.train_data.max_num_instances'"),
    ('trainer.best_checkpoint_eval_metric', 'AP', 'contrastive_accuracy, contrastive_loss'),
    ('trainer.best_checkpoint_eval_metric', 'contrastive_loss', "the best is the 'lower' one"),
    (_LARS + 'weight_decay_rate', '-1', '0 or more'),
    (_LARS + 'momentum', '1', 'from 0 to under 1'),
]


@pytest.mark.parametrize(('key', 'value', 'says'), _BAD, ids=[f'{key}={value}' for key, value, _ in _BAD])
def test_bad_value_is_refused_with_key_place_and_rule(key, value, says):
    with pytest.raises(errors.UserError) as caught:
        parse.load_experiment(RESNET, (), f'{key}={value}')
    assert says in str(caught.value) and key in str(caught.value) and '--params_override' in str(caught.value)


@pytest.mark.parametrize('command', [pseudo_label, export_saved_model], ids=['pseudo_label', 'export'])
def test_commands_for_detectors_refuse_it(command, tmp_path):
    arguments = [f'--experiment={RESNET}', f'--checkpoint={tmp_path}']
    if command is pseudo_label:
        arguments += ['--input=x', f'--output_dir={tmp_path}/labels']
    else:
        arguments += [f'--export_dir={tmp_path}/export']
    with pytest.raises(errors.UserError, match=f"experiment='{RESNET}' trains no detector"):
        command.main(arguments)
    assert list(tmp_path.iterdir()) == []
