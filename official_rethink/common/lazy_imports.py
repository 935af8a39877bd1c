"""What a command imports before it works: packages hardly ever used are read late, and the collector waits."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

# Imported by the module at the right, of a kind that every command loads. Together two fifths of the CPU time that a
# command takes before it does anything. Each is used from one thread: before Python 3.12 a lazy module must be.
LAZY = (
    'tensorflow_datasets',  # official.core.input_reader, for data that is named by `tfds_name`
    'matplotlib.pyplot',  # official.vision.utils.object_detection.visualization_utils, for its pictures
    'tensorflow_hub',  # tensorflow_text, for its splitter
    'pandas',  # Keras, for `Model.fit` of data frames
    'scipy.linalg',  # Keras, for its preprocessing of images
    'scipy.ndimage',  # likewise
    'cv2',  # official.vision, for pictures
    'googleapiclient.discovery',  # TensorFlow, for clusters on Compute Engine
)

# The imports that make most of the objects of a process, all of which stay.
HEAVY = ('tensorflow', 'official_rethink.configs.parse', 'official_rethink.registry_imports')

# What a module has before it is read. `inspect` and AutoGraph ask every module there is for its file, and an import
# asks for the spec of what was imported before; nobody asks for these to use the module.
_KNOWN_UNREAD = frozenset(('__file__', '__name__', '__spec__'))


class _Unread(importlib.util._LazyModule):  # type: ignore[name-defined]
    """A module that is read when something of it is used, and not when it is asked what it is."""

    def __getattribute__(self, attr: str) -> Any:
        if attr in _KNOWN_UNREAD:
            known = object.__getattribute__(self, '__dict__')
            if attr in known:
                return known[attr]
        return super().__getattribute__(attr)


class _Loader(importlib.util.LazyLoader):
    """Python's own lazy loader, of modules of the class above."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        object.__setattr__(module, '__class__', _Unread)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the named modules as the finders behind it do, and changes how they are loaded."""

    def __init__(self, lazy: Sequence[str], heavy: Sequence[str]):
        self._names, self._heavy = {*lazy, *heavy}, frozenset(heavy)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the spec of one of the names, once; None for all others and for what is not installed."""
        if fullname not in self._names:
            return None
        self._names.discard(fullname)  # what is looked up again, by itself too, is found as usual
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            if fullname in self._heavy:
                spec.loader.exec_module = _uncollected(spec.loader.exec_module)  # type: ignore[assignment, method-assign]
            else:
                spec.loader = _Loader(spec.loader)
        return spec


def _uncollected(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Lets the collector of cyclic garbage wait while a module is read, and leaves what was made out of its rounds.

    Otherwise it goes through TensorFlow's million objects again and again, for nothing: while they are made, and then
    while functions are traced.
    """

    def executed(module: ModuleType) -> None:
        if not gc.isenabled():  # one of the others imports it, or somebody wants no collector
            execute(module)
            return
        gc.disable()
        try:
            execute(module)
            gc.freeze()
        finally:
            gc.enable()

    return executed


def install(names: Sequence[str] = LAZY, heavy: Sequence[str] = HEAVY) -> None:
    """Changes how modules that are not loaded yet will be; call before TensorFlow is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        left = [[name for name in group if name not in sys.modules] for group in (names, heavy)]
        sys.meta_path.insert(0, _Finder(*left))
