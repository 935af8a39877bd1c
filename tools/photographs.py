"""Makes a small data set from photographs, to try the README's commands on: boxes in COCO's format, or label maps.

Cat, cup, face and flower are cut out of photographs that scikit-image and scikit-learn ship (`make setup-dev`
installs both), turned, scaled, and pasted on others. It shows that the commands work on data that is not the
built-in scenes. It is no benchmark: every cat is the same cat. With --layout=voc it writes a dozen whole
photographs with palette masks and boxes of outlines drawn by hand, as PASCAL VOC's folders, and cuttings without
labels.

    python -m tools.photographs --output_dir=photographs
    python -m tools.photographs --layout=voc --output_dir=photographs_voc
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import skimage.data
from PIL import Image, ImageDraw
from sklearn import datasets

from official_rethink.common import entry_point, errors, files
from tools import photographs_voc

WIDTH, HEIGHT = 160, 128
MOST_HIDDEN = 0.15  # share of an object's pixels that later ones may cover
COUNTS = {'train': 60, 'val': 40, 'unlabelled': 60}
_BACKGROUNDS = ('brick', 'grass', 'gravel', 'hubble_deep_field', 'rocket')


@dataclasses.dataclass(frozen=True)
class Source:
    """An object in a photograph: class, photograph, and the ellipse around it (pixels of the photograph)."""

    name: str
    photograph: str
    x: int
    y: int
    radius_x: int
    radius_y: int


SOURCES = (
    Source('cat', 'chelsea', 205, 150, 165, 142),
    Source('cup', 'coffee', 278, 200, 197, 186),
    Source('face', 'astronaut', 227, 100, 60, 90),
    Source('flower', 'flower.jpg', 307, 223, 138, 137),
)


def _photograph(name: str) -> Image.Image:
    pixels = datasets.load_sample_image(name) if '.' in name else getattr(skimage.data, name)()
    return Image.fromarray(pixels).convert('RGB')


def _cut_out(source: Source) -> Image.Image:
    """The object with an opaque ellipse around it and nothing beyond."""
    photograph = _photograph(source.photograph)
    box = (
        source.x - source.radius_x,
        source.y - source.radius_y,
        source.x + source.radius_x,
        source.y + source.radius_y,
    )
    alpha = Image.new('L', photograph.size, 0)
    ImageDraw.Draw(alpha).ellipse(box, fill=255)
    photograph.putalpha(alpha)
    return photograph.crop(box)


class Composer:
    """Draws images; image i of a seed is always the same."""

    def __init__(self, seed: int):
        """Args: of all random choices."""
        self._seed = seed
        self._objects = [_cut_out(source) for source in SOURCES]
        self._backgrounds = [_photograph(name) for name in _BACKGROUNDS]

    def compose(self, index: int) -> tuple[Image.Image, list[dict[str, Any]]]:
        """Returns an image and its objects: COCO's category_id, bbox (x y width height) and area."""
        random = np.random.default_rng((self._seed, index))
        image = self._background(random)
        visible: list[tuple[int, np.ndarray]] = []
        wanted = 1 + int(random.integers(0, 3))
        for place in range(wanted):
            # The first object goes through the classes, so that even a small set has them all.
            kind = (index if place == 0 else int(random.integers(len(SOURCES)))) % len(SOURCES)
            self._paste(image, kind, random, visible)
        return image, [_annotation(kind, mask) for kind, mask in visible]

    def _background(self, random: np.random.Generator) -> Image.Image:
        photograph = self._backgrounds[int(random.integers(len(self._backgrounds)))]
        width, height = photograph.size
        zoom = random.uniform(1, min(width / WIDTH, height / HEIGHT))
        left = random.uniform(0, width - WIDTH * zoom)
        top = random.uniform(0, height - HEIGHT * zoom)
        box = (left, top, left + WIDTH * zoom, top + HEIGHT * zoom)
        image = photograph.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)
        tint = random.uniform(0.6, 1.2, 3)
        return Image.fromarray((np.asarray(image) * tint).clip(0, 255).astype(np.uint8))

    def _paste(
        self,
        image: Image.Image,
        kind: int,
        random: np.random.Generator,
        visible: list[tuple[int, np.ndarray]],
    ) -> None:
        """Pastes one object where it hides little of the others, or leaves it out after some tries."""
        figure = self._objects[kind]
        if random.random() < 0.5:
            figure = figure.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        figure = figure.rotate(random.uniform(-25, 25), Image.Resampling.BICUBIC, expand=True)
        scale = random.uniform(40, 90) / max(figure.size)
        figure = figure.resize((round(figure.width * scale), round(figure.height * scale)))
        for _ in range(20):
            corner = (
                int(random.integers(0, WIDTH - figure.width + 1)),
                int(random.integers(0, HEIGHT - figure.height + 1)),
            )
            alpha = Image.new('L', image.size, 0)
            alpha.paste(figure.getchannel('A'), corner)
            mask = np.asarray(alpha) > 127
            if all((old & mask).sum() <= MOST_HIDDEN * old.sum() for _, old in visible):
                image.paste(figure, corner, figure)
                visible[:] = [(label, old & ~mask) for label, old in visible] + [(kind, mask)]
                return


def _annotation(kind: int, mask: np.ndarray) -> dict[str, Any]:
    """Boxes are tight around the visible pixels, as COCO's are."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    box = [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]
    return {'category_id': kind + 1, 'bbox': box, 'area': int(mask.sum()), 'iscrowd': 0}


def write(output_dir: str, split: str, composer: Composer, indices: range, labelled: bool) -> None:
    """Writes a folder of JPEG images and, if labelled, instances_<split>.json beside it."""
    folder = os.path.join(output_dir, split)
    os.makedirs(folder, exist_ok=True)
    content: dict[str, list[dict[str, Any]]] = {'images': [], 'annotations': [], 'categories': []}
    content['categories'] = [{'id': i, 'name': source.name} for i, source in enumerate(SOURCES, start=1)]
    for index in indices:
        image, annotations = composer.compose(index)
        name = f'{index:06d}.jpg'
        image.save(os.path.join(folder, name), quality=90)
        content['images'].append({'id': index, 'file_name': name, 'width': WIDTH, 'height': HEIGHT})
        for annotation in annotations:
            number = len(content['annotations']) + 1
            content['annotations'].append({'id': number, 'image_id': index, **annotation})
    if labelled:
        files.write_json(os.path.join(output_dir, f'instances_{split}.json'), content)


def main(argv: Sequence[str]) -> int:
    """Writes the sets of a layout."""
    parser = entry_point.Parser(prog='python -m tools.photographs', description=__doc__)
    parser.add_argument('--output_dir', required=True, help='folder for images and json files')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--layout', default='coco', help='coco: boxes; voc: label maps and boxes (default: coco)')
    for name, number in COUNTS.items():
        fixed = '' if name == 'unlabelled' else '; voc has its own'
        parser.add_argument(f'--{name}', type=int, help=f'images (default: {number}{fixed})')
    args = parser.parse_args(list(argv))
    if args.layout not in ('coco', 'voc'):
        raise errors.unknown_name('layout', args.layout, ('coco', 'voc'), where='--layout')
    for name in (*COUNTS, 'seed'):
        value, least = getattr(args, name), 0 if name == 'seed' else 1
        if args.layout == 'voc' and name in ('train', 'val') and value is not None:
            raise errors.UserError(f'--{name} is {value}, but --layout=voc has a dozen photographs and no more.')
        if value is None:
            setattr(args, name, COUNTS[name])
        elif value < least:
            raise errors.bad_value(name, value, f'{least} or more', where=f'--{name}')
    if args.layout == 'voc':
        for name, number in photographs_voc.write(args.output_dir, args.unlabelled, args.seed).items():
            sys.stdout.write(f'{args.output_dir}, {name}: {number} images\n')
        return 0
    composer, start = Composer(args.seed), 1
    for name in COUNTS:
        indices = range(start, start + getattr(args, name))
        write(args.output_dir, name, composer, indices, labelled=name != 'unlabelled')
        sys.stdout.write(f'{args.output_dir}/{name}: {len(indices)} images\n')
        start = indices.stop
    return 0


if __name__ == '__main__':
    entry_point.run(main)
