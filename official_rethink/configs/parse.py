"""From an experiment's name, YAML files and overrides to a resolved, validated, locked config."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official.core import exp_factory
from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import (
    checks,
    classification,  # noqa: F401  registers its experiments
    detection,  # noqa: F401  registers its experiments
    joint,  # noqa: F401  registers its experiments
    layers,
    maskrcnn_experiments,  # noqa: F401  registers its experiments
    schedule,
    segmentation,  # noqa: F401  likewise
    simclr,  # noqa: F401  registers its experiments
    validation,
)

FACTORY = 'factory'
DERIVED = 'trainer.schedule, derived'
_OURS = 'official_rethink.'


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A config and how it came about.

    Attributes:
        params: the resolved, validated and locked config.
        defaults: dotted key -> the factory's value, before any file.
        sources: dotted key -> where the value was set: 'factory', 'file:line', '--params_override',
            or 'trainer.schedule, derived'.
    """

    params: Any
    defaults: dict[str, Any]
    sources: dict[str, str]

    def is_set(self, key: str) -> bool:
        """Whether the user gave a key its value, in a file or a flag."""
        return self.sources.get(key, FACTORY) != FACTORY


def experiments() -> dict[str, str]:
    """The project's experiments: name -> one line of description."""
    return {
        name: (factory.__doc__ or '').strip().split('\n')[0]
        for name, factory in sorted(exp_factory._REGISTERED_CONFIGS.items())
        if factory.__module__.startswith(_OURS)
    }


def load_experiment(experiment: str, config_files: Sequence[str] = (), params_override: str = '') -> Any:
    """Returns an experiment's config: factory, then files in order, then the override; locked.

    Raises:
        UserError: any mistake in name, files, override or values.
    """
    return load(experiment, config_files, params_override).params


def load(experiment: str, config_files: Sequence[str] = (), params_override: str = '') -> Loaded:
    """As `load_experiment`, with the factory's values and the places where values were set."""
    known = experiments()
    if experiment not in known:
        raise errors.unknown_name('experiment', experiment, known, where='--experiment')
    return load_config(exp_factory.get_exp_config(experiment), config_files, params_override, _finish)


def load_config(
    config: hyperparams.Config,
    config_files: Sequence[str] = (),
    params_override: str = '',
    finish: Callable[[Any, dict[str, str]], None] | None = None,
) -> Loaded:
    """Lays files and an override over any config, strictly; checks types and locks.

    Args:
        config: an instance with its default values; it is changed in place.
        config_files: YAML files, applied in order.
        params_override: as the flag of that name takes it.
        finish: derives and checks what is particular to the config; gets config and sources.

    Raises:
        UserError: an unreadable file, an unknown key, a value of the wrong type, or what `finish` finds.
    """
    defaults = _leaves(config)
    written = [layers.read_file(path) for path in config_files] + [layers.read_override(params_override)]
    sources: dict[str, str] = {}
    order: dict[str, int] = {}
    for index, layer in enumerate(written):
        placed: dict[str, str] = {}
        _apply(config, layer.values, '', layer, placed)
        sources.update(placed)
        order.update(dict.fromkeys(placed, index))
    _check_one_ofs(config, '', sources, order)
    for key in _leaves(config):
        sources.setdefault(key, FACTORY)
    checks.check_types(config, checks.Where(sources))
    if finish:
        finish(config, sources)
    config.lock()
    return Loaded(config, defaults, sources)


def _finish(params: Any, sources: dict[str, str]) -> None:
    """Derives steps and learning rates from the schedule, then checks every range and choice."""
    validation.validate_schedule(params, sources)
    before = _leaves(params)
    schedule.resolve(params)
    for key, value in _leaves(params).items():
        if key not in before or before[key] != value:
            sources[key] = DERIVED
    validation.validate(params, sources)


def _leaves(config: Any) -> dict[str, Any]:
    return {key: value for key, value, _ in checks.walk(config)}


def _apply(
    config: Any, values: Mapping[Any, Any], prefix: str, layer: layers.Layer, placed: dict[str, str]
) -> None:
    """Writes a layer's values into a config; no key may be new, no value of another type."""
    hints = checks.annotations(config)
    names = checks.fields(config)
    for name, value in values.items():
        key = f'{prefix}{name}'
        place = layer.place(key)
        if name not in names:
            raise _unknown_key(config, str(name), prefix, place)
        current, annotation = config.__dict__[name], hints.get(name, Any)
        config.__dict__[name] = _converted(current, value, annotation, key, layer, placed)


def _unknown_key(config: Any, name: str, prefix: str, place: str) -> errors.UserError:
    names = checks.fields(config)
    guess = errors.nearest(name, names)
    hint = f" Did you mean '{prefix}{guess}'?" if guess else ''
    return errors.UserError(
        f"unknown key '{prefix}{name}' (set in {place}).{hint} "
        f"Allowed in '{prefix.rstrip('.') or 'the top level'}': {', '.join(sorted(names)) or 'nothing'}."
    )


def _converted(
    current: Any, value: Any, annotation: Any, key: str, layer: layers.Layer, placed: dict[str, str]
) -> Any:
    """The value as the field holds it; configs inside it are filled key by key."""
    place = layer.place(key)
    if isinstance(current, hyperparams.Config) or (
        isinstance(value, Mapping) and checks.config_class(annotation)
    ):
        if value is None and checks.fits(None, annotation):
            placed[key] = place
            return None
        if not isinstance(value, Mapping):
            raise errors.bad_value(key, value, f'keys and values, such as {_example(current)}', place)
        node = current
        if not isinstance(node, hyperparams.Config):
            cls = checks.config_class(annotation)
            assert cls is not None
            node = cls()
        _apply(node, value, key + '.', layer, placed)
        return node
    item_class = checks.item_class(annotation)
    if item_class and isinstance(value, Mapping) and hasattr(item_class, '_AS_MAPPING'):
        return _converted_mapping(value, item_class, key, layer, placed)
    if item_class and isinstance(value, list):
        return _converted_list(current, value, item_class, key, layer, placed)
    if isinstance(value, int) and not isinstance(value, bool) and not checks.fits(value, annotation):
        # 'model_id: 143' is text to the config and a number to YAML; there is no doubt what is meant.
        value = str(value) if checks.fits(str(value), annotation) else value
    checks.check_type(key, value, annotation, place)
    placed[key] = place
    return value


def _example(current: Any) -> str:
    names = checks.fields(current)
    return f'{{{names[0]}: ...}}' if names else '{}'


def _converted_list(
    current: Any,
    value: list[Any],
    item_class: type[hyperparams.Config],
    key: str,
    layer: layers.Layer,
    placed: dict[str, str],
) -> list[hyperparams.Config]:
    """A list of configs replaces the one before it as a whole."""
    items = []
    for index, entry in enumerate(value):
        item_key = f'{key}[{index}]'
        if not isinstance(entry, Mapping):
            raise errors.bad_value(item_key, entry, checks.words(item_class), layer.place(item_key))
        item = item_class()
        _apply(item, entry, item_key + '.', layer, placed)
        items.append(item)
    placed[key] = layer.place(key)
    return items


def _converted_mapping(
    value: Mapping[Any, Any],
    item_class: type[hyperparams.Config],
    key: str,
    layer: layers.Layer,
    placed: dict[str, str],
) -> list[hyperparams.Config]:
    """A list of configs of two fields, which a file writes as a mapping from the first to the second."""
    first, second = item_class._AS_MAPPING  # type: ignore[attr-defined]
    items = []
    for name, content in value.items():
        item, item_key = item_class(), f'{key}.{name}'
        checks.check_type(item_key, content, checks.annotations(item_class)[second], layer.place(item_key))
        item.__dict__.update({first: str(name), second: content})
        placed[item_key] = layer.place(item_key)
        items.append(item)
    placed[key] = layer.place(key)
    return items


def _check_one_ofs(config: Any, prefix: str, sources: Mapping[str, str], order: Mapping[str, int]) -> None:
    """A one-of's type has to exist, and a branch that was filled has to be the chosen one.

    A branch filled in an earlier file than the one that chose another type was overruled on purpose.
    """
    for name in checks.fields(config):
        value, key = config.__dict__[name], prefix + name
        if isinstance(value, list) and value and isinstance(value[0], hyperparams.Config):
            for index, item in enumerate(value):
                _check_one_ofs(item, f'{key}[{index}].', sources, order)
        if not isinstance(value, hyperparams.Config):
            continue
        if isinstance(value, hyperparams.OneOfConfig):
            _check_one_of(value, key, sources, order)
        _check_one_ofs(value, key + '.', sources, order)


def _check_one_of(value: Any, key: str, sources: Mapping[str, str], order: Mapping[str, int]) -> None:
    chosen, type_key = value.type, f'{key}.type'
    branches = [name for name in checks.fields(value) if name != 'type']
    if chosen is not None and chosen not in branches:
        raise errors.unknown_name(type_key, chosen, branches, sources.get(type_key, FACTORY))
    chosen_in = order.get(type_key, -1)
    for set_key, index in order.items():
        if not set_key.startswith(key + '.') or set_key == type_key:
            continue
        branch = set_key[len(key) + 1 :].split('.')[0]
        if branch != chosen and index >= chosen_in:
            raise errors.UserError(
                f'{set_key} is set in {sources[set_key]}, but {type_key} is {chosen!r} '
                f'(set in {sources.get(type_key, FACTORY)}), so it would have no effect; set {type_key} to '
                f"'{branch}' as well, or leave the key out."
            )
