"""The gallery: the most, least and median confident images of a store, as a person should see them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.common import files
from official_rethink.data import records
from official_rethink.evaluation import gallery, instance_masks, keypoint_pictures, mask_pictures
from official_rethink.pseudo_labels import filters
from official_rethink.pseudo_labels.store import Store

PICTURE = 'gallery.png'
LISTING = 'gallery.json'
_SIDE = 320


def write(
    store: Store,
    names: Mapping[int, str],
    boxes_per_image: float,
    counted: Mapping[str, Any],
    images: int,
    skeleton: Sequence[Sequence[int]] = (),
) -> None:
    """Writes `gallery.png` and `gallery.json`.

    An image's confidence is the mean of its best scores, of as many as human-labelled images have boxes.
    Drawn are the boxes over the score that leaves as many boxes an image as human labels have, and on each
    image at least its best ones; with masks, also the pixels of each, and with key points the visible ones.

    Args:
        store: with all its shards.
        names: class id to name.
        boxes_per_image: of the human labels.
        counted: the manifest's counts.
        images: of each kind.
        skeleton: pairs of key points to draw a line between.
    """
    confidences, places = [], []
    for shard, part in enumerate(store.finished()):
        confidences += [float('nan') if value is None else value for value in part['confidences']]
        places += [(shard, row) for row in range(len(part['confidences']))]
    chosen = gallery.select(confidences, images)
    if not any(chosen.values()):
        return
    wanted = boxes_per_image * counted['num_images']
    shown = filters.threshold_for(counted['score_histogram']['counts'], wanted)
    at_least = max(1, round(boxes_per_image))
    rows, captions, listing = [], [], {}
    for kind in gallery.SELECTIONS:
        found = [read(store, *places[index]) for index in chosen[kind]]
        rows.append(_draw(found, names, shown, at_least, skeleton))
        listing[kind] = [
            _entry(record, confidences[index]) for record, index in zip(found, chosen[kind], strict=True)
        ]
        words = [f'{kind} {one["confidence"]:.2f}, image {one["source_id"]}' for one in listing[kind]]
        captions.append(words)
    title = f'Pseudo labels: the most, least and median confident images (boxes over {shown:g})'
    with files.atomic_write(store.path(PICTURE), 'wb') as handle:
        handle.write(gallery.grid(rows, captions=captions, title=title))
    files.write_json(store.path(LISTING), {'shown_score': shown, **listing})


def read(store: Store, shard: int, row: int) -> records.Record:
    """Reads one record of a shard."""
    dataset = tf.data.TFRecordDataset(store.path(store.shard_name(shard))).skip(row).take(1)
    return records.from_example(next(dataset.as_numpy_iterator()))


def _draw(
    found: Sequence[records.Record],
    names: Mapping[int, str],
    shown: float,
    at_least: int,
    skeleton: Sequence[Sequence[int]] = (),
) -> list[Any]:
    images, boxes, classes, scores, points = [], [], [], [], []
    for record in found:
        ordered = sorted(record.annotations, key=lambda a: -(a.score or 0.0))
        drawn = [a for place, a in enumerate(ordered) if place < at_least or (a.score or 0.0) >= shown]
        image = tf.io.decode_image(record.encoded, channels=3, expand_animations=False).numpy()
        masked = [a for a in drawn if a.mask_png is not None]
        decoded = [instance_masks.decode_png(a.mask_png) for a in masked if a.mask_png is not None]
        images.append(mask_pictures.painted(image, decoded, [a.label for a in masked]))
        boxes.append([a.box for a in drawn])
        classes.append([a.label for a in drawn])
        scores.append([a.score for a in drawn])
        points.append([[(y, x, seen) for x, y, seen in a.keypoints] if a.keypoints else None for a in drawn])
    pictures = gallery.draw(images, boxes, classes, scores, names, side=_SIDE)
    return keypoint_pictures.draw(pictures, images, points, classes, skeleton)


def _entry(record: records.Record, confidence: float) -> dict[str, Any]:
    return {
        'source_id': record.source_id,
        'filename': record.filename,
        'confidence': round(confidence, 4),
        'boxes': len(record.annotations),
    }
