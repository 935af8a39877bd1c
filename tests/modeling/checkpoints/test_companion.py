"""Tests that imported weights meet the model they were imported for."""

import json

import pytest
from official.vision.configs import backbones, common, retinanet

from official_rethink.common import errors
from official_rethink.configs import detection
from official_rethink.modeling.checkpoints import companion, resnet
from official_rethink.tasks import detection as tasks


def task_of(stem_type='simclr', epsilon=1e-3, activation='relu'):
    model = retinanet.RetinaNet(
        backbone=backbones.Backbone(type='resnet', resnet=backbones.ResNet(model_id=50, stem_type=stem_type)),
        norm_activation=common.NormActivation(activation=activation, norm_epsilon=epsilon),
    )
    return detection.DetectionTask(model=model)


@pytest.fixture
def checkpoint(tmp_path):
    settings = resnet.SimclrTf1().settings('simclr-resnet50-1x')
    (tmp_path / 'simclr.json').write_text(json.dumps({'settings': settings}))
    return str(tmp_path / 'simclr')


@pytest.mark.parametrize('modules', ['all', ['all'], 'backbone', ['backbone', 'head']])
def test_settings_that_shapes_cannot_show_are_compared(checkpoint, modules):
    companion.check(checkpoint, task_of(), modules)
    with pytest.raises(errors.UserError, match=r"stem_type is 'v0' and has to be 'simclr'\.$"):
        companion.check(checkpoint, task_of('v0'), modules)
    both = "is 'torch' and has to be 'simclr'; .*norm_epsilon is 1e-05 and has to be 0.001"
    with pytest.raises(errors.UserError, match=both):
        companion.check(checkpoint, task_of('torch', 1e-5), modules)
    with pytest.raises(errors.UserError, match="activation is 'swish' and has to be 'relu'"):
        companion.check(checkpoint, task_of(activation='swish'), modules)


def test_other_checkpoints_and_other_modules_are_left_alone(checkpoint, tmp_path):
    companion.check(checkpoint, task_of('v0'), ['head'])
    companion.check(str(tmp_path / 'own-run'), task_of('v0'))


def test_the_detection_task_asks_before_it_restores(checkpoint):
    config = task_of('v0')
    config.init_checkpoint = checkpoint
    with pytest.raises(errors.UserError, match="stem_type is 'v0'"):
        tasks.DetectionTask(config).initialize(model=None)
