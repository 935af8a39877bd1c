"""Tests of steps and learning rates, derived by hand."""

import math

import pytest
from official.modeling import optimization

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


@pytest.mark.parametrize(
    ('steps', 'warmup', 'taken', 'said'),
    [(1000, 1000, 100, 1), (1001, 1000, 1000, 0), (5, 0, None, 0), (9, 1000, None, 1), (100, 5000, 10, 1)],
)
def test_a_warm_up_that_outlasts_the_run_is_cut_and_told(steps, warmup, taken, said):
    override = f'trainer.schedule.base_train_steps={steps},trainer.schedule.base_warmup_steps={warmup}'
    params = parse.load_experiment(NAME, (), override)
    made = params.trainer.optimizer_config.warmup
    assert (made.linear.warmup_steps if made.type else None) == taken
    remarks = schedule.remarks(params)
    assert len(remarks) == said
    assert all(f'warm-up of {warmup:,} steps is cut to {taken or 0:,}' in remark for remark in remarks)


def test_a_short_run_reaches_its_learning_rate():
    params = parse.load_experiment(NAME, (), 'trainer.schedule.base_train_steps=100')
    rate = optimization.OptimizerFactory(params.trainer.optimizer_config).build_learning_rate()
    # Ten steps up to what the cosine has after them: 0.32 * (1 + cos(0.1 pi)) / 2.
    assert float(rate(10)) == pytest.approx(0.32 * (1 + math.cos(0.1 * math.pi)) / 2, rel=1e-4)


HE = 'trainer.schedule.decay=stepwise,trainer.schedule.base_batch_size=16,trainer.schedule.base_learning_rate=0.02,'


@pytest.mark.parametrize(
    ('multiple', 'before', 'length', 'first', 'second'),
    # He et al., section 3 of the fact sheet: iterations and drops at 16 images a step; 1x is Detectron's own.
    [
        (1, [30_000, 10_000], 90_000, 60_000, 80_000),
        (2, [60_000, 20_000], 180_000, 120_000, 160_000),
        (3, [60_000, 20_000], 270_000, 210_000, 250_000),
        (4, [60_000, 20_000], 360_000, 300_000, 340_000),
        (5, [60_000, 20_000], 450_000, 390_000, 430_000),
        (6, [60_000, 20_000], 540_000, 480_000, 520_000),
        (9, [60_000, 20_000], 810_000, 750_000, 790_000),
        (11, [60_000, 20_000], 990_000, 930_000, 970_000),
    ],
)
@pytest.mark.parametrize('batch', [16, 64])
def test_the_schedules_of_he_et_al(multiple, before, length, first, second, batch):
    trainer = _trainer(
        HE + f'trainer.schedule.base_train_steps={90_000 * multiple},task.train_data.global_batch_size={batch},'
        f'trainer.schedule.base_drops_before_end={before}'.replace(' ', '')
    )
    stepwise = trainer.optimizer_config.learning_rate.stepwise
    shorter = batch // 16
    assert trainer.train_steps == length // shorter
    assert stepwise.boundaries == [first // shorter, second // shorter]
    assert stepwise.values == pytest.approx([0.02 * shorter, 0.002 * shorter, 0.0002 * shorter])


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('[20000,60000]', 'decreasing numbers of steps'),
        ('[60000,0]', 'each 1 or more'),
        ('[60000,20000],trainer.schedule.base_train_steps=50000', r'run is only 50,000 steps long at 16 images'),
        ('[60000,20000],trainer.schedule.stepwise_boundaries=[0.5]', 'give one of them'),
    ],
)
def test_drops_that_cannot_be_are_named(override, words):
    with pytest.raises(errors.UserError, match=words):
        _trainer(HE + f'trainer.schedule.base_drops_before_end={override}')
