"""Image i of a data set of built-in scenes: a function of seed, index and settings, with the whole truth."""

import dataclasses

import cv2
import numpy as np

from official_rethink.common import errors
from official_rethink.data import label_maps, scene_knobs, scene_render
from official_rethink.data.scene_objects import (
    DEFAULT_NUM_CLASSES,
    KINDS,
    MIXED,
    MIXED_OTHER,
    PRETRAINING_FAMILIES,
    SEGMENTATION,
)
from official_rethink.data.scene_shapes import Family

DEFAULT_SIZE = 128
MIN_SIZE, MAX_SIZE = 32, 1024
MAX_OBJECTS = 40
MAX_VOID_BORDER = 16
# Kinds of one code are one set of images with different labels.
KIND_CODES = {'detection': 1, SEGMENTATION: 1, 'classification': 2, MIXED: 3, MIXED_OTHER: 3}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a data set of scenes is like; everything but the seed and the number of images.

    Attributes:
        kind: 'detection' (several objects an image), 'classification' (one, of classes of its own), 'mixed' (as
            detection, with objects of both sorts of classes, of which detection's are labelled), 'mixed_other'
            (the same images, of which the other objects are labelled) or 'segmentation' (detection's images with a
            void border in their label maps).
        height: of the images, in pixels.
        width: of the images, in pixels.
        difficulty: in [0, 1]; turns what `scene_knobs.Knobs` lists.
        num_classes: the first so many families of the kind; None: 8 for detection and segmentation, 10 for
            classification. Of the mixed kinds, how many of detection's families occur.
        min_objects: least number of objects in a detection image, but one that finds no place is left out.
        max_objects: largest number of objects in a detection image.
        void_border: pixels on either side of an object's outline that the label map leaves void, as PASCAL VOC's do;
            None: 1 for segmentation, 0 for the other kinds.
    """

    kind: str = 'detection'
    height: int = DEFAULT_SIZE
    width: int = DEFAULT_SIZE
    difficulty: float = 0.5
    num_classes: int | None = None
    min_objects: int = 1
    max_objects: int = 8
    void_border: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KIND_CODES:
            raise errors.unknown_name('kind of scenes', self.kind, KIND_CODES, where='--kind')
        for side, value in (('height', self.height), ('width', self.width)):
            if not MIN_SIZE <= value <= MAX_SIZE:
                raise errors.bad_value(
                    f'{side} of scenes', value, f'{MIN_SIZE} to {MAX_SIZE} pixels', where='--size'
                )
        if not 0.0 <= self.difficulty <= 1.0:
            raise errors.bad_value(
                'difficulty', self.difficulty, 'a number from 0 to 1', where='--difficulty'
            )
        most = len(KINDS[self._counted])
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
        if not 0 <= self.border <= MAX_VOID_BORDER:
            allowed = f'a whole number of pixels from 0 to {MAX_VOID_BORDER}'
            raise errors.bad_value('void_border', self.void_border, allowed, where='--void_border')

    @property
    def families(self) -> tuple[Family, ...]:
        """The classes that are labelled; class id i + 1 is family i."""
        return PRETRAINING_FAMILIES if self.kind == MIXED_OTHER else self._chosen

    @property
    def shown(self) -> tuple[Family, ...]:
        """The families that occur, labelled or not."""
        return self._chosen + PRETRAINING_FAMILIES if self.kind in (MIXED, MIXED_OTHER) else self._chosen

    @property
    def _counted(self) -> str:
        """The kind whose families num_classes counts."""
        return 'detection' if self.kind in (MIXED, MIXED_OTHER, SEGMENTATION) else self.kind

    @property
    def border(self) -> int:
        """The void border's pixels on either side of an outline."""
        return int(self.kind == SEGMENTATION) if self.void_border is None else self.void_border

    @property
    def _chosen(self) -> tuple[Family, ...]:
        return KINDS[self._counted][: self.num_classes or DEFAULT_NUM_CLASSES[self._counted]]


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image and the whole truth about it. Instances go from back to front.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        boxes: float32 [N, 4], y1 x1 y2 x2 in pixels, tight around what is visible of the object.
        classes: int32 [N], ids from 1.
        masks: uint8 [N, H, W], 1 where the object is visible; no pixel belongs to two.
        label_map: uint8 [H, W], class ids, 0 is background, 255 the void border.
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
    families = settings.shown
    rng = np.random.default_rng([seed, index, KIND_CODES[settings.kind], 0])
    knob = scene_knobs.knobs(settings.difficulty)
    first = _balanced_class(index, seed, settings)
    if settings.kind == 'classification':
        knob = dataclasses.replace(
            knob,
            occluders=0.4 * knob.occluders,
            clutter=0.6 * knob.clutter,
            min_visible=0.5 * (1.0 + knob.min_visible),
        )
        wanted = [(first, rng.uniform(0.55, 0.95))]
    else:
        wanted = _wanted_objects(rng, first, knob, settings)
    rendered = scene_render.render(rng, settings.height, settings.width, knob, families, wanted)
    scene = _scene(rendered, first + 1 if settings.kind == 'classification' else None)
    scene = scene if families == settings.families else _labelled_part(scene, settings)
    return _with_void_border(scene, settings.border) if settings.border else scene


def _labelled_part(scene: Scene, settings: Settings) -> Scene:
    """Leaves out the labels of objects that the kind does not label; the image stays as it is."""
    first = settings.shown.index(settings.families[0])
    classes = scene.classes - first
    kept = np.flatnonzero((classes >= 1) & (classes <= len(settings.families)))
    label_map = scene.label_map.astype(np.int32) - first
    label_map[(label_map < 1) | (label_map > len(settings.families))] = 0
    return dataclasses.replace(
        scene,
        boxes=scene.boxes[kept],
        classes=classes[kept],
        masks=scene.masks[kept],
        label_map=label_map.astype(np.uint8),
        keypoints=[scene.keypoints[number] for number in kept],
        visible_shares=scene.visible_shares[kept],
    )


def _with_void_border(scene: Scene, border: int) -> Scene:
    """Makes void what lies within `border` pixels of an object's outline, on both sides; the frame is no outline."""
    numbers = np.zeros(scene.label_map.shape, np.uint8)
    for number, mask in enumerate(scene.masks, 1):
        numbers[mask > 0] = number
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border + 1, 2 * border + 1))
    outline = cv2.dilate(numbers, disc) != cv2.erode(numbers, disc)
    return dataclasses.replace(scene, label_map=np.where(outline, np.uint8(label_maps.IGNORE), scene.label_map))


def _balanced_class(index: int, seed: int, settings: Settings) -> int:
    """The family of an image's first object: each block of K images has each of the K families once."""
    count = len(settings.shown)
    block = np.random.default_rng([seed, index // count, KIND_CODES[settings.kind], 1])
    return int(block.permutation(count)[index % count])


def _wanted_objects(
    rng: np.random.Generator, first: int, knob: scene_knobs.Knobs, settings: Settings
) -> list[tuple[int, float]]:
    """Draws how many objects there are, of which classes and sizes: few and many, small ones more often."""
    count = min(max(settings.min_objects, 1 + int(rng.exponential(2.2))), settings.max_objects)
    families = [first, *rng.integers(len(settings.shown), size=max(count - 1, 0))][:count]
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
