"""What one published format says about its files: names, shapes, models, and the input scale it expects.

A layout is a description, by the names of the raw variables: where a TF1 file also holds
'<name>/ExponentialMovingAverage', the reader shows either under <name>, as asked for. Reading files
(`sources.py`), matching both directions, checking values and writing (`importing.py`) are done once, for
all layouts.

The pipeline gives every model (x - mean) / std with Model Garden's ImageNet numbers. Weights trained on
another scale are folded: the scale goes into the first convolution exactly; the offset goes into the moving
mean of the batch norm behind it, which is exact wherever that convolution sees no padding. The original
pads with zeros of its own scale, which on the pipeline's scale is the colour `Preprocessing.zero_point()`:
a backbone whose first convolution pads with that colour is exact at the border too.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from official.vision.ops import preprocess_ops

Transform = Callable[..., np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Take:
    """Where one of our variables comes from.

    Attributes:
        source: the tensor's name in the original's file.
        transform: array to array, such as OIHW to HWIO; None to take it as it is.
        others: further tensors that the transform takes after the first, as a bias that a batch norm's
            mean absorbs; they count as taken.
    """

    source: str
    transform: Transform | None = None
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The input that weights expect: (x - offset) / scale, with x in 0..255, channels R, G, B."""

    offset: tuple[float, float, float]
    scale: tuple[float, float, float]

    def equals(self, other: 'Preprocessing') -> bool:
        """Whether both give the same numbers, up to the rounding of the constants."""
        return bool(
            np.allclose(self.offset, other.offset, atol=1e-3) and np.allclose(self.scale, other.scale, atol=1e-3)
        )

    def zero_point(self) -> tuple[float, ...]:
        """The pipeline's value, per channel, of what the original's zero padding stands for."""
        ours = (np.asarray(self.offset) - PIPELINE.offset) / PIPELINE.scale
        return tuple(float(value) for value in ours)


# What every task gives its model: Model Garden's `normalize_image`.
PIPELINE = Preprocessing(
    offset=tuple(255.0 * value for value in preprocess_ops.MEAN_NORM),  # type: ignore[arg-type]
    scale=tuple(255.0 * value for value in preprocess_ops.STDDEV_NORM),  # type: ignore[arg-type]
)


@dataclasses.dataclass(frozen=True)
class Stem:
    """Where another input scale is folded in, as paths of our variables.

    Attributes:
        kernel: the first convolution's, [H, W, 3, C], channels R, G, B.
        moving_mean: of the batch norm right behind that convolution, which has no bias.
        pads_zero_point: whether the built model pads with `Preprocessing.zero_point()` there.
    """

    kernel: str
    moving_mean: str
    pads_zero_point: bool = False


class Layout:
    """One published format; subclasses say everything about it.

    Attributes:
        format: what --format names.
        preprocessing: the input scale the weights expect.
    """

    format: str = ''
    preprocessing: Preprocessing = PIPELINE

    def models(self) -> Sequence[str]:
        """Returns the ids this format can hold, such as 'efficientnet-b0'."""
        raise NotImplementedError

    def recognise(self, shapes: Shapes) -> str:
        """Returns the model id that names and shapes belong to.

        Raises:
            UserError: none of them.
        """
        raise NotImplementedError

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Returns live modules, by the name under which they are saved ('backbone', ...)."""
        raise NotImplementedError

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, Take]:
        """Returns, for every path that `paths(modules)` lists, where its value comes from."""
        raise NotImplementedError

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Returns the source names that are deliberately not imported, each with its reason."""
        del model, names
        return {}

    def stem(self, model: str, modules: Mapping[str, tf.keras.Model]) -> Stem | None:
        """Returns where the input scale is folded in; None where it needs no folding or cannot be."""
        del model, modules
        return None

    def settings(self, model: str) -> dict[str, str | int | float | bool]:
        """Returns the task settings, dotted, under which a model built by an experiment takes these weights."""
        del model
        return {}


def order_of_children(name: str) -> bool:
    """Sorts an object's children: a layer is listed twice, and 'layer-3' counts layers without weights too."""
    return name.startswith('layer-')


def paths(modules: Mapping[str, tf.Module]) -> dict[str, tf.Variable]:
    """Returns every variable of live modules by its place in the object graph that a checkpoint saves.

    Keras numbers the names of layers anew in each process; places such as
    'backbone/layer_with_weights-0/kernel' are the same everywhere. To go from a variable to its path,
    invert with `{variable.ref(): path for path, variable in paths(modules).items()}`.
    """
    found: dict[str, tf.Variable] = {}
    seen: set[int] = set()
    queue = [(module, name) for name, module in modules.items()]
    while queue:
        node, path = queue.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, tf.Variable):
            found[path] = node
            continue
        children = tf.train.TrackableView.children(node)
        for name in sorted(children, key=order_of_children):
            queue.append((children[name], f'{path}/{name}'))
    return found
