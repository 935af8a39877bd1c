"""Test images beside each other: the truth, what the teacher finds, what the student finds."""

import io
import itertools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from official_rethink.common import files
from official_rethink.evaluation import gallery, label_map_pictures

IMAGES = 6
_SIDE = 400


def side_by_side(test: str, folders: Mapping[str, str], threshold: float) -> list[list[tuple[str, Any, str]]]:
    """Draws the boxes of the first test images.

    Args:
        test: shard pattern of the test images.
        folders: model's name to the folder of its training, which left its detections on the first test images as
            a list of {'image_id', 'boxes', 'scores', 'classes'}.
        threshold: boxes under this score are left out.

    Returns:
        for each image a row of (name, PIL picture, words for who cannot see it), the truth first; none where a
        training left no detections.
    """
    from official_rethink.data import shards  # noqa: PLC0415  (TensorFlow)

    paths = {model: os.path.join(folder, 'test_detections.json') for model, folder in folders.items()}
    if not all(map(os.path.exists, paths.values())):
        return []
    names = {item['id']: item['name'] for item in shards.load_description(test)['categories']}
    tables = {
        model: {str(entry['image_id']): entry for entry in files.read_json(path)} for model, path in paths.items()
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


def label_maps_side_by_side(test: str, folders: Mapping[str, str]) -> list[list[tuple[str, Any, str]]]:
    """Tints the first test images by their classes.

    Args:
        test: shard pattern of the test images.
        folders: model's name to the folder of its training, which left its label maps of the first test images as
            test_label_maps/<image id>.png.

    Returns:
        as `side_by_side`.
    """
    from official_rethink.data import label_maps, shards  # noqa: PLC0415  (TensorFlow)

    names = {item['id']: item['name'] for item in shards.load_description(test)['categories']}
    rows = []
    for record in itertools.islice(shards.read(test), IMAGES):
        found = {'truth': record.label_map_png}
        for model, folder in folders.items():
            path = os.path.join(folder, 'test_label_maps', f'{record.source_id}.png')
            found[model] = pathlib.Path(path).read_bytes() if os.path.exists(path) else None
        if None in found.values():
            continue
        image = np.asarray(Image.open(io.BytesIO(record.encoded)).convert('RGB'))
        maps = {name: label_maps.decode(png) for name, png in found.items() if png is not None}
        rows.append([_tinted(name, image, label_map, names) for name, label_map in maps.items()])
    return rows


def _tinted(name: str, image: np.ndarray, label_map: np.ndarray, names: Mapping[int, str]) -> tuple[str, Any, str]:
    (drawn,) = label_map_pictures.draw([image], [label_map], _SIDE)
    present = [int(label) for label in np.unique(label_map) if 0 < label < 255]
    found = ', '.join(names.get(label, str(label)) for label in present) or label_map_pictures.BACKGROUND
    return name, Image.fromarray(drawn), f'{name}: {found}'


def legend(test: str) -> list[tuple[str, str]]:
    """Names of the test images' classes and of what is void, each with its colour as a web page writes it."""
    from official_rethink.data import label_maps, shards  # noqa: PLC0415  (TensorFlow)

    categories = shards.load_description(test)['categories']
    ids = {**{item['id']: item['name'] for item in categories}, label_maps.IGNORE: label_map_pictures.VOID}
    colors = label_maps.palette()
    return [(name, '#' + bytes(colors[label]).hex()) for label, name in sorted(ids.items())]


def _cell(
    name: str, image: np.ndarray, boxes: Any, classes: Any, scores: Any | None, names: dict[int, str]
) -> tuple[str, Any, str]:
    shown = None if scores is None else [scores]
    drawn = gallery.draw([image], [boxes], [classes], shown, names, _SIDE)[0]
    found = ', '.join(names.get(int(label), str(label)) for label in classes) or 'nothing'
    return name, Image.fromarray(drawn), f'{name}: {found}'
