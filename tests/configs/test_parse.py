"""Tests of the way from an experiment's name to a locked config."""

import dataclasses

import pytest
from official.core import config_definitions as cfg
from official.core import train_utils
from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import parse

EFFICIENTNET = 'retinanet_efficientnet_coco'
SPINENET = 'retinanet_spinenet_coco'


def _write(tmp_path, text, name='some.yaml'):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_the_experiments_load_and_are_locked():
    names = parse.experiments()
    detectors = [EFFICIENTNET, SPINENET]
    simclr = ['simclr_efficientnet_imagenet', 'simclr_resnet_imagenet']
    assert {*detectors, *(f'self_training_{name}' for name in detectors), *simclr} <= set(names)
    assert all(line.endswith('.') for line in names.values())
    for name in names:
        params = parse.load_experiment(name)
        assert isinstance(params, cfg.ExperimentConfig)
        with pytest.raises(ValueError, match='locked'):
            params.task = None


def test_unknown_experiment_names_the_nearest():
    with pytest.raises(errors.UserError, match=f"_efficientnt_coco'.*Did you mean '{EFFICIENTNET}'"):
        parse.load_experiment('retinanet_efficientnt_coco')
    with pytest.raises(errors.UserError, match='unknown experiment'):
        parse.load_experiment('')


def test_later_layers_win_and_sources_say_which(tmp_path):
    first = _write(tmp_path, 'task:\n  model: {num_classes: 21}\n  seed: 1\n', 'first.yaml')
    second = _write(tmp_path, 'task:\n  seed: 2\n', 'second.yaml')
    loaded = parse.load(EFFICIENTNET, [first, second], 'task.losses.focal_loss_gamma=2')
    assert loaded.params.task.model.num_classes == 21
    assert loaded.params.task.seed == 2
    assert loaded.params.task.losses.focal_loss_gamma == 2
    assert loaded.sources['task.model.num_classes'] == f'{first}:2'
    assert loaded.sources['task.seed'] == f'{second}:2'
    assert loaded.sources['task.losses.focal_loss_gamma'] == '--params_override'
    assert loaded.sources['task.losses.focal_loss_alpha'] == 'factory'
    assert loaded.sources['trainer.train_steps'] == 'trainer.schedule, derived'
    assert loaded.defaults['task.model.num_classes'] == 91


def test_override_of_the_batch_size_moves_steps_and_learning_rate():
    # 120,000 steps of 256 images at rate 0.32 are 480,000 steps of 64 at 0.08; warm-up 1,000 -> 4,000.
    params = parse.load_experiment(EFFICIENTNET, (), 'task.train_data.global_batch_size=64')
    assert params.trainer.train_steps == 480_000
    rate = params.trainer.optimizer_config.learning_rate
    assert rate.type == 'cosine' and rate.cosine.decay_steps == 480_000
    assert rate.cosine.initial_learning_rate == pytest.approx(0.08)
    assert params.trainer.optimizer_config.warmup.linear.warmup_steps == 4_000


def test_steps_that_contradict_the_schedule_are_refused():
    with pytest.raises(errors.UserError, match='train_steps is 7, but trainer.schedule gives 120000'):
        parse.load_experiment(EFFICIENTNET, (), 'trainer.train_steps=7')


def test_epochs_and_steps_exclude_each_other():
    with pytest.raises(errors.UserError, match='exactly one of them'):
        parse.load_experiment(EFFICIENTNET, (), 'trainer.schedule.train_epochs=2')
    params = parse.load_experiment(
        EFFICIENTNET, (), 'trainer.schedule.base_train_steps=null,trainer.schedule.train_epochs=2'
    )
    assert params.trainer.train_steps == 925  # 2 * 118,287 / 256 = 924.1, rounded up


@pytest.mark.parametrize(
    ('text', 'key', 'line', 'guess'),
    [
        ('task:\n  model:\n    num_clases: 7\n', 'task.model.num_clases', 3, 'task.model.num_classes'),
        ('taks: {}\n', 'taks', 1, 'task'),
        ('trainer:\n  max_to_kep: 1\n', 'trainer.max_to_kep', 2, 'trainer.max_to_keep'),
        # Model Garden, told not to be strict, takes this for good and reads no pseudo label.
        ('task: {pseudo_label_data: {}}\n', 'task.pseudo_label_data', 1, ''),
    ],
)
def test_a_file_may_add_no_key(tmp_path, text, key, line, guess):
    path = _write(tmp_path, text)
    with pytest.raises(errors.UserError) as caught:
        parse.load_experiment(EFFICIENTNET, [path])
    message = str(caught.value)
    assert f"unknown key '{key}' (set in {path}:{line})" in message
    assert guess in message and 'Allowed in' in message


@pytest.mark.parametrize(
    'text', ['task: 3\n', 'task: [1]\n', 'task: null\n', 'task: {model: {anchor: big}}\n', 'trainer: ""\n']
)
def test_a_branch_cannot_become_a_leaf(tmp_path, text):
    with pytest.raises(errors.UserError, match=r'some\.yaml:1.*allowed: keys and values'):
        parse.load_experiment(EFFICIENTNET, [_write(tmp_path, text)])


def test_a_leaf_cannot_become_a_branch(tmp_path):
    with pytest.raises(errors.UserError, match=r"task\.seed is \{'a': 1\}.*a whole number"):
        parse.load_experiment(EFFICIENTNET, [_write(tmp_path, 'task: {seed: {a: 1}}\n')])


def test_numbers_become_text_where_only_text_can_be_meant():
    params = parse.load_experiment(SPINENET, (), 'task.model.backbone.spinenet.model_id=190')
    assert params.task.model.backbone.spinenet.model_id == '190'


def test_values_of_a_branch_not_chosen_are_refused():
    with pytest.raises(errors.UserError, match="backbone.type is 'efficientnet'.*would have no effect"):
        parse.load_experiment(EFFICIENTNET, (), 'task.model.backbone.resnet.model_id=18')
    with pytest.raises(errors.UserError, match='adam.*would have no effect'):
        parse.load_experiment(EFFICIENTNET, (), 'trainer.optimizer_config.optimizer.adam.beta_1=0.8')
    # A learning rate without its type is overwritten by the derived one.
    with pytest.raises(errors.UserError, match='would have no effect'):
        parse.load_experiment(
            EFFICIENTNET, (), 'trainer.optimizer_config.learning_rate.cosine.initial_learning_rate=1.0'
        )


def test_a_later_file_may_choose_another_branch(tmp_path):
    first = _write(tmp_path, 'task: {model: {backbone: {efficientnet: {model_id: b0}}}}\n', 'first.yaml')
    resnet = 'task: {model: {backbone: {type: resnet, resnet: {model_id: 18}}}}\n'
    second = _write(tmp_path, resnet, 'second.yaml')
    assert parse.load_experiment(EFFICIENTNET, [first, second]).task.model.backbone.get().model_id == 18
    with pytest.raises(errors.UserError, match="backbone.type is 'resnet'.*would have no effect"):
        parse.load_experiment(EFFICIENTNET, [second, first])


def test_unknown_branch_names_the_nearest():
    with pytest.raises(errors.UserError, match="'resnett'.*Did you mean 'resnet'"):
        parse.load_experiment(EFFICIENTNET, (), 'task.model.backbone.type=resnett')


@pytest.mark.parametrize('name', [EFFICIENTNET, 'self_training_' + SPINENET])
def test_the_config_a_run_saves_loads_to_itself(tmp_path, name):
    params = parse.load_experiment(name, (), 'task.train_data.global_batch_size=32,task.seed=3')
    train_utils.serialize_config(params, str(tmp_path))
    again = parse.load_experiment(name, [str(tmp_path / 'params.yaml')])
    assert again.as_dict() == params.as_dict()


@dataclasses.dataclass
class _Item(hyperparams.Config):
    name: str = ''
    weight: float = 1.0


@dataclasses.dataclass
class _Small(hyperparams.Config):
    items: list[_Item] = dataclasses.field(default_factory=list)
    choice: _Item | None = None
    sizes: list[int] = dataclasses.field(default_factory=lambda: [1])
    pair: tuple[int, str] = (1, 'a')
    free: float | None = None


def test_any_config_loads_with_lists_and_options_of_configs(tmp_path):
    path = _write(tmp_path, 'items:\n- {name: a}\n- {name: b, weight: 2}\nchoice: {weight: 3}\nsizes: []\n')
    loaded = parse.load_config(_Small(), [path], 'free=1,pair=[2,b]')
    small = loaded.params
    assert [type(item) for item in small.items] == [_Item, _Item]
    assert [(item.name, item.weight) for item in small.items] == [('a', 1.0), ('b', 2)]
    assert type(small.choice) is _Item and small.choice.weight == 3
    assert small.sizes == [] and small.free == 1 and list(small.pair) == [2, 'b']
    assert loaded.sources['items[1].weight'] == f'{path}:3'
    assert loaded.sources['sizes'] == f'{path}:5'
    with pytest.raises(ValueError, match='locked'):
        small.free = 2.0


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('items: [{nam: a}]\n', r"unknown key 'items\[0\].nam'.*'items\[0\].name'"),
        ('items: [a]\n', r"items\[0\] is 'a'"),
        ('items: {name: a}\n', r'items is .*allowed: a list'),
        ('choice: {weight: heavy}\n', "choice.weight is 'heavy'.*a number"),
        ('choice: 3\n', 'choice is 3'),
        ('sizes: [1, x]\n', r'sizes is \[1, .x.\].*a list of \(a whole number\)'),
        ('sizes: [1.5]\n', r'a list of \(a whole number\)'),
        ('sizes: [true]\n', r'a list of \(a whole number\)'),
        ('pair: [1, b, 3]\n', 'pair is'),
        ('free: .nan\n', 'free is nan.*a number or null'),
        ('free: "1"\n', "free is '1'.*a number or null"),
    ],
)
def test_mistakes_inside_lists_and_options_are_placed(tmp_path, text, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        parse.load_config(_Small(), [_write(tmp_path, text)])
    assert 'some.yaml:1' in str(caught.value)


def test_an_option_can_be_set_back_to_null():
    assert parse.load_config(_Small(choice=_Item(name='a')), (), 'choice=null').params.choice is None
