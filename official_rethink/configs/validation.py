"""Ranges and choices of an experiment's values, checked before any device or data is touched."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import checks, families, validation_data

_DTYPES = ('float32', 'float16', 'bfloat16')
_STRATEGIES = ('off', 'one_device', 'mirrored', 'multi_worker_mirrored', 'parameter_server', 'tpu')
_INTERVALS = (
    'train_steps',
    'validation_interval',
    'checkpoint_interval',
    'summary_interval',
    'steps_per_loop',
)
# Fields of a schedule that default to None and may stay so.
_OPTIONAL_FIELDS = ('staircase',)


def validate_schedule(params: Any, sources: Mapping[str, str] | None = None) -> None:
    """Checks what steps and learning rates are derived from; runs before they are."""
    rules = checks.Rules(params, checks.Where(sources))
    rules.positive('task.train_data.global_batch_size')
    name, schedule = 'trainer.schedule.', params.trainer.schedule
    lengths = ('base_batch_size', 'base_train_steps', 'train_epochs', 'train_examples')
    rules.positive(*(name + key for key in lengths))
    rates = ('base_learning_rate', 'evaluations', 'stepwise_factor', 'base_decay_steps')
    rules.positive(*(name + key for key in rates))
    rules.at_least(0, name + 'base_warmup_steps', *(f'trainer.{key}' for key in _INTERVALS))
    rules.share(name + 'warmup_factor')
    rules.choice(name + 'decay', ('cosine', 'stepwise', 'exponential', 'constant'))
    _check_drops_before_end(rules)
    drops = schedule.stepwise_boundaries
    if any(not 0 < drop < 1 for drop in drops) or list(drops) != sorted(set(drops)):
        raise rules.fail(
            name + 'stepwise_boundaries', 'increasing shares of the length, each over 0 and under 1'
        )
    if schedule.decay == 'exponential' and schedule.base_decay_steps is None:
        raise rules.clash(name + 'decay', name + 'base_decay_steps', 'it needs the steps between two drops')
    if schedule.decay == 'stepwise' and not drops and not schedule.base_drops_before_end:
        raise rules.clash(
            name + 'decay',
            name + 'stepwise_boundaries',
            'it needs at least one share of the length at which the rate drops',
        )


def _check_drops_before_end(rules: checks.Rules) -> None:
    key, schedule = 'trainer.schedule.base_drops_before_end', rules.config.trainer.schedule
    before = list(schedule.base_drops_before_end)
    if before != sorted(set(before), reverse=True) or any(step < 1 for step in before):
        raise rules.fail(key, 'decreasing numbers of steps, each 1 or more')
    if before and schedule.stepwise_boundaries:
        raise rules.clash(key, 'trainer.schedule.stepwise_boundaries', 'give one of them, and [] for the other')


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
    validate_schedule(params, sources)
    rules = checks.Rules(params, where)
    _check_runtime(rules)
    _check_tpu(rules)
    _check_trainer(rules)
    _check_optimization(rules)
    families.of(params.task).check(rules)
    validation_data.check(rules)


validate_data = validation_data.validate_data


def validate_runtime(params: Any, num_replicas: int, sources: Mapping[str, str] | None = None) -> None:
    """Checks that every batch can be shared out evenly over the replicas.

    Raises:
        UserError: a global batch size is no multiple of `num_replicas`; names the nearest that are.
    """
    rules = checks.Rules(params, checks.Where(sources))
    for part in (*validation_data.parts(params.task), *validation_data.further_parts(params.task)):
        key = f'task.{part}.global_batch_size'
        size = rules.value(key)
        if size % num_replicas:
            below, above = size // num_replicas * num_replicas, -(-size // num_replicas) * num_replicas
            near = f'{below} or {above}' if below else str(above)
            raise rules.fail(key, f'a multiple of the {num_replicas} replicas, such as {near}')


def _check_runtime(rules: checks.Rules) -> None:
    rules.choice('runtime.mixed_precision_dtype', _DTYPES)
    rules.choice('runtime.distribution_strategy', _STRATEGIES)
    rules.at_least(0, 'runtime.num_gpus')
    scale = rules.value('runtime.loss_scale')
    if scale is not None and (scale <= 0 if not isinstance(scale, str) else scale != 'dynamic'):
        raise rules.fail('runtime.loss_scale', "a number over 0, 'dynamic' or null")


def _check_tpu(rules: checks.Rules) -> None:
    """Refuses what TPUs have no operation or number format for."""
    strategy = 'runtime.distribution_strategy'
    if rules.value(strategy) != 'tpu':
        return
    if rules.value('runtime.mixed_precision_dtype') == 'float16':
        raise rules.clash('runtime.mixed_precision_dtype', strategy, 'TPUs compute in bfloat16 or float32')
    regions = getattr(rules.config.task.model, 'roi_generator', None)
    if regions is not None and regions.use_batched_nms:
        raise rules.clash('task.model.roi_generator.use_batched_nms', strategy, 'TPUs have no operation for it')
    generator = getattr(rules.config.task.model, 'detection_generator', None)
    if generator is not None and generator.nms_version == 'batched':
        key = 'task.model.detection_generator.nms_version'
        raise rules.clash(key, strategy, "TPUs have no operation for it; take 'v2'")


def _check_trainer(rules: checks.Rules) -> None:
    trainer, name = rules.config.trainer, 'trainer.'
    rules.at_least(1, *(name + key for key in (*_INTERVALS, 'max_to_keep')))
    rules.positive(name + 'loss_upper_bound')
    steps = rules.value(name + 'validation_steps')
    if steps != -1 and steps < 1:
        raise rules.fail(name + 'validation_steps', '1 or more, or -1 for all validation examples')
    if trainer.summary_interval % trainer.steps_per_loop:
        raise rules.clash(
            name + 'summary_interval', name + 'steps_per_loop', 'the first has to be a multiple of the second'
        )
    rules.choice(name + 'best_checkpoint_metric_comp', ('higher', 'lower'))
    if trainer.best_checkpoint_export_subdir:
        _check_best_metric(rules)


def _check_best_metric(rules: checks.Rules) -> None:
    """Model Garden would export a 'best' checkpoint once and fail at the second evaluation."""
    key = 'trainer.best_checkpoint_eval_metric'
    name = rules.value(key)
    known = families.of(rules.config.task).metrics(rules.config.task)
    group = next((prefix for prefix in known if prefix.endswith('/') and name.startswith(prefix)), name)
    if group not in known:
        rules.choice(key, known)
    comparison = 'trainer.best_checkpoint_metric_comp'
    needed = known[group]
    if rules.value(comparison) != needed:
        raise rules.clash(key, comparison, f"the best is the '{needed}' one")


def _check_optimization(rules: checks.Rules) -> None:
    name = 'trainer.optimizer_config.'
    config = rules.config.trainer.optimizer_config
    for part in ('optimizer', 'learning_rate', 'warmup'):
        chosen, branches = getattr(config, part).type, checks.fields(getattr(config, part))
        rules.choice(f'{name}{part}.type', [branch for branch in branches if branch != 'type'])
        if chosen is None and part != 'warmup':
            raise errors.unknown_name(
                f'{name}{part}.type', None, branches, rules.where(f'{name}{part}.type')
            )
    _check_optimizer(rules, f'{name}optimizer.{config.optimizer.type}.', config.optimizer.get())
    rate = config.learning_rate
    _check_learning_rate(rules, f'{name}learning_rate.{rate.type}.', rate.get())
    if config.warmup.type is not None:
        key = f'{name}warmup.{config.warmup.type}.'
        _require(rules, key, 'warmup_steps')
        rules.positive(key + 'warmup_steps')
    if config.ema is not None:
        rules.share(name + 'ema.average_decay')
        if rules.value('runtime.distribution_strategy') == 'off':
            rule = 'averaged weights can only be swapped in within a strategy, such as one_device'
            raise rules.clash(name + 'ema.average_decay', 'runtime.distribution_strategy', rule)


def _check_optimizer(rules: checks.Rules, name: str, config: hyperparams.Config) -> None:
    names = checks.fields(config)
    below_one = ('momentum', 'beta_1', 'beta_2', 'rho')
    rules.below_one(*(name + field for field in below_one if field in names))
    positive = ('clipnorm', 'clipvalue', 'global_clipnorm', 'epsilon')
    rules.positive(*(name + field for field in positive if field in names))
    clips = [field for field in positive[:3] if field in names and getattr(config, field) is not None]
    if len(clips) > 1:
        raise rules.clash(name + clips[0], name + clips[1], 'only one kind of clipping can apply')


def _require(rules: checks.Rules, branch: str, field: str) -> None:
    """Raises if a field of the chosen branch 'a.b.kind.' of a one-of is not set."""
    if rules.value(branch + field) is None:
        group, kind = branch[:-1].rsplit('.', 1)
        place = rules.where(group + '.type')
        raise errors.UserError(
            f"{branch}{field} is not set, but {group}.type is '{kind}' (set in {place}) and needs it. "
            'Set it, or leave the type out to have everything derived from trainer.schedule.'
        )


def _check_learning_rate(rules: checks.Rules, name: str, config: hyperparams.Config) -> None:
    """What a schedule chosen by hand needs; one derived from trainer.schedule has it all."""
    for field in checks.fields(config):
        if field not in _OPTIONAL_FIELDS:
            _require(rules, name, field)
    names = checks.fields(config)
    rates = ('initial_learning_rate', 'learning_rate', 'end_learning_rate')
    rules.at_least(0, *(name + field for field in (*rates, 'alpha') if field in names))
    rules.positive(*(name + field for field in ('decay_steps', 'total_decay_steps') if field in names))
    # Happens when the params.yaml of a short run is the base of a longer one.
    ends = config.decay_steps + config.offset if '.cosine.' in name and not config.alpha else math.inf
    if ends < rules.value('trainer.train_steps'):
        rule = 'after the decay the rate is 0 and nothing is learnt; set learning_rate.type to null to have it derived'
        raise rules.clash(name + 'decay_steps', 'trainer.train_steps', rule)
    if 'boundaries' in names:
        boundaries, values = list(config.boundaries), list(config.values)
        if any(np.diff(boundaries) <= 0) or any(step < 0 for step in boundaries):
            raise rules.fail(name + 'boundaries', 'increasing steps')
        # step_cosine_with_offset decays to 0 after its last boundary, so it needs no value for that part.
        needed = len(boundaries) + (0 if 'step_cosine' in name else 1)
        if len(values) != needed:
            raise rules.fail(name + 'values', f'{needed} values for the {len(boundaries)} boundaries')
