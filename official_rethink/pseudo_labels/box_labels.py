"""A detector's pseudo labels: every box over a low floor, with its score."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.augment import fitting, pipeline
from official_rethink.common import errors
from official_rethink.data import keypoints, records
from official_rethink.modeling import views
from official_rethink.pseudo_labels import counts, feeding, filters, inference, kind, pictures, store, teacher, truth

SCORE_FLOOR = 0.05
KEYPOINT_THRESHOLD = 0.05
"""A point's score is its cell's share of the heat map's softmax; of 56 x 56 cells that know nothing each has 0.0003."""


class BoxReading(feeding.WholeImages):
    """How a detector is fed and read: resized and padded as in its evaluation.

    It gives boxes (pixels of the original images) [B, N, 4], scores [B, N], classes [B, N], num_detections [B], and if
    the teacher has them, masks [B, N, S, S], probabilities over the boxes, and keypoints [B, N, P, 3]: y, x, score.
    """

    wanted: tuple[str, ...] = ('boxes', 'scores', 'classes', 'num_detections')

    def __init__(
        self,
        output_size: tuple[int, int],
        floor: float,
        classes: Sequence[int],
        with_masks: bool = False,
        points: filters.Points | None = None,
        resizing: fitting.Resizing | None = None,
    ):
        """Says what is read.

        Args:
            output_size: height and width that images are padded to.
            floor: lowest score that is stored.
            classes: ids that are stored.
            with_masks: whether the teacher gives masks.
            points: of a teacher that gives key points, which of them count.
            resizing: what images are resized to, if not to the largest that fits.
        """
        self.output_size = output_size
        self._resizing = resizing
        self.wanted += ('masks',) if with_masks else ()
        self.wanted += ('keypoints',) if points is not None else ()
        self._floor, self._classes, self._points = floor, classes, points
        self.nothing = (f'no box of score {floor} or more', 'or lower --score_floor')

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes and pads, as evaluation does."""
        return pipeline.resize_and_pad(image, self.output_size, resizing=self._resizing)

    def result(self, record: records.Record, found: Mapping[str, Any], row: int, part: int = 0) -> filters.Detections:
        """The image's detections."""
        del part
        count = int(found['num_detections'][row])
        parts = {name: found[name][row][:count] for name in self.wanted if name != 'num_detections'}
        feeding.check_finite(record, **{name: part for name, part in parts.items() if name != 'classes'})
        return filters.Detections(**parts)

    def keep(self, found: filters.Detections, record: records.Record) -> filters.Kept:
        """Those of at least the floor."""
        return filters.keep(found, self._floor, self._classes, record.height, record.width, self._points)


class BoxKind(kind.Kind):
    """Boxes, of a detector."""

    labels = counts.BOXES
    metrics = ('AP', 'AP50')
    flags = ('score_floor', 'keypoint_threshold', 'scales', 'flip')
    takes_saved_models = True
    why_not = 'the teacher is a detector'

    def check(self, args: argparse.Namespace) -> None:
        """Fills in the floor, and refuses one under what the teacher itself drops; the task then infers as asked."""
        kind.ask_for_views(args, self.params.task.inference)
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
        self._check_keypoint_threshold(args)

    def _check_keypoint_threshold(self, args: argparse.Namespace) -> None:
        if 'keypoints' not in self.further:
            if args.keypoint_threshold is not None:
                raise errors.UserError(
                    f'--keypoint_threshold is {args.keypoint_threshold}, but the teacher finds no key points '
                    '(task.model.include_keypoints is false). Leave the flag out.'
                )
            return
        given = args.keypoint_threshold
        args.keypoint_threshold = KEYPOINT_THRESHOLD if given is None else given
        if not 0 <= args.keypoint_threshold <= 1:
            raise errors.bad_value('keypoint_threshold', given, '0 to 1', where='--keypoint_threshold')
        self._layout()

    @property
    def further(self) -> tuple[str, ...]:
        """What the teacher predicts beside boxes: 'masks', 'keypoints'."""
        named = {'masks': 'include_mask', 'keypoints': 'include_keypoints'}
        return tuple(name for name, field in named.items() if getattr(self.params.task.model, field, False))

    def check_saved_model(self, path: str) -> None:
        """Refuses test-time augmentation, for which the teacher has to be a checkpoint."""
        super().check_saved_model(path)
        if views.augmented(self.params.task):
            raise errors.UserError(
                'task.inference (or --scales, --flip) asks for more than plain inference, but the teacher is a '
                'SavedModel, which looks at an image once and gives its final boxes; name the checkpoint instead.'
            )

    def inputs(self, args: argparse.Namespace) -> dict[str, Any]:
        """How images are resized, the views if there are several, the threshold of key points if it finds any."""
        asked = {'keypoint_threshold': args.keypoint_threshold} if 'keypoints' in self.further else {}
        task = self.params.task
        asked |= {'resizing': task.resizing.as_dict()} if task.resizing.shorter_side else {}
        return {**asked, **({'inference': task.inference.as_dict()} if views.augmented(task) else {})}

    def predict(self, task: Any, model: Any) -> inference.Predict:
        """The task's own, as `task.inference` says."""
        return lambda images, info: task.infer(images, info, model)

    def reading(self, args: argparse.Namespace, output_size: tuple[int, int], classes: Sequence[int]) -> BoxReading:
        """See `BoxReading`; for test-time augmentation images are read as they are."""
        del output_size
        points, fit = None, views.reading(self.params.task)
        if 'keypoints' in self.further:
            points = filters.Points(self._layout().categories, args.keypoint_threshold)
        return BoxReading(fit.size, args.score_floor, classes, 'masks' in self.further, points, fit.resizing)

    def _layout(self) -> keypoints.Layout:
        """The key points of the teacher's data.

        Raises:
            UserError: it has none, or another number than the teacher finds.
        """
        layout = keypoints.of_description(teacher.known(self.params))
        wanted = self.params.task.model.keypoint_head.num_keypoints
        if layout is None or len(layout.names) != wanted:
            has = 'none' if layout is None else f'{len(layout.names)}: {", ".join(layout.names)}'
            raise errors.UserError(
                f'the teacher finds {wanted} key points an object, but the set that names its classes has {has}; name '
                'the set it was trained on with --params_override=task.train_data.input_path=...'
            )
        return layout

    def measure(self, pattern: str, place: store.Store, floor: float) -> dict[str, Any]:
        """See `truth.measure`."""
        return truth.measure(pattern, place, floor)

    def draw(
        self, place: store.Store, known: Mapping[str, Any], counted: Mapping[str, Any], images: int
    ) -> None:
        """See `pictures.write`."""
        names = {category['id']: category['name'] for category in known['categories']}
        layout = keypoints.of_description(known)
        lines = layout.skeleton if layout is not None else ()
        pictures.write(place, names, known['boxes'], counted, images, lines)
