"""A dozen photographs with outlines drawn by hand as a folder in PASCAL VOC's layout, and cuttings without labels.

Label maps and boxes come from the same outlines: a box is what of its outline lies in the image.
"""

import os
from xml.etree import ElementTree

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


def _filled(one: outlines.Photograph, texts: tuple[str, ...], value: int) -> Image.Image:
    """The image's size of `value` within the outlines, 0 elsewhere."""
    whole = photograph(one.source)
    canvas = Image.new('L', whole.size, 0)
    draw = ImageDraw.Draw(canvas)
    for text in texts:
        points = [tuple(int(number) for number in point.split(',')) for point in text.split()]
        if len(points) == 1:
            x, y, radius_x, radius_y = points[0]
            draw.ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=value)
        else:
            draw.polygon(points, fill=value)
    first, end = one.rows or (0, whole.height)
    return canvas.crop((0, first, whole.width, end))


def boxes(one: outlines.Photograph) -> list[tuple[int, int, int, int]]:
    """Returns xmin, ymin, xmax, ymax of each outline as VOC has them: from 1, the last pixel included."""
    found = []
    for text in one.outlines:
        inside = np.asarray(_filled(one, (text,), 1))
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        found.append((int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1))
    return found


def annotation(one: outlines.Photograph) -> str:
    """Returns VOC's XML of a photograph; an object is truncated if its box ends with the image."""
    width, height = image(one).size
    root = ElementTree.Element('annotation')
    ElementTree.SubElement(root, 'filename').text = f'{one.name}.jpg'
    size = ElementTree.SubElement(root, 'size')
    for name, value in (('width', width), ('height', height), ('depth', 3)):
        ElementTree.SubElement(size, name).text = str(value)
    for place, (xmin, ymin, xmax, ymax) in enumerate(boxes(one)):
        thing = ElementTree.SubElement(root, 'object')
        truncated = min(xmin, ymin) == 1 or xmax == width or ymax == height
        ElementTree.SubElement(thing, 'name').text = one.label
        for name, value in (('truncated', truncated), ('difficult', place in one.difficult)):
            ElementTree.SubElement(thing, name).text = str(int(value))
        box = ElementTree.SubElement(thing, 'bndbox')
        for name, value in (('xmin', xmin), ('ymin', ymin), ('xmax', xmax), ('ymax', ymax)):
            ElementTree.SubElement(box, name).text = str(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='unicode') + '\n'


def label_map(one: outlines.Photograph) -> np.ndarray:
    """Returns uint8 [H, W]: the class within the outlines, void on them, background elsewhere."""
    canvas = _filled(one, one.outlines, outlines.CLASSES.index(one.label) + 1)
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
    """Writes JPEGImages, SegmentationClass, Annotations, ImageSets, classes.txt, unlabelled/; returns the counts."""
    folders = [os.path.join(output_dir, *parts.split('/')) for parts in (
        'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation', 'unlabelled', 'Annotations', 'ImageSets/Main',
    )]  # fmt: skip
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    names: dict[str, list[str]] = {'train': [], 'val': []}
    for one in outlines.PHOTOGRAPHS:
        image(one).save(os.path.join(folders[0], f'{one.name}.jpg'), quality=_QUALITY)
        with open(os.path.join(folders[1], f'{one.name}.png'), 'wb') as handle:
            handle.write(label_maps.encode_palette(label_map(one)))
        with open(os.path.join(folders[4], f'{one.name}.xml'), 'w', encoding='utf-8') as text:
            text.write(annotation(one))
        names[one.split].append(one.name)
    for split, chosen in names.items():
        for folder in (folders[2], folders[5]):
            with open(os.path.join(folder, f'{split}.txt'), 'w', encoding='utf-8') as text:
                text.writelines(f'{name}\n' for name in chosen)
    with open(os.path.join(output_dir, 'classes.txt'), 'w', encoding='utf-8') as text:
        text.writelines(f'{name}\n' for name in outlines.CLASSES)
    for index in range(unlabelled):
        random = np.random.default_rng((seed, index))
        cutting(random).save(os.path.join(folders[3], f'{index:06d}.jpg'), quality=_QUALITY)
    return {split: len(chosen) for split, chosen in names.items()} | {'unlabelled': unlabelled}
