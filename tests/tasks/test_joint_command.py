"""Joint training through the train command: both evaluated, both counted."""

import json

import numpy as np
import pytest

from official_rethink import train as train_command
from official_rethink.data import scenes
from official_rethink.tasks import run_log
from tests import in_process

_OVERRIDE = (
    'task.model.num_classes=4,task.model.max_level=4,task.model.input_size=[64,64,3],'
    'task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
    'task.model.backbone.resnet.depth_multiplier=0.25,task.model.decoder.fpn.num_filters=16,'
    'task.model.head.num_convs=1,task.model.head.num_filters=16,'
    'task.model.detection_generator.nms_version=batched,'
    'task.train_data.input_path=shards/train*,task.train_data.global_batch_size=2,'
    'task.train_data.augmentation.policy=S1,'
    'task.validation_data.input_path=shards/val*,task.validation_data.global_batch_size=2,'
    'task.joint.num_classes=10,task.joint.input_size=[32,32,3],'
    'task.classification_data.input_path=shards/single*,task.classification_data.global_batch_size=3,'
    'task.classification_validation_data.input_path=shards/held*,'
    'task.classification_validation_data.global_batch_size=4,'
    'trainer.schedule.base_batch_size=2,trainer.schedule.base_train_steps=2,trainer.schedule.evaluations=2,'
    'trainer.schedule.base_warmup_steps=1,runtime.mixed_precision_dtype=float32'
)


@pytest.mark.slow
def test_a_joint_run_measures_and_counts_both(tmp_path):
    sets = {'train': ('detection', 4), 'val': ('detection', 3)}
    sets |= {'single': ('classification', 6), 'held': ('classification', 5)}
    for index, (name, (kind, count)) in enumerate(sets.items()):
        settings = scenes.Settings(
            kind=kind, height=64, width=64, difficulty=0.1, num_classes=3 if kind == 'detection' else 10
        )
        scenes.write_scenes(str(tmp_path / 'shards'), name, settings, index, count)
    flags = ['--experiment=joint_retinanet_efficientnet_coco', '--mode=train_and_eval', '--model_dir=run']
    done = in_process.run(train_command.main, [*flags, f'--params_override={_OVERRIDE}'], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr and 'Warning' not in done.stderr
    entries = run_log.read_metrics(str(tmp_path / 'run'))
    train, validation = entries[0]['metrics'], entries[-1]['metrics']
    assert np.isfinite(train['classification/cls_loss']) and 'AP' in validation
    # Accuracies are of the 5 held-out images.
    assert validation['classification/accuracy'] * 5 == pytest.approx(round(validation['classification/accuracy'] * 5))
    # 2 steps of 2 images of 64 x 64 and 3 of 32 x 32.
    cost = json.loads((tmp_path / 'run' / 'cost.json').read_text())
    assert (cost['steps'], cost['images'], cost['pixels']) == (2, 10, 2 * (2 * 64 * 64 + 3 * 32 * 32))
    test = json.loads((tmp_path / 'run' / 'test.json').read_text())
    # The restored best checkpoint holds the classifier with its running statistics: its figures are those of its step.
    at = next(e for e in entries if e['kind'] == 'validation' and e['step'] == test['step'])
    for name in ('AP', 'classification/accuracy', 'classification/cls_loss'):
        assert test['metrics'][name] == pytest.approx(at['metrics'][name], rel=1e-5), name
