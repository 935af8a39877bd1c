"""The built-in scenes: a seeded data set for tests and the default study, drawn instead of downloaded.

Image i of seed s is a function of (s, i, settings) alone, whatever the number of images or processes.
"""

import argparse
import dataclasses
import functools
import os
import re
from typing import Any

import cv2
import numpy as np

from official_rethink.common import errors, files
from official_rethink.data import keypoints, label_maps, masks, records
from official_rethink.data.scene_generator import DEFAULT_SIZE, KIND_CODES, Scene, Settings, generate
from official_rethink.data.scene_objects import SEGMENTATION

__all__ = [
    'Scene',
    'Settings',
    'add_arguments',
    'categories',
    'generate',
    'make_record',
    'run',
    'write_scenes',
]
FORMAT = 2
"""Raised whenever the same seed would draw another picture, so that prepared sets are made anew."""
MAX_SEED, MAX_IMAGES = 999_999_999, 100_000_000
_JPEG_QUALITY = 92


def categories(settings: Settings) -> list[dict[str, Any]]:
    """The classes as the description lists them, with the names of their key points if the kind has these."""
    found: list[dict[str, Any]] = []
    for number, family in enumerate(settings.families, 1):
        found.append({'id': number, 'name': family.name, 'source_id': number})
        if settings.kind != SEGMENTATION:
            found[-1]['keypoints'] = list(family.keypoint_names)
            found[-1]['keypoint_flip_pairs'] = [list(pair) for pair in family.flip_pairs]
    return found


def keypoint_layout(settings: Settings) -> keypoints.Layout | None:
    """The key points that all labelled objects have; None where there are none, or each class has its own."""
    names = {family.keypoint_names for family in settings.families}
    if settings.kind == SEGMENTATION or len(names) > 1:
        return None
    family = settings.families[0]
    lines = [(0, point) for point in range(1, len(family.keypoint_names))]
    return keypoints.make(family.keypoint_names, range(1, len(settings.families) + 1), family.flip_pairs, None, lines)


def source_id(index: int, seed: int, settings: Settings) -> str:
    """The image's id, a decimal number below 2**63 that tells kind, seed and index: 1 000000007 00000042."""
    return f'{KIND_CODES[settings.kind]}{seed:09d}{index:08d}'


def make_record(index: int, seed: int, settings: Settings, labelled: bool = True) -> records.Record:
    """Draws a scene and encodes it; without annotations if it is not `labelled`."""
    scene = generate(index, seed, settings)
    height, width = scene.image.shape[:2]
    record = records.Record(
        source_id=source_id(index, seed, settings),
        encoded=_jpeg(scene.image),
        image_format='jpeg',
        height=height,
        width=width,
        filename=f'{settings.kind}_scene_{seed}_{index:08d}.jpg',
    )
    if labelled:
        record.label_map_png = label_maps.encode(scene.label_map)
        record.class_label = scene.class_label
        whole = settings.kind != SEGMENTATION
        record.annotations = [_annotation(scene, number, whole) for number in range(len(scene.boxes))]
    return record


def _annotation(scene: Scene, number: int, whole: bool) -> records.Annotation:
    """One object: box and area, and mask and key points if the `whole` truth is stored."""
    y1, x1, y2, x2 = (float(side) for side in scene.boxes[number])
    annotation = records.Annotation(
        box=(y1, x1, y2, x2),
        label=int(scene.classes[number]),
        area=float(cv2.countNonZero(scene.masks[number])),
    )
    if whole:
        annotation.mask_png = masks.to_png(scene.masks[number])
        annotation.keypoints = [(float(x), float(y), int(visible)) for x, y, visible in scene.keypoints[number]]
    return annotation


def _jpeg(image: np.ndarray) -> bytes:
    reverse = np.ascontiguousarray(image[..., ::-1])  # OpenCV's order is blue, green, red
    done, buffer = cv2.imencode('.jpg', reverse, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return buffer.tobytes()


def write_scenes(
    output_dir: str,
    split: str,
    settings: Settings,
    seed: int,
    num_images: int,
    *,
    labelled: bool = True,
    num_shards: int | None = None,
    processes: int = 1,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Draws images 0 to num_images - 1 of a seed and writes them as shards; returns the description."""
    from official_rethink.data import shards  # noqa: PLC0415  (TensorFlow: not needed to draw)

    if not 0 <= seed <= MAX_SEED:
        raise errors.bad_value('seed', seed, f'a whole number from 0 to {MAX_SEED}', where='--seed')
    if not 1 <= num_images <= MAX_IMAGES:
        raise errors.bad_value(
            'num_images', num_images, f'a whole number from 1 to {MAX_IMAGES}', where='--num_images'
        )
    inputs = {'scenes': FORMAT, **dataclasses.asdict(settings), 'seed': seed, 'num_images': num_images}
    inputs |= {
        'num_classes': len(settings.shown),
        'labelled': labelled,
        'num_shards': num_shards,
        'split': split,
    }
    del inputs['void_border']
    if settings.border:  # sets prepared before there were borders stay the same sets
        inputs['void_border'] = settings.border
    layout = keypoint_layout(settings) if labelled else None
    if layout is not None:
        inputs['keypoints'] = layout.described()
    return shards.write(
        range(num_images),
        output_dir,
        split,
        categories(settings) if labelled else [],
        make=functools.partial(make_record, seed=seed, settings=settings, labelled=labelled),
        total=num_images,
        num_shards=num_shards,
        processes=processes,
        inputs_hash=files.hash_of(inputs),
        overwrite=overwrite,
        fields=None if layout is None else {keypoints.FIELD: layout.described()},
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `prepare scenes`."""
    parser.add_argument('--output_dir', required=True, help='folder for the shards and the description')
    parser.add_argument('--num_images', type=int, required=True, help='how many images')
    parser.add_argument('--seed', type=int, default=0, help='another seed draws other images (default: 0)')
    parser.add_argument('--split', default='train', help='name of the shards (default: train)')
    parser.add_argument(
        '--size',
        default=str(DEFAULT_SIZE),
        help=f'pixels, e.g. 128 or 96x128, height first (default: {DEFAULT_SIZE})',
    )
    parser.add_argument('--difficulty', type=float, default=0.5, help='0 (easy) to 1 (hard) (default: 0.5)')
    parser.add_argument(
        '--kind',
        default='detection',
        help='detection; classification: other classes, one object an image; mixed: objects of both sorts of classes, '
        "detection's labelled; mixed_other: the same images, the others labelled; segmentation: detection's images "
        'with label maps',
    )
    parser.add_argument(
        '--void_border',
        type=int,
        default=None,
        help='pixels on either side of an outline that label maps leave void (default: segmentation 1, others 0)',
    )
    parser.add_argument(
        '--num_classes',
        type=int,
        default=None,
        help='the first so many classes (default: 8; classification 10)',
    )
    parser.add_argument(
        '--unlabelled',
        action='store_true',
        help='write the images alone; the same seed without this flag is their truth',
    )
    parser.add_argument('--num_shards', type=int, default=None, help='(default: one per 512 images)')
    parser.add_argument(
        '--processes', type=int, default=None, help='that draw together (default: one per core, up to 8)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace another set of the same name')


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Does `prepare scenes` and returns the description of what was written."""
    height, width = _size(args.size)
    settings = Settings(
        kind=args.kind,
        height=height,
        width=width,
        difficulty=args.difficulty,
        num_classes=args.num_classes,
        void_border=args.void_border,
    )
    return write_scenes(
        args.output_dir,
        args.split,
        settings,
        args.seed,
        args.num_images,
        labelled=not args.unlabelled,
        num_shards=args.num_shards,
        processes=_processes(args.num_images) if args.processes is None else args.processes,
        overwrite=args.overwrite,
    )


def _processes(num_images: int) -> int:
    # A process takes about as long to start as a few hundred images to draw.
    return max(min(os.cpu_count() or 1, 8, num_images // 400), 1)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d{1,5})(?:x(\d{1,5}))?', str(text).strip())
    if not match:
        raise errors.bad_value('size', text, 'pixels as a whole number, or HEIGHTxWIDTH', where='--size')
    return int(match[1]), int(match[2] or match[1])
