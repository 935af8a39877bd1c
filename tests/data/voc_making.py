"""A small folder in PASCAL VOC's layout, with boxes as XML, and label maps as SBD stores them."""

import io
import pathlib
from collections.abc import Sequence

import numpy as np
from scipy.io import savemat
from scipy.sparse import csc_matrix

from official_rethink.data import label_maps
from tests.data import making

NAMES = ('2007_000032', '2007_000039', '2008_000008')
SIZES = ((48, 64), (37, 51), (64, 48))


def label_map(number: int) -> np.ndarray:
    """A block of class 1 + number with a void border on background."""
    height, width = SIZES[number]
    found = np.zeros((height, width), np.uint8)
    found[8:24, 10:30] = label_maps.IGNORE
    found[9:23, 11:29] = 1 + number
    return found


def write(root: pathlib.Path) -> None:
    """Writes images, palette PNGs, and the lists train (two names), val (the third) and trainval."""
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        making.picture(*SIZES[number], seed=number).save(root / 'JPEGImages' / f'{name}.jpg')
        png = label_maps.encode_palette(label_map(number))
        (root / 'SegmentationClass' / f'{name}.png').write_bytes(png)
    for name, chosen in (('train', NAMES[:2]), ('val', NAMES[2:]), ('trainval', NAMES)):
        (root / 'ImageSets' / 'Segmentation' / f'{name}.txt').write_text(''.join(f'{one}\n' for one in chosen))


def mat(found: np.ndarray, key: str = 'GTcls', field: str = 'Segmentation') -> bytes:
    """A file as SBD's: a 1 x 1 structure with the label map, boundaries and the classes that occur."""
    boundaries = np.empty((20, 1), object)
    boundaries[:, 0] = [csc_matrix(found.shape[:2], dtype=np.float64) for _ in range(20)]
    present = np.unique(found[found > 0]).astype(np.uint8)[:, None]
    stream = io.BytesIO()
    content = {key: {'Boundaries': boundaries, field: found, 'CategoriesPresent': present}}
    savemat(stream, content, do_compression=True)
    return stream.getvalue()


def write_sbd(root: pathlib.Path) -> None:
    """Writes SBD's layout: img, cls with .mat files, train.txt."""
    for folder in ('img', 'cls'):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        making.picture(*SIZES[number], seed=number).save(root / 'img' / f'{name}.jpg')
        found = label_map(number)
        found[found == label_maps.IGNORE] = 0  # SBD knows no void
        (root / 'cls' / f'{name}.mat').write_bytes(mat(found))
    (root / 'train.txt').write_text('\n'.join(NAMES))


def thing(name: str, xmin: float, ymin: float, xmax: float, ymax: float, **flags: object) -> str:
    """An <object> as VOC writes it; a flag of None is left out."""
    stated = {'truncated': 0, 'difficult': 0} | flags
    told = ''.join(f'<{key}>{value}</{key}>' for key, value in stated.items() if value is not None)
    box = ''.join(
        f'<{key}>{value}</{key}>'
        for key, value in (('xmax', xmax), ('xmin', xmin), ('ymax', ymax), ('ymin', ymin))  # the order varies
    )
    return f'<object><name>{name}</name><pose>Unspecified</pose>{told}<bndbox>{box}</bndbox></object>'


def xml(name: str, height: int, width: int, things: Sequence[str]) -> str:
    """An annotation as VOC writes it."""
    size = f'<size><width>{width}</width><height>{height}</height><depth>3</depth></size>'
    head = f'<folder>VOC2012</folder><filename>{name}.jpg</filename><source><database>none</database></source>'
    return f'<annotation>{head}{size}<segmented>1</segmented>{"".join(things)}</annotation>\n'


# Of the three images: a cat and a difficult dog, a person with a head and hidden feet, nothing.
THINGS = (
    (thing('cat', 11, 9, 30, 24), thing('dog', 1, 1, 64, 48, difficult=1, truncated=1)),
    (
        thing('person', 2, 3, 51, 37, occluded=1).replace(
            '</object>', '<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part></object>'
        ),
    ),
    (),
)


def write_boxes(root: pathlib.Path) -> None:
    """Writes Annotations and ImageSets/Main beside JPEGImages: train, val, trainval, and a list of one class."""
    (root / 'Annotations').mkdir(parents=True)
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    for number, (name, things) in enumerate(zip(NAMES, THINGS, strict=True)):
        (root / 'Annotations' / f'{name}.xml').write_text(xml(name, *SIZES[number], things))
    for name, chosen in (('train', NAMES[:2]), ('val', NAMES[2:]), ('trainval', NAMES)):
        (root / 'ImageSets' / 'Main' / f'{name}.txt').write_text(''.join(f'{one}\n' for one in chosen))
    (root / 'ImageSets' / 'Main' / 'cat_train.txt').write_text(f'{NAMES[0]}  1\n{NAMES[1]} -1\n')
