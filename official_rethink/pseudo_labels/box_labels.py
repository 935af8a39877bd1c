"""A detector's pseudo labels: every box over a low floor, with its score."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.pseudo_labels import counts, feeding, filters, inference, kind, pictures, store, truth

SCORE_FLOOR = 0.05


class BoxReading(feeding.WholeImages):
    """How a detector is fed and read: resized and padded as in its evaluation.

    It gives boxes (pixels of the original images) [B, N, 4], scores [B, N], classes [B, N], num_detections [B], and if
    the teacher has masks, masks [B, N, S, S], probabilities over the boxes.
    """

    wanted: tuple[str, ...] = ('boxes', 'scores', 'classes', 'num_detections')

    def __init__(
        self, output_size: tuple[int, int], floor: float, classes: Sequence[int], with_masks: bool = False
    ):
        """Args: the network's input height and width; lowest score that is stored; ids that are stored; see above."""
        self.output_size = output_size
        self.wanted += ('masks',) if with_masks else ()
        self._floor, self._classes = floor, classes
        self.nothing = (f'no box of score {floor} or more', 'or lower --score_floor')

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes and pads, as evaluation does."""
        return pipeline.resize_and_pad(image, self.output_size)

    def result(self, record: records.Record, found: Mapping[str, Any], row: int, part: int = 0) -> filters.Detections:
        """The image's detections."""
        del part
        count = int(found['num_detections'][row])
        parts = {name: found[name][row][:count] for name in self.wanted if name != 'num_detections'}
        feeding.check_finite(record, **{name: part for name, part in parts.items() if name != 'classes'})
        return filters.Detections(**parts)

    def keep(self, found: filters.Detections, record: records.Record) -> filters.Kept:
        """Those of at least the floor."""
        return filters.keep(found, self._floor, self._classes, record.height, record.width)


class BoxKind(kind.Kind):
    """Boxes, of a detector."""

    labels = counts.BOXES
    metrics = ('AP', 'AP50')
    flags = ('score_floor',)
    takes_saved_models = True
    why_not = 'the teacher is a detector'

    def check(self, args: argparse.Namespace) -> None:
        """Fills in the floor, and refuses one under what the teacher itself drops."""
        args.score_floor = SCORE_FLOOR if args.score_floor is None else args.score_floor
        super().check(args)
        if not 0 <= args.score_floor < 1:
            raise errors.bad_value('score_floor', args.score_floor, '0 to below 1', where='--score_floor')
        threshold = self.params.task.model.detection_generator.pre_nms_score_threshold
        if args.score_floor < threshold:
            raise errors.UserError(
                f'--score_floor is {args.score_floor}, but the teacher itself drops all below '
                f'{threshold} (task.model.detection_generator.pre_nms_score_threshold); raise the floor, or '
                'lower the threshold with --params_override.'
            )

    @property
    def with_masks(self) -> bool:
        """Whether the teacher predicts masks."""
        return bool(getattr(self.params.task.model, 'include_mask', False))

    def predict(self, task: Any, model: Any) -> inference.Predict:
        """The task's own."""
        return lambda images, info: task.predict(images, info, model)

    def reading(self, args: argparse.Namespace, output_size: tuple[int, int], classes: Sequence[int]) -> BoxReading:
        """See `BoxReading`."""
        return BoxReading(output_size, args.score_floor, classes, self.with_masks)

    def measure(self, pattern: str, place: store.Store, floor: float) -> dict[str, Any]:
        """See `truth.measure`."""
        return truth.measure(pattern, place, floor)

    def draw(
        self, place: store.Store, known: Mapping[str, Any], counted: Mapping[str, Any], images: int
    ) -> None:
        """See `pictures.write`."""
        names = {category['id']: category['name'] for category in known['categories']}
        pictures.write(place, names, known['boxes'], counted, images)
