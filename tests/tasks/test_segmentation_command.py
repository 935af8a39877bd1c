"""Segmentation through the public commands: every experiment takes true steps, is measured, goes on after a stop."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import (
    pseudo_label,
    registry_imports,  # noqa: F401
    train,
)
from official_rethink.configs import parse
from official_rethink.data import label_maps, scenes
from official_rethink.tasks import run_log, segmentation
from tests import in_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
NASFPN, EFFICIENT, RESNET = (
    'seg_nasfpn_efficientnet_pascal',
    'seg_deeplabv3plus_efficientnet_pascal',
    'seg_deeplabv3plus_resnet_pascal',
)
_SMALL = (
    'task.model.num_classes=4,task.train_data.input_path=data/train*,task.train_data.global_batch_size=2,'
    'task.train_data.augmentation.policy=S1,task.validation_data.input_path=data/val*,'
    'task.validation_data.global_batch_size=4,trainer.schedule.base_batch_size=2,trainer.schedule.base_warmup_steps=0,'
    'runtime.mixed_precision_dtype=float32'
)
_RESNET = (
    'task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
    'task.model.backbone.resnet.depth_multiplier=0.25'
)
_ASPP = 'task.model.decoder.aspp.num_filters=8,task.model.decoder.aspp.dilation_rates=[1],task.model.head.num_filters=8'
_MODELS = {
    NASFPN: (
        f'{_RESNET},task.model.input_size=[128,128,3],task.model.decoder.nasfpn.num_filters=8,'
        'task.model.decoder.nasfpn.num_repeats=1,task.model.head.num_convs=1,task.model.head.num_filters=8'
    ),
    EFFICIENT: f'{_ASPP},task.model.backbone.dilated_efficientnet.model_id=lite0,task.model.input_size=[32,32,3]',
    RESNET: (
        f'{_RESNET},{_ASPP},task.model.input_size=[32,32,3],task.model.decoder.aspp.level=5,task.model.head.level=5,'
        'task.model.head.num_convs=1'
    ),
}
_STUDENT = (
    'task.pseudo_data.input_path=labels/pseudo-*,task.pseudo_data.global_batch_size=2,'
    'task.pseudo_data.augmentation.policy=S1,task.pseudo_data.score_threshold=0.0'
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Labelled, validation and unlabelled scenes of three classes, no side a multiple of the network's."""
    folder = tmp_path_factory.mktemp('segmentation')
    settings = scenes.Settings(kind='segmentation', height=40, width=50, num_classes=3)
    for seed, (split, count) in enumerate({'train': 6, 'val': 5, 'unlabelled': 4}.items()):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count, labelled=split != 'unlabelled')
    return folder


def _alone(place, flags):
    """Runs the train command in a process, and so with a screen, of its own."""
    command = [sys.executable, '-m', 'official_rethink.train', *flags]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=900, check=False)


def _train(place, experiment, model_dir, *more, mode='train_and_eval', steps=1, student=_STUDENT, alone=False):
    base = experiment.removeprefix('self_training_')
    schedule = f'trainer.schedule.base_train_steps={steps},trainer.schedule.evaluations={steps}'
    # The graph of a dilated EfficientNet takes a minute, so the supervised experiment alone builds it.
    network = _MODELS[RESNET if experiment == f'self_training_{EFFICIENT}' else base]
    override = ','.join([_SMALL, network, schedule, *([student] if base != experiment else []), *more])
    flags = [f'--experiment={experiment}', f'--mode={mode}', f'--model_dir={model_dir}']
    flags.append(f'--params_override={override}')
    return _alone(place, flags) if alone else in_process.run(train.main, flags, place)


@pytest.fixture(scope='module')
def teacher(place):
    done = _train(place, RESNET, 'teacher')
    assert done.returncode == 0, done.stderr[-3000:]
    return place / 'teacher'


@pytest.fixture(scope='module')
def labels(place):
    """Of an untrained teacher whose answers differ from pixel to pixel."""
    override = f'{_SMALL},{_MODELS[RESNET]}'
    task = segmentation.SegmentationTask(parse.load(RESNET, (), override).params.task)
    tf.keras.utils.set_random_seed(0)
    model = task.build_model()
    last = model.trainable_variables[-2]
    last.assign(400.0 * tf.random.stateless_normal(last.shape, [1, 2]))  # the features are small
    items = {**model.checkpoint_items, 'global_step': tf.Variable(1, dtype=tf.int64)}
    tf.train.Checkpoint(**items).write(str(place / 'drawn' / 'ckpt-1'))
    flags = [f'--experiment={RESNET}', f'--params_override={override}', '--checkpoint=drawn/ckpt-1']
    flags += ['--input=data/unlabelled*', '--output_dir=labels', '--skip_teacher_evaluation']
    done = in_process.run(pseudo_label.main, flags, place)
    assert done.returncode == 0, done.stderr[-3000:]
    return place / 'labels'


def _check_record(folder, images, size):
    entries = run_log.read_metrics(str(folder))
    trained, validation = entries[0]['metrics'], entries[-1]['metrics']
    assert np.isfinite(trained['total_loss']) and 0 <= validation['mIoU'] <= 1 and 0 <= validation['mIoU_resized'] <= 1
    assert {'pixel_accuracy', 'mean_accuracy', 'PerCategory/background/IoU', 'model_loss'} <= set(validation)
    cost = json.loads((folder / 'cost.json').read_text())
    assert (cost['steps'], cost['images'], cost['pixels']) == (1, images, images * size * size)
    assert json.loads((folder / 'test.json').read_text())['metrics']['mIoU'] == validation['mIoU']
    pictures = list((folder / 'test_label_maps').iterdir())
    assert len(pictures) == 5
    assert label_maps.decode(pictures[0].read_bytes()).shape == (40, 50)
    assert tf.train.latest_checkpoint(str(folder / 'best'))
    return trained


def test_the_teacher_s_record_and_its_evaluation_alone(place, teacher):
    """--mode=eval, at three scales and mirrored: another number, of the same checkpoint."""
    trained = _check_record(teacher, images=2, size=32)
    assert trained['instances'] >= 1 and 'loss_ratio' not in trained
    more = 'task.inference.scales=[0.5,1.0,1.5],task.inference.flip=true'
    done = _train(place, RESNET, 'teacher', more, mode='eval')
    assert done.returncode == 0 and 'mIoU' in done.stdout, done.stderr[-3000:]
    measured = json.loads((teacher / 'eval.json').read_text())
    plain = json.loads((teacher / 'test.json').read_text())
    assert measured['metrics']['mIoU_resized'] >= 0 and measured['step'] == plain['step'] == 1
    assert measured['metrics']['model_loss'] == pytest.approx(plain['metrics']['model_loss'], rel=1e-5)


@pytest.mark.parametrize('experiment', [NASFPN, EFFICIENT])
def test_each_experiment_trains(place, experiment):
    done = _train(place, experiment, experiment, alone=experiment == NASFPN)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr and 'Warning' not in done.stderr
    _check_record(place / experiment, images=2, size=128 if experiment == NASFPN else 32)


@pytest.mark.parametrize('experiment', [NASFPN, EFFICIENT, RESNET])
def test_each_student_trains(place, labels, experiment):
    name = f'self_training_{experiment}'
    done = _train(place, name, name)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr
    trained = _check_record(place / name, images=4, size=128 if experiment == NASFPN else 32)
    assert trained['pseudo/coverage'] == 1.0 and trained['pseudo/images_with_labels'] == 1.0  # the threshold is 0
    assert 0 < trained['pseudo/mean_score'] <= 1 and np.isfinite(trained['loss_ratio'])


def test_a_stopped_run_ends_as_an_undisturbed_one(place, teacher):
    """Stopped after 1 of 2 steps, as by a kill after the checkpoint but before its evaluation."""
    more = 'trainer.checkpoint_interval=1'
    assert _train(place, RESNET, 'whole', more, steps=2).returncode == 0
    # Two runs of the same settings begin alike; weight decay, of which a graph may change the order, is left out.
    first = [run_log.read_metrics(str(run))[0] for run in (teacher, place / 'whole')]
    assert first[0]['step'] == first[1]['step'] == 1
    assert first[0]['metrics']['model_loss'] == first[1]['metrics']['model_loss']
    folder = shutil.copytree(place / 'whole', place / 'stopped')
    for path in [*folder.glob('ckpt-2*'), folder / 'test.json', *(folder / 'best').iterdir()]:
        path.unlink()
    (folder / 'checkpoint').write_text('model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-1"\n')
    lines = (folder / 'metrics.jsonl').read_text().splitlines()
    kept = [line for line in lines if json.loads(line)['step'] == 1 and json.loads(line)['kind'] == 'train']
    (folder / 'metrics.jsonl').write_text('\n'.join(kept) + '\n')
    again = _train(place, RESNET, 'stopped', more, steps=2)
    assert again.returncode == 0, again.stderr[-3000:]
    whole, stopped = (json.loads((place / name / 'test.json').read_text()) for name in ('whole', 'stopped'))
    assert whole == stopped


def test_a_student_without_a_pixel_over_the_threshold_is_refused(place, labels):
    student = f'self_training_{RESNET}'
    done = _train(place, student, 'none', student=_STUDENT.replace('score_threshold=0.0', 'score_threshold=1.0'))
    assert done.returncode == 2 and 'score_threshold' in done.stderr and 'Traceback' not in done.stderr
