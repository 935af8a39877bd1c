"""Checks of the size that a detector's images are resized to, and of its test-time augmentation."""

from typing import Any

from official_rethink.configs import checks, types

_SHORTER, _LONGER = 'task.resizing.shorter_side', 'task.resizing.longer_side'
_SCALES = 'task.inference.scales'
_LOWEST, _HIGHEST = 0.1, 4.0


def check(rules: checks.Rules) -> None:
    """Checks `task.resizing`, what training draws in its place, and `task.inference`."""
    _check_sides(rules)
    for part in ('train_data', 'pseudo_data'):
        if part in checks.fields(rules.config.task):
            _check_draw(rules, f'task.{part}.augmentation.')
    _check_inference(rules)


def check_draw_is_taken(rules: checks.Rules, name: str, augmentation: types.Augmentation) -> None:
    """Refuses a shorter side that is drawn where images are not resized by it.

    Args:
        rules: of the config.
        name: of the data part, with a dot behind.
        augmentation: the part's.
    """
    if augmentation.shorter_side_min is not None and 'resizing' not in checks.fields(rules.config.task):
        key = f'{name}augmentation.shorter_side_min'
        raise rules.fail(key, 'null; only detectors resize images by their shorter side (task.resizing)')


def _check_sides(rules: checks.Rules) -> None:
    rules.at_least(0, _SHORTER, _LONGER)
    shorter, longer = rules.value(_SHORTER), rules.value(_LONGER)
    if bool(shorter) != bool(longer):
        raise rules.clash(_SHORTER, _LONGER, 'set both, or leave both 0 to fit images into task.model.input_size')
    if shorter > longer:
        raise rules.clash(_SHORTER, _LONGER, 'the first may be at most the second')
    model: Any = rules.config.task.model
    if longer > min(model.input_size[:2]):
        stride = 2**model.max_level
        least = -(-longer // stride) * stride
        rule = (
            f'the input has to hold images that lie and images that stand: sides of {least} or more; or both of '
            'task.resizing 0, to fit images into the input'
        )
        raise rules.clash('task.model.input_size', _LONGER, rule)


def _check_draw(rules: checks.Rules, name: str) -> None:
    low, high = rules.value(name + 'shorter_side_min'), rules.value(name + 'shorter_side_max')
    if low is None or high is None:
        return
    if not rules.value(_SHORTER):
        raise rules.clash(name + 'shorter_side_min', _SHORTER, 'set task.resizing too, or neither')
    if high > rules.value(_LONGER):
        raise rules.clash(name + 'shorter_side_max', _LONGER, 'the first may be at most the second')


def _check_inference(rules: checks.Rules) -> None:
    scales = rules.value(_SCALES)
    if not scales or not all(_LOWEST <= scale <= _HIGHEST for scale in scales):
        raise rules.fail(_SCALES, f'at least one number, each from {_LOWEST:g} to {_HIGHEST:g}')
    if len(set(scales)) != len(scales):
        raise rules.fail(_SCALES, 'numbers that differ from each other')
    rules.at_least(0, 'task.inference.soft_nms_sigma')
    rules.share('task.inference.box_voting_threshold')
