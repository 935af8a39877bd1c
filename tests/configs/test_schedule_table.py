"""The schedules of He et al. against section 3 of the fact sheet, to the iteration, at 16 and at 64 images."""

import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import parse, schedule_table

NAME = 'maskrcnn_resnetfpn_gn_coco'
# times, steps, drops, passes over COCO's 118,287 images, at 16 images a step.
AT_16 = [
    (1, 90_000, (60_000, 80_000), 12.2),
    (2, 180_000, (120_000, 160_000), 24.3),
    (3, 270_000, (210_000, 250_000), 36.5),
    (4, 360_000, (300_000, 340_000), 48.7),
    (5, 450_000, (390_000, 430_000), 60.9),
    (6, 540_000, (480_000, 520_000), 73.0),
    (9, 810_000, (750_000, 790_000), 109.6),
    (11, 990_000, (930_000, 970_000), 133.9),
]


def _rows(override=''):
    return schedule_table.rows(parse.load_experiment(NAME, (), override))


def _shown(rows):
    return [(row.times, row.steps, row.drops, row.epochs) for row in rows]


def test_at_16_images():
    rows = _rows()
    assert _shown(rows) == AT_16
    assert {row.warmup_steps for row in rows} == {500}
    assert [row.times for row in rows if row.is_this] == [2]


def test_at_64_images():
    """A quarter of each; detectron2's 9x has 202,500 steps and drops at 187,500 and 197,500."""
    rows = _rows('task.train_data.global_batch_size=64')
    expected = [
        (times, steps // 4, tuple(drop // 4 for drop in drops), epochs) for times, steps, drops, epochs in AT_16
    ]
    assert _shown(rows) == expected
    assert expected[6][1:3] == (202_500, (187_500, 197_500))
    assert {row.warmup_steps for row in rows} == {125}


@pytest.mark.parametrize(
    ('drops', 'marked'), [('[30000,10000]', [1]), ('[60000,20000]', [])], ids=['standard', 'rule']
)
def test_1x_is_detectrons(drops, marked):
    """The rule would have 1x drop at 30,000 and 70,000."""
    override = f'trainer.schedule.base_train_steps=90000,trainer.schedule.base_drops_before_end={drops}'
    params = parse.load_experiment(NAME, (), override)
    boundaries = params.trainer.optimizer_config.learning_rate.stepwise.boundaries
    assert boundaries == ([60_000, 80_000] if marked else [30_000, 70_000])
    assert [row.times for row in schedule_table.rows(params) if row.is_this] == marked


@pytest.mark.parametrize(
    'override',
    [
        'trainer.schedule.base_drops_before_end=[600,200]',
        'trainer.schedule.base_drops_before_end=[],trainer.schedule.stepwise_boundaries=[0.5]',
        'trainer.schedule.base_drops_before_end=[],trainer.schedule.decay=cosine',
    ],
)
def test_other_schedules_have_no_table(override):
    assert _rows(override) == [] and schedule_table.lines([]) == []


def test_text_is_a_table():
    lines = schedule_table.lines(_rows())
    assert lines[1] == ' ' * 9 + 'steps          drops at  warm-up  passes'
    assert lines[3] == '   2x  180,000  120,000, 160,000      500    24.3  this one'
    assert len(lines) == 2 + len(AT_16) + 1
