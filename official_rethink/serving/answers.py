"""Images to compare a SavedModel with its checkpoint on, and what its signatures answer for them."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.data import problems, records
from official_rethink.pseudo_labels import source
from official_rethink.serving import module

BATCH = 8
IMAGE_MASKS = 'detection_image_masks'


def read(path: str, count: int, what: str = 'verify the export on') -> list[records.Record]:
    """Reads the first images of prepared shards, of other shards, or of a folder of image files.

    Args:
        path: of them.
        count: how many at most.
        what: what they are for, in an error.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    found: list[records.Record] = []
    problem_list = problems.ProblemList()
    for made in source.open_source(path, problem_list).read(0):
        problem_list.add(*made.problems)
        if made.record is not None:
            found.append(made.record)
        if len(found) == count:
            break
    problem_list.check()
    if not found:
        raise errors.UserError(f"no image at '{path}' to {what}.")
    return found


def pixels(record: records.Record) -> np.ndarray:
    """An image, uint8 RGB [H, W, 3], as every signature decodes it."""
    return tf.io.decode_image(record.encoded, channels=3, expand_animations=False).numpy()


_INPUTS: dict[str, Callable[[records.Record], Any]] = {
    module.IMAGE_TENSOR: pixels,
    module.IMAGE_BYTES: lambda record: record.encoded,
    module.TF_EXAMPLE: records.to_example,
}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A SavedModel from disk.

    Attributes:
        model: what was loaded; its signatures have no weights without it.
        signatures: (name, kind of input, function) of each that takes images.
    """

    model: Any
    signatures: list[tuple[str, str, Any]]


def load(folder: str) -> Loaded:
    """Loads a SavedModel."""
    loaded = tf.saved_model.load(folder)
    default = next(name for name in module.INPUT_TYPES if name in loaded.signatures)
    named = [
        (name, name if name in _INPUTS else default, signature)
        for name, signature in loaded.signatures.items()
        if name != module.METADATA
    ]
    return Loaded(loaded, named)


def of(signature: Any, kind: str, images: Sequence[records.Record]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Asks a signature; encoded images in batches, tensors one by one, as their sizes differ.

    Args:
        signature: of a loaded SavedModel.
        kind: which of the input types it takes.
        images: to ask it of.

    Yields:
        The number of an image, and each output's row for it.
    """
    (spec,) = signature.structured_input_signature[1].values()
    fixed = spec.shape[0]
    # Masks of a whole batch's images could take more than there is.
    alone = kind == module.IMAGE_TENSOR or IMAGE_MASKS in signature.structured_outputs
    size = 1 if alone else fixed or BATCH
    for start in range(0, len(images), size):
        part = list(images[start : start + size])
        values = [_INPUTS[kind](record) for record in part]
        values += [values[-1]] * ((fixed or 0) - len(values))
        # Not by way of numpy, whose bytes lose zeros at their end.
        inputs = tf.stack([tf.constant(value) for value in values])
        outputs = {name: value.numpy() for name, value in signature(inputs=inputs).items()}
        for row in range(len(part)):
            yield start + row, {name: value[row] for name, value in outputs.items()}


def number(value: float | None) -> str:
    """A difference for a person; None is one that is not finite."""
    return 'not a number' if value is None else f'{value:.1e}'
