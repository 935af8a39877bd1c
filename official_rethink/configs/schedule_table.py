"""The schedules 1x to 11x of He et al., "Rethinking ImageNet Pre-training", at a config's batch size.

Nx is N times 90,000 steps of 16 images; the rate drops 60,000 and 20,000 steps before the end, whatever N (section 3 of
the fact sheet). 1x alone is Detectron's own, with drops at 60,000 and 80,000, where the rule gives 30,000 and 70,000.
"""

import dataclasses
from typing import Any

from official_rethink.configs import schedule, types

TIMES = (1, 2, 3, 4, 5, 6, 9, 11)
_BATCH, _STEPS = 16, 90_000
_DROPS_BEFORE_END = (60_000, 20_000)
_DROPS_BEFORE_END_1X = (30_000, 10_000)


@dataclasses.dataclass(frozen=True)
class Row:
    """One schedule.

    Attributes:
        times: the N of Nx.
        steps: its length.
        drops: the steps at which the rate drops.
        warmup_steps: of linear warm-up.
        epochs: passes over the labelled images.
        is_this: the config's schedule is this one, its drops included.
    """

    times: int
    steps: int
    drops: tuple[int, ...]
    warmup_steps: int
    epochs: float
    is_this: bool


def rows(params: Any) -> list[Row]:
    """Returns the table of a resolved config, [] of one whose drops are not counted from the end as the paper's.

    Args:
        params: an experiment config with a `types.TrainerConfig`.
    """
    asked, batch_size = params.trainer.schedule, params.task.train_data.global_batch_size
    images = tuple(before * asked.base_batch_size for before in asked.base_drops_before_end)
    papers = (_DROPS_BEFORE_END, _DROPS_BEFORE_END_1X)
    if asked.decay != 'stepwise' or images not in [tuple(_BATCH * before for before in one) for one in papers]:
        return []
    return [_row(times, params, asked, batch_size) for times in TIMES]


def _row(times: int, params: Any, asked: types.Schedule, batch_size: int) -> Row:
    before = _DROPS_BEFORE_END_1X if times == 1 else _DROPS_BEFORE_END
    one = asked.replace(
        base_batch_size=_BATCH,
        base_train_steps=times * _STEPS,
        train_epochs=None,
        base_drops_before_end=list(before),
        base_warmup_steps=round(asked.base_warmup_steps * asked.base_batch_size / _BATCH),
    )
    steps = schedule.train_steps(one, batch_size)
    drops = schedule.drops(one, batch_size, steps)
    rate = params.trainer.optimizer_config.learning_rate
    ours = list(rate.stepwise.boundaries) if rate.type == 'stepwise' else None
    return Row(
        times=times,
        steps=steps,
        drops=tuple(drops),
        warmup_steps=schedule.warmup_steps(one, batch_size, steps),
        epochs=round(steps * batch_size / asked.train_examples, 1),
        is_this=params.trainer.train_steps == steps and ours == drops,
    )


def lines(table: list[Row]) -> list[str]:
    """Returns the table as text, aligned, indented by two."""
    if not table:
        return []
    heading = ('', 'steps', 'drops at', 'warm-up', 'passes', '')
    cells = [
        (
            f'{row.times}x',
            f'{row.steps:,}',
            ', '.join(f'{step:,}' for step in row.drops),
            f'{row.warmup_steps:,}',
            f'{row.epochs:,}',
            'this one' if row.is_this else '',
        )
        for row in table
    ]
    widths = [max(map(len, column)) for column in zip(heading, *cells, strict=True)]
    text = ['  ' + '  '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (heading, *cells)]
    return [
        'Schedules of He et al. at this batch size',
        *text,
        '  1x as Detectron has it: trainer.schedule.base_train_steps=90000 with base_drops_before_end=[30000,10000]',
    ]
