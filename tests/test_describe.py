"""Tests of the description of experiments."""

import json

import pytest

from official_rethink import describe
from official_rethink.common import errors
from official_rethink.configs import parse

EXPERIMENT = '--experiment=retinanet_efficientnet_coco'
SMALL = (
    'task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,task.model.input_size=[128,128,3],'
    'task.model.decoder.fpn.num_filters=16,task.model.head.num_filters=16,task.train_data.global_batch_size=64'
)


def test_help_and_missing_experiment(capsys):
    with pytest.raises(SystemExit) as caught:
        describe.main(['--help'])
    assert caught.value.code == 0 and '--params_override' in capsys.readouterr().out
    with pytest.raises(errors.UserError, match='--experiment is missing'):
        describe.main([])
    with pytest.raises(errors.UserError, match="Did you mean '--experiment'"):
        describe.main(['--experimnt=x'])


def test_list_names_every_experiment(capsys):
    describe.main(['--list'])
    lines = capsys.readouterr().out.strip().split('\n')
    assert len(lines) == len(parse.experiments())
    assert ['retinanet_efficientnet_coco', 'Supervised'] in [line.split()[:2] for line in lines]
    describe.main(['--list', '--json'])
    assert list(json.loads(capsys.readouterr().out)) == list(parse.experiments())


def test_bad_override_fails_before_a_model_is_built():
    with pytest.raises(errors.UserError, match='task.model.num_classes'):
        describe.main([EXPERIMENT, '--params_override=task.model.num_classes=x'])


def test_json_and_text_of_a_small_model(capsys, tmp_path):
    config = tmp_path / 'some.yaml'
    config.write_text('task:\n  losses: {focal_loss_gamma: 2.0}\n')
    arguments = [
        EXPERIMENT,
        f'--config_file={config}',
        f'--params_override={SMALL}',
    ]
    assert describe.main([*arguments, '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    differs = report['differs_from_defaults']
    assert differs['task.losses.focal_loss_gamma'] == {
        'value': 2.0,
        'default': 1.5,
        'unit': '',
        'set_in': f'{config}:2',
    }
    assert differs['task.train_data.global_batch_size']['unit'] == 'examples a step'
    assert differs['trainer.train_steps'] == {
        'value': 480_000,
        'default': 120_000,
        'unit': 'steps',
        'set_in': 'trainer.schedule, derived',
    }
    assert 'task.losses.focal_loss_alpha' not in differs
    assert report['schedule']['steps'] == 480_000
    assert report['schedule']['learning_rate']['cosine']['initial_learning_rate'] == pytest.approx(0.08)
    # ResNet-10 has 4.9M; the rest, at 16 filters, some 100 thousands, most of it for 9 anchors x 91 classes.
    assert 4.8e6 < report['parameters'] < report['parameters_total'] < 5.3e6
    # A batch of one 128 x 128 image: more than the stem's 64 x 64 x 64 x 7 x 7 x 3 alone.
    assert 64 * 64 * 64 * 7 * 7 * 3 < report['flops'] < 1e9


def test_text_says_what_differs_and_nothing_else():
    report = {
        'experiment': 'x',
        'description': 'An experiment.',
        'differs_from_defaults': {
            'a.b': {'value': 1, 'default': 2, 'unit': 'steps', 'set_in': 'some.yaml:3'},
            'trainer.train_steps': {'value': 5, 'default': 6, 'unit': '', 'set_in': parse.DERIVED},
        },
        'schedule': {
            'steps': 1000,
            'human_batch_size': 8,
            'pseudo_batch_size': 4,
            'epochs': 2.5,
            'train_examples': 3200,
            'validation_interval': 100,
            'learning_rate': {'type': 'stepwise', 'stepwise': {'boundaries': [500], 'values': [0.1, 0.01]}},
            'warmup': {'type': 'linear', 'linear': {'warmup_learning_rate': 0.001, 'warmup_steps': 10}},
        },
        'remarks': ['the run is short.'],
    }
    assert describe._settings_text(report).split('\n') == [
        'x: An experiment.',
        '',
        'Differs from the defaults',
        '  a.b  1 steps  default 2  some.yaml:3',
        '',
        'Schedule',
        '  1,000 steps of 8 labelled + 4 pseudo-labelled images: 2.5 passes over the 3,200 labelled images',
        '  evaluated every 100 steps',
        '  learning rate 0.1 from step 0, 0.01 from step 500',
        '  linear warm-up from 0.001 over the first 10 steps',
        '  note: the run is short.',
        '',
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('size', 'head', 'millions', 'billions'),
    # The papers' release: parameters of section 7.5's models; Table 5 has 524B and 1885B.
    [
        ('143', '', '66.96', 524),
        ('190', ',task.model.head.num_convs=7,task.model.head.num_filters=512', '163.64', 1885),
    ],
)
def test_spinenets_are_the_releases(capsys, size, head, millions, billions):
    describe.main(
        [
            '--experiment=retinanet_spinenet_coco',
            f'--params_override=task.model.backbone.spinenet.model_id={size}{head}',
            '--json',
        ]
    )
    report = json.loads(capsys.readouterr().out)
    assert f'{report["parameters"] / 1e6:.2f}' == millions
    assert report['flops'] / 1e9 == pytest.approx(billions, rel=0.005)
