"""What `task.resizing`, the range drawn in training and `task.inference` may say."""

import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse

MASK_RCNN, RETINANET = 'maskrcnn_resnetfpn_gn_coco', 'retinanet_efficientnet_coco'
PAPER = ('model.input_size=[1344,1344,3]', 'resizing.shorter_side=800', 'resizing.longer_side=1333')
DRAW = ('shorter_side_min=640', 'shorter_side_max=800', 'shorter_side_step=32')
DRAWN = tuple(f'train_data.augmentation.{one}' for one in DRAW)


def _load(experiment, *values):
    return parse.load(experiment, (), ','.join(f'task.{value}' for value in values)).params.task


@pytest.mark.parametrize('experiment', [MASK_RCNN, RETINANET])
def test_the_papers_values_are_taken(experiment):
    model = PAPER if experiment == MASK_RCNN else ('model.input_size=[1408,1408,3]', *PAPER[1:])
    task = _load(experiment, *model, *DRAWN, 'inference.scales=[0.5,1.0,1.5]', 'inference.flip=true')
    assert (task.resizing.shorter_side, task.resizing.longer_side) == (800, 1333)
    assert task.train_data.augmentation.overrides()['shorter_side_step'] == 32
    assert list(task.inference.scales) == [0.5, 1.0, 1.5] and task.inference.flip


@pytest.mark.parametrize(
    ('experiment', 'values', 'part'),
    [
        (MASK_RCNN, ('resizing.shorter_side=800', 'resizing.longer_side=0'), 'set both'),
        (MASK_RCNN, ('resizing.shorter_side=-1', 'resizing.longer_side=0'), '0 or more'),
        (MASK_RCNN, ('resizing.shorter_side=900', 'resizing.longer_side=800'), 'the first may be at most the second'),
        (MASK_RCNN, ('model.input_size=[832,1344,3]', *PAPER[1:]), 'sides of 1344 or more'),
        (RETINANET, PAPER[1:], 'task.model.input_size is .640, 640, 3.*sides of 1408 or more'),
        (
            RETINANET,
            ('resizing.shorter_side=0', 'resizing.longer_side=0', *DRAWN),
            'shorter_side_min is 640.*set task.resizing too',
        ),
        (
            MASK_RCNN,
            (*PAPER, 'train_data.augmentation.shorter_side_min=640', 'train_data.augmentation.shorter_side_max=1400'),
            'shorter_side_max is 1400.*longer_side is 1333',
        ),
        (MASK_RCNN, (*PAPER, *DRAWN[:1]), 'shorter_side_max.*whole number'),
        ('seg_nasfpn_efficientnet_pascal', DRAWN, 'only detectors resize'),
        (MASK_RCNN, ('inference.scales=[]',), 'inference.scales.*at least one number'),
        (MASK_RCNN, ('inference.scales=[1.0,9.0]',), 'from 0.1 to 4'),
        (MASK_RCNN, ('inference.scales=[1.0,1.0]',), 'differ from each other'),
        (MASK_RCNN, ('inference.soft_nms_sigma=-0.5',), '0 or more'),
        (RETINANET, ('inference.box_voting_threshold=1.5',), 'from 0 to 1'),
    ],
)
def test_what_does_not_go_is_named(experiment, values, part):
    with pytest.raises(errors.UserError, match=part):
        _load(experiment, *values)


def test_every_experiment_of_the_paper_reads_images_at_its_size():
    names = ('maskrcnn_resnetfpn_syncbn_coco', 'cascadercnn_resnetfpn_gn_coco', 'fasterrcnn_vgg_coco')
    for name in (MASK_RCNN, *names, f'self_training_{MASK_RCNN}'):
        task = _load(name)
        assert (task.resizing.shorter_side, task.resizing.longer_side) == (800, 1333), name
        assert list(task.model.input_size) == [1344, 1344, 3]
    with pytest.raises(errors.UserError, match='sides of 1344 or more; or both of task.resizing 0'):
        _load(MASK_RCNN, 'model.input_size=[640,640,3]')


def test_the_papers_assumed_test_time_augmentation_is_a_file():
    task = parse.load(MASK_RCNN, (), 'configs/test_time_augmentation.yaml').params.task
    sides = [scale * task.resizing.shorter_side for scale in task.inference.scales]
    assert sides == [400, 500, 600, 700, 800, 900, 1000, 1100, 1200]
    assert task.inference.flip and task.inference.box_voting_threshold == 0.9
