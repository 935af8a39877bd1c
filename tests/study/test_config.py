"""Study files: each mistake is named, with its value, its place and what is allowed."""

import pytest

from official_rethink.common import errors
from tests.study import fake


def test_overrides_reach_arms_by_name_and_leave_the_rest(tmp_path):
    config = fake.load(tmp_path, 'arms.strict.score_threshold=0.7,seeds=[3],data.scenes.size=96')
    assert [arm.score_threshold for arm in config.arms] == [0.5, 0.4, 0.7]
    assert (config.seeds, config.data.scenes.size, config.data.scenes.num_labelled) == ([3], 96, 20)


def test_an_override_file_reaches_arms_by_name(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('arms: {strict: {augmentation: S4}}\nname: mine\n')
    config = fake.load(tmp_path, str(path))
    assert config.name == 'mine' and [arm.augmentation for arm in config.arms] == ['S1', 'S1', 'S4']


def test_the_supervised_arm_gets_the_steps_of_teacher_and_student(tmp_path):
    assert fake.load(tmp_path).budget.supervised() == 80
    assert fake.load(tmp_path, 'budget.supervised_steps=90').budget.supervised() == 90


def test_without_students_the_supervised_arms_may_be_as_short_as_one_likes(tmp_path):
    alone = fake.STUDY.split('- {name: self_training')[0]
    assert fake.load(tmp_path, 'budget.supervised_steps=30', alone).budget.supervised() == 30


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('arms.strickt.augmentation=S2', ["unknown arm 'strickt'", "Did you mean 'strict'?"]),
        ('arms.strict.augmentation=S5', ["'S5'", "arm 'strict'", '--params_override', 'S1, S2, S3, S4']),
        ('arms.strict.augmentaton=S2', ["'augmentaton'", "Did you mean 'augmentation'?"]),
        ('arms.strict=3', ['arms.strict is 3', 'arms.strict.<field>=<value>']),
        ('arms.strict.student_init=techer', ["'techer'", "Did you mean 'teacher'?"]),
        ('arms.strict.label_fraction=0', ['label_fraction', 'is 0', 'over 0']),
        ('arms.strict.label_fraction=1.5', ['label_fraction', '1.5']),
        ('arms.strict.label_fraction=half', ['label_fraction', "'half'", 'a number']),
        ('arms.strict.score_threshold=0.01', ['0.01', 'pseudo_labels.score_floor', '0.05']),
        ('arms.strict.initialization_modules=[]', ['initialization_modules', 'at least one']),
        ("arms.strict.name='a b'", ['arms[2].name', "'a b'", 'letters']),
        ('arms.strict.name=supervised', ['arms[2].name', 'arms[0] has it']),
        ('baseline=superviced', ['baseline', "Did you mean 'supervised'?", '--params_override']),
        ('seeds=[]', ['seeds is []']),
        ('seeds=[1,1]', ['seeds is [1, 1]', 'none twice']),
        ('seeds=[-1]', ['seeds is [-1]']),
        ('seeds=0', ['seeds is 0', 'list']),
        ('budget.teacher_steps=0', ['budget.teacher_steps is 0', '1 or more']),
        ('budget.student_steps=-5', ['budget.student_steps is -5']),
        ('budget.teacher_steps=ten', ["budget.teacher_steps is 'ten'", 'whole number']),
        ('budget.supervised_steps=79', ['budget.supervised_steps is 79', 'at least 80']),
        ('budget.validation_interval=41', ['validation_interval is 41', 'at most 40']),
        ('pseudo_labels.score_floor=1', ['score_floor is 1']),
        ('data.scnes.size=3', ["'data.scnes'", "Did you mean 'data.scenes'?"]),
        ('data.scenes.difficulty=2', ['difficulty is 2', 'from 0 to 1']),
        ('data.scenes.num_test=0', ['num_test is 0']),
        ('data.validation=x/val*', ['data.validation', "'' while data.labelled"]),
        ('data.labelled=x/train*', ['data.validation', 'since data.labelled is given']),
        ('data.labelled=x/train*,data.validation=x/val*', ['data.unlabelled', 'self-trains']),
        ('budget', ['budget', 'key=value']),
    ],
)
def test_mistakes_are_named(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        fake.load(tmp_path, override)
    text = str(caught.value)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('baseline: x\n', ['arms', 'at least one arm']),
        ('name: a/b\n', ["name is 'a/b'", 'study.yaml:1']),
        ('arms: [\n', ['study.yaml', 'not valid YAML']),
        ('- a\n', ['study.yaml']),
        ('name: x\nnmae: y\n', ["'nmae'", 'study.yaml:2', "Did you mean 'name'?"]),
    ],
)
def test_mistakes_in_the_file_are_named_with_their_line(tmp_path, text, words):
    with pytest.raises(errors.UserError) as caught:
        fake.load(tmp_path, '', text)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    from official_rethink.configs import study

    with pytest.raises(errors.UserError, match='no configuration file at .*none.yaml'):
        study.load([str(tmp_path / 'none.yaml')])
