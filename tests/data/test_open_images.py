"""Open Images' boxes: a CSV, a class list and images, as they are published; and what can be wrong with each."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import open_images, records, shards
from tests.data import making

HEADER = 'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside'
CLASSES = '/m/0dog,Dog\n/m/0cat,"Cat, domestic"\n/m/0cup,Cup\n'
ROWS = (
    '0a1b,xclick,/m/0dog,1,0.25,0.5,0.125,0.75,1,0,0,0,0',
    '0a1b,activemil,/m/0cat,1,0.0,1.0,0.0,1.0,-1,-1,-1,-1,-1',
    '00ff,xclick,/m/0cup,1,0.5,0.75,0.5,1.0,0,1,1,1,0',
    'fe00,xclick,/m/0dog,1,0.1,0.2,0.1,0.2,0,0,0,0,1',
)


def write(folder: pathlib.Path, rows: Any = ROWS, header: str = HEADER, classes: str = CLASSES) -> list[str]:
    """Writes the three files' worth, with an image that no row names; returns the command."""
    (folder / 'images' / 'train_0').mkdir(parents=True)
    for seed, name in enumerate(('0a1b', 'train_0/00ff', 'fe00', 'unnamed')):
        making.picture(seed=seed).save(folder / 'images' / f'{name}.jpg')
    (folder / 'boxes.csv').write_text('\n'.join([header, *rows]) + '\n')
    (folder / 'classes.csv').write_text(classes)
    return [
        'open_images',
        f'--annotations={folder}/boxes.csv',
        f'--classes={folder}/classes.csv',
        f'--images={folder}/images',
        f'--output_dir={folder}/out',
        '--processes=1',
    ]


def _read(folder: pathlib.Path) -> dict[str, records.Record]:
    return {record.filename: record for record in shards.read(str(folder / 'out'))}


def test_rows_become_boxes(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main([*write(tmp_path), '--num_shards=2']) == 0
    found = _read(tmp_path)
    assert list(found) == ['0a1b.jpg', 'fe00.jpg', 'train_0/00ff.jpg']  # by turns into two shards, in the rows' order
    dog, cat = found['0a1b.jpg'].annotations
    # 48 high, 64 wide: y1 x1 y2 x2.
    assert (dog.box, dog.label) == ((6, 16, 36, 32), 1)
    assert (dog.is_occluded, dog.is_truncated, dog.is_crowd) == (True, False, False)
    assert (cat.box, cat.label) == ((0, 0, 48, 64), 2)
    assert not (cat.is_occluded or cat.is_truncated or cat.is_crowd)  # -1: nobody looked
    (cups,) = found['train_0/00ff.jpg'].annotations
    assert (cups.box, cups.label, cups.is_crowd, cups.is_truncated) == ((24, 32, 48, 48), 3, True, True)
    description = shards.load_description(str(tmp_path / 'out'))
    assert description['categories'][1] == {'id': 2, 'name': 'Cat, domestic', 'source_id': 2, 'title': '/m/0cat'}
    assert (description['num_instances'], description['num_crowds']) == (3, 1)
    assert 'left out: 1 images without a row' in capsys.readouterr().out


def test_the_images_without_labels_have_the_same_ids(tmp_path: pathlib.Path) -> None:
    prepare.main(write(tmp_path))
    labelled = _read(tmp_path)
    prepare.main(['images', f'--images={tmp_path}/images', f'--output_dir={tmp_path}/plain'])
    plain = {record.filename: record for record in shards.read(str(tmp_path / 'plain'))}
    assert {name: record.source_id for name, record in labelled.items()} == {
        name: plain[name].source_id for name in labelled
    }


def test_newer_files(tmp_path: pathlib.Path) -> None:
    """From version 6 on the list has a header, and the boxes further columns; a column order of one's own works."""
    header = 'LabelName,ImageID,XMin,XMax,YMin,YMax,XClick1X'
    prepare.main(write(tmp_path, ['/m/0cup,0a1b,0.5,1,0,0.5,-1'], header, 'LabelName,DisplayName\n' + CLASSES))
    (record,) = _read(tmp_path).values()
    assert [(one.box, one.label) for one in record.annotations] == [((0, 32, 24, 64), 3)]


def test_pixels_stay_as_the_boxes_know_them(tmp_path: pathlib.Path) -> None:
    """Whatever the camera's note says: viewers would turn this image, the boxes were drawn without."""
    command = write(tmp_path, ROWS[:1])
    exif = Image.Exif()
    exif[0x0112] = 6
    making.picture(seed=9).save(tmp_path / 'images' / '0a1b.jpg', exif=exif)
    prepare.main(command)
    (record,) = _read(tmp_path).values()
    assert (record.height, record.width) == (making.HEIGHT, making.WIDTH)
    assert record.annotations[0].box == (6, 16, 36, 32)


def _row(**fields: str) -> str:
    values = dict(zip(HEADER.split(','), ROWS[0].split(','), strict=True))
    return ','.join((values | fields).values())


@pytest.mark.parametrize(
    ('row', 'kind', 'said'),
    [
        (_row(XMin='0.5'), 'box of no area', '0.5 to 0.5'),
        (_row(YMax='1.01'), 'box outside image', "YMax': is '1.01'; allowed: a number from 0 to 1"),
        (_row(YMin='-0.1'), 'box outside image', "is '-0.1'"),
        (_row(XMax='nan'), 'box outside image', "is 'nan'"),
        (_row(XMax=''), 'box outside image', "is ''"),
        (_row(LabelName='/m/0dgo'), 'unknown class', "which --classes does not list. Did you mean '/m/0dog'"),
        (_row(IsGroupOf='yes'), 'wrong type', "IsGroupOf': is 'yes'; allowed: 0, 1, -1"),
        (_row(Confidence='0'), 'box of no confidence', 'allowed: above 0 to 1'),
        (_row() + ',1', 'wrong row', 'has 14 columns; allowed: 13'),
        ('0a1b,xclick', 'wrong row', 'has 2 columns'),
    ],
)
def test_rows_that_cannot_be_right(tmp_path: pathlib.Path, row: str, kind: str, said: str) -> None:
    command = write(tmp_path, [ROWS[0], row, *ROWS[2:]])
    with pytest.raises(errors.UserError) as caught:
        prepare.main(command)
    assert 'boxes.csv: line 3 (image 0a1b)' in str(caught.value) and said in str(caught.value)
    assert not list((tmp_path / 'out').iterdir())
    prepare.main([*command, '--on_error=skip'])
    assert len(_read(tmp_path)['0a1b.jpg'].annotations) == 1  # the image stays, with its other box
    (line,) = (tmp_path / 'out' / 'train-skipped.jsonl').read_text().splitlines()
    assert json.loads(line)['kind'] == kind


def test_images_that_are_missing_or_broken(tmp_path: pathlib.Path) -> None:
    command = write(tmp_path, [*ROWS, ROWS[0].replace('0a1b', 'gone')])
    (tmp_path / 'images' / 'fe00.jpg').write_bytes(b'<html>')
    with pytest.raises(errors.UserError, match=r"gone\.jpg: image gone of '.*boxes.csv': there is no such file"):
        prepare.main(command)
    prepare.main([*command, '--on_error=skip'])
    assert sorted(_read(tmp_path)) == ['0a1b.jpg', 'train_0/00ff.jpg']
    kinds = shards.load_description(str(tmp_path / 'out'))['skipped_by_kind']
    assert kinds == {'not an image': 1, 'missing image': 1}


@pytest.mark.parametrize(
    ('spoil', 'said'),
    [
        ({'rows': [ROWS[0], ROWS[2], ROWS[1]]}, 'image 0a1b has rows in two places, the second from line 4 on; sort'),
        ({'rows': []}, 'has no row below its header'),
        ({'header': HEADER.replace('XMin', 'Xmin')}, 'has no column XMin in its first line'),
        ({'header': ''}, 'has no column ImageID, LabelName, XMin'),
        ({'classes': ''}, 'is empty; allowed: LabelName,DisplayName'),
        ({'classes': '/m/0dog,Dog\n/m/0dog,Cat\n'}, "names '/m/0dog' twice, again in line 2"),
        ({'classes': '/m/0dog\n'}, "line 1 is '/m/0dog'.*allowed: two columns"),
    ],
)
def test_files_that_are_not_open_images(tmp_path: pathlib.Path, spoil: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.UserError, match=said):
        prepare.main(write(tmp_path, **spoil))
    assert not (tmp_path / 'out').exists()


def test_other_mistakes(tmp_path: pathlib.Path) -> None:
    command = write(tmp_path)
    for flag in ('annotations', 'classes'):
        with pytest.raises(errors.UserError, match=f"--{flag} is 'none', which is no file"):
            prepare.main([*command, f'--{flag}=none'])
    (tmp_path / 'boxes.csv').write_bytes(b'ImageID,\xff')
    with pytest.raises(errors.UserError, match='is not UTF-8 text'):
        prepare.main(command)
    (tmp_path / 'images' / '00ff.png').write_bytes(b'')
    with pytest.raises(errors.UserError, match="has image 00ff twice: '00ff.png' and 'train_0/00ff.jpg'"):
        prepare.main(command)


def test_a_row_at_a_time_is_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = dict(one.removeprefix('--').split('=', 1) for one in write(tmp_path)[1:])
    source = open_images.open_source(command['annotations'], command['images'], command['classes'])
    taken, rows = [], open_images._rows

    def counted(path: str) -> Iterator[Any]:
        for row in rows(path):
            taken.append(row)
            yield row

    monkeypatch.setattr(open_images, '_rows', counted)
    assert next(open_images.items(source)).filename == '0a1b.jpg'
    assert len(taken) == 3  # the row that shows the image to be complete
