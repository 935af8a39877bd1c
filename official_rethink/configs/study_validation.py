"""What a study's values may be, and what they mean to each other; checked before anything starts."""

import re
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks

RANDOM = 'random'
AUGMENTATIONS = ('S1', 'S2', 'S3', 'S4')
ONCE, EACH_ARM = 'once', 'each_arm'
STUDENT_STARTS = ('teacher', 'initialization')
PRETRAINING_KINDS = ('classification', 'simclr', 'alignment')
_SCALES = (0.1, 4.0)  # of the network's input; more is a slip of the pen, and of the memory
PLAIN = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_COUNT = '0 for all that label_fraction leaves, or a number of images'
PLAIN_WORDS = "letters, digits, '.', '_' and '-', the first a letter or digit"


def validate(config: Any, where: checks.Where) -> None:
    """Checks a `StudyConfig`.

    Args:
        config: the study.
        where: says where a key was set.

    Raises:
        UserError: the first thing that is wrong.
    """
    rules = checks.Rules(config, where)
    if not PLAIN.fullmatch(config.name):
        raise rules.fail('name', PLAIN_WORDS)
    if not config.seeds or len(set(config.seeds)) != len(config.seeds) or min(config.seeds) < 0:
        raise rules.fail('seeds', 'at least one whole number, 0 or more, none twice')
    if not config.arms:
        raise rules.fail('arms', 'at least one arm')
    _validate_networks(config, where)
    _validate_pseudo_labels(config, rules)
    _validate_arms(config, where)
    _validate_budget(config, rules)
    _validate_pretraining(config, where)
    _validate_data(config, rules)


def _validate_pseudo_labels(config: Any, rules: checks.Rules) -> None:
    labels = config.pseudo_labels
    if not 0 < labels.score_floor < 1:
        raise rules.fail('pseudo_labels.score_floor', 'over 0 and under 1')
    rules.at_least(0, 'pseudo_labels.gallery_images')
    if config.kind().boxes:
        for name, nothing in (('scales', []), ('flip', False)):
            if getattr(labels, name) != nothing:
                raise rules.fail(f'pseudo_labels.{name}', f'{nothing} where the networks of the study detect boxes')
    elif labels.score_floor != type(labels)().score_floor:
        allowed = f'its default, {type(labels)().score_floor}, where label maps are made: these are stored whole'
        raise rules.fail('pseudo_labels.score_floor', allowed)
    least, most = _SCALES
    if any(not least <= scale <= most for scale in labels.scales) or len(set(labels.scales)) < len(labels.scales):
        raise rules.fail('pseudo_labels.scales', f"numbers from {least:g} to {most:g}, none twice; [] for the task's")


def most_rounds(arms: Any) -> int:
    """The most rounds of self-training that an arm has; 1 without any."""
    return max((arm.self_training_rounds for arm in arms if arm.self_training), default=1)


def _validate_budget(config: Any, rules: checks.Rules) -> None:
    budget = config.budget
    rules.at_least(1, 'budget.teacher_steps', 'budget.student_steps', 'budget.validation_interval')
    shortest, whose = _shortest(config)
    if budget.validation_interval > shortest:
        raise rules.fail(
            'budget.validation_interval',
            f'at most {shortest}, the shortest training{whose}, so that each has a best checkpoint',
        )
    total = budget.teacher_steps + most_rounds(config.arms) * budget.student_steps
    compared = any(arm.self_training for arm in config.arms)
    if compared and 0 < budget.supervised_steps < total or budget.supervised_steps < 0:
        raise rules.fail(
            'budget.supervised_steps',
            f'0, or at least {total}, teacher_steps + student_steps of every round, or the supervised arms get less',
        )


def _shortest(config: Any) -> tuple[int, str]:
    """Length of the shortest training, and which it is where that is not the budget's."""
    budget = config.budget
    lengths = [(budget.teacher_steps, ''), (budget.student_steps, '')]
    if not any(arm.self_training for arm in config.arms):
        lengths = [(config.supervised_steps(), '')]
    lengths += [(arm.steps, f" (arm '{arm.name}')") for arm in config.arms if arm.steps]
    lengths += [(grid.steps, f" (grid '{grid.name}')") for grid in config.grids if grid.steps > 0]
    return min(lengths)


def _validate_arms(config: Any, where: checks.Where) -> None:
    names: list[str] = []
    floor = config.pseudo_labels.score_floor if config.kind().boxes else 0.0
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


def _validate_networks(config: Any, where: checks.Where) -> None:
    names: list[str] = []
    for index, network in enumerate(config.networks):
        key = f'networks[{index}].name'
        if not PLAIN.fullmatch(network.name):
            raise errors.bad_value(key, network.name, PLAIN_WORDS, where(key))
        if network.name in names:
            allowed = f'a name no other network has; networks[{names.index(network.name)}] has it'
            raise errors.bad_value(key, network.name, allowed, where(key))
        names.append(network.name)
    for index, arm in enumerate(config.arms):
        key = f'arms[{index}].network'
        if arm.network and arm.network not in names:
            raise errors.unknown_name(f"{key} of arm '{arm.name}'", arm.network, names, where(key))
        if arm.network and arm.joint:
            key = f'arms[{index}].joint'
            allowed = f'false where network is set, which is {arm.network!r}; joint arms have roles of the study'
            raise errors.bad_value(f"{key} (arm '{arm.name}')", True, allowed, where(key))


def _validate_arm(arm: Any, prefix: str, floor: float, where: checks.Where) -> None:
    def fail(name: str, allowed: str) -> errors.UserError:
        label = f"{prefix}{name} (arm '{arm.name}')"
        return errors.bad_value(label, getattr(arm, name), allowed, where(prefix + name))

    if not PLAIN.fullmatch(arm.name):
        raise fail('name', PLAIN_WORDS)
    for name, allowed in (('augmentation', AUGMENTATIONS), ('student_init', STUDENT_STARTS)):
        if getattr(arm, name) not in allowed:
            label = f"{prefix}{name} of arm '{arm.name}'"
            raise errors.unknown_name(label, getattr(arm, name), allowed, where(prefix + name))
    if not 0 < arm.label_fraction <= 1:
        raise fail('label_fraction', 'over 0, to 1')
    if arm.label_count < 0 or arm.label_count and arm.label_fraction != 1:
        both = f'0 where label_fraction is {arm.label_fraction:g}'
        raise fail('label_count', both if arm.label_count > 0 else _COUNT)
    if arm.steps < 0 or arm.steps and arm.self_training:
        both = '0 where self_training is true: teacher and student take the steps of the budget'
        raise fail('steps', both if arm.steps > 0 else "0 for the budget's, or a number of steps")
    if arm.self_training and not floor <= arm.score_threshold <= 1:
        stored = f'pseudo_labels.score_floor, {floor}, to 1, since detections under the floor are not stored'
        raise fail('score_threshold', f'from {stored if floor else "0 to 1"}')
    if arm.self_training_rounds < 1:
        raise fail('self_training_rounds', '1 or more')
    if arm.self_training_rounds > 1 and not arm.self_training:
        raise fail('self_training_rounds', '1 where self_training is false')
    if not arm.initialization:
        raise fail('initialization', "'random' or the path of a checkpoint")
    if arm.pretraining and arm.initialization != RANDOM:
        raise fail('initialization', f"'random' where pretraining is set, which is {arm.pretraining!r}")
    if not arm.initialization_modules:
        raise fail('initialization_modules', 'at least one module')


def _validate_pretraining(config: Any, where: checks.Where) -> None:
    names: list[str] = []
    for index, item in enumerate(config.pretraining):

        def fail(name: str, allowed: str, item: Any = item, index: int = index) -> errors.UserError:
            key = f'pretraining[{index}].{name}'
            return errors.bad_value(key, getattr(item, name), allowed, where(key))

        if not PLAIN.fullmatch(item.name) or item.name == RANDOM:
            raise fail('name', f"{PLAIN_WORDS}; not 'random'")
        if item.name in names:
            raise fail('name', f'a name no other has; pretraining[{names.index(item.name)}] has it')
        if item.kind not in PRETRAINING_KINDS:
            key = f'pretraining[{index}].kind'
            raise errors.unknown_name(key, item.kind, PRETRAINING_KINDS, where(key))
        if item.steps < 1:
            raise fail('steps', '1 or more')
        if not 0 <= item.validation_interval <= item.steps:
            raise fail('validation_interval', f'from 0 to its steps, {item.steps}')
        if item.seed < 0:
            raise fail('seed', '0 or more')
        if not item.modules:
            raise fail('modules', 'at least one module')
        names.append(item.name)
    for index, arm in enumerate(config.arms):
        if arm.pretraining and arm.pretraining not in names:
            key = f'arms[{index}].pretraining'
            raise errors.unknown_name(f"{key} of arm '{arm.name}'", arm.pretraining, names, where(key))


def needed_sets(config: Any) -> list[str]:
    """Names of the data sets beyond the labelled, unlabelled, validation and test images that arms need."""
    kinds = {item.kind for item in config.used_pretraining()}
    sets = []
    if any(arm.joint for arm in config.arms) or kinds & {'classification', 'simclr'}:
        sets += ['classification', 'classification_validation']
    if 'alignment' in kinds:
        sets += ['alignment', 'alignment_validation']
    return sets


def _validate_data(config: Any, rules: checks.Rules) -> None:
    data = config.data
    extra = ('classification', 'classification_validation', 'alignment', 'alignment_validation')
    if not data.labelled:
        for name in ('unlabelled', 'validation', 'test', *extra):
            if getattr(data, name):
                raise rules.fail(f'data.{name}', "'' while data.labelled is ''")
        sizes = ['num_labelled', 'num_unlabelled', 'num_validation', 'num_test', 'num_classes', 'size']
        sizes += ['num_classification', 'num_classification_validation']
        rules.at_least(1, *(f'data.scenes.{name}' for name in sizes))
        rules.at_least(0, 'data.scenes.seed')
        rules.share('data.scenes.difficulty')
        return
    if not data.validation:
        raise rules.fail('data.validation', 'a shard pattern, since data.labelled is given')
    if not data.unlabelled and any(arm.self_training for arm in config.arms):
        raise rules.fail('data.unlabelled', 'a shard pattern, since an arm self-trains')
    kinds = {item.kind for item in config.used_pretraining()}
    for name in needed_sets(config):
        optional = name == 'classification_validation' and 'classification' not in kinds
        if not getattr(data, name) and not optional:
            raise rules.fail(
                f'data.{name}',
                'a shard pattern, since an arm is joint or starts from a pre-training; `prepare imagenet` makes such a '
                "set of images in a folder a class. An arm with pretraining: '' and a checkpoint as `initialization` "
                'needs none',
            )
