"""The gallery of label maps: the images of which a threshold keeps most, least, and the median."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.common import files
from official_rethink.data import label_maps, records
from official_rethink.evaluation import gallery, label_map_pictures, label_map_quality
from official_rethink.pseudo_labels import pictures, pixel_counts
from official_rethink.pseudo_labels.store import Store

_SIDE = 320


def write(store: Store, names: Mapping[int, str], images: int) -> None:
    """Writes `gallery.png` and `gallery.json`.

    Each image stands beside what a student with a threshold of 0.5 would learn from it: the classes, and hatched
    what is under the threshold. Images of which the teacher says nothing but background are left out.

    Args:
        store: with all its shards.
        names: class id to name.
        images: of each kind.
    """
    shares, places = [], []
    for shard, part in enumerate(store.finished()):
        shares += [float('nan') if value is None else value for value in part['confidences']]
        places += [(shard, row) for row in range(len(part['confidences']))]
    chosen = gallery.select(shares, images)
    if not any(chosen.values()):
        return
    rows, captions, listing, drawn = [], [], {}, []
    for kind in gallery.SELECTIONS:
        found = [pictures.read(store, *places[index]) for index in chosen[kind]]
        maps = [kept(record, pixel_counts.SHOWN) for record in found]
        drawn += maps
        rows.append(_pairs(found, maps))
        listing[kind] = [
            _entry(record, shares[index], one, names)
            for record, index, one in zip(found, chosen[kind], maps, strict=True)
        ]
        captions.append(
            [word for one in listing[kind] for word in (f'image {one["source_id"]}', f'{kind}: {one["coverage"]:.1%}')]
        )
    title = f'Pseudo label maps: most, least and median covered (pixels of score {pixel_counts.SHOWN:g} or more)'
    with files.atomic_write(store.path(pictures.PICTURE), 'wb') as handle:
        handle.write(label_map_pictures.sheet(rows, drawn, names, captions=captions, title=title))
    files.write_json(store.path(pictures.LISTING), {'shown_score': pixel_counts.SHOWN, **listing})


def kept(record: records.Record, threshold: float) -> np.ndarray:
    """The label map that a student's threshold leaves, uint8 [H, W]."""
    assert record.label_map_png is not None and record.score_map_png is not None
    classes, scores = label_maps.decode(record.label_map_png), label_maps.decode(record.score_map_png)
    return np.where(label_map_quality.reached(scores, threshold), classes, np.uint8(label_maps.IGNORE))


def _pairs(found: list[records.Record], maps: list[np.ndarray]) -> list[np.ndarray]:
    """Each image as it is, and tinted."""
    images = [tf.io.decode_image(record.encoded, channels=3, expand_animations=False).numpy() for record in found]
    plain = [gallery.resized(image, _SIDE, 'picture')[0] for image in images]
    tinted = label_map_pictures.draw(images, maps, _SIDE)
    return [picture for pair in zip(plain, tinted, strict=True) for picture in pair]


def _entry(record: records.Record, share: float, label_map: np.ndarray, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        'source_id': record.source_id,
        'filename': record.filename,
        'coverage': round(share, 4),
        'classes': [names.get(label, str(label)) for label in label_maps.classes(label_map)],
    }
