"""Two-stage detection through the public commands: true steps, AP of boxes and masks, an evaluation of its own."""

import json

import pytest

from official_rethink import train
from official_rethink.data import scenes
from tests import in_process

_SMALL = (
    'task.model.num_classes=4,task.model.input_size=[64,64,3],task.model.max_level=5,'
    'task.resizing.shorter_side=0,task.resizing.longer_side=0,'
    'task.model.backbone.resnet.model_id=10,task.model.backbone.resnet.depth_multiplier=0.25,'
    'task.model.decoder.fpn.num_filters=16,task.model.rpn_head.num_filters=16,task.model.detection_head.num_convs=1,'
    'task.model.detection_head.num_filters=16,task.model.detection_head.fc_dims=32,task.model.mask_head.num_convs=1,'
    'task.model.mask_head.num_filters=16,task.model.roi_generator.num_proposals=50,'
    'task.model.roi_sampler.num_sampled_rois=16,task.model.mask_sampler.num_sampled_masks=4,'
    'task.model.detection_generator.nms_version=batched,task.train_data.mask_crop_size=28,'
    'task.train_data.input_path=data/train*,task.train_data.global_batch_size=2,'
    'task.validation_data.input_path=data/val*,task.validation_data.global_batch_size=2,'
    'trainer.schedule.base_batch_size=2,trainer.schedule.base_train_steps=2,trainer.schedule.base_warmup_steps=1,'
    'trainer.schedule.base_drops_before_end=[1]'
)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Labelled and validation scenes with masks."""
    folder = tmp_path_factory.mktemp('maskrcnn')
    settings = scenes.Settings(height=64, width=64, num_classes=3)
    for seed, (split, count) in enumerate({'train': 4, 'val': 3}.items()):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count)
    return folder


def _train(place, experiment, *flags, override=_SMALL):
    return in_process.run(train.main, [f'--experiment={experiment}', *flags, f'--params_override={override}'], place)


@pytest.mark.slow
@pytest.mark.parametrize('experiment', ['maskrcnn_resnetfpn_gn_coco', 'maskrcnn_resnetfpn_syncbn_coco'])
def test_each_experiment_trains(place, experiment):
    done = _train(place, experiment, '--mode=train_and_eval', f'--model_dir={experiment}')
    assert done.returncode == 0, done.stderr
    measured = json.loads((place / experiment / 'test.json').read_text())
    assert {'AP', 'AP50', 'AP75', 'mask_AP', 'mask_AP50', 'mask_AP75'} <= set(measured['metrics'])
    again = _train(place, experiment, '--mode=eval', f'--model_dir={experiment}', f'--checkpoint={experiment}/best')
    assert again.returncode == 0, again.stderr
    evaluated = json.loads((place / experiment / 'eval.json').read_text())
    assert evaluated['metrics'] == measured['metrics'] and evaluated['values_hash'] == measured['values_hash']


def test_a_run_too_short_for_its_drops_is_named(place):
    override = _SMALL.replace('base_drops_before_end=[1]', 'base_drops_before_end=[60000,20000]')
    done = _train(place, 'maskrcnn_resnetfpn_gn_coco', '--mode=train', '--model_dir=short', override=override)
    assert done.returncode == 2 and 'the run is only 2 steps long' in done.stderr and 'Traceback' not in done.stderr
