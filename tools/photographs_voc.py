"""A dozen photographs with outlines drawn by hand as a folder in PASCAL VOC's layout, and cuttings without labels."""

import os

import matplotlib.cbook
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from sklearn import datasets

from official_rethink.data import label_maps
from tools import photograph_outlines as outlines

_BORDER = 3  # void pixels on either side of an outline, which is no more exact than that
_QUALITY = 92


def photograph(source: str) -> Image.Image:
    """Returns a photograph, grey or RGB as it is; see `Photograph.source`."""
    if source == 'grace_hopper.jpg':
        return Image.open(matplotlib.cbook.get_sample_data(source, asfileobj=False)).convert('RGB')
    if source.endswith('.jpg'):
        return Image.fromarray(datasets.load_sample_image(source))
    if source.startswith('motorcycle_'):
        return Image.fromarray(skimage.data.stereo_motorcycle()[source == 'motorcycle_right'])
    return Image.fromarray(getattr(skimage.data, source)())


def image(one: outlines.Photograph) -> Image.Image:
    """The rows of the photograph that are taken."""
    whole = photograph(one.source)
    first, end = one.rows or (0, whole.height)
    return whole.crop((0, first, whole.width, end))


def label_map(one: outlines.Photograph) -> np.ndarray:
    """Returns uint8 [H, W]: the class within the outlines, void on them, background elsewhere."""
    whole = photograph(one.source)
    canvas = Image.new('L', whole.size, 0)
    draw = ImageDraw.Draw(canvas)
    label = outlines.CLASSES.index(one.label) + 1
    for text in one.outlines:
        points = [tuple(int(value) for value in point.split(',')) for point in text.split()]
        if len(points) == 1:
            x, y, radius_x, radius_y = points[0]
            draw.ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=label)
        else:
            draw.polygon(points, fill=label)
    first, end = one.rows or (0, whole.height)
    canvas = canvas.crop((0, first, whole.width, end))
    width = 2 * _BORDER + 1
    most, least = (np.asarray(canvas.filter(kind(width))) for kind in (ImageFilter.MaxFilter, ImageFilter.MinFilter))
    return np.where(most != least, np.uint8(label_maps.IGNORE), np.asarray(canvas))


def cutting(random: np.random.Generator) -> Image.Image:
    """A random window of a training photograph, at times mirrored, in another light."""
    chosen = [one for one in outlines.PHOTOGRAPHS if one.split == 'train']
    whole = image(chosen[int(random.integers(len(chosen)))]).convert('RGB')
    width, height = (round(side * random.uniform(0.6, 0.95)) for side in whole.size)
    left, top = int(random.integers(whole.width - width + 1)), int(random.integers(whole.height - height + 1))
    window = whole.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        window = ImageOps.mirror(window)
    tint = random.uniform(0.7, 1.2, 3)
    return Image.fromarray((np.asarray(window) * tint).clip(0, 255).astype(np.uint8))


def write(output_dir: str, unlabelled: int, seed: int) -> dict[str, int]:
    """Writes JPEGImages, SegmentationClass, ImageSets/Segmentation, classes.txt and unlabelled/; returns the counts."""
    folders = [os.path.join(output_dir, *parts.split('/')) for parts in (
        'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation', 'unlabelled',
    )]  # fmt: skip
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    names: dict[str, list[str]] = {'train': [], 'val': []}
    for one in outlines.PHOTOGRAPHS:
        image(one).save(os.path.join(folders[0], f'{one.name}.jpg'), quality=_QUALITY)
        with open(os.path.join(folders[1], f'{one.name}.png'), 'wb') as handle:
            handle.write(label_maps.encode_palette(label_map(one)))
        names[one.split].append(one.name)
    for split, chosen in names.items():
        with open(os.path.join(folders[2], f'{split}.txt'), 'w', encoding='utf-8') as text:
            text.writelines(f'{name}\n' for name in chosen)
    with open(os.path.join(output_dir, 'classes.txt'), 'w', encoding='utf-8') as text:
        text.writelines(f'{name}\n' for name in outlines.CLASSES)
    for index in range(unlabelled):
        random = np.random.default_rng((seed, index))
        cutting(random).save(os.path.join(folders[3], f'{index:06d}.jpg'), quality=_QUALITY)
    return {split: len(chosen) for split, chosen in names.items()} | {'unlabelled': unlabelled}
