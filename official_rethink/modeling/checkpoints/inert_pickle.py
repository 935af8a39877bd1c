"""Reads the pickles inside PyTorch files as plain data: nothing in them is imported, called or executed.

Python's own unpickler runs what a pickle asks for. This one is a small stack machine over the opcodes that
state dicts consist of. A global becomes a name; the few names that tensors are made of are rebuilt as inert
records; any other name is refused before anything is done with it.
"""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import IO, Any

from official_rethink.common import errors

_MAX_OPCODES = 5_000_000

# Storage class -> numpy type; bfloat16 is widened by the reader.
STORAGE_TYPES = {
    'DoubleStorage': 'float64',
    'FloatStorage': 'float32',
    'HalfStorage': 'float16',
    'BFloat16Storage': 'bfloat16',
    'LongStorage': 'int64',
    'IntStorage': 'int32',
    'ShortStorage': 'int16',
    'CharStorage': 'int8',
    'ByteStorage': 'uint8',
    'BoolStorage': 'bool',
}


@dataclasses.dataclass(frozen=True)
class Storage:
    """A run of numbers elsewhere in the file."""

    dtype: str
    key: str
    length: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Global:
    module: str
    name: str

    def __str__(self) -> str:
        return f'{self.module}.{self.name}'


class _Mark:
    """Where a run of items on the stack begins."""


_MARK = _Mark()
_BUILDERS: dict[str, Callable[..., Any]] = {}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(_whole(item) and item >= 0 for item in value):
        raise errors.UserError(f'a tensor has the {what} {value!r}; allowed: whole numbers, 0 or more')
    return value


def _tensor(*arguments: Any) -> Tensor:
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise errors.UserError('a tensor is built from something other than a storage')
    storage, offset = arguments[0], _numbers((arguments[1],), 'offset')[0]
    shape, strides = _numbers(arguments[2], 'shape'), _numbers(arguments[3], 'strides')
    if len(shape) != len(strides):
        raise errors.UserError(f'a tensor has {len(shape)} sizes and {len(strides)} strides')
    count, last = 1, offset
    for size, stride in zip(shape, strides, strict=True):
        count *= size
        last += max(size - 1, 0) * stride
    # A stride of 0 repeats a number without end; a state dict never needs more values than its storage holds.
    if count and (last >= storage.length or count > storage.length):
        raise errors.UserError(
            f'a tensor of shape {list(shape)} reaches out of its storage of {storage.length} numbers'
        )
    return Tensor(storage, offset, shape, strides)


def _ordered_dict(*arguments: Any) -> dict[Any, Any]:
    if not arguments or arguments == ([],):
        return {}
    pairs = arguments[0]
    if len(arguments) != 1 or not isinstance(pairs, list):
        raise errors.UserError('an OrderedDict is built from something other than a list of pairs')
    found: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise errors.UserError('an OrderedDict is built from something other than a list of pairs')
        _put(found, pair[0], pair[1])
    return found


def _parameter(*arguments: Any) -> Tensor:
    if not arguments or not isinstance(arguments[0], Tensor):
        raise errors.UserError('a parameter is built from something other than a tensor')
    return arguments[0]


_BUILDERS.update(
    {
        'collections.OrderedDict': _ordered_dict,
        'torch._utils._rebuild_tensor': _tensor,
        'torch._utils._rebuild_tensor_v2': _tensor,
        'torch._utils._rebuild_parameter': _parameter,
    }
)
_STORAGE_CLASSES = {f'torch.{name}': dtype for name, dtype in STORAGE_TYPES.items()}


def _put(target: Any, key: Any, value: Any) -> None:
    if not isinstance(target, dict):
        raise errors.UserError('items are set on something other than a dictionary')
    if not isinstance(key, str | int | float | bool | None):
        raise errors.UserError(f'a dictionary has a key of type {type(key).__name__}')
    target[key] = value


def _global(module: Any, name: Any) -> _Global:
    found = _Global(str(module), str(name))
    if str(found) not in _BUILDERS and str(found) not in _STORAGE_CLASSES:
        raise errors.UserError(
            f"its pickle asks for '{found}', which no state dict needs; nothing was run. Allowed: "
            + ', '.join([*_BUILDERS, 'torch.FloatStorage and its kin'])
        )
    return found


def _persistent(identity: Any) -> Storage:
    """Turns ('storage', class, key, location, length, ...) into a storage."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != 'storage':
        raise errors.UserError('its pickle refers to something other than a storage')
    dtype = _STORAGE_CLASSES.get(str(identity[1])) if isinstance(identity[1], _Global) else None
    if dtype is None:
        raise errors.UserError(f"a storage has the class '{identity[1]}'; allowed: {', '.join(_STORAGE_CLASSES)}")
    if len(identity) > 5 and identity[5] is not None:
        raise errors.UserError('a storage is a view of another one, as only PyTorch before 0.4 wrote')
    key, length = identity[2], identity[4]
    if not isinstance(key, str) or not _whole(length) or length < 0:
        raise errors.UserError(f'a storage has the key {key!r} and the length {length!r}')
    return Storage(dtype, key, length)


class _Machine:
    """The stack, the memo, and what each opcode does to them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise errors.UserError('its pickle takes from an empty stack')
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise errors.UserError('its pickle takes from an empty stack')
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise errors.UserError('its pickle closes what it never opened')

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise errors.UserError('items are appended to something other than a list')
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise errors.UserError('a key in its pickle has no value')
        for key, value in zip(items[::2], items[1::2], strict=True):
            _put(self._top(), key, value)

    def _dictionary(self, items: list[Any]) -> None:
        self._stack.append({})
        self._set(items)

    def _reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Global) or str(function) not in _BUILDERS or not isinstance(arguments, tuple):
            raise errors.UserError(f"its pickle calls '{function}'; nothing was run")
        self._stack.append(_BUILDERS[str(function)](*arguments))

    def _build(self) -> None:
        """Attributes of an OrderedDict, such as a state dict's _metadata: dropped, they are no tensors."""
        state, target = self.pop(), self._top()
        if not isinstance(target, dict) or not isinstance(state, dict):
            raise errors.UserError('its pickle sets attributes on something other than a dictionary')

    def _remember(self, key: Any) -> None:
        self._memo[int(key)] = self._top()

    def _recall(self, key: Any) -> None:
        if int(key) not in self._memo:
            raise errors.UserError('its pickle recalls what it never stored')
        self._stack.append(self._memo[int(key)])

    def _stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(_global(module, name))

    def _tuple(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self._stack.append(tuple(reversed(items)))

    def step(self, opcode: str, argument: Any) -> None:
        """Does one opcode."""
        push = self._stack.append
        if opcode in _NOTHING:
            return
        if opcode in _VALUES:
            push(argument)
        elif opcode in _CONSTANTS:
            push(_CONSTANTS[opcode]())
        elif opcode in _TUPLES:
            self._tuple(_TUPLES[opcode])
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        else:
            raise errors.UserError(f"its pickle uses '{opcode}', which no state dict needs; nothing was run")

    def persistent(self) -> None:
        """Replaces an identity on the stack by the storage it names."""
        self._stack.append(_persistent(self.pop()))

    def duplicate(self) -> None:
        """Pushes the top again."""
        self._stack.append(self._top())


def _name_pair(argument: str) -> _Global:
    module, _, name = str(argument).partition(' ')
    return _global(module, name)


_NOTHING = {'PROTO', 'FRAME'}
_VALUES = {
    *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'),
    *('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8'),
    *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_TUPLE': tuple,
    'EMPTY_LIST': list,
    'EMPTY_DICT': dict,
    'MARK': lambda: _MARK,
}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_ACTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    'POP': lambda machine, _: machine.pop(),
    'POP_MARK': lambda machine, _: machine._since_mark(),
    'DUP': lambda machine, _: machine.duplicate(),
    'TUPLE': lambda machine, _: machine._stack.append(tuple(machine._since_mark())),
    'LIST': lambda machine, _: machine._stack.append(machine._since_mark()),
    'DICT': lambda machine, _: machine._dictionary(machine._since_mark()),
    'APPEND': lambda machine, _: machine._extend([machine.pop()]),
    'APPENDS': lambda machine, _: machine._extend(machine._since_mark()),
    'SETITEM': lambda machine, _: machine._set([machine.pop(), machine.pop()][::-1]),
    'SETITEMS': lambda machine, _: machine._set(machine._since_mark()),
    'GLOBAL': lambda machine, argument: machine._stack.append(_name_pair(argument)),
    'STACK_GLOBAL': lambda machine, _: machine._stack_global(),
    'REDUCE': lambda machine, _: machine._reduce(),
    'BUILD': lambda machine, _: machine._build(),
    'BINPERSID': lambda machine, _: machine.persistent(),
    'PUT': lambda machine, argument: machine._remember(argument),
    'BINPUT': lambda machine, argument: machine._remember(argument),
    'LONG_BINPUT': lambda machine, argument: machine._remember(argument),
    'MEMOIZE': lambda machine, _: machine._remember(len(machine._memo)),
    'GET': lambda machine, argument: machine._recall(argument),
    'BINGET': lambda machine, argument: machine._recall(argument),
    'LONG_BINGET': lambda machine, argument: machine._recall(argument),
}


def load(stream: IO[bytes]) -> Any:
    """Reads one pickle from where the stream stands, and leaves the stream right behind it.

    Returns:
        Dictionaries, lists, tuples, strings, numbers, None and `Tensor`s.

    Raises:
        UserError: a name or an opcode that state dicts have no use for, or a damaged pickle.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > _MAX_OPCODES:
                raise errors.UserError(f'its pickle has more than {_MAX_OPCODES} opcodes')
            if opcode.name == 'STOP':
                return machine.pop()
            machine.step(opcode.name, argument)
    except errors.UserError:
        raise
    except (ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise errors.UserError(f'its pickle is damaged: {error}') from error
    raise errors.UserError('its pickle is damaged: it has no end')
