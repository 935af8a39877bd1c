"""Bad label maps: files, sizes, classes and lists of PASCAL VOC's layout and of SBD's."""

import io

import numpy as np
from PIL import Image

from official_rethink.data import label_maps
from tests.bad_inputs import commands, world
from tests.bad_inputs.commands import Case
from tests.data import voc_making

_FIRST, _SECOND = voc_making.NAMES[:2]
_MASK = f'voc/SegmentationClass/{_FIRST}.png'
_LIST = 'voc/ImageSets/Segmentation/train.txt'
_MAT = f'sbd/cls/{_FIRST}.mat'


def rgb() -> bytes:
    """A mask saved in its colours."""
    stream = io.BytesIO()
    Image.fromarray(label_maps.palette()[voc_making.label_map(0)]).save(stream, 'PNG')
    return stream.getvalue()


def sorted_anew() -> bytes:
    """A mask of an aeroplane whose palette an image program has put in another order: void second."""
    found = voc_making.label_map(0)
    image = Image.fromarray((found == label_maps.IGNORE) * np.uint8(1) + (found == 1) * np.uint8(2))
    image.putpalette(label_maps.palette()[[0, label_maps.IGNORE, 1]].tobytes())
    stream = io.BytesIO()
    image.save(stream, 'PNG')
    return stream.getvalue()


def filled(height: int, width: int, value: int) -> bytes:
    return label_maps.encode_palette(np.full((height, width), value, np.uint8))


LABEL_MAPS = (
    Case(
        'label map of another size than its image',
        commands.VOC,
        (f'{_FIRST}.jpg', 'line 1 of', 'is 48 x 64 (height x width)', f"'{_MASK}' is 24 x 32"),
        world.write(_MASK, filled(24, 32, 0)),
    ),
    Case(
        'label map saved in colours',
        commands.VOC,
        (_MASK, 'is RGB, whose colours are no class ids', 'allowed: a palette PNG, or an 8-bit grey one'),
        world.write(_MASK, rgb()),
    ),
    Case(
        'class over the list',
        commands.VOC,
        (_MASK, 'has the class 21 (3,072 pixels)', '0 (background) to 20, and 255 (void)'),
        world.write(_MASK, filled(48, 64, 21)),
    ),
    Case(
        'palette of other indices',
        commands.VOC,
        (_MASK, 'shows index 1 as (224, 224, 192)', "VOC's colour of 255 (void)", 'indices that are class ids'),
        world.write(_MASK, sorted_anew()),
    ),
    Case(
        'masks of other classes than the list',
        (*commands.VOC, '--classes=cat.txt'),
        (f'{_SECOND}.png', 'has the class 2 (252 pixels)', '0 (background) to 1, and 255 (void)'),
        world.write('cat.txt', 'cat\n'),
    ),
    Case(
        'label map that is not there',
        commands.VOC,
        (_MASK, f"line 1 of '{_LIST}'", f"no label map of the name '{_FIRST}'"),
        world.remove(_MASK),
    ),
    Case(
        'listed image that is not there',
        commands.VOC,
        (f'JPEGImages/{_FIRST}.jpg', f"line 1 of '{_LIST}'", f"no image of the name '{_FIRST}'"),
        world.remove(f'voc/JPEGImages/{_FIRST}.jpg'),
    ),
    Case(
        'label map cut off',
        commands.VOC,
        (_MASK, 'is truncated', 'IEND'),
        world.cut(_MASK, 20),
    ),
    Case(
        'label map with a flipped bit',
        commands.VOC,
        (_MASK, 'is corrupt: wrong checksum'),
        world.flip(_MASK, 100),
    ),
    Case('label map that is a JPEG', commands.VOC, (_MASK, 'is no PNG'), world.copy('photos/images/a.jpg', _MASK)),
    Case(
        '.mat cut off',
        commands.SBD,
        (_MAT, 'cannot be read as a MATLAB file'),
        world.cut(_MAT, 200),
    ),
    Case(
        '.mat of instances',
        commands.SBD,
        (_MAT, "holds GTinst; allowed: a structure 'GTcls'", 'cls/'),
        world.write(_MAT, voc_making.mat(voc_making.label_map(0), key='GTinst')),
    ),
    Case(
        'list that is not there',
        ('prepare', 'voc', '--voc=voc', '--list=trian', '--output_dir=out'),
        ("'trian'", '--list', "Did you mean 'train'?", 'Allowed: train, trainval, val'),
    ),
    Case('empty list', commands.VOC, (_LIST, 'is empty', 'the name of an image on each line'), world.write(_LIST, '')),
    Case(
        'name listed twice',
        commands.VOC,
        (_LIST, 'line 3', f"names '{_FIRST}' again, as line 1 of"),
        world.write(_LIST, f'{_FIRST}\n{_SECOND}\n{_FIRST}\n'),
    ),
    Case(
        'list of another task',
        commands.VOC,
        (_LIST, 'line 1', f"'{_FIRST} -1'", 'ImageSets/Main'),
        world.write(_LIST, f'{_FIRST} -1\n'),
    ),
    Case(
        'folder above VOC2012',
        ('prepare', 'voc', '--voc=.', '--list=train', '--output_dir=out'),
        ("--voc is '.'", 'neither JPEGImages (VOC) nor img (SBD)', 'Did you mean'),
    ),
    Case(
        'class named twice',
        (*commands.VOC, '--classes=twice.txt'),
        ("--classes 'twice.txt'", "names the class 'cat' twice"),
        world.write('twice.txt', 'cat\ndog\ncat\n'),
    ),
    Case(
        'void border wider than allowed',
        ('prepare', 'scenes', '--kind=segmentation', '--void_border=20', '--num_images=2', '--output_dir=out'),
        ('void_border is 20', '--void_border', '0 to 16'),
    ),
    Case(
        'label map cut off, skipped',
        (*commands.VOC, '--on_error=skip'),
        (),
        world.cut(_MASK, 20),
        skipped=('1 images', 'skipped: 1 (1 x truncated label map)'),
    ),
)
