"""Teacher, pseudo labels and student of classification through the public commands, on a dozen drawn images."""

import json

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import pseudo_label, train
from official_rethink.data import scenes, shards
from official_rethink.tasks import run_log
from tests import in_process

_SMALL = (
    'task.model.num_classes=4,task.model.input_size=[32,32,3],task.model.backbone.resnet.model_id=10,'
    'task.model.backbone.resnet.depth_multiplier=0.25,task.train_data.input_path=data/train*,'
    'task.train_data.global_batch_size=4,task.validation_data.input_path=data/val*,'
    'task.validation_data.global_batch_size=4,trainer.schedule.train_epochs=null,'
    'trainer.schedule.base_train_steps=2,trainer.schedule.base_batch_size=4,trainer.schedule.evaluations=1,'
    'trainer.schedule.base_warmup_steps=0,trainer.schedule.decay=constant,trainer.schedule.stepwise_boundaries=[],'
    'trainer.optimizer_config.ema.average_decay=0.5,trainer.optimizer_config.ema.trainable_weights_only=false,'
    'runtime.mixed_precision_dtype=float32'
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Labelled, validation and unlabelled images of four classes."""
    folder = tmp_path_factory.mktemp('classification')
    settings = scenes.Settings(kind='classification', height=32, width=32, num_classes=4)
    for seed, (split, count) in enumerate({'train': 8, 'val': 7, 'unlabelled': 9}.items()):
        labelled = split != 'unlabelled'
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count, labelled=labelled)
    scenes.write_scenes(str(folder / 'truth'), 'truth', settings, 2, 9)
    return folder


def _run(place, module, *flags):
    return in_process.run(module.main, flags, place)


@pytest.fixture(scope='module')
def teacher(place):
    done = _run(
        place, train, '--experiment=imagenet_resnet', '--mode=train_and_eval', '--model_dir=teacher',
        f'--params_override={_SMALL}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr and 'accuracy' in done.stdout
    return place / 'teacher'


@pytest.fixture(scope='module')
def labels(place, teacher):
    done = _run(
        place, pseudo_label, '--experiment=imagenet_resnet', '--config_file=teacher/params.yaml',
        '--checkpoint=teacher/best', '--input=data/unlabelled*', '--output_dir=labels', '--truth=truth/truth*',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return place / 'labels'


def test_the_best_checkpoint_holds_averaged_weights(teacher):
    """What is evaluated and exported are the averages that the last checkpoint keeps beside the weights."""
    last = tf.train.load_checkpoint(str(teacher))
    best = tf.train.load_checkpoint(str(teacher / 'best'))
    suffix = '/.ATTRIBUTES/VARIABLE_VALUE'
    for name in ('head/kernel', 'head/bias', 'backbone/layer_with_weights-0/kernel'):
        exported, averaged = best.get_tensor(name + suffix), f'{name}/.OPTIMIZER_SLOT/optimizer/average{suffix}'
        np.testing.assert_allclose(exported, last.get_tensor(averaged), atol=1e-6)
        assert not np.allclose(exported, last.get_tensor(name + suffix), atol=1e-6)


def test_the_record_of_a_run(teacher):
    entries = run_log.read_metrics(str(teacher))
    validation = entries[-1]['metrics']
    assert set(validation) >= {'accuracy', 'top_5_accuracy', 'cls_loss', 'best_accuracy'}
    assert validation['accuracy'] * 7 == pytest.approx(round(validation['accuracy'] * 7))
    assert validation['top_5_accuracy'] == 1.0  # of four classes
    assert json.loads((teacher / 'test.json').read_text())['metrics']['accuracy'] == validation['accuracy']
    cost = json.loads((teacher / 'cost.json').read_text())
    assert (cost['steps'], cost['images'], cost['instances'], cost['pixels']) == (2, 8, 8, 8 * 32 * 32)


def test_pseudo_labels_are_whole_distributions(labels):
    found = list(shards.read(str(labels / 'pseudo.json')))
    manifest = json.loads((labels / 'manifest.json').read_text())
    description = shards.load_description(str(labels / 'pseudo.json'))
    assert len(found) == 9 and manifest['labels'] == 'classes' and manifest['num_instances'] == 9
    for record, score in zip(found, description['image_scores'], strict=True):
        assert record.pseudo and len(record.class_probabilities) == 4
        assert sum(record.class_probabilities) == pytest.approx(1, abs=1e-5)
        assert record.class_label == int(np.argmax(record.class_probabilities)) + 1
        assert score == pytest.approx(max(record.class_probabilities))
    truth = {record.source_id: record.class_label for record in shards.read(str(labels.parent / 'truth'))}
    right = sum(record.class_label == truth[record.source_id] for record in found)
    assert json.loads((labels / 'quality.json').read_text())['accuracy'] == pytest.approx(right / 9)


def test_a_student_learns_and_a_threshold_over_all_is_refused(place, labels):
    override = (
        f'{_SMALL},task.pseudo_data.input_path={labels}/pseudo-*.tfrecord,task.pseudo_data.global_batch_size=8,'
        'task.pseudo_data.images_per_class=3,task.train_data.augmentation.mixup_alpha=0.2'
    )
    flags = ['--experiment=self_training_imagenet_resnet', '--mode=train_and_eval']
    threshold = 'task.pseudo_data.score_threshold'
    refused = _run(place, train, *flags, '--model_dir=none', f'--params_override={override},{threshold}=0.999')
    assert refused.returncode == 2 and 'Traceback' not in refused.stderr
    assert 'score_threshold 0.999' in refused.stderr and not (place / 'none').exists()
    done = _run(place, train, *flags, '--model_dir=student', f'--params_override={override},{threshold}=0.1')
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = run_log.read_metrics(str(place / 'student'))[0]['metrics']
    for name in ('human/cls_loss', 'pseudo/cls_loss', 'pseudo/accuracy', 'pseudo/mean_score', 'model_loss'):
        assert np.isfinite(metrics[name]), name
    joint = metrics['human/cls_loss'] + 3.0 * metrics['pseudo/cls_loss']
    assert metrics['model_loss'] == pytest.approx(joint, rel=1e-4)
    assert json.loads((place / 'student' / 'cost.json').read_text())['images'] == 24
