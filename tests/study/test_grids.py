"""Searches over a grid: their trainings, what is carried to which arms, resuming, and mistakes."""

import io
import json
import pathlib

import pytest
import yaml

from official_rethink.common import errors
from official_rethink.study import check, estimate, live, records, runner, select
from tests.study import fake

GRID = """
name: search
seeds: [0, 1]
budget: {supervised_steps: 80, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_validation: 10, num_test: 10, num_classification: 20}}
supervised:
  experiment: retinanet_efficientnet_coco
  params_override: trainer.schedule.base_learning_rate=0.5,task.train_data.global_batch_size=8
pretraining:
- {name: classes, kind: classification, experiment: imagenet_efficientnet, steps: 60}
baseline: pretrained
arms:
- {name: pretrained, pretraining: classes, label_count: 5}
- {name: random, label_count: 5}
- {name: random_twice, label_count: 5, steps: 160}
- {name: untuned, label_count: 5}
grids:
- name: rates
  arm: pretrained
  values:
    trainer.schedule.base_learning_rate: [0.1, 0.4]
    trainer.schedule.stepwise_boundaries: [[0.5], [0.5, 0.9]]
  steps: 40
  seed: 3
  carried_to: [pretrained, random, random_twice]
"""
RATE, DROPS = 'trainer.schedule.base_learning_rate', 'trainer.schedule.stepwise_boundaries'
_SETS, _SPLITS, _TRIALS = 5, 3, 4
_STEPS = _SETS + _SPLITS + 1 + _TRIALS + 1 + 2 * 4


def load(folder, override='', text=GRID):
    return fake.load(folder, override, text)


def _run(config, out, commands, **kwargs):
    plan = fake.make_plan(config)
    runner.Runner(plan, str(out), [commands], **kwargs).run()
    return records.collect(config, plan, str(out))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('search')


@pytest.fixture(scope='module')
def plan(folder):
    return fake.make_plan(load(folder))


@pytest.fixture(scope='module')
def results(folder):
    return _run(load(folder), folder / 'out', fake.Commands())


def _step(plan, name, seed=0):
    return plan.steps[next(run for run in plan.runs if (run.arm.name, run.seed) == (name, seed)).result_step]


def _of_kind(plan, kind):
    return [step for step in plan.steps.values() if step.kind == kind]


def test_every_combination_is_a_training_of_the_arm_that_is_tuned(plan):
    trials = _of_kind(plan, 'trial')
    found = [json.loads(step.given('params_override')[0])['trainer']['schedule'] for step in trials]
    assert [tuple(values.values()) for values in found] == [
        (0.1, [0.5]), (0.1, [0.5, 0.9]), (0.4, [0.5]), (0.4, [0.5, 0.9])
    ]
    for step in trials:
        task = step.config['task']
        assert (step.total, task['seed'], step.metric) == (40, 3, 'AP')
        assert task['init_checkpoint'] == '{out}/training/pretraining-classes/best'
        assert task['train_data']['split_file'].endswith('count_5_seed_3.json')
        # No test image is looked at to choose.
        assert task['test_data'] == {'input_path': ''} and 'data/test' not in step.needs


def test_arms_read_the_best_values_and_nothing_that_overrules_them(plan):
    (grid,) = _of_kind(plan, 'grid')
    assert grid.name == 'grids/rates-pretraining_classes-S1-count5'
    for name in ('pretrained', 'random', 'random_twice'):
        step = _step(plan, name)
        assert grid.name in step.needs and '+tuned_rates' in step.name
        # The role's own rate is left out, the batch size stays.
        assert step.given('params_override') == ['{"task": {"train_data": {"global_batch_size": 8}}}']
        files = [flag for flag in step.filled_arguments('/x') if flag.startswith('--config_file=')]
        assert files == [f'--config_file=/x/{grid.name}/best.yaml', f'--config_file=/x/{step.name}/study.yaml']
    assert grid.name not in _step(plan, 'untuned').needs
    assert 'base_learning_rate=0.5' in _step(plan, 'untuned').given('params_override')[0]
    assert len(plan.steps) == _STEPS


def test_the_best_on_the_validation_images_wins_and_is_carried(results, folder, plan):
    (grid,) = results['grids']
    values = [row['value'] for row in grid['trials']]
    assert values == sorted(values, reverse=True) and len(set(values)) == _TRIALS
    assert grid['best'] == grid['trials'][0]['values']
    # The fake's numbers, by the names of the folders.
    expected = max(_of_kind(plan, 'trial'), key=lambda step: fake.share(step.name.split('/')[-1]))
    assert grid['trials'][0]['step'] == expected.name
    best = yaml.safe_load(next((folder / 'out' / 'grids').glob('*/best.yaml')).read_text())
    assert best == {'trainer': {'schedule': {key.split('.')[-1]: value for key, value in grid['best'].items()}}}
    assert grid['carried_to'] == ['pretrained', 'random', 'random_twice'] and grid['tuned_on'] == 'pretrained'
    assert grid['cost']['steps'] == _TRIALS * 40
    assert [arm['grid'] for arm in results['arms']] == ['rates', 'rates', 'rates', None]
    # What the search cost is in no arm's account.
    assert results['arms'][0]['seeds'][0]['steps'] == 80


@pytest.mark.parametrize('kill_at', range(_SETS, _STEPS))
def test_killed_in_any_step_and_started_again_ends_with_the_same_records(tmp_path, results, kill_at):
    config = load(tmp_path)
    first, second = fake.Commands(kill_at=kill_at), fake.Commands()
    with pytest.raises(fake.Killed):
        _run(config, tmp_path / 'out', first)
    again = _run(config, tmp_path / 'out', second)
    assert records.without_times(again) == records.without_times(results)
    assert len(first.calls) + len(second.calls) == _STEPS + 1


def test_each_arm_may_be_tuned_for_itself(tmp_path):
    config = load(tmp_path, 'grids.rates={search: each_arm, arm: "", carried_to: [pretrained, random]}')
    plan = fake.make_plan(config)
    assert len(_of_kind(plan, 'grid')) == 2 and len(_of_kind(plan, 'trial')) == 2 * _TRIALS
    found = _run(config, tmp_path / 'out', fake.Commands())['grids']
    assert [(one['tuned_on'], one['carried_to']) for one in found] == [
        ('pretrained', ['pretrained']), ('random', ['random'])
    ]
    assert _step(plan, 'pretrained').needs != _step(plan, 'random').needs


def test_one_more_value_takes_its_trainings_alone_unless_it_wins(tmp_path, results):
    config = load(tmp_path)
    _run(config, tmp_path / 'out', fake.Commands())
    longer = GRID.replace('[0.1, 0.4]', '[0.1, 0.4, 0.7]')
    again = fake.Commands()
    found = _run(load(tmp_path, '', longer), tmp_path / 'out', again, on_changed='rerun')['grids'][0]
    assert len(found['trials']) == 6
    won = found['best'] != results['grids'][0]['best']
    # Two new trainings and the ranking; where one of the new wins, the arms in two seeds too.
    assert len(again.calls) == 2 + 1 + won * 2 * 3


def test_what_was_found_is_part_of_an_arm_s_identity(tmp_path):
    """Were the best values others, the arms that take them over would have to train again."""
    plan = fake.make_plan(load(tmp_path))
    step, digests = _step(plan, 'random'), dict.fromkeys(plan.steps, 'same')
    grid = _of_kind(plan, 'grid')[0]
    keys = [
        runner.state(plan, step, str(tmp_path), {**digests, grid.name: value}).inputs['needs'][grid.name]
        for value in ('one', 'two')
    ]
    assert keys == ['one', 'two']


def test_a_combination_that_diverges_is_the_last_not_the_end(tmp_path, results):
    loser, commands = results['grids'][0]['trials'][0], fake.Commands()
    commands.diverging = (loser['step'].split('/')[-1],)
    config, told = load(tmp_path), io.StringIO()
    screen = live.Screen('search', fake.make_plan(config), str(tmp_path / 'out'), told)
    found = _run(config, tmp_path / 'out', commands, screen=screen)['grids'][0]
    assert f'{loser["step"]}: 40 steps in 0s, diverged' in told.getvalue()
    assert found['trials'][-1]['values'] == loser['values'] and found['best'] != loser['values']
    assert found['trials'][-1]['value'] is None and 'nan' in found['trials'][-1]['diverged']
    assert _run(config, tmp_path / 'out', fake.Commands())['grids'][0] == found
    assert 'nothing left to do' in estimate.plan_text(fake.make_plan(config), str(tmp_path / 'out'), 'error')


def test_a_grid_of_nothing_but_divergence_stops_the_study(tmp_path):
    commands = fake.Commands()
    commands.diverging = ('trial-',)
    with pytest.raises(errors.UserError, match='every training of this grid diverged.*loss is nan'):
        _run(load(tmp_path), tmp_path / 'out', commands)


def test_an_arm_that_diverges_stops_the_study(tmp_path):
    commands = fake.Commands()
    commands.diverging = ('supervised-',)
    with pytest.raises(errors.UserError, match='ended with exit code 2'):
        _run(load(tmp_path), tmp_path / 'out', commands)


def test_ties_go_to_the_first():
    found = {'a': 0.1, 'b': 0.3, 'c': None, 'd': 0.3, 'e': -1.0}
    rows = [{'value': value, 'name': name} for name, value in found.items()]
    assert [row['name'] for row in select.rank(rows)] == ['b', 'd', 'a', 'e', 'c']


def test_the_screen_says_that_an_arm_waits_for_its_search(plan, tmp_path):
    screen = live.Screen('search', plan, str(tmp_path), io.StringIO())
    screen._running = {step.name: step for step in _of_kind(plan, 'trial')[:1]}
    rows = {line.split()[0]: line for line in screen.text().split('\n')}
    assert 'grid rates: running' in rows['random_twice'] and 'waiting' in rows['untuned']


def test_a_dry_run_names_the_search_and_who_it_is_for(tmp_path):
    text = estimate.plan_text(fake.make_plan(load(tmp_path)), str(tmp_path / 'out'), 'error')
    line = next(line for line in text.split('\n') if 'grids/rates' in line)
    assert '4 trials' in line and 'for pretrained, random, random_twice' in line


def test_every_arm_is_checked_with_every_combination(tmp_path):
    """A drop 90 steps before the end suits the search, and the longer arm, but not the others."""
    text = GRID.replace(f'{DROPS}: [[0.5], [0.5, 0.9]]', 'trainer.schedule.base_drops_before_end: [[30], [90]]')
    text = text.replace('steps: 40', 'steps: 120').replace('base_learning_rate=0.5', 'decay=stepwise')
    text = text.replace('size=8', 'size=8,trainer.schedule.base_batch_size=8')
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(load(tmp_path, '', text))
    words = ('base_drops_before_end is [90]', '80', 'steps long')
    assert all(word in str(caught.value) for word in words), caught.value
    assert check.make_plan(load(tmp_path, '', text.replace('[90]', '[70]'))).searches


def test_the_ranking_is_a_command(tmp_path):
    """As the study's process runs it."""
    trials = []
    for name, value in (('a', 0.2), ('b', 0.3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'test.json').write_text(json.dumps({'step': 20, 'metrics': {'AP': value}}))
        trials.append({'step': name, 'folder': str(tmp_path / name), 'values': {RATE: value}})
    config = tmp_path / 'study.yaml'
    config.write_text(yaml.safe_dump({'metric': 'AP', 'trials': trials}))
    out = pathlib.Path(tmp_path / 'found')
    assert select.main([f'--config_file={config}', f'--output_dir={out}']) == 0
    assert yaml.safe_load((out / 'best.yaml').read_text()) == {'trainer': {'schedule': {'base_learning_rate': 0.3}}}
    (tmp_path / 'b' / 'test.json').write_text('{}')
    with pytest.raises(errors.UserError, match='holds no AP'):
        select.main([f'--config_file={config}', f'--output_dir={out}'])
