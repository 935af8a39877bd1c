"""A grid of settings: its combinations, and its parameters as Vertex AI names them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.common import errors

# An id goes to the trial as a flag, so it must be one: the keys' dots become this.
_DOT = '__'
_KEY = re.compile(r'[A-Za-z]\w*(\.[A-Za-z]\w*)+')
_OPENING, _CLOSING = '[{(', ']})'


def parameter_id(key: str) -> str:
    """Returns the id of a dotted key: 'trainer.train_steps' is 'trainer__train_steps'."""
    return key.replace('.', _DOT)


def key_of(identifier: str) -> str:
    """Returns the dotted key of an id."""
    return identifier.replace(_DOT, '.')


def is_parameter(flag: str) -> bool:
    """Whether a flag's name (without dashes) is the id of a parameter."""
    return _DOT in flag and bool(_KEY.fullmatch(key_of(flag)))


def parse(items: Sequence[str]) -> dict[str, list[str]]:
    """Reads --grid=key=v1,v2 items.

    Returns:
        Dotted key -> its values as they were written, in the order given.

    Raises:
        UserError: an item is of another form, a key comes twice or has no way back from its id, a value is empty
            or comes twice, or there is nothing to choose from.
    """
    found: dict[str, list[str]] = {}
    for item in items:
        key, equals, text = item.partition('=')
        if not equals or not _KEY.fullmatch(key) or _DOT in key or '_.' in key or key.endswith('_'):
            raise errors.bad_value('--grid', item, 'key=v1,v2 with a dotted key, such as trainer.schedule.x=1,2')
        if key in found:
            raise errors.bad_value('--grid', item, f"each key once; '{key}' has values {', '.join(found[key])} already")
        values = [value.strip() for value in split(text)]
        if '' in values:
            raise errors.bad_value('--grid', item, 'values between the commas; none may be empty')
        if len(set(values)) < len(values):
            raise errors.bad_value('--grid', item, 'each value once; the same trial would be paid for twice')
        found[key] = values
    if not found:
        raise errors.UserError('--grid is missing; a tuning job needs one or more, such as --grid=task.x=1,2.')
    if all(len(values) == 1 for values in found.values()):
        raise errors.bad_value('--grid', ' '.join(items), 'two or more values of at least one key')
    return found


def split(text: str) -> list[str]:
    """Splits at the commas outside of brackets; 'a,[b,c]' is two values."""
    parts, depth = [''], 0
    for letter in text:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return parts


def combinations(grid: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every choice of one value for each key, the last key changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def override(base: str, values: Mapping[str, str]) -> str:
    """Returns the --params_override that lays `values` over `base`."""
    parts = [base] if base else []
    return ','.join([*parts, *(f'{key}={value}' for key, value in values.items())])


def study_spec(grid: Mapping[str, Sequence[str]], metric: str, goal: str) -> dict[str, Any]:
    """Returns the StudySpec that tries every combination.

    Values are categories, texts to the service, so that a trial is given them just as they were written.

    Args:
        grid: dotted key -> values.
        metric: the validation metric that trials report.
        goal: 'higher' or 'lower'.
    """
    return {
        'metrics': [{'metricId': metric, 'goal': {'higher': 'MAXIMIZE', 'lower': 'MINIMIZE'}[goal]}],
        'parameters': [
            {'parameterId': parameter_id(key), 'categoricalValueSpec': {'values': list(values)}}
            for key, values in grid.items()
        ],
        'algorithm': 'GRID_SEARCH',
        # A run keeps its best checkpoint, so that is the one to judge it by.
        'measurementSelectionType': 'BEST_MEASUREMENT',
    }
