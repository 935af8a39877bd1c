"""Packages that are imported on the way to Model Garden and hardly ever used: read from disk at their first use."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

# Imported by the module at the right, of a kind that every command loads. Together a third of the CPU time that a
# command takes before it does anything. Each is used from one thread: before Python 3.12 a lazy module must be.
LAZY = (
    'tensorflow_datasets',  # official.core.input_reader, for data that is named by `tfds_name`
    'matplotlib.pyplot',  # official.vision.utils.object_detection.visualization_utils, for its pictures
    'tensorflow_hub',  # tensorflow_text, for its splitter
    'pandas',  # Keras, for `Model.fit` of data frames
    'cv2',  # official.vision, for pictures
    'googleapiclient.discovery',  # TensorFlow, for clusters on Compute Engine
)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the named modules as the finders behind it do, and defers their loading."""

    def __init__(self, names: Sequence[str]):
        self._names = set(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the spec of one of the names, once; None for all others and for what is not installed."""
        if fullname not in self._names:
            return None
        self._names.discard(fullname)  # what is looked up again, by itself too, is found as usual
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def install(names: Sequence[str] = LAZY) -> None:
    """Defers the loading of modules that are not loaded yet; call before TensorFlow is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder([name for name in names if name not in sys.modules]))
