"""Test images beside each other: the truth, what the teacher finds, what the student finds."""

import io
import itertools
from typing import Any

import numpy as np
from PIL import Image

from official_rethink.evaluation import gallery

IMAGES = 6
_SIDE = 400


def side_by_side(
    test: str, detections: dict[str, list[dict[str, Any]]], threshold: float
) -> list[list[tuple[str, Any, str]]]:
    """Draws the first test images.

    Args:
        test: shard pattern of the test images.
        detections: model's name to its detections on the first test images, as training leaves them:
            a list of {'image_id', 'boxes', 'scores', 'classes'}.
        threshold: boxes under this score are left out.

    Returns:
        for each image a row of (name, PIL picture, words for who cannot see it), the truth first.
    """
    from official_rethink.data import shards  # noqa: PLC0415  (TensorFlow)

    names = {item['id']: item['name'] for item in shards.load_description(test)['categories']}
    tables = {
        model: {str(entry['image_id']): entry for entry in entries} for model, entries in detections.items()
    }
    rows = []
    for record in itertools.islice(shards.read(test), IMAGES):
        if any(record.source_id not in table for table in tables.values()):
            continue
        image = np.asarray(Image.open(io.BytesIO(record.encoded)).convert('RGB'))
        objects = [item for item in record.annotations if not item.is_crowd]
        boxes = [item.box for item in objects]
        row = [_cell('truth', image, boxes, [item.label for item in objects], None, names)]
        for model, table in tables.items():
            entry = table[record.source_id]
            scores = np.asarray(entry['scores'], np.float32)
            kept = scores >= np.float32(threshold)
            found = np.asarray(entry['boxes'], np.float32).reshape(-1, 4)[kept]
            classes = np.asarray(entry['classes'], int)[kept]
            row.append(_cell(model, image, found, classes, scores[kept], names))
        rows.append(row)
    return rows


def _cell(
    name: str, image: np.ndarray, boxes: Any, classes: Any, scores: Any | None, names: dict[int, str]
) -> tuple[str, Any, str]:
    shown = None if scores is None else [scores]
    drawn = gallery.draw([image], [boxes], [classes], shown, names, _SIDE)[0]
    found = ', '.join(names.get(int(label), str(label)) for label in classes) or 'nothing'
    return name, Image.fromarray(drawn), f'{name}: {found}'
