"""Arms of their own length, with settings of their own, or on a number of images: steps, sharing, mistakes."""

import pathlib

import pytest

from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.configs import study as study_config
from official_rethink.data import splits
from official_rethink.study import check, evidence, overrides, records, runner, settings
from official_rethink.study import plan as plan_module
from tests.study import fake

ARMS = """
name: lengths
seeds: [0, 1]
budget: {supervised_steps: 80, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_validation: 10, num_test: 10}}
supervised: {experiment: retinanet_efficientnet_coco, params_override: 'task.train_data.global_batch_size=8'}
baseline: random
arms:
- {name: random}
- {name: random_twice, steps: 160}
- {name: random_as_long, steps: 80}
- {name: few, label_count: 5, steps: 40}
- {name: quarter, label_fraction: 0.25, steps: 40}
- {name: slow, params_override: 'trainer.schedule.base_learning_rate=0.01'}
- {name: slow_too, params_override: '{trainer: {schedule: {base_learning_rate: 0.01}}}'}
- {name: fast, params_override: 'trainer.schedule.base_learning_rate=0.1'}
"""
_RATE = 'trainer.schedule.base_learning_rate'


def _load(tmp_path, override=''):
    return fake.load(tmp_path, override, ARMS)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('lengths')


@pytest.fixture(scope='module')
def plan(folder):
    return fake.make_plan(fake.load(folder, '', ARMS))


@pytest.fixture(scope='module')
def results(folder, plan):
    runner.Runner(plan, str(folder / 'out'), [fake.Commands()]).run()
    return records.collect(fake.load(folder, '', ARMS), plan, str(folder / 'out'))


@pytest.fixture(scope='module')
def full():
    """The study at the paper's size; its batch sizes are those of the experiments."""
    path = pathlib.Path(__file__).parents[2] / 'configs' / 'study' / 'scratch_vs_pretrained_full.yaml'
    config = study_config.load([str(path)])
    sizes = {role: overrides.Batch(16, 0, 16) for role in config.roles()}
    return config, plan_module.build(config, 91, 0, sizes, {'classification': 1000})


def _step(plan, name):
    return plan.steps[next(run for run in plan.runs if run.arm.name == name and run.seed == 0).stages['supervised']]


def _arm(results, name):
    return next(arm for arm in results['arms'] if arm['name'] == name)


def test_an_arm_trains_for_its_own_steps(plan):
    step = _step(plan, 'random_twice')
    assert step.total == step.config['trainer']['train_steps'] == 160
    assert step.name == 'training/supervised-random-S1-labels1.0-steps160-seed0'
    assert _step(plan, 'random').name == 'training/supervised-random-S1-labels1.0-seed0'


def test_arms_of_equal_length_or_equal_settings_are_one(plan):
    assert _step(plan, 'random_as_long') is _step(plan, 'random')
    # Written in two ways, it is the same setting.
    assert _step(plan, 'slow') is _step(plan, 'slow_too')
    assert len({_step(plan, name).name for name in ('random', 'random_twice', 'slow', 'fast')}) == 4


def test_an_arm_s_override_lies_over_its_role_s(plan):
    assert _step(plan, 'random').given('params_override') == ['task.train_data.global_batch_size=8']
    found = _step(plan, 'fast').given('params_override')
    assert found == ['{"task": {"train_data": {"global_batch_size": 8}}, "trainer": {"schedule": '
                     '{"base_learning_rate": 0.1}}}']


def test_a_number_of_labels_is_a_split_file_of_its_own(plan):
    step = _step(plan, 'few')
    split = plan.steps['splits/count5-seed0']
    assert split.arguments[2:4] == ('--counts=5', '--seed=0') and split.name in step.needs
    folder = split.arguments[4].removeprefix('--output_dir=')
    assert step.config['task']['train_data']['split_file'] == splits.count_path(folder, 5, 0)
    assert step.name == 'training/supervised-random-S1-count5-steps40-seed0'


def test_the_record_tells_length_share_and_settings(results):
    assert [arm['steps'] for arm in results['arms']] == [80, 160, 80, 40, 40, 80, 80, 80]
    assert [arm['own_steps'] for arm in results['arms']] == [0, 160, 0, 40, 40, 0, 0, 0]
    few = _arm(results, 'few')
    assert (few['label_count'], few['label_fraction']) == (5, 0.25)  # of 20 images
    assert _arm(results, 'slow_too')['params_override'] == {_RATE: 0.01}
    assert _arm(results, 'random')['params_override'] == {}
    assert _arm(results, 'random_twice')['seeds'][0]['steps'] == 160
    # A detector of boxes has no columns for masks.
    head = records.to_csv(results).split('\n')[0].split(',')
    assert 'AP50' in head and 'mask_AP' not in head


def test_only_arms_of_one_length_and_setting_are_counterparts():
    alike = {'augmentation': 'S1', 'label_fraction': 1.0, 'joint': False, 'seeds': [{'value': 0.1}, {'value': 0.2}]}
    arms = [
        {**alike, 'name': 'long', 'initialization': 'random', 'self_training': False, 'own_steps': 160},
        {**alike, 'name': 'tuned', 'initialization': 'random', 'self_training': False, 'params_override': {_RATE: 1}},
        {**alike, 'name': 'student', 'initialization': 'random', 'self_training': True, 'rounds': 1},
    ]
    assert evidence.self_training(arms) == []
    plain = {**alike, 'name': 'plain', 'initialization': 'random', 'self_training': False, 'own_steps': 0}
    assert [found.arms for found in evidence.self_training([*arms, plain])] == [('student', 'plain')]


def test_every_training_resolves_at_the_batch_size_the_arm_asks_for(tmp_path):
    config = _load(tmp_path, "arms.fast.params_override='task.train_data.global_batch_size=4'")
    plan = check.make_plan(config)
    assert _step(plan, 'fast').images_per_step == 4 and _step(plan, 'slow').images_per_step == 8
    found = {variant: batch.human for variant, batch in overrides.batches(config).items()}
    # The role of students is read even where no arm has one.
    assert found.pop('self_training') == 256 and sorted(found.values()) == [4, 8, 8]


@pytest.mark.parametrize(
    ('arm', 'drops'),
    [
        # Section 3 of He et al.: 60,000 and 20,000 steps before the end, whatever the length.
        ('random_r50_2x', [120_000, 160_000]),
        ('pretrained_r50_3x', [210_000, 250_000]),
        ('random_r101_6x', [480_000, 520_000]),
        ('pretrained_10k', [40_000, 53_333]),
        ('random_10k', [160_000, 200_000]),
    ],
)
def test_the_full_study_has_the_schedules_of_the_paper(full, arm, drops):
    config, plan = full
    step = _step(plan, arm)
    experiment = config.role(step.role).experiment
    length = settings.to_text({'trainer': {'schedule': step.config['trainer']['schedule']}})
    params = parse.load_experiment(experiment, [], settings.merged(''.join(step.given('params_override')), length))
    assert params.trainer.optimizer_config.learning_rate.stepwise.boundaries == drops
    assert params.trainer.train_steps == step.total == config.steps_of(config.arm(arm))


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('arms.few.label_count=-1', ["label_count (arm 'few') is -1", 'a number of images']),
        ('arms.quarter.label_count=3', ["label_count (arm 'quarter') is 3", '0 where label_fraction is 0.25']),
        ('arms.random.steps=-5', ["steps (arm 'random') is -5", "0 for the budget's"]),
        ('arms.few.steps=19', ['budget.validation_interval is 20', 'at most 19', "arm 'few'"]),
        ('arms.few.self_training=true', ["steps (arm 'few') is 40", 'self_training is true']),
    ],
)
def test_mistakes_are_named(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        _load(tmp_path, override)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('arms.few.label_count=21', ["arms[3].label_count (arm 'few') is 21", 'at most 20']),
        ("arms.slow.params_override='task.seed=3'", ["arm 'slow'): task.seed is 3", 'seeds decides it']),
        ("arms.slow.params_override='trainer.train_steps=9'", ['trainer.train_steps is 9', 'budget decides it']),
        ("arms.slow.params_override='task.train_data=null'", ['task.train_data is None', 'data.labelled decides']),
        (
            "arms.slow.params_override='trainer.schedule.base_learing_rate=1'",
            ["'trainer.schedule.base_learing_rate'", "arms[5].params_override (arm 'slow')", 'base_learning_rate'],
        ),
        ("arms.slow.params_override='task.losses.l2_weight_decay=-1'", ['l2_weight_decay is -1', "arm 'slow'"]),
        ("arms.slow.params_override='slower'", ["arms[5].params_override (arm 'slow')", "'slower' is not key=value"]),
        ("arms.slow.params_override='task.train_data.global_batch_size.x=8'", ['params_override', 'keys below it']),
    ],
)
def test_mistakes_in_settings_are_named_before_the_first_step(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(_load(tmp_path, override))
    assert all(word in str(caught.value) for word in words), str(caught.value)
