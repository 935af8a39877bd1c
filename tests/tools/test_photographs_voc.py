"""The photographs in VOC's layout: whole, right, and what `prepare voc` reads."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import label_maps, shards
from tools import photograph_outlines, photographs, photographs_voc


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('photographs')
    assert photographs.main([f'--output_dir={path}', '--layout=voc', '--unlabelled=6']) == 0
    return path


def test_layout(folder: pathlib.Path):
    names = ['Annotations', 'ImageSets', 'JPEGImages', 'SegmentationClass', 'classes.txt', 'unlabelled']
    assert sorted(os.listdir(folder)) == names
    for name in ('train.txt', 'val.txt'):
        segmentation, main = ((folder / 'ImageSets' / kind / name).read_text() for kind in ('Segmentation', 'Main'))
        assert segmentation == main
    lists = [(folder / 'ImageSets' / 'Segmentation' / f'{name}.txt').read_text().split() for name in ('train', 'val')]
    assert [len(names) for names in lists] == [9, 3] and not set(lists[0]) & set(lists[1])
    for where, suffix in (('JPEGImages', 'jpg'), ('SegmentationClass', 'png'), ('Annotations', 'xml')):
        assert sorted(os.listdir(folder / where)) == sorted(f'{name}.{suffix}' for name in sum(lists, []))
    sizes = [Image.open(folder / 'JPEGImages' / name).size for name in sorted(os.listdir(folder / 'JPEGImages'))]
    assert sizes == [Image.open(path).size for path in sorted((folder / 'SegmentationClass').iterdir())]


def test_every_class_is_drawn_and_has_its_border():
    for one in photograph_outlines.PHOTOGRAPHS:
        label_map = photographs_voc.label_map(one)
        label = photograph_outlines.CLASSES.index(one.label) + 1
        assert set(np.unique(label_map)) == {0, label, 255}, one.name
        # No pixel of the class touches the background: the void lies between.
        for axis in (0, 1):
            pairs = np.stack([np.delete(label_map, -1, axis), np.delete(label_map, 0, axis)]).reshape(2, -1)
            assert not ((pairs == label).any(0) & (pairs == 0).any(0)).any()


def test_points_that_are_plain_to_see():
    """Pixels looked up in the photographs: the astronaut's nose, the cat's, the espresso, a coin, the sky."""
    seen = {
        ('astronaut', 125, 220): 1, ('astronaut', 50, 400): 0, ('cat', 240, 270): 2, ('coffee', 140, 290): 3,
        ('coffee', 350, 100): 0, ('motorcycle_left', 190, 420): 4, ('motorcycle_right', 190, 370): 4,
        ('flower', 222, 307): 5, ('pavilion', 220, 250): 6, ('pavilion', 50, 450): 0, ('coins_top', 44, 335): 7,
        ('coins_bottom', 37, 347): 7, ('coins_bottom', 75, 320): 0, ('rocket', 300, 322): 8, ('cameraman', 230, 100): 1,
    }  # fmt: skip
    maps = {one.name: photographs_voc.label_map(one) for one in photograph_outlines.PHOTOGRAPHS}
    assert {key: int(maps[key[0]][key[1:]]) for key in seen} == seen


def test_prepare_reads_it(folder: pathlib.Path, tmp_path: pathlib.Path, capsys):
    for name in ('train', 'val'):
        command = ['voc', f'--voc={folder}', f'--classes={folder}/classes.txt', f'--list={name}']
        prepare.main([*command, f'--output_dir={tmp_path}'])
    prepare.main(['images', f'--images={folder}/unlabelled', f'--output_dir={tmp_path}'])
    train, val = (shards.load_description(f'{tmp_path}/{name}*') for name in ('train', 'val'))
    assert [category['name'] for category in train['categories']] == list(photograph_outlines.CLASSES)
    assert train['instances_per_category'] == {'1': 2} | {str(i): 1 for i in range(2, 9)}
    assert {i for i, count in val['instances_per_category'].items() if count} == {'1', '4', '7'}
    for record in shards.read(f'{tmp_path}/val*'):
        truth = next(one for one in photograph_outlines.PHOTOGRAPHS if record.filename == f'{one.name}.jpg')
        np.testing.assert_array_equal(
            label_maps.decode(record.label_map_png or b''), photographs_voc.label_map(truth)
        )
    assert 'images with each' in capsys.readouterr().out


def test_boxes_hold_their_outlines(folder: pathlib.Path, tmp_path: pathlib.Path):
    """The rocket's outline is 310 to 334 wide and 127 to 405 high, from 0; coins_top's first coin is 22 to 66."""
    boxes = {one.name: photographs_voc.boxes(one) for one in photograph_outlines.PHOTOGRAPHS}
    assert boxes['rocket'] == [(311, 128, 335, 406)]
    assert (boxes['coins_top'][0], len(boxes['coins_top'])) == ((23, 35, 67, 75), 12)
    for split in ('train', 'val'):
        command = ['voc_detection', f'--voc={folder}', f'--classes={folder}/classes.txt', f'--list={split}']
        prepare.main([*command, f'--output_dir={tmp_path}'])
    found = {record.filename: record for name in ('train', 'val') for record in shards.read(f'{tmp_path}/{name}*')}
    for one in photograph_outlines.PHOTOGRAPHS:
        annotations = found[f'{one.name}.jpg'].annotations
        assert [a.label for a in annotations] == [photograph_outlines.CLASSES.index(one.label) + 1] * len(one.outlines)
        # What the label map shows, void border included, fills the boxes and that border.
        rows, columns = np.nonzero(photographs_voc.label_map(one))
        edges = np.array([a.box for a in annotations])
        np.testing.assert_allclose(edges[:, :2].min(0), [rows.min(), columns.min()], atol=3.01)
        np.testing.assert_allclose(edges[:, 2:].max(0), [rows.max() + 1, columns.max() + 1], atol=3.01)
    flower = found['flower.jpg'].annotations
    assert [(a.is_difficult, a.is_truncated) for a in flower] == [(False, False), (True, True)]


def test_cuttings_are_the_same_every_time(folder: pathlib.Path, tmp_path: pathlib.Path):
    photographs.main([f'--output_dir={tmp_path}', '--layout=voc', '--unlabelled=2'])
    for name in ('000000.jpg', '000001.jpg'):
        assert (tmp_path / 'unlabelled' / name).read_bytes() == (folder / 'unlabelled' / name).read_bytes()


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--layout=vox'], "unknown layout 'vox'.*Did you mean 'voc'"),
        (['--layout=voc', '--train=20'], '--train is 20, but --layout=voc has a dozen photographs'),
        (['--layout=voc', '--unlabelled=0'], 'unlabelled is 0'),
    ],
)
def test_wrong_flags(tmp_path: pathlib.Path, flags: list[str], words: str):
    with pytest.raises(errors.UserError, match=words):
        photographs.main([f'--output_dir={tmp_path}/out', *flags])
    assert not (tmp_path / 'out').exists()
