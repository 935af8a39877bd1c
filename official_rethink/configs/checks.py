"""Checks of config values: types against their annotations, and the words for ranges and choices."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Union

from official.modeling import hyperparams
from official.modeling.hyperparams import params_dict

from official_rethink.common import errors


class Where:
    """Says where a key was set."""

    def __init__(self, sources: Mapping[str, str] | None = None):
        """Args: dotted key -> place."""
        self._sources = sources or {}

    def __call__(self, key: str) -> str:
        """The place that set `key`, or the nearest parent of it; '' if none is known."""
        while key:
            if key in self._sources:
                return self._sources[key]
            key = key[: max(key.rfind('.'), key.rfind('['), 0)]
        return ''


def annotations(config: Any) -> dict[str, Any]:
    """The annotated fields of a config or its class, in the order they were declared."""
    return _annotations(config if isinstance(config, type) else type(config))


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(cls)}


def fields(config: Any) -> list[str]:
    """The keys that can be set in a config."""
    return [key for key in config.__dict__ if key not in params_dict.ParamsDict.RESERVED_ATTR]


def arms(annotation: Any) -> tuple[Any, ...]:
    """The members of a union (`X | None`, Optional[X]), or the annotation alone."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def config_class(annotation: Any) -> type[hyperparams.Config] | None:
    """The config class a field may hold, if it is annotated with one."""
    for arm in arms(annotation):
        if isinstance(arm, type) and issubclass(arm, hyperparams.Config):
            return arm
    return None


def item_class(annotation: Any) -> type[hyperparams.Config] | None:
    """The config class of the items, if the annotation is a sequence of configs."""
    for arm in arms(annotation):
        if _is_sequence(arm) and typing.get_args(arm):
            return config_class(typing.get_args(arm)[0])
    return None


def _is_sequence(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str)


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of the annotated type; a whole number passes for a number, text never does."""
    return any(_fits_arm(value, arm) for arm in arms(annotation))


def _fits_arm(value: Any, arm: Any) -> bool:
    if arm is Any or isinstance(arm, typing.TypeVar):
        return True
    if arm is type(None) or arm is None:
        return value is None
    if arm is bool:
        return isinstance(value, bool)
    if arm is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if arm is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if _is_sequence(arm):
        return _fits_sequence(value, arm)
    origin = typing.get_origin(arm) or arm
    if origin is typing.Literal:
        return value in typing.get_args(arm)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping | params_dict.ParamsDict)
    return isinstance(origin, type) and isinstance(value, origin)


def _fits_sequence(value: Any, arm: Any) -> bool:
    if not isinstance(value, list | tuple):
        return False
    items = typing.get_args(arm)
    if not items:
        return True
    if typing.get_origin(arm) is tuple and Ellipsis not in items:
        return len(items) == len(value) and all(map(fits, value, items))
    return all(fits(item, items[0]) for item in value)


_WORDS = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'text', type(None): 'null'}


def words(annotation: Any) -> str:
    """The annotation for people: 'a whole number or null'."""
    return ' or '.join(_arm_words(arm) for arm in arms(annotation))


def _arm_words(arm: Any) -> str:
    if arm in _WORDS:
        return _WORDS[arm]
    items = typing.get_args(arm)
    if typing.get_origin(arm) is typing.Literal:
        return ', '.join(map(repr, items))
    if _is_sequence(arm):
        return f'a list of ({words(items[0])})' if items else 'a list'
    if isinstance(arm, type) and issubclass(arm, hyperparams.Config):
        return f'keys and values ({", ".join(annotations(arm)) or "none"})'
    return 'keys and values'


def walk(config: Any, prefix: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Yields (dotted key, value, annotation) of every leaf; of a one-of only the chosen branch.

    A list of configs yields its items' leaves under 'key[0].name'.
    """
    hints = annotations(config)
    chosen = config.type if isinstance(config, hyperparams.OneOfConfig) else None
    for name in fields(config):
        value, key = config.__dict__[name], prefix + name
        annotation = hints.get(name, Any)
        if isinstance(value, params_dict.ParamsDict):
            if not isinstance(config, hyperparams.OneOfConfig) or name == chosen:
                yield from walk(value, key + '.')
        elif isinstance(value, list | tuple) and value and isinstance(value[0], params_dict.ParamsDict):
            for index, item in enumerate(value):
                yield from walk(item, f'{key}[{index}].')
        else:
            yield key, value, annotation


def check_types(config: Any, where: Where, prefix: str = '') -> None:
    """Raises UserError for the first leaf whose value is not of its annotated type."""
    for key, value, annotation in walk(config, prefix):
        check_type(key, value, annotation, where(key))


def check_type(key: str, value: Any, annotation: Any, place: str) -> None:
    """Raises UserError if `value` is not of the annotated type."""
    if not fits(value, annotation):
        raise errors.bad_value(key, value, words(annotation), place)


def lookup(config: Any, key: str) -> Any:
    """The value under a dotted key ('a.b[0].c').

    Raises:
        KeyError: there is none.
    """
    node = config
    for part in key.replace('[', '.').replace(']', '').split('.'):
        node = node[int(part)] if part.isdigit() else node.__dict__[part]
    return node


class Rules:
    """Range and choice checks of one config, each error with value and place.

    Every method takes the dotted key of a value that has passed the type check; None always passes.
    """

    def __init__(self, config: Any, where: Where):
        """Args: the config; who says where a key was set."""
        self.config, self.where = config, where

    def value(self, key: str) -> Any:
        """The value under a dotted key."""
        return lookup(self.config, key)

    def fail(self, key: str, allowed: str) -> errors.UserError:
        """Builds the error for `key`."""
        return errors.bad_value(key, self.value(key), allowed, self.where(key))

    def clash(self, key: str, other: str, rule: str) -> errors.UserError:
        """Builds the error for two values that do not go together; `rule` says in words what would."""
        sides = []
        for name in (key, other):
            place = self.where(name)
            sides.append(f'{name} is {self.value(name)!r}' + (f' (set in {place})' if place else ''))
        return errors.UserError(f'{sides[0]}, but {sides[1]}; {rule}.')

    def at_least(self, low: float, *keys: str) -> None:
        """Each value is `low` or more."""
        for key in keys:
            value = self.value(key)
            if value is not None and value < low:
                raise self.fail(key, f'{low} or more')

    def positive(self, *keys: str) -> None:
        """Each value is over 0."""
        for key in keys:
            value = self.value(key)
            if value is not None and value <= 0:
                raise self.fail(key, 'over 0')

    def share(self, *keys: str) -> None:
        """Each value is in [0, 1]."""
        for key in keys:
            value = self.value(key)
            if value is not None and not 0 <= value <= 1:
                raise self.fail(key, 'from 0 to 1')

    def below_one(self, *keys: str) -> None:
        """Each value is in [0, 1)."""
        for key in keys:
            value = self.value(key)
            if value is not None and not 0 <= value < 1:
                raise self.fail(key, 'from 0 to under 1')

    def choice(self, key: str, allowed: Iterable[str]) -> None:
        """The value is one of a closed set of names."""
        value = self.value(key)
        if value is not None and value not in set(allowed):
            raise errors.unknown_name(key, value, allowed, self.where(key))
