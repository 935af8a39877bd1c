"""A small COCO data set made by hand, records, and what test processes run (without TensorFlow)."""

import copy
import io
import json
import os
import pathlib
import signal
from typing import Any

import numpy as np
from PIL import Image

from official_rethink.data import problems, records

HEIGHT, WIDTH = 48, 64
SQUARE = [10.0, 8.0, 30.0, 8.0, 30.0, 20.0, 10.0, 20.0]  # x 10..30, y 8..20: 240 pixels

COCO: dict[str, Any] = {
    'images': [
        {'id': 11, 'file_name': 'a.jpg', 'height': HEIGHT, 'width': WIDTH},
        {'id': 5, 'file_name': 'sub/b.png', 'height': HEIGHT, 'width': WIDTH},
        {'id': 7, 'file_name': 'c.jpg', 'height': HEIGHT, 'width': WIDTH},
    ],
    'categories': [
        {'id': 7, 'name': 'dog'},
        {'id': 3, 'name': 'person', 'keypoints': ['head', 'foot']},
    ],
    'annotations': [
        {
            'id': 1, 'image_id': 11, 'category_id': 3, 'bbox': [10, 8, 20, 12], 'area': 240, 'iscrowd': 0,
            'segmentation': [SQUARE], 'keypoints': [12, 9, 2, 0, 0, 0], 'num_keypoints': 1,
        },
        {
            'id': 2, 'image_id': 11, 'category_id': 7, 'bbox': [0, 0, 64, 48], 'area': 100, 'iscrowd': 1,
            # Columns first: 5 rows down the left edge, then the whole second column from row 2 on.
            'segmentation': {'size': [HEIGHT, WIDTH], 'counts': [0, 5, 45, 46, 48 * 62]},
        },
        {
            'id': 3, 'image_id': 5, 'category_id': 7, 'bbox': [1.5, 2.25, 7.75, 3.5], 'area': 27.125,
            'iscrowd': 0,
            'segmentation': [[1.5, 2.25, 9.25, 2.25, 9.25, 5.75, 1.5, 5.75], [2.0, 3.0, 9.0, 3.0, 9.0, 5.0]],
        },
    ],
}  # fmt: skip


def picture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Image.Image:
    """A picture of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 255, (-(-height // 8), -(-width // 8), 3))
    pixels = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[:height, :width]))


def encoded(image: Image.Image, image_format: str = 'PNG') -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format)
    return stream.getvalue()


def content() -> dict[str, Any]:
    """A copy of the data set's JSON, to be spoilt."""
    return copy.deepcopy(COCO)


def write_images(folder: pathlib.Path) -> None:
    """Writes the three images that the JSON names."""
    (folder / 'sub').mkdir(parents=True)
    picture(seed=1).save(folder / 'a.jpg')
    picture(seed=2).save(folder / 'sub' / 'b.png')
    picture(seed=3).convert('L').save(folder / 'c.jpg')


def write(folder: pathlib.Path, value: Any = None) -> tuple[str, str]:
    """Writes images and JSON; returns the paths of the JSON and of the image folder."""
    write_images(folder / 'images')
    path = folder / 'instances.json'
    path.write_text(json.dumps(content() if value is None else value))
    return str(path), str(folder / 'images')


def record(index: int, annotations: list[records.Annotation] | None = None) -> records.Record:
    """A record whose bytes are no image, for what does not look at them."""
    name = f'{index}.png'
    return records.Record(str(index), b'image %d' % index, 'png', 10 + index, 20, name, annotations or [])


def spoilt(index: int) -> problems.Made:
    """Makes records; every third item is a problem."""
    if index % 3 == 0:
        problem = problems.Problem('bad', 'file', f'image {index}', 'field', 'is bad.')
        return problems.Made(None, [problem])
    return problems.Made(record(index))


def die_in(index: int) -> records.Record:
    """Kills the process, once it is well under way."""
    if index == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return record(index)
