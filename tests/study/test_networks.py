"""Studies of segmentation networks, and of several networks: names, flags, comparisons, mistakes."""

import csv
import io
import json

import pytest

from official_rethink.common import errors
from official_rethink.configs import segmentation, study_kinds  # noqa: F401
from official_rethink.study import check, evidence, findings, live, outputs, records, runner, verdict
from official_rethink.study.steps import Step
from tests.study import fake

SEGMENTATION = """
name: maps
seeds: [0, 1]
budget: {teacher_steps: 40, student_steps: 40, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_unlabelled: 50, num_validation: 10, num_test: 10}}
supervised: {experiment: seg_nasfpn_efficientnet_pascal}
self_training: {experiment: self_training_seg_nasfpn_efficientnet_pascal}
networks:
- name: nasfpn
  supervised: {experiment: seg_nasfpn_efficientnet_pascal}
  self_training: {experiment: self_training_seg_nasfpn_efficientnet_pascal}
- name: deeplab
  supervised: {experiment: seg_deeplabv3plus_resnet_pascal}
  self_training: {experiment: self_training_seg_deeplabv3plus_resnet_pascal}
baseline: nasfpn
arms:
- {name: nasfpn, network: nasfpn}
- {name: nasfpn_st, network: nasfpn, self_training: true, score_threshold: 0.5}
- {name: deeplab, network: deeplab}
- {name: deeplab_st, network: deeplab, self_training: true, score_threshold: 0.5}
- {name: plain}
"""


@pytest.fixture
def plan(tmp_path):
    return fake.make_plan(fake.load(tmp_path, 'pseudo_labels.scales=[0.5,1],pseudo_labels.flip=true', SEGMENTATION))


def test_each_network_has_its_own_steps_and_roles(plan):
    names = {run.arm.name: run.stages for run in plan.runs if run.seed == 0}
    assert names['nasfpn'] == {'supervised': 'training/supervised-nasfpn+random-S1-labels1.0-seed0'}
    assert names['deeplab_st']['student'] == (
        'training/student-deeplab+random-S1-labels1.0-over0.5-from_teacher-seed0'
    )
    assert names['plain'] == {'supervised': 'training/supervised-random-S1-labels1.0-seed0'}
    step = plan.steps[names['deeplab_st']['student']]
    assert step.role == 'network/deeplab/self_training' and step.metric == 'mIoU'
    assert '--experiment=self_training_seg_deeplabv3plus_resnet_pascal' in step.arguments
    steps = [name for run in plan.runs for name in run.stages.values()]
    assert len(set(steps)) == len(steps) == 2 * (1 + 3 + 1 + 3 + 1)


def test_label_maps_are_made_with_the_study_s_scales(plan):
    label = next(step for step in plan.steps.values() if step.kind == 'label')
    assert {'--scales=0.5,1', '--flip', '--truth'} <= set(label.arguments)
    assert not any(flag.startswith('--score_floor') for flag in label.arguments)


def test_scenes_have_label_maps(plan):
    scenes = [step for step in plan.steps.values() if step.kind == 'scenes']
    assert len(scenes) == 4 and all('--kind=segmentation' in step.arguments for step in scenes)


def test_a_study_of_detectors_is_as_ever(tmp_path):
    plan = fake.make_plan(fake.load(tmp_path))
    label = next(step for step in plan.steps.values() if step.kind == 'label')
    assert '--score_floor=0.05' in label.arguments
    assert not any(flag.startswith(('--scales', '--flip')) for flag in label.arguments)
    assert {step.metric for step in plan.steps.values()} == {'AP'} and plan.kind is study_kinds.DETECTION


def _run(tmp_path, commands):
    config = fake.load(tmp_path, '', SEGMENTATION)
    plan, out = fake.make_plan(config), str(tmp_path / 'out')
    stream = io.StringIO()
    runner.Runner(plan, out, [commands], screen=live.Screen('maps', plan, out, stream)).run()
    return records.collect(config, plan, out), stream.getvalue()


def test_the_record_and_the_log_speak_of_miou(tmp_path):
    commands = fake.Commands()
    commands.metric = 'mIoU'
    results, log = _run(tmp_path, commands)
    assert results['metric'] == 'mIoU' and ', mIoU 1' in log and ' AP ' not in log
    arm = results['arms'][3]
    assert arm['network'] == 'deeplab'
    assert arm['seeds'][0]['value'] == arm['seeds'][0]['metrics']['mIoU']
    assert arm['seeds'][0]['stages'][1]['pseudo_pixels'] == 100
    rows = list(csv.DictReader(io.StringIO(records.to_csv(results))))
    assert rows[0]['network'] == 'nasfpn' and rows[0]['mIoU_resized'] and 'AP' not in rows[0]
    found = {finding['key']: finding for finding in results['findings']}['self-training everywhere']
    assert [item['arms'] for item in found['evidence']] == [['nasfpn_st', 'nasfpn'], ['deeplab_st', 'deeplab']]
    assert 'PASCAL' in found['claim']
    assert "in COCO's AP" in {finding['key']: finding for finding in results['findings']}['additivity']['claim']


def test_no_pixel_over_an_arms_threshold_stops_the_study(tmp_path):
    commands = fake.Commands()
    commands.metric, commands.counts = 'mIoU', [40, 30, 0, 0]
    with pytest.raises(errors.UserError, match='no pseudo pixel .* but for the background, .* pixels appear at 0.45'):
        _run(tmp_path, commands)


def test_background_alone_is_no_label_to_learn_from():
    histogram = {'edges': [0, 0.5, 1], 'counts': [4, 96], 'per_category': {'0': [1, 96], '1': [2, 0], '3': [1, 0]}}
    found = {'labels': 'label_maps', 'score_histogram': histogram}
    assert outputs.kept_labels(found, 0.3) == 3 and outputs.kept_labels(found, 0.5) == 0


def test_the_share_kept_by_hand():
    """Values 127 and 128 of 255: half is 127.5."""
    found = {'num_pixels': 8, 'pixel_scores': [1] + [0] * 126 + [2, 4] + [0] * 127}
    assert outputs.kept_share(found, 0.5) == 0.5
    assert outputs.kept_share(found, 127 / 255) == 0.75 and outputs.kept_share(found, 0.0) == 7 / 8
    assert outputs.kept_share(found, 1.0) == 0 and outputs.kept_share({}, 0.5) is None


_STEP = Step('training/x', 'teacher', 'official_rethink.train', (), total=100, metric='mIoU')


@pytest.mark.parametrize(
    ('classes', 'finds'),
    [
        ({}, True),  # not reported
        ({'background': 0.8, 'boat': 0.1, 'walker': 0.0}, True),
        ({'background': 0.8, 'boat': 0.0, 'walker': -1.0}, False),  # -1: neither occurs nor is predicted
        ({'background': 0.8}, True),  # there is no class to find
    ],
)
def test_a_teacher_of_background_alone_finds_nothing(tmp_path, classes, finds):
    folder = tmp_path / 'training' / 'x'
    folder.mkdir(parents=True)
    metrics = {'mIoU': 0.3, **{f'PerCategory/{name}/IoU': value for name, value in classes.items()}}
    (folder / 'test.json').write_text(json.dumps({'metrics': metrics}))
    assert outputs.class_values(metrics) == classes
    if finds:
        outputs.check_teacher(_STEP, str(tmp_path))
        return
    with pytest.raises(errors.UserError, match='mIoU 0.3000, that of the background alone, on the test images'):
        outputs.check_teacher(_STEP, str(tmp_path))


def _arm(name, network, values, **traits):
    return {
        'name': name,
        'network': network,
        'initialization': 'random',
        'pretraining': None,
        'augmentation': 'S1',
        'label_fraction': 1.0,
        'self_training': False,
        'joint': False,
        'rounds': 0,
        'mean': sum(values) / len(values),
        'seeds': [{'value': value} for value in values],
        'difference': None,
        **traits,
    }


def test_arms_of_two_networks_are_never_a_pair():
    student = {'self_training': True, 'rounds': 1}
    arms = [_arm('a', 'one', [0.2, 0.2]), _arm('b', 'two', [0.3, 0.3], **student)]
    assert not evidence.self_training(arms) and evidence.supervised_counterpart(arms, arms[1]) is None
    arms.append(_arm('c', 'two', [0.25, 0.25]))
    assert [item.arms for item in evidence.self_training(arms)] == [('b', 'c')]
    starts = [_arm('p', 'one', [0.3, 0.3], initialization='net'), _arm('q', 'two', [0.3, 0.3], augmentation='S4')]
    assert not evidence.against_augmentation([*arms, *starts])
    assert findings.find(arms)[2].word == findings.CONFIRMED


def test_the_verdict_tells_networks_from_self_training():
    baseline = _arm('a', 'one', [0.20, 0.21])
    best = _arm('b', 'two', [0.30, 0.32], self_training=True, rounds=1)
    best['difference'] = {'mean': 0.105, 'std': 0.007, 'low': 0.04, 'high': 0.17}
    other = _arm('c', 'two', [0.29, 0.30])
    other['difference'] = {'mean': 0.09, 'std': 0.0, 'low': 0.09, 'high': 0.09}
    results = {'metric': 'mIoU', 'baseline': 'a', 'arms': [baseline, best, other]}
    found = verdict.conclude(results)
    assert found.headline.startswith('Self-train with two: on this data it reaches 31.0 mIoU')
    # Gains of 1 and 2 points: 1.5, and t(1) = 12.706 times 0.5.
    assert 'over c, which is alike but supervised, it is +1.5 points [\N{MINUS SIGN}4.9, +7.9]' in found.certainty
    alone = verdict.conclude({**results, 'arms': [baseline, best]})
    assert 'no supervised arm with two is otherwise alike' in alone.certainty


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('arms.nasfpn.network=nasfpm', ["unknown arms[0].network of arm 'nasfpn'", "Did you mean 'nasfpn'?"]),
        ('arms.nasfpn.joint=true', ["arms[0].joint (arm 'nasfpn')", 'false where network is set']),
        ('networks.deeplap.name=x', ["unknown network 'deeplap'", "Did you mean 'deeplab'?"]),
        ('networks.deeplab.name=nasfpn', ['networks[1].name', 'networks[0] has it', '--params_override']),
        ('networks.deeplab.name=a/b', ['networks[1].name', "'a/b'", 'letters']),
        ('networks.deeplab.supervizd.experiment=x', ["'supervizd'", "Did you mean 'supervised'?"]),
        ('pseudo_labels.scales=[0]', ['pseudo_labels.scales is [0]', '0.1 to 4']),
        ('pseudo_labels.score_floor=0.1', ['pseudo_labels.score_floor is 0.1', '0.05', 'stored whole']),
        ('pseudo_labels.scales=[1,1]', ['pseudo_labels.scales', 'none twice']),
        ('arms.nasfpn_st.score_threshold=1.5', ['score_threshold', '1.5', 'from 0 to 1']),
    ],
)
def test_mistakes_are_named(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        fake.load(tmp_path, override, SEGMENTATION)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize('override', ['pseudo_labels.scales=[0.5]', 'pseudo_labels.flip=true'])
def test_boxes_are_not_averaged_over_scales(tmp_path, override):
    with pytest.raises(errors.UserError, match='where the networks of the study detect boxes'):
        fake.load(tmp_path, override)


def test_every_pixel_may_be_kept(tmp_path):
    config = fake.load(tmp_path, 'arms.nasfpn_st.score_threshold=0', SEGMENTATION)
    assert config.arms[1].score_threshold == 0


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        (
            'networks.deeplab.supervised.experiment=retinanet_spinenet_coco',
            ['network/deeplab/supervised.experiment', 'trains detectors, measured by AP', 'mIoU', 'of one kind'],
        ),
        (
            'networks.deeplab.self_training.experiment=seg_deeplabv3plus_resnet_pascal',
            ['network/deeplab/self_training.experiment', 'reads no pseudo labels', 'swapped'],
        ),
        (
            'supervised.experiment=retinanet_spinenet_coco',
            ["Arm 'plain' names no network", 'one of nasfpn, deeplab', 'of one kind'],
        ),
        ('networks.deeplab.supervised.experiment=imagenet_resnet', ['imagenet_resnet', 'detectors (AP)', '(mIoU)']),
        ('networks.deeplab.supervised.experiment=seg_deeplabv3plus_resnt_pascal', ['Did you mean']),
        (
            "networks.deeplab.supervised.params_override='task.seed=3'",
            ['network/deeplab/supervised.params_override: task.seed', 'seeds decides'],
        ),
    ],
)
def test_networks_that_clash_are_refused(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(fake.load(tmp_path, override, SEGMENTATION))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_boxes_of_other_classes_are_no_start_for_label_maps_on_the_scenes(tmp_path):
    text = SEGMENTATION.replace('{name: plain}', '{name: plain, pretraining: boxes}') + (
        'pretraining: [{name: boxes, kind: alignment, experiment: retinanet_efficientnet_coco, steps: 50}]\n'
    )
    with pytest.raises(errors.UserError, match="pretraining 'boxes' is of kind 'alignment'"):
        check.make_plan(fake.load(tmp_path, '', text))


def test_own_data_needs_label_maps(tmp_path):
    folder = tmp_path / 'shards'
    folder.mkdir()
    patterns = {}
    for name in ('train', 'more', 'val'):
        (folder / f'{name}-00000-of-00001.tfrecord').write_bytes(b'')
        description = {
            'format_version': 1,
            'split': name,
            'num_images': 1,
            'num_instances': 0,
            'categories': [{'id': 1, 'name': 'boat'}],
            'image_ids': [name],
            'image_hashes': [name],
            'image_categories': [[1]],
            'shards': [f'{name}-00000-of-00001.tfrecord'],
            'label_maps': name != 'val',
        }
        (folder / f'{name}.json').write_text(json.dumps(description))
        patterns[name] = f'{folder}/{name}-*'
    own = {'labelled': patterns['train'], 'unlabelled': patterns['more'], 'validation': patterns['val']}
    data = f'data: {json.dumps(own)}'
    text = SEGMENTATION.replace(next(line for line in SEGMENTATION.splitlines() if line.startswith('data:')), data)
    with pytest.raises(errors.UserError, match=r'data\.validation .* has no label maps'):
        check.make_plan(fake.load(tmp_path, '', text))
