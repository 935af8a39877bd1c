"""Steps and learning rates, derived from batch size, length and data-set size in this one place."""

import math
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import types

# A host loop of this many steps keeps summaries and checkpoints aligned and the terminal alive.
_MAX_LOOP = 100
# The warm-up of a run that is not as long as its warm-up: the length over this.
_SHORT_RUN_WARMUP = 10


def train_steps(schedule: types.Schedule, batch_size: int) -> int:
    """Returns the length of a run in steps of `batch_size` human-labelled examples.

    Raises:
        UserError: both or neither of base_train_steps and train_epochs are given, or are not positive.
    """
    steps, epochs = schedule.base_train_steps, schedule.train_epochs
    if (steps is None) == (epochs is None):
        raise errors.UserError(
            f'trainer.schedule.base_train_steps is {steps!r} and trainer.schedule.train_epochs is {epochs!r}; '
            'give exactly one of them (set the other to null).'
        )
    if steps is not None:
        return max(1, round(steps * schedule.base_batch_size / batch_size))
    assert epochs is not None
    return max(1, math.ceil(epochs * schedule.train_examples / batch_size))


def learning_rate(schedule: types.Schedule, batch_size: int) -> float:
    """Returns the learning rate after warm-up, scaled linearly with the batch size."""
    return schedule.base_learning_rate * batch_size / schedule.base_batch_size


def _learning_rate_config(schedule: types.Schedule, batch_size: int, steps: int) -> dict[str, Any]:
    rate = learning_rate(schedule, batch_size)
    if schedule.decay == 'cosine':
        return {'type': 'cosine', 'cosine': {'initial_learning_rate': rate, 'decay_steps': steps}}
    if schedule.decay == 'constant':
        return {'type': 'constant', 'constant': {'learning_rate': rate}}
    if schedule.decay == 'exponential':
        every = max(1, round((schedule.base_decay_steps or 0) * schedule.base_batch_size / batch_size))
        factor = schedule.stepwise_factor
        stairs = {'initial_learning_rate': rate, 'decay_steps': every, 'decay_rate': factor, 'staircase': True}
        return {'type': 'exponential', 'exponential': stairs}
    at = drops(schedule, batch_size, steps)
    values = [rate * schedule.stepwise_factor**index for index in range(len(at) + 1)]
    return {'type': 'stepwise', 'stepwise': {'boundaries': at, 'values': values}}


def drops(schedule: types.Schedule, batch_size: int, steps: int) -> list[int]:
    """Returns the steps of a run of `steps` at which a stepwise rate drops.

    Raises:
        UserError: the run is too short for drops that are counted from its end.
    """
    if not schedule.base_drops_before_end:
        return [round(share * steps) for share in schedule.stepwise_boundaries]
    scale = schedule.base_batch_size / batch_size
    at = [steps - round(before * scale) for before in schedule.base_drops_before_end]
    if at[0] <= 0:
        raise errors.UserError(
            f'trainer.schedule.base_drops_before_end is {list(schedule.base_drops_before_end)}, but the run is only '
            f'{round(steps / scale):,} steps long at {schedule.base_batch_size} images a step; name smaller numbers, '
            'or [] and shares of the length in trainer.schedule.stepwise_boundaries.'
        )
    return at


def resolve(params: Any) -> None:
    """Fills the trainer's derived fields in place; what was set by hand stays, or is refused if it clashes.

    Args:
        params: an ExperimentConfig whose trainer is a `types.TrainerConfig`, not yet locked.

    Raises:
        UserError: a derived value and one set by hand differ.
    """
    trainer, schedule = params.trainer, params.trainer.schedule
    batch_size = params.task.train_data.global_batch_size
    steps = train_steps(schedule, batch_size)
    if trainer.train_steps not in (0, steps):
        raise errors.UserError(
            f'trainer.train_steps is {trainer.train_steps}, but trainer.schedule gives {steps} steps at '
            f'task.train_data.global_batch_size {batch_size}; set trainer.train_steps to 0, or the schedule to match.'
        )
    trainer.train_steps = steps
    _resolve_cascade(params, batch_size, steps)
    interval = trainer.validation_interval or math.ceil(steps / schedule.evaluations)
    trainer.validation_interval = interval
    # Summaries, checkpoints and evaluations fall on multiples of the loop, so that a resumed run
    # sees the same ones.
    loop = trainer.steps_per_loop or _largest_divisor(interval, _MAX_LOOP)
    trainer.steps_per_loop = loop
    trainer.summary_interval = trainer.summary_interval or loop
    trainer.checkpoint_interval = trainer.checkpoint_interval or interval
    if trainer.optimizer_config.learning_rate.type is None:
        trainer.optimizer_config.learning_rate.override(_learning_rate_config(schedule, batch_size, steps))
        warmup = warmup_steps(schedule, batch_size, steps)
        if warmup and trainer.optimizer_config.warmup.type is None:
            trainer.optimizer_config.warmup.override(
                {
                    'type': 'linear',
                    'linear': {
                        'warmup_steps': warmup,
                        'warmup_learning_rate': schedule.warmup_factor * learning_rate(schedule, batch_size),
                    },
                }
            )


def _resolve_cascade(params: Any, batch_size: int, steps: int) -> None:
    """Fills the step from which a cascade's further stages train, where it is counted from the end."""
    cascade = getattr(params.task, 'cascade', None)
    if cascade is None or not cascade.base_steps_before_end:
        return
    schedule, key = params.trainer.schedule, 'task.cascade.base_steps_before_end'
    scale = schedule.base_batch_size / batch_size
    first = steps - round(cascade.base_steps_before_end * scale)
    if first <= 0:
        raise errors.UserError(
            f'{key} is {cascade.base_steps_before_end:,}, but the run is only {round(steps / scale):,} steps long at '
            f'{schedule.base_batch_size} images a step; name a smaller number, or 0 for a cascade from the first step.'
        )
    if cascade.first_step not in (0, first):
        raise errors.UserError(
            f'task.cascade.first_step is {cascade.first_step}, but {key} gives {first}; set one of the two to 0.'
        )
    cascade.first_step = first


def _asked_warmup(schedule: types.Schedule, batch_size: int) -> int:
    return round(schedule.base_warmup_steps * schedule.base_batch_size / batch_size)


def warmup_steps(schedule: types.Schedule, batch_size: int, steps: int) -> int:
    """Steps of warm-up; a tenth of a run that would be over before it.

    Model Garden's warm-up rises to the rate that its end would have, which a cosine has taken to nothing there: such
    a run would train at next to no rate from its first step to its last.
    """
    asked = _asked_warmup(schedule, batch_size)
    return asked if asked < steps else steps // _SHORT_RUN_WARMUP


def remarks(params: Any) -> list[str]:
    """What was done otherwise than the schedule says, one sentence each, for whoever starts a run."""
    trainer, batch_size = params.trainer, params.task.train_data.global_batch_size
    asked, steps = _asked_warmup(trainer.schedule, batch_size), trainer.train_steps
    warmup = trainer.optimizer_config.warmup
    taken = warmup.linear.warmup_steps if warmup.type == 'linear' else 0
    if not asked or asked < steps or taken != steps // _SHORT_RUN_WARMUP:
        return []
    return [
        f'the warm-up of {asked:,} steps is cut to {taken:,}, a tenth of the run, which is only {steps:,} steps long; '
        'trainer.schedule.base_warmup_steps sets another.'
    ]


def _largest_divisor(value: int, limit: int) -> int:
    return max(divisor for divisor in range(1, min(value, limit) + 1) if value % divisor == 0)
