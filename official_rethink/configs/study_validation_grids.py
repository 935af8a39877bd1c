"""What a study may search for, on which arms, and for which."""

from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks, study_validation
from official_rethink.configs.study_validation import EACH_ARM, ONCE

_PLAIN = (int, float, str, bool, type(None))


def validate(config: Any, where: checks.Where) -> None:
    """Checks the grids of a `StudyConfig` whose arms are in order.

    Raises:
        UserError: the first thing that is wrong.
    """
    for index, grid in enumerate(config.grids):
        _validate_grid(config, index, grid, where)
        _validate_values(grid, f'grids[{index}].', where)
        _validate_carried(config, index, grid, where)


def _validate_grid(config: Any, index: int, grid: Any, where: checks.Where) -> None:
    prefix = f'grids[{index}].'

    def fail(name: str, allowed: str) -> errors.UserError:
        return errors.bad_value(_label(prefix + name, grid), getattr(grid, name), allowed, where(prefix + name))

    if not study_validation.PLAIN.fullmatch(grid.name):
        raise fail('name', study_validation.PLAIN_WORDS)
    names = [other.name for other in config.grids[:index]]
    if grid.name in names:
        raise fail('name', f'a name no other grid has; grids[{names.index(grid.name)}] has it')
    if grid.search not in (ONCE, EACH_ARM):
        key = prefix + 'search'
        raise errors.unknown_name(_label(key, grid), grid.search, (ONCE, EACH_ARM), where(key))
    if grid.seed < 0:
        raise fail('seed', '0 or more')
    if grid.steps < 0:
        raise fail('steps', "0 for the arm's, or a number of steps")
    if not grid.carried_to or len(set(grid.carried_to)) != len(grid.carried_to):
        raise fail('carried_to', 'names of arms, at least one, none twice')
    if grid.search == EACH_ARM and grid.arm:
        raise fail('arm', "'' where search is 'each_arm': every arm of carried_to is tuned for itself")
    known = [arm.name for arm in config.arms]
    for name, arms in (('arm', [grid.arm] if grid.search == ONCE else []), ('carried_to', grid.carried_to)):
        for arm in arms:
            if arm not in known:
                raise errors.unknown_name(f'arm in {_label(prefix + name, grid)}', arm, known, where(prefix + name))


def _label(key: str, grid: Any) -> str:
    return f"{key} (grid '{grid.name}')"


def _validate_values(grid: Any, prefix: str, where: checks.Where) -> None:
    if not grid.values:
        key = prefix + 'values'
        raise errors.bad_value(_label(key, grid), {}, 'at least one key with the values to try', where(key))
    keys: list[str] = []
    for item in grid.values:
        key = f'{prefix}values.{item.key}'
        if not all(item.key.split('.')):
            raise errors.bad_value(_label(prefix + 'values', grid), item.key, 'dotted keys of a training', where(key))
        clash = next((one for one in keys if _within(one, item.key) or _within(item.key, one)), '')
        if clash:
            raise errors.bad_value(_label(key, grid), item.values, f"nothing, since '{clash}' sets it too", where(key))
        keys.append(item.key)
        if not item.values or any(value in item.values[:place] for place, value in enumerate(item.values)):
            raise errors.bad_value(_label(key, grid), item.values, 'at least one value, none twice', where(key))
        for value in item.values:
            if not all(isinstance(part, _PLAIN) for part in (value if isinstance(value, list) else [value])):
                raise errors.bad_value(_label(key, grid), value, 'numbers, text, true, false, null, or lists of these')


def _within(key: str, other: str) -> bool:
    return f'{key}.'.startswith(f'{other}.')


def _validate_carried(config: Any, index: int, grid: Any, where: checks.Where) -> None:
    """Refuses values that two places decide, and arms that a search cannot be made on."""
    prefix = f'grids[{index}].'
    for name in grid.carried_to:
        before = next((other for other in config.grids[:index] if name in other.carried_to), None)
        if before is not None:
            key = prefix + 'carried_to'
            allowed = f"arms no other grid is carried to; grid '{before.name}' is to this one"
            raise errors.bad_value(_label(key, grid), name, allowed, where(key))
    searched = [grid.arm] if grid.search == ONCE else list(grid.carried_to)
    for name in searched:
        key = prefix + ('arm' if grid.search == ONCE else 'carried_to')
        if config.arm(name).self_training:
            allowed = 'arms that do not self-train; what is found may be carried to those that do'
            raise errors.bad_value(_label(key, grid), name, allowed, where(key))
        other = config.grid_of(name)
        if other is not None and other is not grid:
            allowed = f"an arm that takes nothing over from another grid; '{other.name}' is carried to it"
            raise errors.bad_value(_label(key, grid), name, allowed, where(key))
