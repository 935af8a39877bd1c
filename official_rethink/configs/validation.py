"""Ranges and choices of an experiment's values, checked before any device or data is touched."""

from collections.abc import Mapping
from typing import Any

from official_rethink.configs import checks


def validate_schedule(params: Any, sources: Mapping[str, str] | None = None) -> None:
    """Checks what steps and learning rates are derived from."""
    rules = checks.Rules(params, checks.Where(sources))
    rules.positive('task.train_data.global_batch_size')
    name = 'trainer.schedule.'
    rules.positive(*(name + key for key in ('base_batch_size', 'base_train_steps', 'train_epochs', 'train_examples')))
    rules.positive(name + 'base_learning_rate', name + 'evaluations', name + 'stepwise_factor')
    rules.at_least(0, name + 'base_warmup_steps')
    rules.share(name + 'warmup_factor')
    rules.choice(name + 'decay', ('cosine', 'stepwise', 'constant'))
    drops = params.trainer.schedule.stepwise_boundaries
    if any(not 0 < drop < 1 for drop in drops) or list(drops) != sorted(set(drops)):
        raise rules.fail(name + 'stepwise_boundaries', 'increasing shares of the length, each over 0 and under 1')
    if params.trainer.schedule.decay == 'stepwise' and not drops:
        raise rules.fail(name + 'stepwise_boundaries', "at least one share when decay is 'stepwise'")
    rules.at_least(
        0,
        *(
            'trainer.' + key
            for key in (
                'train_steps',
                'validation_interval',
                'checkpoint_interval',
                'summary_interval',
                'steps_per_loop',
            )
        ),
    )


def validate(params: Any, sources: Mapping[str, str] | None = None) -> None:
    """Checks types, ranges, choices and what fields mean to each other.

    Args:
        params: a resolved experiment config.
        sources: dotted key -> where it was set, for the errors.

    Raises:
        UserError: the first thing that is wrong.
    """
    where = checks.Where(sources)
    checks.check_types(params, where)
    rules = checks.Rules(params, where)
    rules.choice('runtime.mixed_precision_dtype', ('float32', 'float16', 'bfloat16'))
