"""What a study's values may be, and what they mean to each other; checked before anything starts."""

import re
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks

RANDOM = 'random'
AUGMENTATIONS = ('S1', 'S2', 'S3', 'S4')
STUDENT_STARTS = ('teacher', 'initialization')
_PLAIN = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_PLAIN_WORDS = "letters, digits, '.', '_' and '-', the first a letter or digit"


def validate(config: Any, where: checks.Where) -> None:
    """Checks a `StudyConfig`.

    Args:
        config: the study.
        where: says where a key was set.

    Raises:
        UserError: the first thing that is wrong.
    """
    rules = checks.Rules(config, where)
    if not _PLAIN.fullmatch(config.name):
        raise rules.fail('name', _PLAIN_WORDS)
    if not config.seeds or len(set(config.seeds)) != len(config.seeds) or min(config.seeds) < 0:
        raise rules.fail('seeds', 'at least one whole number, 0 or more, none twice')
    floor = config.pseudo_labels.score_floor
    if not 0 < floor < 1:
        raise rules.fail('pseudo_labels.score_floor', 'over 0 and under 1')
    rules.at_least(0, 'pseudo_labels.gallery_images')
    _validate_budget(config, rules)
    _validate_arms(config, floor, where)
    _validate_data(config, rules)


def _validate_budget(config: Any, rules: checks.Rules) -> None:
    budget = config.budget
    rules.at_least(1, 'budget.teacher_steps', 'budget.student_steps', 'budget.validation_interval')
    shortest = min(budget.teacher_steps, budget.student_steps)
    if budget.validation_interval > shortest:
        raise rules.fail(
            'budget.validation_interval',
            f'at most {shortest}, the shortest training, so that each has a best checkpoint',
        )
    total = budget.teacher_steps + budget.student_steps
    if budget.supervised_steps != 0 and budget.supervised_steps < total:
        raise rules.fail(
            'budget.supervised_steps',
            f'0, or at least {total}, teacher_steps + student_steps, or the supervised arms get less',
        )


def _validate_arms(config: Any, floor: float, where: checks.Where) -> None:
    names: list[str] = []
    if not config.arms:
        raise errors.bad_value('arms', [], 'at least one arm', where('arms'))
    for index, arm in enumerate(config.arms):
        _validate_arm(arm, f'arms[{index}].', floor, where)
        if arm.name in names:
            raise errors.bad_value(
                f'arms[{index}].name',
                arm.name,
                f'a name no other arm has; arms[{names.index(arm.name)}] has it',
                where(f'arms[{index}].name'),
            )
        names.append(arm.name)
    if config.baseline not in names:
        raise errors.unknown_name('arm in baseline', config.baseline, names, where('baseline'))


def _validate_arm(arm: Any, prefix: str, floor: float, where: checks.Where) -> None:
    def fail(name: str, allowed: str) -> errors.UserError:
        label = f"{prefix}{name} (arm '{arm.name}')"
        return errors.bad_value(label, getattr(arm, name), allowed, where(prefix + name))

    if not _PLAIN.fullmatch(arm.name):
        raise fail('name', _PLAIN_WORDS)
    for name, allowed in (('augmentation', AUGMENTATIONS), ('student_init', STUDENT_STARTS)):
        if getattr(arm, name) not in allowed:
            label = f"{prefix}{name} of arm '{arm.name}'"
            raise errors.unknown_name(label, getattr(arm, name), allowed, where(prefix + name))
    if not 0 < arm.label_fraction <= 1:
        raise fail('label_fraction', 'over 0, to 1')
    if arm.self_training and not floor <= arm.score_threshold <= 1:
        raise fail(
            'score_threshold',
            f'from pseudo_labels.score_floor, {floor}, to 1, since detections under the floor are not stored',
        )
    if not arm.initialization:
        raise fail('initialization', "'random' or the path of a checkpoint")
    if not arm.initialization_modules:
        raise fail('initialization_modules', 'at least one module')


def _validate_data(config: Any, rules: checks.Rules) -> None:
    data = config.data
    if not data.labelled:
        for name in ('unlabelled', 'validation', 'test'):
            if getattr(data, name):
                raise rules.fail(f'data.{name}', "'' while data.labelled is ''")
        sizes = ('num_labelled', 'num_unlabelled', 'num_validation', 'num_test', 'num_classes', 'size')
        rules.at_least(1, *(f'data.scenes.{name}' for name in sizes))
        rules.at_least(0, 'data.scenes.seed')
        rules.share('data.scenes.difficulty')
        return
    if not data.validation:
        raise rules.fail('data.validation', 'a shard pattern, since data.labelled is given')
    if not data.unlabelled and any(arm.self_training for arm in config.arms):
        raise rules.fail('data.unlabelled', 'a shard pattern, since an arm self-trains')
