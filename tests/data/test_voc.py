"""PASCAL VOC's and SBD's folders become records; what cannot be right is named."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import label_maps, records, shards
from tests.data import making, voc_making
from tests.data.voc_making import NAMES


@pytest.fixture
def voc(tmp_path: pathlib.Path) -> pathlib.Path:
    voc_making.write(tmp_path / 'VOC2012')
    return tmp_path / 'VOC2012'


def run(root: pathlib.Path, *more: str) -> list[records.Record]:
    out = root.parent / 'out'
    assert prepare.main(['voc', f'--voc={root}', f'--output_dir={out}', '--split=x', *more]) == 0
    return list(shards.read(f'{out}/x*'))


def maps(found: list[records.Record]) -> list[np.ndarray]:
    return [label_maps.decode(record.label_map_png or b'') for record in found]


def test_voc(voc: pathlib.Path, capsys):
    found = run(voc, '--list=train')
    assert [record.filename for record in found] == [f'{name}.jpg' for name in NAMES[:2]]
    for number, (record, label_map) in enumerate(zip(found, maps(found), strict=True)):
        np.testing.assert_array_equal(label_map, voc_making.label_map(number))
        assert (record.height, record.width) == voc_making.SIZES[number]
        assert record.encoded == (voc / 'JPEGImages' / record.filename).read_bytes()
        assert record.label_map_png and record.label_map_png[25] == 0  # grey, as TensorFlow reads ids
    description = shards.load_description(f'{voc.parent}/out/x*')
    # A block is 16 x 20 pixels, 14 x 18 of them of its class.
    assert description['void_pixels'] == 2 * (16 * 20 - 14 * 18)
    assert [description['pixels_per_category'][i] for i in '0123'] == [48 * 64 + 37 * 51 - 640, 252, 252, 0]
    assert [category['name'] for category in description['categories']][:3] == ['aeroplane', 'bicycle', 'bird']
    assert (len(description['categories']), description['categories'][19]['name']) == (20, 'tvmonitor')
    assert 'label maps: 4,959 pixels; 10.2% of classes, 87.1% background, 2.7% void' in capsys.readouterr().out


def test_sets_are_called_as_their_list(voc: pathlib.Path, capsys):
    for name in ('train', 'val'):
        prepare.main(['voc', f'--voc={voc}', f'--list={name}', f'--output_dir={voc.parent}/out'])
        assert shards.load_description(f'{voc.parent}/out/{name}*')['split'] == name
    prepare.main(['voc', f'--voc={voc}', '--list=val', f'--output_dir={voc.parent}/out'])
    assert 'nothing to do' in capsys.readouterr().err


def test_sbd_in_its_own_layout_and_over_vocs_images(voc: pathlib.Path, capsys):
    dataset = voc.parent / 'dataset'
    voc_making.write_sbd(dataset)
    expected = [np.where(m == 255, 0, m) for m in map(voc_making.label_map, range(3))]
    for label_map, truth in zip(maps(run(dataset, '--list=train')), expected, strict=True):
        np.testing.assert_array_equal(label_map, truth)
    found = run(voc, f'--masks={dataset}/cls', f'--list={dataset}/train.txt', '--exclude=val', '--overwrite')
    assert [record.filename for record in found] == [f'{name}.jpg' for name in NAMES[:2]]
    assert '  left out: 1 names that --exclude lists' in capsys.readouterr().out


def test_vocs_and_sbds_label_maps_as_one_set(voc: pathlib.Path):
    """The augmented set: VOC's own label maps, which know a void, go before SBD's of the same images."""
    dataset = voc.parent / 'dataset'
    voc_making.write_sbd(dataset)
    for name in NAMES[1:]:
        (voc / 'SegmentationClass' / f'{name}.png').unlink()
    (voc / 'ImageSets' / 'Segmentation' / 'train.txt').write_text(NAMES[0])
    lists = f'--list=train,{dataset}/train.txt'
    found = run(voc, f'--masks=SegmentationClass,{dataset}/cls', lists)
    assert [record.filename for record in found] == [f'{name}.jpg' for name in NAMES]
    assert [255 in label_map for label_map in maps(found)] == [True, False, False]
    with pytest.raises(errors.UserError, match='2 problems'):
        run(voc, lists, '--overwrite')


def test_the_same_files_by_another_path_are_the_same_set(voc: pathlib.Path, monkeypatch, capsys):
    run(voc, '--list=train')
    monkeypatch.chdir(voc)
    prepare.main(['voc', '--voc=.', f'--output_dir={voc.parent}/out', '--split=x', '--list=train'])
    assert 'nothing to do' in capsys.readouterr().err
    with pytest.raises(errors.UserError, match='--overwrite'):
        prepare.main(['voc', '--voc=.', f'--output_dir={voc.parent}/out', '--split=x', '--list=trainval'])


def test_sbd_converted_to_png_with_a_list_of_pairs(voc: pathlib.Path):
    folder = voc / 'SegmentationClassAug'
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / f'{name}.png').write_bytes(label_maps.encode(voc_making.label_map(number)))
    pairs = ''.join(f'/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png\n' for name in NAMES)
    (voc / 'ImageSets' / 'Segmentation' / 'trainaug.txt').write_text('\ufeff' + pairs + '\n')
    for number, label_map in enumerate(maps(run(voc, '--list=trainaug', '--masks=SegmentationClassAug'))):
        np.testing.assert_array_equal(label_map, voc_making.label_map(number))


def test_own_folders_and_classes(tmp_path: pathlib.Path):
    for folder in ('pictures/a', 'labels/a'):
        (tmp_path / folder).mkdir(parents=True)
    making.picture(20, 30).save(tmp_path / 'pictures' / 'a' / 'one.png')
    making.picture(20, 30).save(tmp_path / 'pictures' / 'no label.png')
    (tmp_path / 'labels' / 'a' / 'one.png').write_bytes(label_maps.encode(np.full((20, 30), 2, np.uint8)))
    (tmp_path / 'classes.txt').write_text('background\npotted plant\ncup\n')
    command = ['voc', f'--images={tmp_path}/pictures', f'--output_dir={tmp_path}/out']
    prepare.main([*command, f'--masks={tmp_path}/labels', f'--classes={tmp_path}/classes.txt'])
    (record,) = shards.read(f'{tmp_path}/out/train*')
    assert record.filename == 'a/one.png'
    description = shards.load_description(f'{tmp_path}/out/train*')
    assert [(c['id'], c['name']) for c in description['categories']] == [(1, 'potted plant'), (2, 'cup')]
    prepare.main([*command, '--unlabelled'])
    assert shards.load_description(f'{tmp_path}/out/unlabelled*')['num_images'] == 2


def test_without_labels_the_images_are_those_of_a_folder(voc: pathlib.Path):
    """The same ids: what is prepared with labels is the truth of what is prepared without, in either way."""
    labelled = {record.source_id for record in run(voc, '--list=trainval')}
    bare = run(voc, '--list=trainval', '--unlabelled', '--overwrite')
    assert {record.source_id for record in bare} == labelled
    assert not any(record.label_map_png for record in bare)
    description = shards.load_description(f'{voc.parent}/out/x*')
    assert description['categories'] == [] and 'label_maps' not in description
    prepare.main(['images', f'--images={voc}/JPEGImages', f'--output_dir={voc.parent}/out'])
    assert {record.source_id for record in shards.read(f'{voc.parent}/out/unlabelled*')} == labelled


def test_images_without_objects_or_wholly_void_are_kept(voc: pathlib.Path):
    for name, value in zip(NAMES[:2], (0, 255), strict=True):
        size = Image.open(voc / 'JPEGImages' / f'{name}.jpg').size
        label_map = np.full(size[::-1], value, np.uint8)
        (voc / 'SegmentationClass' / f'{name}.png').write_bytes(label_maps.encode_palette(label_map))
    assert [set(np.unique(m)) for m in maps(run(voc, '--list=train'))] == [{0}, {255}]
    description = shards.load_description(f'{voc.parent}/out/x*')
    assert description['image_categories'] == [[], []]


def test_processes_do_not_change_the_bytes(voc: pathlib.Path):
    path = voc.parent / 'out' / 'x-00000-of-00001.tfrecord'
    run(voc, '--list=trainval')
    once = path.read_bytes()
    run(voc, '--list=trainval', '--overwrite', '--processes=2', '--num_shards=1')
    assert path.read_bytes() == once


def rotated(path: pathlib.Path, height: int, width: int) -> None:
    """A JPEG that viewers turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    making.picture(height, width).save(path, exif=exif)


def test_rotated_images_follow_their_label_maps(voc: pathlib.Path):
    """The size tells on which pixels the labels were made: here once as stored, once as shown."""
    rotated(voc / 'JPEGImages' / f'{NAMES[0]}.jpg', 48, 64)
    rotated(voc / 'JPEGImages' / f'{NAMES[1]}.jpg', 51, 37)
    found = run(voc, '--list=train')
    assert [(record.height, record.width) for record in found] == [(48, 64), (37, 51)]


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--list=trian'], "unknown list in .*'trian'.*--list.*Did you mean 'train'.*Allowed: train, trainval, val"),
        (['--list=gone.txt'], "--list 'gone.txt': there is no such file"),
        ([], '--list is missing; allowed: train, trainval, val'),
        (['--list=train', '--exclude=train'], 'every one of the 2 names is excluded'),
        (['--list=train', '--masks=SegmentationClas'], "--masks is 'SegmentationClas'.*mean 'SegmentationClass'"),
        (['--list=train', '--images=nowhere'], "--images is 'nowhere', which is no folder, nor one below"),
        (['--list=train', '--classes=gone'], "--classes 'gone': there is no such file"),
        (['--list=train', '--voc=gone'], "--voc is 'gone', which is no folder"),
        (['--list=train', '--voc='], '--voc is missing, and so is --images and --masks'),
        (['--list=train', '--voc={parent}'], r"neither JPEGImages .* folders VOC2012\. Did you mean '.*/VOC2012'"),
    ],
)
def test_wrong_flags(voc: pathlib.Path, flags: list[str], words: str):
    with pytest.raises(errors.UserError, match=words):
        run(voc, *(flag.format(parent=voc.parent) for flag in flags))
    assert not (voc.parent / 'out').exists()


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'is empty; allowed: the name of an image on each line'),
        ('2007_000032 -1\n', "line 1, is '2007_000032 -1'; allowed: a name .* ImageSets/Main are for other tasks"),
        ('a.jpg b.png\n', "is 'a.jpg b.png'; allowed"),
        ('a b c\n', "is 'a b c'; allowed"),
        (b'\xff\xfe\x00', 'is no UTF-8 text'),
    ],
)
def test_lists_of_another_form(voc: pathlib.Path, text: str | bytes, words: str):
    path = voc / 'ImageSets' / 'Segmentation' / 'train.txt'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(errors.UserError, match=words):
        run(voc, '--list=train')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('\n', 'names no class'),
        ('background\n', 'names no class'),
        ('cat\ndog\ncat\n', "names the class 'cat' twice"),
        ('cat\nbackground\n', "has 'background' as class 2; it is id 0"),
        ('\n'.join(f'c{i}' for i in range(255)), 'number of classes is 255 .*allowed: 1 to 254'),
    ],
)
def test_class_lists_that_cannot_be(voc: pathlib.Path, text: str, words: str):
    (voc / 'classes.txt').write_text(text)
    with pytest.raises(errors.UserError, match=words):
        run(voc, '--list=train', f'--classes={voc}/classes.txt')


def test_train_and_val_must_number_their_classes_alike(voc: pathlib.Path):
    run(voc, '--list=train')
    (voc / 'classes.txt').write_text('cat\ndog\nbird\n')
    with pytest.raises(errors.UserError, match=r'the classes of .val. are not numbered as those of .*x\.json'):
        run(voc, '--list=val', '--split=val', f'--classes={voc}/classes.txt')


def test_problems_are_told_together_and_can_be_skipped(voc: pathlib.Path, capsys):
    (voc / 'SegmentationClass' / f'{NAMES[1]}.png').unlink()
    (voc / 'JPEGImages' / f'{NAMES[2]}.jpg').unlink()
    names = voc / 'ImageSets' / 'Segmentation' / 'train.txt'
    names.write_text('\n'.join([*NAMES, NAMES[0]]))
    with pytest.raises(errors.UserError) as caught:
        run(voc, '--list=train')
    message = str(caught.value)
    assert '; 3 problems:' in message and not (voc.parent / 'out').exists()
    assert f"{names}: line 4: names '{NAMES[0]}' again, as line 1 of '{names}' does." in message
    assert f"{NAMES[1]}.png: line 2 of '{names}': there is no label map of the name '{NAMES[1]}'." in message
    assert f"{NAMES[2]}.jpg: line 3 of '{names}': there is no image of the name '{NAMES[2]}'." in message
    assert [record.filename for record in run(voc, '--list=train', '--on_error=skip')] == [f'{NAMES[0]}.jpg']
    assert '1 x duplicate name, 1 x missing label map, 1 x missing image' in capsys.readouterr().out


def recoloured() -> bytes:
    """What an image program makes of a mask: the same colours, the palette sorted by how frequent they are."""
    order = [0, 255, 1]
    image = Image.fromarray(sum((voc_making.label_map(0) == value) * np.uint8(i) for i, value in enumerate(order)))
    colors = label_maps.palette()[order]
    image.putpalette(colors.tobytes())
    return making.encoded(image)


@pytest.mark.parametrize(
    ('data', 'kind', 'words'),
    [
        (
            label_maps.encode_palette(np.zeros((64, 48), np.uint8)), 'sizes of image and label map',
            r"is 48 x 64 \(height x width\), but its label map '.*\.png' is 64 x 48",
        ),
        (making.encoded(making.picture()), 'label map of colours', 'is RGB, whose colours are no class ids'),
        (
            label_maps.encode_palette(np.full((48, 64), 21, np.uint8)), 'class over the list',
            r'has the class 21 \(3,072 pixels\); allowed: 0 \(background\) to 20, and 255 \(void\)',
        ),
        (label_maps.encode_palette(voc_making.label_map(0))[:-9], 'truncated label map', 'is truncated'),
        (b'', 'not a label map', 'is no PNG'),
        (recoloured(), 'palette of other indices', r'shows index 1 as \(224, 224, 192\), .* colour of 255 \(void\)'),
    ],
)  # fmt: skip
def test_bad_label_maps(voc: pathlib.Path, capsys, data: bytes, kind: str, words: str):
    (voc / 'SegmentationClass' / f'{NAMES[0]}.png').write_bytes(data)
    with pytest.raises(errors.UserError, match=words):
        run(voc, '--list=train')
    assert len(run(voc, '--list=train', '--on_error=skip')) == 1
    assert f'skipped: 1 (1 x {kind})' in capsys.readouterr().out


def test_own_classes_may_have_any_palette(voc: pathlib.Path):
    (voc / 'SegmentationClass' / f'{NAMES[0]}.png').write_bytes(recoloured())
    (voc / 'classes.txt').write_text('edge\nthing\n')
    (voc / 'one.txt').write_text(NAMES[0])
    (label_map,) = maps(run(voc, f'--list={voc}/one.txt', f'--classes={voc}/classes.txt'))
    assert set(np.unique(label_map)) == {0, 1, 2}


def test_two_files_of_one_name(voc: pathlib.Path):
    making.picture(48, 64).save(voc / 'JPEGImages' / f'{NAMES[0]}.png')
    with pytest.raises(errors.UserError, match=rf'{NAMES[0]}\.jpg: line 1 of .* is there as .*\.jpg and .*\.png'):
        run(voc, '--list=train')
