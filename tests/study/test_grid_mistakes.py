"""Mistakes in a search over a grid, each named with its place and what is allowed."""

import pytest

from official_rethink.common import errors
from official_rethink.study import check
from tests.study.test_grids import DROPS, GRID, RATE, load


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('arm: pretrained\n', 'arm: pretraind\n', ["arm in grids[0].arm (grid 'rates') 'pretraind'", "'pretrained'?"]),
        ('  arm: pretrained\n', '', ["unknown arm in grids[0].arm (grid 'rates') ''"]),
        ('random_twice]', 'randm]', ["carried_to (grid 'rates') 'randm'", "Did you mean 'random'?"]),
        ('[pretrained, random, random_twice]', '[]', ["carried_to (grid 'rates') is []", 'at least one']),
        ('steps: 40', 'step: 40', ["unknown key 'grids[0].step'", "Did you mean 'grids[0].steps'?"]),
        ('steps: 40', 'steps: 19', ['budget.validation_interval is 20', 'at most 19', "grid 'rates'"]),
        ('seed: 3', 'seed: -3', ["seed (grid 'rates') is -3"]),
        ('name: rates', 'name: a b', ['grids[0].name', "'a b'", 'letters']),
        ('name: rates', 'name: rates\n  search: twice', ["search (grid 'rates') 'twice'", 'each_arm, once']),
        ('name: rates', 'name: rates\n  search: each_arm', ["arm (grid 'rates') is 'pretrained'", 'tuned for itself']),
        ('[0.1, 0.4]', '[]', ["base_learning_rate (grid 'rates') is []", 'at least one value']),
        ('[0.1, 0.4]', '[0.1, 0.1]', ['is [0.1, 0.1]', 'none twice']),
        ('[0.1, 0.4]', '0.1', ['base_learning_rate is 0.1', 'a list']),
        ('[0.1, 0.4]', '[{a: 1}]', ["{'a': 1}", 'numbers, text']),
        ('base_learning_rate: [0.1, 0.4]', '. : [1]', ['dotted keys']),
        (DROPS, f'{RATE}.x', [f'{RATE}.x', f"'{RATE}' sets it too"]),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, words):
    assert old in GRID
    with pytest.raises(errors.UserError) as caught:
        load(tmp_path, '', GRID.replace(old, new))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_grid_without_values_and_grids_that_clash_are_named(tmp_path):
    empty = GRID[: GRID.index('  values:')] + '  carried_to: [random]\n'
    twice = GRID + '- {name: more, arm: untuned, values: {task.seed: [1]}, carried_to: [random]}\n'
    chained = GRID + '- {name: more, arm: random, values: {task.seed: [1]}, carried_to: [untuned]}\n'
    students = GRID.replace('{name: untuned', '{name: untuned, self_training: true').replace(
        'supervised_steps: 80', 'supervised_steps: 0, teacher_steps: 40, student_steps: 40'
    ).replace('arm: pretrained\n', 'arm: untuned\n')
    for text, words in (
        (empty, ["grids[0].values (grid 'rates') is {}", 'at least one key']),
        (twice, ["carried_to (grid 'more') is 'random'", "grid 'rates' is to this one"]),
        (chained, ["grids[1].arm (grid 'more') is 'random'", "'rates' is carried to it"]),
        (students, ["grids[0].arm (grid 'rates') is 'untuned'", 'do not self-train']),
    ):
        with pytest.raises(errors.UserError) as caught:
            load(tmp_path, '', text)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        (RATE + ':', 'task.seed:', ["grids[0].values (grid 'rates'): task.seed", 'seeds decides it']),
        (RATE + ':', 'task.train_data:', ['task.train_data is', 'data.labelled decides it']),
        (RATE + ':', 'task.train_data.global_batch_size:', ['global_batch_size', 'known from its start']),
        (RATE + ':', 'trainer.schedule.base_learing_rate:', ["'trainer.schedule.base_learing_rate'", "grid 'rates'"]),
        ('[0.1, 0.4]', '[0.1, fast]', ["base_learning_rate is 'fast'", "grid 'rates'"]),
        (
            '{name: random,',
            f"{{name: random, params_override: '{RATE}=1',",
            ["params_override of arm 'random': trainer.schedule.base_learning_rate is 1", "grid 'rates' decides it"],
        ),
    ],
)
def test_mistakes_in_what_is_searched_are_named_before_the_first_step(tmp_path, old, new, words):
    assert old in GRID
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(load(tmp_path, '', GRID.replace(old, new)))
    assert all(word in str(caught.value) for word in words), str(caught.value)
