"""A cascade that is switched on late: first as if it had one stage, then as if it had always had all."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import train
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.data import scenes
from official_rethink.modeling import accounting, restore
from official_rethink.tasks import maskrcnn
from tests.tasks import small_maskrcnn as tiny
from tests.tasks.test_maskrcnn_command import _SMALL

EXPERIMENT = 'cascadercnn_resnetfpn_gn_coco'
SWITCH = 5
TWO_STAGES = {'cascade_iou_thresholds': [0.6]}  # enough of them where nothing hangs on how many


def _task(resume_step, first_step=SWITCH, **model):
    params = tiny.params(EXPERIMENT, model={'include_mask': False, **model})
    params.override({'cascade': {'first_step': first_step}})
    task = maskrcnn.MaskRCNNTask(params)
    task.resume_step = resume_step
    return task, task.build_model()


def _copy(source, target):
    """Gives a model the weights of the modules that another has too."""
    modules = target.checkpoint_items
    for name, module in source.checkpoint_items.items():
        if name in modules:
            modules[name].set_weights(module.get_weights())


def _losses(task, model, inputs, how=lambda function: function):
    return {name: value.numpy() for name, value in how(lambda: task.named_losses(*inputs, model))().items()}


def _assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_rests_before_the_switch():
    """Two more heads of one convolution, its group norm, and three dense layers: 8 + 2 variables each less."""
    _, model = _task(0)
    resting = [*model.detection_head[1].variables, *model.detection_head[2].variables]
    assert len(resting) == 2 * (2 + 2 + 3 * 2)
    ids = {id(variable) for variable in resting}
    assert ids.isdisjoint(map(id, model.trained_variables))
    assert len(model.trained_variables) + len(resting) == len(model.trainable_variables)
    # Weight decay, which would shrink the resting heads: of the kernels of all others.
    kernels = [variable for variable in model.trained_variables if variable.shape.rank >= 2]
    assert len(model.losses) == len(kernels)
    model.train_stages = 3
    assert len(model.trained_variables) == len(model.trainable_variables) and len(model.losses) == len(kernels) + 8


@pytest.mark.slow
def test_before_and_after_the_switch():
    """Before it, losses, gradients and detections are those of one stage; after it, those of a whole cascade."""
    inputs = tiny.batch(2, boxes_per_image=(3, 2))
    info = inputs[1]['image_info']
    task, model = _task(0, roi_sampler=TWO_STAGES)
    one_task, one_model = _task(0, first_step=0, roi_sampler={'cascade_iou_thresholds': None})
    whole_task, whole_model = _task(0, first_step=0, roi_sampler=TWO_STAGES)
    _copy(model, one_model)
    _copy(model, whole_model)

    found = tf.function(lambda: task.predict(inputs[0], info, model))
    alone = one_task.predict(inputs[0], info, one_model)
    _assert_same(found(), alone)
    _assert_same(_losses(task, model, inputs, tf.function), _losses(one_task, one_model, inputs))
    assert len(model.trained_variables) == len(one_model.trainable_variables) < len(model.trainable_variables)
    _assert_same(dict(enumerate(model.losses)), dict(enumerate(one_model.losses)))

    later, later_model = _task(SWITCH, roi_sampler=TWO_STAGES)
    _copy(model, later_model)
    found = tf.function(lambda: later.predict(inputs[0], info, later_model))
    _assert_same(found(), alone)  # nothing trained yet, so a validation at the switch measures the one stage
    _assert_same(_losses(later, later_model, inputs, tf.function), _losses(whole_task, whole_model, inputs))
    _assert_same(found(), whole_task.predict(inputs[0], info, whole_model))
    assert len(later_model.trained_variables) == len(later_model.trainable_variables)
    assert later_model.checkpoint_items['cascade_switch'].on


@pytest.mark.slow
def test_the_dearer_branch_is_counted():
    size = [tiny.SIZE, tiny.SIZE, 3]
    task, model = _task(0, roi_sampler=TWO_STAGES)
    whole_task, whole_model = _task(0, first_step=0, roi_sampler=TWO_STAGES)
    late = accounting.count(model, size, task.counted(model))
    whole = accounting.count(whole_model, size, whole_task.counted(whole_model))
    assert (late.flops, late.parameters) == (whole.flops, whole.parameters)


def test_the_step_follows_from_the_schedule():
    """9x with the cascade in the last 270,000 steps: from step 540,000; a quarter of it at 64 images."""
    override = 'trainer.schedule.base_train_steps=810000,task.cascade.base_steps_before_end=270000'
    assert parse.load(EXPERIMENT, (), override).params.task.cascade.first_step == 540_000
    at_64 = f'{override},task.train_data.global_batch_size=64'
    assert parse.load(EXPERIMENT, (), at_64).params.task.cascade.first_step == 135_000


@pytest.mark.parametrize(
    ('experiment', 'override', 'words'),
    [
        (EXPERIMENT, 'base_steps_before_end=270000', 'is 270,000, but the run is only 180,000 steps long'),
        (EXPERIMENT, 'base_steps_before_end=90000,task.cascade.first_step=7', 'but .* gives 90000; set one'),
        (EXPERIMENT, 'first_step=180000', 'the run ends before the further stages train'),
        (EXPERIMENT, 'base_steps_before_end=-1', '0 or more'),
        ('maskrcnn_resnetfpn_gn_coco', 'base_steps_before_end=9', 'no further stages that could begin to train'),
    ],
)
def test_bad_switches_are_named(experiment, override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load(experiment, (), f'task.cascade.{override}')


@pytest.mark.slow
def test_one_command_switches_and_may_be_killed(tmp_path, monkeypatch):
    """Four steps, the cascade from the third: killed at the switch, it ends with the same weights."""
    monkeypatch.chdir(tmp_path)
    settings = scenes.Settings(height=64, width=64, num_classes=3)
    for seed, (split, count) in enumerate({'train': 4, 'val': 3}.items()):
        scenes.write_scenes('data', split, settings, seed, count)
    override = _SMALL.replace('base_train_steps=2', 'base_train_steps=4') + (
        ',task.cascade.base_steps_before_end=2,task.model.include_mask=false,trainer.checkpoint_interval=1,trainer.steps_per_loop=1,'
        'trainer.summary_interval=1,trainer.max_to_keep=9,trainer.validation_interval=3,'
        'task.model.roi_sampler.cascade_iou_thresholds=[0.6]'
    )

    def run(folder, mode):
        arguments = [f'--experiment={EXPERIMENT}', f'--params_override={override}', f'--model_dir={folder}']
        assert train.main([*arguments, f'--mode={mode}']) == 0
        return restore.values_hash(f'{folder}/ckpt-4')

    whole = run('whole', 'train_and_eval')
    validated = [json.loads(line) for line in (tmp_path / 'whole' / 'metrics.jsonl').read_text().splitlines()]
    assert [line['step'] for line in validated if 'AP' in json.dumps(line)] == [3, 4]  # none at the switch
    folder = tmp_path / 'killed'
    folder.mkdir()
    for path in [*(tmp_path / 'whole').glob('ckpt-2.*'), tmp_path / 'whole' / 'params.yaml']:
        shutil.copy(path, folder)
    (folder / 'checkpoint').write_text('model_checkpoint_path: "ckpt-2"\n')
    assert run(folder.name, 'train') == whole
    reader = tf.train.load_checkpoint(str(tmp_path / 'whole' / 'ckpt-4'))
    names = reader.get_variable_to_shape_map()
    switch = next(name for name in names if 'cascade_switch' in name and 'optimizer' not in name)
    assert reader.get_tensor(switch) == 1.0
    before = tf.train.load_checkpoint(str(tmp_path / 'whole' / 'ckpt-2'))
    assert before.get_tensor(switch) == 0.0
