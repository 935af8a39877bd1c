"""One image with its labels, and its form as a Model Garden TFExample."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

# TensorFlow is imported inside the two functions that need it: the processes that read images build
# records and never serialise them, so they start at once and stay small.

_INT64_MAX = 2**63 - 1
_FLAGS = ('difficult', 'truncated', 'occluded')
"""Stored as `image/object/<flag>` where an object of the image has it."""


@dataclasses.dataclass
class Annotation:
    """One labelled instance.

    Attributes:
        box: y1 x1 y2 x2, in pixels.
        label: class id, 1..K.
        is_crowd: the box covers a group; evaluation neither rewards nor punishes hits on it.
        area: of the mask, in square pixels; None: take the box's.
        mask_png: PNG of 0 and 1, of the whole image's size.
        keypoints: x, y in pixels, as boxes have them (pixel i covers i to i + 1), and visibility (0 not labelled,
            1 hidden, 2 visible).
        score: of a pseudo label, in [0, 1]; None for a human label.
        is_difficult: PASCAL VOC's: hard to recognise; its evaluation neither rewards nor punishes hits on it.
        is_truncated: PASCAL VOC's: the object goes on beyond the box.
        is_occluded: PASCAL VOC's: something hides part of the object.
    """

    box: tuple[float, float, float, float]
    label: int
    is_crowd: bool = False
    area: float | None = None
    mask_png: bytes | None = None
    keypoints: Sequence[tuple[float, float, int]] | None = None
    score: float | None = None
    is_difficult: bool = False
    is_truncated: bool = False
    is_occluded: bool = False


@dataclasses.dataclass
class Record:
    """One image with what is known about it.

    Attributes:
        source_id: decimal number as text (Model Garden reads it as int64); see `numeric_id`.
        encoded: the bytes of a JPEG or PNG that `tf.io.decode_image` reads.
        image_format: 'jpeg' or 'png'.
        height: in pixels.
        width: in pixels.
        filename: as the user knows it.
        annotations: the labelled instances; empty for an unlabelled image.
        pseudo: the labels come from a teacher.
        label_map_png: 8-bit grey PNG whose values are class ids; 0 is background, 255 is ignored.
        score_map_png: of a pseudo label map, 8-bit grey PNG of a teacher's confidence in each pixel: round(255 score).
        class_label: the image's one class, for classification, from 1.
        class_probabilities: of a pseudo label, a teacher's probability of each class, class 1 first.
    """

    source_id: str
    encoded: bytes
    image_format: str
    height: int
    width: int
    filename: str = ''
    annotations: list[Annotation] = dataclasses.field(default_factory=list)
    pseudo: bool = False
    label_map_png: bytes | None = None
    score_map_png: bytes | None = None
    class_label: int | None = None
    class_probabilities: Sequence[float] | None = None


def numeric_id(identifier: str | int) -> str:
    """Returns a decimal source id: a number stays itself, any other text becomes a 60-bit hash of it.

    Model Garden's loaders turn source ids into int64 and fail on anything else.
    """
    text = str(identifier)
    if text.isascii() and text.isdigit() and int(text) <= _INT64_MAX:
        return str(int(text))
    return str(int(hashlib.sha256(text.encode()).hexdigest()[:15], 16))


def to_example(record: Record) -> bytes:
    """Serialises a record as tf.train.Example with Model Garden's keys; equal records give equal bytes.

    Boxes are stored normalized, in float32, as Model Garden reads them: `from_example` gives
    the pixels back to within 1e-4 for sides up to 1,600, and serialises to the same bytes again.

    Raises:
        ValueError: the source id is no decimal number, or only some of the annotations have an area,
            a mask or a score (Model Garden reads these as parallel lists).
    """
    import tensorflow as tf

    if numeric_id(record.source_id) != record.source_id:
        raise ValueError(f"source_id '{record.source_id}' is not a decimal number; see records.numeric_id")
    values = _image_values(record) | _object_values(record)
    features = tf.train.Features(feature={key: _feature(tf, value) for key, value in values.items()})
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _image_values(record: Record) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {
        'image/encoded': [record.encoded],
        'image/format': [record.image_format.encode()],
        'image/height': [int(record.height)],
        'image/width': [int(record.width)],
        'image/source_id': [record.source_id.encode()],
        'image/filename': [record.filename.encode()],
        'image/pseudo': [int(record.pseudo)],
    }
    if record.label_map_png is not None:
        values['image/segmentation/class/encoded'] = [record.label_map_png]
    if record.score_map_png is not None:
        values['image/segmentation/score/encoded'] = [record.score_map_png]
    if record.class_label is not None:
        values['image/class/label'] = [int(record.class_label)]
    if record.class_probabilities is not None:
        values['image/class/probabilities'] = [float(value) for value in record.class_probabilities]
    return values


def _object_values(record: Record) -> dict[str, list[Any]]:
    annotations = record.annotations
    if not annotations:
        return {}
    boxes = np.array([a.box for a in annotations], np.float64).reshape(-1, 4)
    size = (record.height, record.width) * 2
    values: dict[str, list[Any]] = {
        f'image/object/bbox/{side}': list((boxes[:, i] / size[i]).astype(float))
        for i, side in enumerate(('ymin', 'xmin', 'ymax', 'xmax'))
    }
    values['image/object/class/label'] = [int(a.label) for a in annotations]
    values['image/object/is_crowd'] = [int(a.is_crowd) for a in annotations]
    for flag in _FLAGS:
        if any(column := [int(getattr(a, f'is_{flag}')) for a in annotations]):
            values[f'image/object/{flag}'] = column
    optional = {'area': 'area', 'mask': 'mask_png', 'score': 'score'}
    for key, attribute in optional.items():
        column = [getattr(a, attribute) for a in annotations]
        if all(item is None for item in column):
            continue
        if any(item is None for item in column):
            raise ValueError(
                f'image {record.source_id} has {attribute} for some annotations only; give all or none'
            )
        values[f'image/object/{key}'] = column if key == 'mask' else [float(item) for item in column]
    if any(a.keypoints for a in annotations):
        values['image/object/keypoints'] = [
            float(v) for a in annotations for point in a.keypoints or () for v in point
        ]
        # How many points each object has, since objects of different classes have different numbers.
        values['image/object/keypoints/count'] = [len(a.keypoints or ()) for a in annotations]
    return values


def _feature(tf: Any, values: list[Any]) -> Any:
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def from_example(serialized: bytes) -> Record:
    """Reads back what `to_example` wrote."""
    import tensorflow as tf

    features = tf.train.Example.FromString(serialized).features.feature

    def values(key: str) -> Sequence[Any]:
        if key not in features:
            return ()
        kind = features[key].WhichOneof('kind')
        return getattr(features[key], kind).value if kind else ()

    def one(key: str, default: Any = None) -> Any:
        found = values(key)
        return found[0] if found else default

    height, width = int(one('image/height')), int(one('image/width'))
    class_label = one('image/class/label')
    return Record(
        source_id=one('image/source_id', b'').decode(),
        encoded=one('image/encoded'),
        image_format=one('image/format', b'').decode(),
        height=height,
        width=width,
        filename=one('image/filename', b'').decode(),
        annotations=_annotations(values, height, width),
        pseudo=bool(one('image/pseudo', 0)),
        label_map_png=one('image/segmentation/class/encoded'),
        score_map_png=one('image/segmentation/score/encoded'),
        class_label=None if class_label is None else int(class_label),
        class_probabilities=list(values('image/class/probabilities')) or None,
    )


def _annotations(values: Any, height: int, width: int) -> list[Annotation]:
    sides = [values(f'image/object/bbox/{side}') for side in ('ymin', 'xmin', 'ymax', 'xmax')]
    labels = values('image/object/class/label')
    crowds = values('image/object/is_crowd')
    flags = {flag: values(f'image/object/{flag}') for flag in _FLAGS}
    areas, masks, scores = (values(f'image/object/{key}') for key in ('area', 'mask', 'score'))
    flat = list(values('image/object/keypoints'))
    counts = values('image/object/keypoints/count') or [0] * len(labels)
    annotations, start = [], 0
    for i, label in enumerate(labels):
        end = start + 3 * counts[i]
        points = [(flat[j], flat[j + 1], int(flat[j + 2])) for j in range(start, end, 3)]
        start = end
        annotations.append(
            Annotation(
                box=(sides[0][i] * height, sides[1][i] * width, sides[2][i] * height, sides[3][i] * width),
                label=int(label),
                is_crowd=bool(crowds[i]) if crowds else False,
                area=areas[i] if areas else None,
                mask_png=masks[i] if masks else None,
                keypoints=points or None,
                score=scores[i] if scores else None,
                **{f'is_{flag}': bool(found[i]) for flag, found in flags.items() if found},
            )
        )
    return annotations
