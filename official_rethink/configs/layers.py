"""What a user writes over a factory's values: YAML files and `--params_override`, with their places."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import yaml

from official_rethink.common import errors
from official_rethink.configs import shipped

OVERRIDE_FLAG = '--params_override'

_NAME = re.compile(r'\s*([A-Za-z_][\w.]*)(?:\[(\d+)\])?\s*=')
_OPENING, _CLOSING, _QUOTES = '[{(', ']})', '\'"'


@dataclasses.dataclass
class Layer:
    """Nested values and where each was written.

    Attributes:
        values: nested dictionaries, as YAML gives them.
        places: dotted key -> 'file:line' or the flag; list items are 'key[0]'.
        name: file or flag, for keys without a place of their own.
    """

    values: dict[str, Any]
    places: dict[str, str]
    name: str

    def place(self, key: str) -> str:
        """Where `key` was written; a list's items fall back on the list."""
        return self.places.get(key) or self.places.get(key.split('[')[0]) or self.name


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as Model Garden reads it: 1e-3 is a number, tuples of a saved params.yaml are lists."""


# YAML 1.1 takes '1e-3' and '1.5e3' for text, which no one who writes a learning rate means.
_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$'),
    list('-+0123456789.'),
)
_Loader.add_constructor('tag:yaml.org,2002:python/tuple', _Loader.construct_yaml_seq)  # type: ignore[type-var]


def read_file(path: str) -> Layer:
    """Reads a YAML (or JSON) file: the one at `path`, or the one of that name that came with the package.

    Raises:
        UserError: the file is missing, not text, not YAML, not a mapping, or has a key twice; with the line.
    """
    from tensorflow import io  # noqa: PLC0415  keeps this module importable without waiting for TensorFlow

    path = shipped.find(path)
    try:
        with io.gfile.GFile(path, 'rb') as handle:
            text = handle.read().decode('utf-8')
    except UnicodeDecodeError as error:
        raise errors.UserError(
            f"'{path}' is not UTF-8 text: {error.reason} at byte {error.start}."
        ) from error
    return _parse(text, path)


def _parse(text: str, name: str) -> Layer:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        places: dict[str, str] = {}
        if node is not None:
            _collect_places(node, '', name, places)
        values = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise errors.UserError(_yaml_message(error, name)) from error
    finally:
        loader.dispose()
    if values is None:
        return Layer({}, {}, name)
    if not isinstance(values, dict):
        raise errors.bad_value(f"the content of '{name}'", values, 'keys and values, such as task: {...}')
    return Layer(values, places, name)


def _yaml_message(error: yaml.YAMLError, name: str) -> str:
    problem, mark = getattr(error, 'problem', None), getattr(error, 'problem_mark', None)
    at = f':{mark.line + 1}' if mark else ''
    return f'{name}{at} is not valid YAML: {problem or error}.'


def _collect_places(node: yaml.Node, key: str, name: str, places: dict[str, str]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            place = f'{name}:{key_node.start_mark.line + 1}'
            if not isinstance(key_node, yaml.ScalarNode):
                raise errors.UserError(f'{place}: a key has to be a name.')
            child = f'{key}.{key_node.value}' if key else key_node.value
            if key_node.value in seen:
                raise errors.UserError(
                    f"{place}: the key '{child}' is written twice; the first would be lost."
                )
            seen.add(key_node.value)
            places[child] = place
            _collect_places(value_node, child, name, places)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            places[f'{key}[{index}]'] = f'{name}:{item.start_mark.line + 1}'
            _collect_places(item, f'{key}[{index}]', name, places)


def read_override(text: str) -> Layer:
    """Reads `--params_override`: `a.b=1,c=[1,2]`, a YAML / JSON mapping in braces, or the path of a file.

    Raises:
        UserError: a piece is not of the form key=value, or contradicts another one.
    """
    text = text.strip()
    if not text:
        return Layer({}, {}, OVERRIDE_FLAG)
    if text.startswith('{'):
        layer = _parse(text, OVERRIDE_FLAG)
        return Layer(layer.values, dict.fromkeys(layer.places, OVERRIDE_FLAG), OVERRIDE_FLAG)
    if text.endswith(('.yaml', '.yml', '.json')) and '=' not in text:
        return read_file(text)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for piece in _split(text):
        found = _NAME.match(piece)
        if not found:
            raise errors.UserError(
                f"{OVERRIDE_FLAG}: '{piece.strip()}' is not key=value; pairs are separated by commas, and "
                'lists are written in brackets: key=[a,b].'
            )
        key, index = found.group(1), found.group(2)
        _put(values, key, _scalar(piece[found.end() :].strip()), index)
        places[key] = OVERRIDE_FLAG
    for key in places:
        item = _get(values, key)
        if isinstance(item, list) and _MISSING in item:
            raise errors.UserError(
                f'{OVERRIDE_FLAG}: {key}[{item.index(_MISSING)}] is missing; a list given by index is '
                'replaced as a whole, so all its items are needed.'
            )
    return Layer(values, places, OVERRIDE_FLAG)


def _split(text: str) -> Iterator[str]:
    """Splits at the commas that stand outside of brackets and quotes."""
    depth, quote, start = 0, '', 0
    for position, letter in enumerate(text):
        if quote:
            quote = '' if letter == quote else quote
        elif letter in _QUOTES and text[:position].rstrip().endswith(('=', ',', '[', '{', ':')):
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == ',' and depth == 0:
            yield text[start:position]
            start = position + 1
    if text[start:].strip():
        yield text[start:]


def _scalar(text: str) -> Any:
    """A value as YAML reads it; what YAML cannot read (a pattern such as *.tfrecord) is text."""
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError:
        return text
    # 'gs: //x' aside, a mapping without braces is text with a colon in it.
    return text if isinstance(value, dict) and not text.startswith('{') else value


class _Missing:
    """The type of a list item not given yet."""


_MISSING = _Missing()


def _get(values: dict[str, Any], key: str) -> Any:
    node: Any = values
    for part in key.split('.'):
        node = node[part]
    return node


def _put(values: dict[str, Any], key: str, value: Any, index: str | None) -> None:
    *parents, last = key.split('.')
    node = values
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise errors.UserError(
                f"{OVERRIDE_FLAG}: '{part}' of '{key}' is given a value and keys below it."
            )
    if index is None:
        if last in node:
            raise errors.UserError(f"{OVERRIDE_FLAG}: '{key}' is given twice.")
        node[last] = value
        return
    items = node.setdefault(last, [])
    if not isinstance(items, list):
        raise errors.UserError(f"{OVERRIDE_FLAG}: '{key}' is given as a whole and by index.")
    items.extend([_MISSING] * (int(index) + 1 - len(items)))
    items[int(index)] = value
