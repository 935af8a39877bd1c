"""What the kinds of pseudo labels differ in, from the flags to the pictures."""

import abc
import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.common import errors
from official_rethink.modeling import dense_inference
from official_rethink.pseudo_labels import feeding, inference, store

# Flags that only one kind has; None where they are not given.
SPECIAL_FLAGS = ('score_floor', 'keypoint_threshold', 'scales', 'flip', 'large_images', 'tile_overlap')


def ask_for_views(args: argparse.Namespace, inference: Any) -> None:
    """Lays --scales and --flip, where they are given, over a task's `inference`.

    Raises:
        UserError: scales that are no numbers, or that no image can be resized by.
    """
    if args.scales is not None:
        inference.scales = _scales(args.scales)
    if args.flip is not None:
        inference.flip = args.flip


def _scales(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(',')]
    except ValueError:
        raise errors.bad_value('scales', text, 'numbers with commas between them, as 0.5,1,1.5', '--scales') from None
    dense_inference.check_scales(values, '--scales')
    return values


class Kind(abc.ABC):
    """One kind of pseudo labels and the teachers that make it.

    Attributes:
        labels: its name in manifests; see `counts.py`.
        metrics: of a teacher's evaluation, those that are told; see `finds_nothing`.
        flags: those of `SPECIAL_FLAGS` that it has.
        takes_saved_models: whether a SavedModel can be the teacher.
        why_not: what to say to whoever gives a flag of another kind, as 'a classifier labels every image'.
    """

    labels: str
    metrics: tuple[str, ...]
    flags: tuple[str, ...] = ()
    takes_saved_models = False
    why_not = ''

    def __init__(self, params: Any):
        """Args: the experiment's config."""
        self.params = params

    def check(self, args: argparse.Namespace) -> None:
        """Checks the flags that the kinds differ in, and fills in their defaults.

        Raises:
            UserError: a flag of another kind, or a value that is not allowed.
        """
        for name in SPECIAL_FLAGS:
            value = getattr(args, name)
            if name not in self.flags and value is not None:
                raise errors.UserError(f'--{name} is {value}, but {self.why_not}. Leave the flag out.')
        args.score_floor = 0.0 if args.score_floor is None else args.score_floor

    def inputs(self, args: argparse.Namespace) -> dict[str, Any]:
        """What else decides the labels, beside teacher, images, floor and shards."""
        del args
        return {}

    def check_saved_model(self, path: str) -> None:
        """Refuses a SavedModel as the teacher where it cannot be one."""
        if not self.takes_saved_models:
            raise errors.UserError(
                f"'{path}' is a SavedModel, which can be a teacher for detection only; name a checkpoint."
            )

    def finds_nothing(self, metrics: Mapping[str, float]) -> str:
        """Returns what of a teacher's evaluation is 0 if it finds nothing, in words; '' if it finds something."""
        name = self.metrics[0]
        return name if metrics[name] == 0 else ''

    @abc.abstractmethod
    def predict(self, task: Any, model: Any) -> inference.Predict:
        """Makes the teacher's function of a task and its model."""

    @abc.abstractmethod
    def reading(
        self, args: argparse.Namespace, output_size: tuple[int, int], classes: Sequence[int]
    ) -> feeding.Reading:
        """How the teacher is fed and read.

        Args:
            args: the flags.
            output_size: the network's input height and width.
            classes: ids of the classes that the data has.
        """

    def check_truth(self, pattern: str, description: Mapping[str, Any]) -> None:
        """Refuses a truth that has no labels of this kind."""
        if not any(description['image_categories']):
            raise errors.UserError(
                f"--truth '{pattern}' holds no label at all; leave the flag out, or name labelled shards."
            )

    @abc.abstractmethod
    def measure(self, pattern: str, place: store.Store, floor: float) -> dict[str, Any]:
        """Writes `quality.json`: the labels of a store against the truth."""

    def draw(
        self, place: store.Store, known: Mapping[str, Any], counted: Mapping[str, Any], images: int
    ) -> None:
        """Writes a gallery of so many images of each sort; a kind without pictures writes none."""
        del place, known, counted, images
