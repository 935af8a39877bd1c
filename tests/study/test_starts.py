"""Arms that start from a pre-training, train jointly or self-train in rounds: their steps, costs and mistakes."""

import io
import pathlib

import pytest

from official_rethink.common import errors
from official_rethink.configs import study as study_config
from official_rethink.study import check, findings, live, records, report, runner
from tests.study import fake

ROOT = pathlib.Path(__file__).parents[2]
STARTS = """
name: starts
seeds: [0, 1]
budget: {teacher_steps: 40, student_steps: 20, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_unlabelled: 50, num_validation: 10, num_test: 10}}
pretraining:
- {name: classes, kind: classification, experiment: imagenet_resnet, steps: 60, seed: 7}
- {name: views, kind: simclr, experiment: simclr_resnet_imagenet, steps: 30, validation_interval: 15}
- {name: boxes, kind: alignment, experiment: retinanet_efficientnet_coco, steps: 50, modules: [backbone, decoder]}
baseline: random
arms:
- {name: random}
- {name: pretrained, pretraining: classes}
- {name: pretrained_anew, pretraining: classes, self_training: true, student_init: initialization}
- {name: contrastive, pretraining: views}
- {name: aligned, pretraining: boxes}
- {name: joint, joint: true}
- {name: once, self_training: true}
- {name: thrice, self_training: true, self_training_rounds: 3}
- {name: joint_twice, joint: true, self_training: true, self_training_rounds: 2}
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('starts')


@pytest.fixture(scope='module')
def plan(folder):
    return fake.make_plan(fake.load(folder, '', STARTS))


@pytest.fixture(scope='module')
def results(folder, plan):
    stream = io.StringIO()
    screen = live.Screen('starts', plan, str(folder / 'out'), stream)
    runner.Runner(plan, str(folder / 'out'), [fake.Commands()], screen=screen).run()
    assert 'training/pretraining-classes: 60 steps in' in stream.getvalue()
    return records.collect(fake.load(folder, '', STARTS), plan, str(folder / 'out'))


def _run(plan, name, seed=0):
    return next(run for run in plan.runs if run.arm.name == name and run.seed == seed)


def _arm(results, name):
    return next(arm for arm in results['arms'] if arm['name'] == name)


def test_a_pretraining_is_one_step_of_all_arms_and_seeds(plan):
    shared = {
        _run(plan, name, seed).stages['pretraining'] for name in ('pretrained', 'pretrained_anew') for seed in (0, 1)
    }
    assert shared == {'training/pretraining-classes'}
    task = plan.steps['training/pretraining-classes'].config['task']
    assert task['seed'] == 7
    assert task['model'] == {'num_classes': 10}  # a classifier counts no background
    assert task['train_data']['input_path'] == '{out}/data/classification/classification-*.tfrecord'


@pytest.mark.parametrize(
    ('arm', 'modules'), [('pretrained', ['backbone']), ('aligned', ['backbone', 'decoder'])]
)
def test_an_arm_starts_from_the_modules_of_its_pretraining(plan, arm, modules):
    stages = _run(plan, arm).stages
    step = plan.steps[stages['supervised']]
    assert step.config['task']['init_checkpoint'] == f'{{out}}/{stages["pretraining"]}/best'
    assert step.config['task']['init_checkpoint_modules'] == modules
    assert stages['pretraining'] in step.needs
    assert stages['supervised'] != _run(plan, 'random').stages['supervised']


def test_a_student_may_start_anew_from_the_pretraining(plan):
    stages = _run(plan, 'pretrained_anew').stages
    student = plan.steps[stages['student']]
    assert student.config['task']['init_checkpoint'] == '{out}/training/pretraining-classes/best'
    assert stages['pretraining'] in student.needs


def test_each_kind_reads_its_own_data(plan):
    views, boxes = (plan.steps[f'training/pretraining-{name}'].config for name in ('views', 'boxes'))
    assert 'model' not in views['task'] and views['trainer']['validation_interval'] == 15
    assert boxes['task']['model'] == {'num_classes': 11}  # ten classes and the background
    assert 'alignment_validation' in boxes['task']['test_data']['input_path']
    flags = {step.name: step.arguments for step in plan.steps.values() if step.kind == 'scenes'}
    assert '--kind=classification' in flags['data/classification']
    assert '--kind=mixed' in flags['data/unlabelled'] and '--kind=mixed_other' in flags['data/alignment']
    # The same images: equal in all flags but the labels' and the folder's.
    plain = [
        {flag.split('=')[0]: flag for flag in flags[name][1:] if not flag.startswith(('--kind', '--output', '--split'))}
        for name in ('data/unlabelled', 'data/alignment')
    ]
    assert plain[0] == plain[1]
    assert not any(flag.startswith('--kind') for flag in flags['data/labelled'])


def test_without_alignment_the_scenes_are_as_ever(tmp_path):
    names = {step.name: step.arguments for step in fake.make_plan(fake.load(tmp_path)).steps.values()}
    assert not any(name.startswith(('data/classification', 'data/alignment')) for name in names)
    assert not any('--kind' in flag for flag in names['data/unlabelled'])


def test_joint_arms_take_the_joint_roles_and_their_images(plan):
    joint = plan.steps[_run(plan, 'joint').stages['supervised']]
    assert (joint.role, joint.images_per_step) == ('joint', 12)
    task = joint.config['task']
    assert task['joint'] == {'num_classes': 10}
    assert task['classification_data']['input_path'] == '{out}/data/classification/classification-*.tfrecord'
    assert 'data/classification' in joint.needs
    stages = _run(plan, 'joint_twice').stages
    assert plan.steps[stages['teacher']].role == 'joint'
    assert plan.steps[stages['student_2']].role == 'self_training_joint'
    assert '--experiment=joint_retinanet_efficientnet_coco' in plan.steps[stages['label']].arguments
    assert '--experiment=self_training_joint_retinanet_efficientnet_coco' in plan.steps[stages['label_2']].arguments


def test_each_round_labels_by_the_student_before(plan):
    stages = _run(plan, 'thrice').stages
    assert list(stages) == ['teacher', 'label', 'student', 'label_2', 'student_2', 'label_3', 'student_3']
    for number in (2, 3):
        before = stages['student' if number == 2 else 'student_2']
        label, student = plan.steps[stages[f'label_{number}']], plan.steps[stages[f'student_{number}']]
        assert f'--checkpoint={{out}}/{before}/best' in label.arguments
        assert '--experiment=self_training_retinanet_efficientnet_coco' in label.arguments
        task = student.config['task']
        assert task['init_checkpoint'] == f'{{out}}/{before}/best'
        assert task['pseudo_data']['manifest'] == f'{{out}}/{stages[f"label_{number}"]}/manifest.json'
    assert _run(plan, 'thrice').result_step == stages['student_3']


def test_arms_share_the_rounds_they_have_in_common(plan):
    once, thrice = _run(plan, 'once').stages, _run(plan, 'thrice').stages
    assert once == {name: thrice[name] for name in ('teacher', 'label', 'student')}


def test_supervised_arms_get_the_steps_of_the_longest(plan, results):
    """40 steps of teacher and three rounds of 20."""
    assert plan.steps[_run(plan, 'random').stages['supervised']].total == 100
    assert results['budget']['supervised_steps'] == 100


def test_a_pretraining_s_cost_stands_apart(results):
    """The fake's account: 8 images and 512 pixels a step; 60 steps of pre-training, 100 of the arm."""
    seed = _arm(results, 'pretrained')['seeds'][0]
    assert (seed['steps'], seed['images'], seed['pixels']) == (100, 800, 51_200)
    assert (seed['pretraining_steps'], seed['pretraining_images'], seed['pretraining_pixels']) == (60, 480, 30_720)
    stage = seed['stages'][0]
    assert stage['stage'] == 'pretraining' and 'accuracy' in stage['metrics'] and 'value' not in stage
    assert stage['shared_with'] == ['pretrained', 'pretrained_anew']
    assert _arm(results, 'random')['seeds'][0]['pretraining_images'] == 0


def test_the_record_tells_start_joint_and_rounds(results):
    arm = _arm(results, 'pretrained')
    assert (arm['initialization'], arm['pretraining'], arm['joint'], arm['rounds']) == (
        'classes',
        'classification',
        False,
        0,
    )
    thrice = _arm(results, 'thrice')
    assert thrice['rounds'] == 3
    # Teacher 40 + 3 x 20 steps of 8 images in the fake's account, and 50 labelled images a round.
    assert (thrice['seeds'][0]['steps'], thrice['seeds'][0]['images']) == (100, 800 + 150)
    assert 'joint,rounds,seed' in records.to_csv(results)


def test_a_student_that_teaches_must_find_something(tmp_path):
    config = fake.load(tmp_path, '', STARTS)
    commands = fake.Commands()
    commands.zero = 'student-random-S1-labels1.0-over0.5-from_teacher-seed0'
    with pytest.raises(errors.UserError, match=r'the teacher training/student-.* finds nothing.*student_steps'):
        runner.Runner(fake.make_plan(config), str(tmp_path / 'out'), [commands]).run()


def test_the_report_shows_rounds_and_pretraining(results, plan, folder):
    page = report.build(results, plan, str(folder / 'out'))
    assert 'id="rounds"' in page and 'student, round 3' in page and 'labelling, round 2' in page
    assert 'The pre-training classes took 60 steps on 480 images' in page
    assert '100 in all with 3 rounds' in page
    # After the teacher 40 steps of 8 images; after each round 20 more, and 50 images labelled.
    for steps, images in ((40, 320), (60, 530), (80, 740), (100, 950)):
        assert f'<td>{steps}</td><td>{images}</td>' in page
    assert 'id="findings"' in page


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('arms.pretrained.pretraining=clases', ["unknown arms[1].pretraining of arm 'pretrained'", "'classes'"]),
        ('arms.pretrained.initialization=weights', ["arm 'pretrained'", "'random' where pretraining is set"]),
        ('arms.once.self_training_rounds=0', ['self_training_rounds', 'is 0', '1 or more']),
        ('arms.random.self_training_rounds=2', ['self_training_rounds', 'is 2', 'self_training is false']),
        ('budget.supervised_steps=60', ['budget.supervised_steps is 60', 'at least 100', 'every round']),
        ('data.classification=x/train*', ['data.classification', "'' while data.labelled"]),
        ('data.scenes.num_classification=0', ['num_classification is 0']),
    ],
)
def test_mistakes_are_named(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        fake.load(tmp_path, override, STARTS)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('kind: simclr', 'kind: simcrl', ['pretraining[1].kind', "Did you mean 'simclr'?"]),
        ('name: views', 'name: classes', ['pretraining[1].name', 'pretraining[0] has it']),
        ('steps: 60', 'steps: 0', ['pretraining[0].steps is 0', '1 or more']),
        ('validation_interval: 15', 'validation_interval: 31', ['validation_interval is 31', 'its steps, 30']),
        ('seed: 7', 'seed: -7', ['pretraining[0].seed is -7']),
        ('modules: [backbone, decoder]', 'modules: []', ['pretraining[2].modules', 'at least one']),
        ('name: boxes,', 'name: random,', ["not 'random'"]),
    ],
)
def test_mistakes_in_a_pretraining_are_named(tmp_path, old, new, words):
    with pytest.raises(errors.UserError) as caught:
        fake.load(tmp_path, '', STARTS.replace(old, new))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('joint.experiment=retinanet_efficientnet_coco', ['joint.experiment', 'no images to classify', 'swapped']),
        ('self_training_joint.experiment=joint_retinanet_efficientnet_coco', ['reads no pseudo labels']),
        ("joint.params_override='task.joint.num_classes=3'", ['joint.params_override', "images' class list decides"]),
    ],
)
def test_roles_that_clash_are_refused(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(fake.load(tmp_path, override, STARTS))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_every_training_of_the_study_resolves(tmp_path):
    """As `study` checks before its first step: each experiment takes what the study sets."""
    resnet = "'task.model.backbone={type: resnet, resnet: {model_id: 50}}'"
    roles = ('supervised', 'self_training', 'joint', 'self_training_joint', 'pretraining.boxes')
    override = ','.join(f'{role}.params_override={resnet}' for role in roles)
    plan = check.make_plan(fake.load(tmp_path, f'seeds=[0],{override}', STARTS))
    assert {step.role for step in plan.steps.values() if step.trains} == {
        'supervised',
        'self_training',
        'joint',
        'self_training_joint',
        'pretraining/classes',
        'pretraining/views',
        'pretraining/boxes',
    }


@pytest.mark.parametrize('path', sorted((ROOT / 'configs' / 'study').glob('*.yaml')), ids=lambda path: path.stem)
def test_the_shipped_studies_load(path):
    config = study_config.load([str(path)])
    text = path.read_text()
    assert f'--config_file=configs/study/{path.name}' in text and 'hardware:' in text
    assert config.roles() and all(config.role(name).experiment for name in config.roles())


def test_the_study_of_starts_asks_for_every_finding(monkeypatch):
    """The quick file's arms, with made-up values, leave no finding of Zoph et al. unasked; its trainings resolve."""
    monkeypatch.chdir(ROOT)
    config = study_config.load(['configs/study/initialisation.yaml'])
    assert check.make_plan(config).steps
    alike = ('name', 'augmentation', 'label_fraction', 'self_training', 'joint')
    arms = [
        {
            **{name: getattr(arm, name) for name in alike},
            'initialization': arm.pretraining or arm.initialization,
            'pretraining': config.pretraining_of(arm.pretraining).kind if arm.pretraining else None,
            'rounds': int(arm.self_training),
            'seeds': [{'value': 0.1}, {'value': 0.2}],
        }
        for arm in config.arms
    ]
    asked = [finding for finding in findings.find(arms) if 'Zoph' in finding.claim]
    assert len(asked) == 6 and findings.SILENT not in {finding.word for finding in asked}


def test_the_full_study_asks_for_what_the_tables_do():
    config = study_config.load([str(ROOT / 'configs' / 'study' / 'initialisation_full.yaml')])
    regimes = {(arm.initialization, arm.augmentation, arm.label_fraction, arm.self_training) for arm in config.arms}
    assert len(regimes) == 3 * 4 * 3 * 2  # starts, augmentations, shares of the labels, with and without
    assert [arm.name for arm in config.arms if arm.joint] == [
        f'{start}_S4_20_joint{more}' for start in ('random', 'imagenet') for more in ('', '_self_training')
    ]
