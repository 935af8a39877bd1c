"""The public entry point: each experiment trains, a killed run goes on to the same end, mistakes are named."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import train as train_command
from official_rethink.common import errors
from official_rethink.configs import detection as configs
from official_rethink.tasks import controller, crew, run_folder, run_log
from tests import in_process
from tests.bad_inputs import world

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPERIMENTS = (
    'retinanet_efficientnet_coco',
    'self_training_retinanet_efficientnet_coco',
    'retinanet_spinenet_coco',
    'self_training_retinanet_spinenet_coco',
)
_SMALL = (
    'task.model.num_classes=4,task.model.max_level=5,'
    'task.train_data.input_path=shards/train*,task.train_data.global_batch_size=2,'
    'task.validation_data.input_path=shards/val*,task.validation_data.global_batch_size=2,'
    'trainer.schedule.base_batch_size=2,trainer.schedule.evaluations=2,runtime.mixed_precision_dtype=float32'
)
_SMALLEST = (
    ',task.model.input_size=[64,64,3],task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
    'task.model.backbone.resnet.depth_multiplier=0.25,task.model.decoder.fpn.num_filters=16,'
    'task.model.head.num_convs=1,task.model.head.num_filters=16,task.train_data.augmentation.policy=S1,'
    'task.model.detection_generator.nms_version=batched,trainer.schedule.base_warmup_steps=1'
)
_FOUR_STEPS = 'trainer.schedule.base_train_steps=4,trainer.checkpoint_interval=2' + _SMALLEST


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Data sets and a pseudo-label store, made as a user's commands would."""
    folder = tmp_path_factory.mktemp('train')
    world.build(folder)
    return folder


def _train(place, experiment, model_dir, override, alone=False):
    """Runs the command in the folder of the data, in a process of its own or in this one; returns what it printed."""
    flags = [f'--experiment={experiment}', '--mode=train_and_eval', f'--model_dir={model_dir}']
    flags.append(f'--params_override={_SMALL},{override}')
    if not alone:
        return in_process.run(train_command.main, flags, place)
    command = [sys.executable, '-m', 'official_rethink.train', *flags]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope='module')
def whole(place):
    """An undisturbed run of four steps of the first experiment, with a small network."""
    return _train(place, EXPERIMENTS[0], 'whole', _FOUR_STEPS)


@pytest.mark.slow
@pytest.mark.parametrize('experiment', EXPERIMENTS)
def test_each_experiment_trains(place, request, experiment):
    """True steps, an evaluation, a best checkpoint, the record; nothing but our own lines on the screen.

    The graph of a large network takes a minute, so each is built once: EfficientNet by its student, SpineNet by its
    teacher, each in a process of its own; the others of the two take a small one.
    """
    override, size, steps = 'trainer.schedule.base_train_steps=2', 64, 2
    if experiment == 'self_training_retinanet_efficientnet_coco':
        override += ',trainer.schedule.base_warmup_steps=1,task.model.input_size=[64,64,3]'
        override += ',task.model.backbone.efficientnet.model_id=b0'
    elif experiment == 'retinanet_spinenet_coco':
        size = 128  # SpineNet reaches level 7 inside
        override += ',task.model.backbone.spinenet.model_id=49S,task.model.backbone.spinenet.max_level=5'
        override += ',trainer.schedule.base_warmup_steps=1,task.model.input_size=[128,128,3]'
    else:
        # The paper's SpineNet student has Soft-NMS, which 'v1' alone has.
        override += _SMALLEST.replace('nms_version=batched', 'nms_version=v1') + ',task.model.decoder.type=fpn'
    if 'spinenet' in experiment:
        override += ',trainer.schedule.decay=cosine,trainer.schedule.stepwise_boundaries=[]'
    if 'self_training' in experiment:
        override += ',task.pseudo_data.input_path=labels/pseudo-*,task.pseudo_data.global_batch_size=2'
    if experiment == EXPERIMENTS[0]:
        done, steps, folder = request.getfixturevalue('whole'), 4, place / 'whole'
    else:
        alone = 'resnet' not in override
        done, folder = _train(place, experiment, experiment, override, alone), place / experiment
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr and 'Warning' not in done.stderr
    entries = run_log.read_metrics(str(folder))
    train, validation = entries[0]['metrics'], entries[-1]['metrics']
    assert np.isfinite(train['total_loss']) and 'AP' in validation
    assert ('loss_ratio' in train) == ('self_training' in experiment)
    cost = json.loads((folder / 'cost.json').read_text())
    assert cost['steps'] == steps and cost['images'] == steps * (4 if 'self_training' in experiment else 2)
    assert cost['pixels'] == cost['images'] * size * size
    assert json.loads((folder / 'test.json').read_text())['step'] in (steps // 2, steps)
    assert tf.train.latest_checkpoint(str(folder / 'best'))


@pytest.mark.slow
def test_a_stopped_run_ends_as_an_undisturbed_one(place, whole):
    """Stopped after 2 of 4 steps, as by a kill after the checkpoint but before its evaluation."""
    assert whole.returncode == 0, whole.stderr[-3000:]
    folder = shutil.copytree(place / 'whole', place / 'stopped')
    for path in [*folder.glob('ckpt-4*'), folder / 'test.json', *(folder / 'best').iterdir()]:
        path.unlink()
    (folder / 'checkpoint').write_text('model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-2"\n')
    lines = (folder / 'metrics.jsonl').read_text().splitlines()
    kept = [line for line in lines if json.loads(line)['step'] <= 2 and json.loads(line)['kind'] == 'train']
    (folder / 'metrics.jsonl').write_text('\n'.join([*kept, '{"kind": "tra']) + '\n')
    again = _train(place, EXPERIMENTS[0], 'stopped', _FOUR_STEPS)
    assert again.returncode == 0, again.stderr[-3000:]

    def record(name):
        return [
            (entry['kind'], entry['step'], {k: v for k, v in entry['metrics'].items() if k != 'seconds'})
            for entry in run_log.read_metrics(str(place / name))
        ]

    assert record('stopped') == record('whole')
    before, after = (json.loads((place / name / 'test.json').read_text()) for name in ('whole', 'stopped'))
    assert before == after


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused(place, whole):
    assert whole.returncode == 0, whole.stderr[-3000:]
    done = _train(place, EXPERIMENTS[0], 'whole', _FOUR_STEPS + ',task.seed=5', alone=True)
    assert done.returncode == 2
    assert 'task.seed: there 0, now 5' in done.stderr and 'Traceback' not in done.stderr


def test_a_folder_is_one_process_s(tmp_path):
    with run_folder.locked(str(tmp_path)), pytest.raises(errors.UserError, match='another process'):
        with run_folder.locked(str(tmp_path)):
            raise AssertionError('held twice')


def test_nan_loss_stops_with_the_reason(tmp_path):
    log = run_log.RunLog(str(tmp_path), total_steps=10, images_per_step=2, pixels_per_image=4)
    log.resume(0)
    log.train(5, {'training_loss': 1.0, 'instances': 3.0})
    with pytest.raises(errors.UserError, match='nan between steps 5 and 10'):
        log.train(10, {'training_loss': float('nan'), 'instances': 3.0})
    # For a search over settings, of which one has to fail.
    left = tmp_path / 'diverged.json'
    assert json.loads(left.read_text()) == {'step': 10, 'message': 'the training loss is nan between steps 5 and 10.'}
    assert json.loads((tmp_path / 'cost.json').read_text())['steps'] == 10
    log.resume(5)
    assert not left.exists()
    log = run_log.RunLog(str(tmp_path), total_steps=10, images_per_step=2, pixels_per_image=4, loss_limit=1e6)
    log.train(10, {'training_loss': 1e6, 'instances': 3.0})
    with pytest.raises(errors.UserError, match='the training loss is 2000000.0'):
        log.train(20, {'training_loss': 2e6, 'instances': 3.0})


def test_cost_by_hand(tmp_path):
    """10 steps of 2 images of 4 pixels; 3 + 5 instances; a restart at step 5 forgets what came after."""
    log = run_log.RunLog(str(tmp_path), total_steps=10, images_per_step=2, pixels_per_image=4)
    log.resume(0)
    log.train(5, {'training_loss': 1.0, 'instances': 3.0})
    log.train(10, {'training_loss': 1.0, 'instances': 7.0})
    log.resume(5)
    log.train(10, {'training_loss': 1.0, 'instances': 5.0})
    cost = log.cost()
    assert (cost['steps'], cost['images'], cost['instances'], cost['pixels']) == (10, 20, 8, 80)
    assert [entry['step'] for entry in run_log.read_metrics(str(tmp_path))] == [5, 10]


def test_pseudo_labels_that_are_all_under_the_threshold_stop_the_run():
    watch = run_log.EmptyPseudoLabels(abort_after_steps=20, score_threshold=0.5)
    watch.check(10, {'pseudo/boxes_per_image': 0.5})
    watch.check(20, {'pseudo/boxes_per_image': 0.0})
    with pytest.raises(errors.UserError, match='no pseudo box passed .* 0.5 in the last 20 steps'):
        watch.check(30, {'pseudo/boxes_per_image': 0.0})


def test_best_checkpoint_is_saved_before_its_score(tmp_path):
    """A kill between the two must not leave a score without weights."""
    exporter = controller.BestCheckpointExporter(str(tmp_path), 'AP', 'higher', crew.Crew(tf.distribute.get_strategy()))
    variable = tf.Variable(1.0)
    checkpoint = tf.train.Checkpoint(value=variable)
    assert exporter.maybe_export_checkpoint(checkpoint, {'AP': 0.2}, 1)
    assert not exporter.maybe_export_checkpoint(checkpoint, {'AP': 0.1}, 2)
    variable.assign(3.0)
    assert exporter.maybe_export_checkpoint(checkpoint, {'AP': 0.3}, 3)
    info = json.loads((tmp_path / 'info.json').read_text())
    assert (info['AP'], info['best_ckpt_global_step']) == (0.3, 3.0)
    assert tf.train.load_variable(str(tmp_path), 'value/.ATTRIBUTES/VARIABLE_VALUE') == 3.0


def test_configs_build_a_task_each():
    from official.core import task_factory

    from official_rethink import registry_imports  # noqa: F401

    for config in (configs.DetectionTask(), configs.SelfTrainingDetectionTask()):
        assert type(task_factory.get_task(config)).__name__ == type(config).__name__


def test_an_evaluation_says_what_it_measured():
    measured = {'checkpoint': 'ckpt-40', 'step': 40, 'data': 'shards/val*'}
    measured['inference'] = {'scales': [1.0], 'flip': False}
    plain = 'checkpoint ckpt-40 (step 40) on shards/val*'
    assert train_command._measured_words(measured) == plain
    measured['inference'] = {'scales': [0.5, 1.0], 'flip': True}
    assert train_command._measured_words(measured) == plain + ', each image at 0.5, 1 of its size and mirrored'
