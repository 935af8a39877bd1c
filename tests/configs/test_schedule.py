"""Tests of steps and learning rates, derived by hand."""

import pytest

from official_rethink.common import errors
from official_rethink.configs import parse, schedule, types

NAME = 'retinanet_efficientnet_coco'


@pytest.mark.parametrize(
    ('steps', 'base', 'batch', 'expected'),
    [(45_000, 256, 256, 45_000), (45_000, 256, 512, 22_500), (3, 2, 64, 1)],
)
def test_steps_keep_the_number_of_examples(steps, base, batch, expected):
    length = types.Schedule(base_train_steps=steps, base_batch_size=base)
    assert schedule.train_steps(length, batch) == expected


def test_steps_from_epochs_round_up():
    # 1.5 passes over 10 images in batches of 4 are 3.75 steps.
    assert schedule.train_steps(types.Schedule(train_epochs=1.5, train_examples=10), 4) == 4


@pytest.mark.parametrize('fields', [{}, {'base_train_steps': 1, 'train_epochs': 1.0}])
def test_exactly_one_length(fields):
    with pytest.raises(errors.UserError, match='exactly one'):
        schedule.train_steps(types.Schedule(**fields), 4)


def test_learning_rate_is_linear_in_the_batch():
    assert schedule.learning_rate(types.Schedule(base_learning_rate=0.32), 128) == pytest.approx(0.16)


def _trainer(override):
    return parse.load_experiment(NAME, (), override).trainer


def test_stepwise_boundaries_and_values():
    trainer = _trainer(
        'trainer.schedule.decay=stepwise,trainer.schedule.stepwise_boundaries=[0.5,0.9],'
        'trainer.schedule.base_train_steps=1000,trainer.schedule.base_learning_rate=1.0'
    )
    stepwise = trainer.optimizer_config.learning_rate.stepwise
    assert stepwise.boundaries == [500, 900]
    assert stepwise.values == pytest.approx([1.0, 0.1, 0.01])


def test_constant_rate_without_warmup():
    trainer = _trainer('trainer.schedule.decay=constant,trainer.schedule.base_warmup_steps=0')
    assert trainer.optimizer_config.learning_rate.constant.learning_rate == pytest.approx(0.32)
    assert trainer.optimizer_config.warmup.type is None


def test_intervals_divide_each_other():
    trainer = _trainer('trainer.schedule.base_train_steps=1000,trainer.schedule.evaluations=4')
    assert (trainer.train_steps, trainer.validation_interval) == (1000, 250)
    assert 250 % trainer.steps_per_loop == 0 and trainer.summary_interval % trainer.steps_per_loop == 0


def test_the_releases_schedule_of_spinenet():
    # Released config of SpineNet-143: 0.28, then 0.028 at 217,610 and 0.0028 at 226,870 of 231,500 steps.
    trainer = parse.load_experiment('retinanet_spinenet_coco').trainer
    stepwise = trainer.optimizer_config.learning_rate.stepwise
    assert trainer.train_steps == 231_500
    assert stepwise.boundaries == [217_610, 226_870]
    assert stepwise.values == pytest.approx([0.28, 0.028, 0.0028])
    assert trainer.optimizer_config.warmup.linear.warmup_steps == 2000


@pytest.mark.parametrize(('steps', 'warmup', 'said'), [(1000, 1000, 1), (1001, 1000, 0), (5, 0, 0)])
def test_a_warm_up_that_outlasts_the_run_is_remarked_on(steps, warmup, said):
    override = f'trainer.schedule.base_train_steps={steps},trainer.schedule.base_warmup_steps={warmup}'
    remarks = schedule.remarks(parse.load_experiment(NAME, (), override))
    assert len(remarks) == said
    assert all(f'warms up for {warmup:,} steps' in remark and f'{steps:,} steps long' in remark for remark in remarks)
