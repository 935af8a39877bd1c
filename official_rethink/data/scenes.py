"""The built-in scenes: a seeded data set for tests and the default study, drawn instead of downloaded.

Image i of seed s is a function of (s, i, settings) alone, whatever the number of images or processes.
"""

import argparse
import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from official_rethink.common import errors, files
from official_rethink.data import records, scene_render
from official_rethink.data.scene_objects import DETECTION_FAMILIES
from official_rethink.data.scene_objects_pretraining import PRETRAINING_FAMILIES
from official_rethink.data.scene_shapes import Family

FORMAT = 1
"""Raised whenever the same seed would draw another picture, so that prepared sets are made anew."""
KINDS: dict[str, tuple[Family, ...]] = {
    'detection': DETECTION_FAMILIES,
    'classification': PRETRAINING_FAMILIES,
}
DEFAULT_NUM_CLASSES = {'detection': 8, 'classification': 10}
DEFAULT_SIZE = 128
MIN_SIZE, MAX_SIZE = 32, 1024
MAX_SEED, MAX_IMAGES, MAX_OBJECTS = 999_999_999, 100_000_000, 40
_KIND_CODES = {'detection': 1, 'classification': 2}
_JPEG_QUALITY = 92


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a data set of scenes is like; everything but the seed and the number of images.

    Attributes:
        kind: 'detection' (several objects an image) or 'classification' (one, of classes that detection lacks).
        height: of the images, in pixels.
        width: of the images, in pixels.
        difficulty: in [0, 1]; turns what `scene_render.Knobs` lists.
        num_classes: the first so many families of the kind; None: 8 for detection, 10 for classification.
        min_objects: least number of objects asked for in a detection image; one that finds no place is left out.
        max_objects: largest number of objects in a detection image.
    """

    kind: str = 'detection'
    height: int = DEFAULT_SIZE
    width: int = DEFAULT_SIZE
    difficulty: float = 0.5
    num_classes: int | None = None
    min_objects: int = 1
    max_objects: int = 8

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise errors.unknown_name('kind of scenes', self.kind, KINDS, where='--kind')
        for side, value in (('height', self.height), ('width', self.width)):
            if not MIN_SIZE <= value <= MAX_SIZE:
                raise errors.bad_value(
                    f'{side} of scenes', value, f'{MIN_SIZE} to {MAX_SIZE} pixels', where='--size'
                )
        if not 0.0 <= self.difficulty <= 1.0:
            raise errors.bad_value(
                'difficulty', self.difficulty, 'a number from 0 to 1', where='--difficulty'
            )
        most = len(KINDS[self.kind])
        if self.num_classes is not None and not 1 <= self.num_classes <= most:
            raise errors.bad_value(
                'num_classes', self.num_classes, f'1 to {most} for {self.kind}', where='--num_classes'
            )
        if not 0 <= self.min_objects <= self.max_objects <= MAX_OBJECTS:
            raise errors.bad_value(
                'min_objects, max_objects',
                (self.min_objects, self.max_objects),
                f'0 <= min <= max <= {MAX_OBJECTS}',
            )

    @property
    def families(self) -> tuple[Family, ...]:
        """The classes in use; class id i + 1 is family i."""
        return KINDS[self.kind][: self.num_classes or DEFAULT_NUM_CLASSES[self.kind]]


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image and the whole truth about it. Instances go from back to front.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        boxes: float32 [N, 4], y1 x1 y2 x2 in pixels, tight around what is visible of the object.
        classes: int32 [N], ids from 1.
        masks: uint8 [N, H, W], 1 where the object is visible; no pixel belongs to two.
        label_map: uint8 [H, W], class ids, 0 is background.
        keypoints: per instance, float [P, 3]: x, y, visibility (0 outside, 1 hidden, 2 visible).
        visible_shares: float32 [N], visible over whole area.
        num_clutter: how many distractors were drawn.
        class_label: id of the one class of a classification scene, else None.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    label_map: np.ndarray
    keypoints: list[np.ndarray]
    visible_shares: np.ndarray
    num_clutter: int
    class_label: int | None


def generate(index: int, seed: int, settings: Settings) -> Scene:
    """Draws image `index` of the data set that `seed` and `settings` name."""
    families = settings.families
    rng = np.random.default_rng([seed, index, _KIND_CODES[settings.kind], 0])
    knob = scene_render.knobs(settings.difficulty)
    first = _balanced_class(index, seed, settings)
    if settings.kind == 'classification':
        knob = dataclasses.replace(
            knob, occluders=knob.occluders * 0.4, clutter=knob.clutter * 0.6, crowding=0.0
        )
        wanted = [(first, rng.uniform(0.55, 0.95))]
    else:
        wanted = _wanted_objects(rng, first, knob, settings)
    rendered = scene_render.render(rng, settings.height, settings.width, knob, families, wanted)
    return _scene(rendered, first + 1 if settings.kind == 'classification' else None)


def _balanced_class(index: int, seed: int, settings: Settings) -> int:
    """The family of an image's first object: each block of K images has each of the K families once."""
    count = len(settings.families)
    block = np.random.default_rng([seed, index // count, _KIND_CODES[settings.kind], 1])
    return int(block.permutation(count)[index % count])


def _wanted_objects(
    rng: np.random.Generator, first: int, knob: scene_render.Knobs, settings: Settings
) -> list[tuple[int, float]]:
    """Draws how many objects there are, of which classes and sizes: few and many, small ones more often."""
    count = min(max(settings.min_objects, 1 + int(rng.exponential(2.2))), settings.max_objects)
    families = [first, *rng.integers(len(settings.families), size=max(count - 1, 0))][:count]
    largest = 0.85 if count < 4 else 0.6
    return [
        (int(family), knob.min_extent * (largest / knob.min_extent) ** (rng.random() ** 1.15))
        for family in families
    ]


def _scene(rendered: scene_render.Rendered, class_label: int | None) -> Scene:
    kept, boxes, masks = [], [], []
    for number in range(len(rendered.families)):
        mask = (rendered.instances == number + 1).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        if width:  # an object of hairlines can vanish when the canvas is halved
            kept.append(number)
            boxes.append((y, x, y + height, x + width))
            masks.append(mask)
    class_ids = np.array([0, *(family + 1 for family in rendered.families)], np.uint8)
    return Scene(
        image=rendered.image,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=class_ids[1:][kept].astype(np.int32),
        masks=np.stack(masks) if masks else np.zeros((0, *rendered.instances.shape), np.uint8),
        label_map=class_ids[rendered.instances],
        keypoints=[rendered.keypoints[number] for number in kept],
        visible_shares=np.array([rendered.visible_shares[number] for number in kept], np.float32),
        num_clutter=rendered.num_clutter,
        class_label=class_label,
    )


def categories(settings: Settings) -> list[dict[str, Any]]:
    """The classes as the description lists them, with the names of their key points."""
    return [
        {
            'id': number,
            'name': family.name,
            'source_id': number,
            'keypoints': list(family.keypoint_names),
            'keypoint_flip_pairs': [list(pair) for pair in family.flip_pairs],
        }
        for number, family in enumerate(settings.families, 1)
    ]


def source_id(index: int, seed: int, settings: Settings) -> str:
    """The image's id, a decimal number below 2**63 that tells kind, seed and index: 1 000000007 00000042."""
    return f'{_KIND_CODES[settings.kind]}{seed:09d}{index:08d}'


def make_record(index: int, seed: int, settings: Settings, labelled: bool = True) -> records.Record:
    """Draws a scene and encodes it; without annotations if it is not `labelled`."""
    scene = generate(index, seed, settings)
    height, width = scene.image.shape[:2]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    record = records.Record(
        source_id=source_id(index, seed, settings),
        encoded=_encoded('.jpg', np.ascontiguousarray(scene.image[..., ::-1]), quality),
        image_format='jpeg',
        height=height,
        width=width,
        filename=f'{settings.kind}_scene_{seed}_{index:08d}.jpg',
    )
    if labelled:
        record.label_map_png = _encoded('.png', scene.label_map)
        record.class_label = scene.class_label
        record.annotations = [_annotation(scene, number) for number in range(len(scene.boxes))]
    return record


def _annotation(scene: Scene, number: int) -> records.Annotation:
    y1, x1, y2, x2 = (float(side) for side in scene.boxes[number])
    return records.Annotation(
        box=(y1, x1, y2, x2),
        label=int(scene.classes[number]),
        area=float(cv2.countNonZero(scene.masks[number])),
        mask_png=_encoded('.png', scene.masks[number]),
        keypoints=[(float(x), float(y), int(visible)) for x, y, visible in scene.keypoints[number]],
    )


def _encoded(extension: str, image: np.ndarray, options: Sequence[int] = ()) -> bytes:
    done, buffer = cv2.imencode(extension, image, list(options))
    assert done, extension
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
        'num_classes': len(settings.families),
        'labelled': labelled,
        'num_shards': num_shards,
        'split': split,
    }
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
        '--kind', default='detection', help='detection, or classification: other classes, one object an image'
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
    parser.add_argument('--processes', type=int, default=1, help='that draw at the same time (default: 1)')
    parser.add_argument('--overwrite', action='store_true', help='replace another set of the same name')


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Does `prepare scenes` and returns the description of what was written."""
    height, width = _size(args.size)
    settings = Settings(
        kind=args.kind, height=height, width=width, difficulty=args.difficulty, num_classes=args.num_classes
    )
    return write_scenes(
        args.output_dir,
        args.split,
        settings,
        args.seed,
        args.num_images,
        labelled=not args.unlabelled,
        num_shards=args.num_shards,
        processes=args.processes,
        overwrite=args.overwrite,
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d{1,5})(?:x(\d{1,5}))?', str(text).strip())
    if not match:
        raise errors.bad_value('size', text, 'pixels as a whole number, or HEIGHTxWIDTH', where='--size')
    return int(match[1]), int(match[2] or match[1])
