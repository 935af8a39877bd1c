"""A segmentation teacher's pseudo labels: the class of every pixel, and its score, at the image's own size."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import label_maps, records, shards
from official_rethink.dataloaders import full_batches, segmentation
from official_rethink.evaluation import label_map_quality
from official_rethink.pseudo_labels import counts, feeding, filters, inference, kind, map_pictures, store, tiles
from official_rethink.pseudo_labels.truth import QUALITY

SCALE, TILE = 'scale', 'tile'


class Maps(NamedTuple):
    """What was found on an image or a part of it, uint8 [H, W] each: classes, and scores as round(255 score)."""

    classes: np.ndarray
    scores: np.ndarray


class MapReading:
    """How a segmentation network is fed and read: as in its evaluation, large images in tiles if so asked.

    It gives classes and scores, uint8 [B, GH, GW], of which each image's own size counts.
    """

    wanted: tuple[str, ...] = ('classes', 'scores')
    nothing = ('nothing but background', 'and label again')

    def __init__(self, output_size: tuple[int, int], classes: Sequence[int], tile_overlap: int | None = None):
        """Args: the network's input height and width; ids that the data has; of tiles, None for none."""
        self.output_size = output_size
        self._unlisted = np.ones(256, bool)
        self._unlisted[[0, label_maps.IGNORE, *classes]] = False
        self._overlap = tile_overlap

    def windows(self, height: int, width: int) -> np.ndarray:
        """The image, or its tiles."""
        if self._overlap is None:
            return np.array([[0, 0, height, width]], np.int32)
        return tiles.windows(height, width, self.output_size, self._overlap)

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes and pads, as evaluation does; a tile stays as it is, for one of its sides is the network's."""
        return pipeline.resize_and_pad(image, self.output_size)

    def result(self, record: records.Record, found: Mapping[str, Any], row: int, part: int = 0) -> Maps:
        """The part's maps, without what surrounds them."""
        height, width = self.windows(record.height, record.width)[part][2:].tolist()
        most = np.shape(found[self.wanted[0]][row])
        if height > most[0] or width > most[1]:
            raise errors.UserError(
                f'{feeding.name_of(record)} is {height} x {width} (height x width), but on a TPU label maps are made '
                f'of {most[0]} x {most[1]} pixels at most; give task.validation_data.groundtruth_padded_size as '
                '[height, width] that hold every image.'
            )
        # Copied, so that the rest of the batch goes.
        classes, scores = (found[name][row][:height, :width].copy() for name in self.wanted)
        if not scores.all():  # the likeliest of K <= 255 classes has at least 1 / 255
            raise feeding.diverged(record, 'probabilities')
        return Maps(classes, scores)

    def whole(self, record: records.Record, parts: list[Maps]) -> Maps:
        """The image's maps."""
        if len(parts) == 1:
            return parts[0]
        cut = self.windows(record.height, record.width)
        return Maps(*(tiles.joined(one, cut) for one in zip(*parts, strict=True)))

    def keep(self, found: Maps, record: records.Record) -> filters.Kept:
        """All of it; a class that the data does not have is ignored. A student's threshold decides while reading."""
        del record
        strange = self._unlisted[found.classes]
        classes = np.where(strange, np.uint8(label_maps.IGNORE), found.classes)
        scores = np.where(strange, np.uint8(0), found.scores)
        return filters.Kept([], unlisted=int(strange.sum()), label_map=classes, score_map=scores)


class MapKind(kind.Kind):
    """A class for every pixel, of a segmentation network."""

    labels = counts.LABEL_MAPS
    metrics = ('mIoU', 'pixel_accuracy')
    flags = ('scales', 'flip', 'large_images', 'tile_overlap')
    why_not = 'of a label map every pixel is stored; the student chooses by task.pseudo_data.score_threshold'

    def check(self, args: argparse.Namespace) -> None:
        """Fills in scales, mirroring and tiles; the task then infers so."""
        super().check(args)
        kind.ask_for_views(args, self.params.task.inference)
        if args.large_images is None:
            args.large_images = SCALE
        shorter = min(self.params.task.model.input_size[:2])
        if args.large_images == SCALE:
            if args.tile_overlap is not None:
                raise errors.UserError(
                    f'--tile_overlap is {args.tile_overlap}, but --large_images={SCALE} cuts no tiles; leave it out, '
                    f'or give --large_images={TILE}.'
                )
            return
        if args.tile_overlap is None:
            args.tile_overlap = shorter // 4
        if not 0 <= args.tile_overlap < shorter:
            allowed = f'0 to {shorter - 1}, below the shorter side of task.model.input_size'
            raise errors.bad_value('tile_overlap', args.tile_overlap, allowed, where='--tile_overlap')

    def inputs(self, args: argparse.Namespace) -> dict[str, Any]:
        """Scales, mirroring and tiles."""
        asked = self.params.task.inference
        return {
            'scales': [float(scale) for scale in asked.scales],
            'flip': asked.flip,
            'large_images': args.large_images,
            'tile_overlap': args.tile_overlap,
        }

    def finds_nothing(self, metrics: Mapping[str, float]) -> str:
        """Looks at the classes beside the background, which is right somewhere even where nothing was learnt."""
        classes = [
            value
            for name, value in metrics.items()
            if name.startswith('PerCategory/') and name != f'PerCategory/{filters.BACKGROUND}/IoU'
        ]
        if not classes:
            return super().finds_nothing(metrics)
        return '' if max(classes) > 0 else 'IoU of every class but the background'

    def predict(self, task: Any, model: Any) -> inference.Predict:
        """Maps at the original sizes, as large as the batch's largest image; on a TPU as evaluation pads them."""

        def run(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
            if full_batches.needed():
                padded = segmentation.groundtruth_size(task.task_config.validation_data)
                return task.predict_maps(images, info, model, padded)
            size = tf.cast(tf.reduce_max(info[:, 0], axis=0), tf.int32)
            return task.predict_maps(images, info, model, size)

        return run

    def reading(self, args: argparse.Namespace, output_size: tuple[int, int], classes: Sequence[int]) -> MapReading:
        """See `MapReading`."""
        return MapReading(output_size, classes, args.tile_overlap if args.large_images == TILE else None)

    def check_truth(self, pattern: str, description: Mapping[str, Any]) -> None:
        """Needs a label map of every image."""
        if not description.get('label_maps'):
            raise errors.UserError(
                f"--truth '{pattern}' holds no label maps; leave the flag out, or name shards with them (of "
                '`prepare voc`, or `prepare scenes --kind=segmentation`).'
            )

    def measure(self, pattern: str, place: store.Store, floor: float) -> dict[str, Any]:
        """See `measure`."""
        del floor
        return measure(pattern, place)

    def draw(
        self, place: store.Store, known: Mapping[str, Any], counted: Mapping[str, Any], images: int
    ) -> None:
        """See `map_pictures.write`."""
        del counted
        map_pictures.write(place, {category['id']: category['name'] for category in known['categories']}, images)


def measure(pattern: str, place: store.Store) -> dict[str, Any]:
    """Writes `quality.json`; see `evaluation/label_map_quality.py`. One image's maps of the truth are held at a time.

    Raises:
        UserError: an image of the store is not in the truth, or has no label map of its size there.
    """
    description = shards.load_description(pattern)
    names = {0: filters.BACKGROUND, **{category['id']: category['name'] for category in description['categories']}}
    measured = label_map_quality.LabelMapQuality(max(names) + 1)
    labelled = shards.read(shards.description_path(place.folder, store.SPLIT))
    for record, truth in _paired(labelled, pattern):
        assert record.label_map_png is not None and record.score_map_png is not None
        maps = (truth, record.label_map_png, record.score_map_png)
        measured.add(feeding.name_of(record), *map(label_maps.decode, maps))
    return measured.write(place.path(QUALITY), names)


def _paired(labelled: Any, pattern: str) -> Any:
    """Yields each record with its truth's PNG; the truth may stand in another order, then its PNGs are held."""
    waiting: dict[str, bytes | None] = {}
    truths = shards.read(pattern)
    for record in labelled:
        while record.source_id not in waiting:
            truth = next(truths, None)
            if truth is None:
                raise errors.UserError(
                    f"--truth '{pattern}' has no {feeding.name_of(record)}, which was labelled."
                )
            waiting[truth.source_id] = truth.label_map_png
        png = waiting.pop(record.source_id)
        if png is None:
            raise errors.UserError(f"--truth '{pattern}' has no label map of {feeding.name_of(record)}.")
        yield record, png
