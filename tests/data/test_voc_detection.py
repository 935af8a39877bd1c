"""PASCAL VOC's XML files become records, of one year or several; what cannot be right is named."""

import pathlib
import shutil

import pytest

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import coco_checks, records, shards, voc_xml
from tests.data import voc_making
from tests.data.voc_making import NAMES, thing

LABELS = {'cat': 1, 'dog': 2}


@pytest.fixture
def voc(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / 'VOCdevkit' / 'VOC2012'
    voc_making.write(root)
    voc_making.write_boxes(root)
    return root


def other_year(voc: pathlib.Path) -> pathlib.Path:
    """A second year whose images have other names."""
    year = voc.parent / 'VOC2007'
    for folder, suffix in (('JPEGImages', 'jpg'), ('Annotations', 'xml')):
        (year / folder).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            shutil.copy(voc / folder / f'{name}.{suffix}', year / folder / f'00000{number}.{suffix}')
    (year / 'ImageSets' / 'Main').mkdir(parents=True)
    (year / 'ImageSets' / 'Main' / 'trainval.txt').write_text('000000\n000002\n')
    return year


def run(root: pathlib.Path, *more: str, out: pathlib.Path) -> list[records.Record]:
    assert prepare.main(['voc_detection', f'--voc={root}', f'--output_dir={out}', '--split=x', *more]) == 0
    return list(shards.read(f'{out}/x*'))


def test_boxes_classes_and_flags(voc: pathlib.Path, tmp_path: pathlib.Path, capsys):
    found = run(voc, '--list=trainval', out=tmp_path / 'out')
    assert [record.filename for record in found] == [f'{name}.jpg' for name in NAMES]
    first, second, third = (record.annotations for record in found)
    assert third == []
    assert [a.label for a in (*first, *second)] == [8, 12, 15]  # VOC's cat, dog, person
    # xmin 11, xmax 30: columns 10 up to 30. Boxes are stored as shares, in float32.
    assert first[0].box == pytest.approx((8, 10, 24, 30), abs=1e-4)
    assert first[1].box == pytest.approx((0, 0, 48, 64), abs=1e-4)
    assert second[0].box == pytest.approx((2, 1, 37, 51), abs=1e-4)
    flags = [(a.is_difficult, a.is_truncated, a.is_occluded) for a in (*first, *second)]
    assert flags == [(False, False, False), (True, True, False), (False, False, True)]
    description = shards.load_description(f'{tmp_path}/out/x*')
    assert (description['num_instances'], description['num_difficult']) == (3, 1)
    assert description['instances_per_category']['8'] == 1
    shown = capsys.readouterr().out
    assert 'boxes: 3 (1.0 an image;' in shown
    assert '0 crowds, 1 difficult, 1 truncated, 1 occluded' in shown
    assert 'images without any: 1' in shown


def test_the_set_is_called_as_its_list_and_made_once(voc: pathlib.Path, tmp_path: pathlib.Path, capsys):
    command = ['voc_detection', f'--voc={voc}', f'--output_dir={tmp_path}/out']
    for _ in range(2):
        prepare.main([*command, '--list=train', '--exclude=val'])
    assert shards.load_description(f'{tmp_path}/out/train*')['num_images'] == 2
    captured = capsys.readouterr()
    assert 'nothing to do' in captured.err
    assert 'left out: 0 names' in captured.out
    (voc / 'Annotations' / f'{NAMES[0]}.xml').write_text(voc_making.xml(NAMES[0], 48, 64, [thing('cat', 1, 1, 9, 9)]))
    with pytest.raises(errors.UserError, match='made from other inputs'):
        prepare.main([*command, '--list=train', '--exclude=val'])


def test_several_years_are_one_set(voc: pathlib.Path, tmp_path: pathlib.Path):
    other_year(voc)
    found = run(voc.parent, '--list=VOC2007/trainval,VOC2012/train', out=tmp_path / 'out')
    names = ['000000', '000002', *NAMES[:2]]
    assert [record.filename for record in found] == [f'{name}.jpg' for name in names]
    assert [len(record.annotations) for record in found] == [2, 0, 2, 1]
    more = ['--list=VOC2007/trainval,VOC2012/train', '--exclude=VOC2012/train,VOC2012/val']
    assert [r.filename for r in run(voc.parent, *more, out=tmp_path / 'less')] == ['000000.jpg', '000002.jpg']


def test_a_devkit_with_one_year_needs_no_year(voc: pathlib.Path, tmp_path: pathlib.Path):
    for number, name in enumerate(('val', 'VOC2012/val')):
        (record,) = run(voc.parent, f'--list={name}', out=tmp_path / str(number))
        assert record.filename == f'{NAMES[2]}.jpg'


def test_own_folders_without_lists_and_with_own_classes(voc: pathlib.Path, tmp_path: pathlib.Path):
    (tmp_path / 'classes.txt').write_text('person\ndog\ncat\n')
    folders = [f'--images={voc}/JPEGImages', f'--annotations={voc}/Annotations', f'--classes={tmp_path}/classes.txt']
    command = ['voc_detection', *folders, f'--output_dir={tmp_path}/out']
    assert prepare.main(command) == 0
    found = list(shards.read(f'{tmp_path}/out/train*'))
    assert [a.label for record in found for a in record.annotations] == [3, 2, 1]
    # Another set takes the numbering of the first.
    assert prepare.main([*command[:3], f'--classes={tmp_path}/out/train.json', command[-1], '--split=again']) == 0
    again = list(shards.read(f'{tmp_path}/out/again*'))
    assert [a.label for record in again for a in record.annotations] == [3, 2, 1]


def test_the_ids_are_those_of_the_images_prepared_without_labels(voc: pathlib.Path, tmp_path: pathlib.Path):
    labelled = run(voc, '--list=trainval', out=tmp_path / 'out')
    prepare.main(['images', f'--images={voc}/JPEGImages', f'--output_dir={tmp_path}/images'])
    assert {record.source_id for record in labelled} == {r.source_id for r in shards.read(f'{tmp_path}/images')}


def test_what_cannot_be_right_is_left_out_on_demand(voc: pathlib.Path, tmp_path: pathlib.Path, capsys):
    """A bad object leaves its image, a file without a size takes it along."""
    annotations = voc / 'Annotations'
    things = [thing('cat', 11, 9, 30, 24), thing('dgo', 1, 1, 5, 5), thing('dog', 50, 1, 70, 5)]
    (annotations / f'{NAMES[0]}.xml').write_text(voc_making.xml(NAMES[0], 48, 64, things))
    (annotations / f'{NAMES[1]}.xml').write_text('<annotation><object/></annotation>')
    command = [f'--voc={voc}', '--list=trainval', f'--output_dir={tmp_path}/out', '--split=x']
    with pytest.raises(errors.UserError) as caught:
        prepare.main(['voc_detection', *command])
    message = str(caught.value)
    for words in (
        '3 problems',
        f"Annotations/{NAMES[0]}.xml: line 1 of '{voc}/ImageSets/Main/trainval.txt', object 2 ('dgo'), field 'name'",
        "is 'dgo'. Did you mean 'dog'?",
        'own classes are named with --classes',
        "object 3 ('dog'), field 'bndbox': is x 50 to 70, y 1 to 5, outside the image of 48 x 64 (height x width)",
        f'Annotations/{NAMES[1]}.xml',
        "field 'size': is missing; allowed: a <size> with <width> and <height> in pixels",
    ):
        assert words in message, message
    assert not list((tmp_path / 'out').glob('*'))
    found = run(voc, '--list=trainval', '--on_error=skip', out=tmp_path / 'out')
    assert [len(record.annotations) for record in found] == [1, 0]
    assert 'skipped: 3 (1 x unknown class, 1 x box outside image, 1 x missing size)' in capsys.readouterr().out


SPOILT = {
    'no annotation of an image': (lambda v: (v / 'Annotations' / f'{NAMES[0]}.xml').unlink(),
                                  f"there is no annotation of the name '{NAMES[0]}'"),
    'no image': (lambda v: (v / 'JPEGImages' / f'{NAMES[0]}.jpg').unlink(),
                 f"there is no image of the name '{NAMES[0]}'"),
    'another size': (lambda v: (v / 'Annotations' / f'{NAMES[0]}.xml').write_text(voc_making.xml('x', 64, 48, [])),
                     r'is 48 x 64 \(height x width\), but its annotation .* says 64 x 48'),
    'a name twice': (lambda v: (v / 'ImageSets/Main/train.txt').write_text(f'{NAMES[0]}\n' * 2), 'line 2.* again'),
    'a list of one class': (lambda v: (v / 'ImageSets/Main/train.txt').write_text(f'{NAMES[0]} -1\n'),
                            'line 1, is .*a list of one class; those of all, such as trainval'),
}  # fmt: skip


@pytest.mark.parametrize(('spoil', 'words'), SPOILT.values(), ids=SPOILT)
def test_files_that_do_not_fit_are_named(voc: pathlib.Path, tmp_path: pathlib.Path, spoil, words: str):
    spoil(voc)
    with pytest.raises(errors.UserError, match=words):
        run(voc, '--list=train', out=tmp_path / 'out')
    assert not list((tmp_path / 'out').glob('*'))


def test_years_and_lists_that_are_not_there_are_named(voc: pathlib.Path, tmp_path: pathlib.Path):
    other = other_year(voc)
    for root, more, words in (
        (voc.parent, ['--list=trainval'], '--voc holds VOC2007, VOC2012; .*VOC2007/trainval'),
        (voc.parent, ['--list=VOC2021/train'], "Did you mean 'VOC20"),
        (voc.parent, [], '--list is missing; allowed: VOC2007/trainval, or the path'),
        (voc, ['--list=tarin'], "Did you mean 'train'.* Allowed: train, trainval, val"),
        (voc, [], '--list is missing; allowed: train, trainval, val, or the path'),
        (voc / 'Annotations', [], 'neither JPEGImages .*it holds no folder'),
        (tmp_path / 'none', [], "none', which is no folder"),
        (voc, ['--list=train', '--exclude=trainval'], 'all 2 names are excluded'),
    ):
        with pytest.raises(errors.UserError, match=words):
            run(root, *more, out=tmp_path / 'out')
    with pytest.raises(errors.UserError, match='--voc is missing, and so is --annotations'):
        prepare.main(['voc_detection', f'--images={voc}', f'--output_dir={tmp_path}/out'])
    shutil.copy(voc / 'JPEGImages' / f'{NAMES[0]}.jpg', other / 'JPEGImages')
    shutil.copy(voc / 'Annotations' / f'{NAMES[0]}.xml', other / 'Annotations')
    (other / 'ImageSets/Main/trainval.txt').write_text(f'{NAMES[0]}\n')
    with pytest.raises(errors.UserError, match=r"is there as '.*VOC2012.*' too; ids are made of names"):
        run(voc.parent, '--list=VOC2012/train,VOC2007/trainval', out=tmp_path / 'out')


def parsed(*things: str, height: int = 48, width: int = 64) -> voc_xml.Objects:
    return voc_xml.parse(voc_making.xml('x', height, width, things).encode(), LABELS)


def test_a_pixel_and_the_whole_image():
    found = parsed(thing('cat', 5, 7, 5, 7), thing('cat', 1, 1, 64, 48), thing('dog', 1.5, 2.5, 3.5, 4.5))
    assert [a.box for a in found.annotations] == [(6, 4, 7, 5), (0, 0, 48, 64), (1.5, 0.5, 4.5, 3.5)]
    assert not found.defects


def test_boxes_may_stick_out_by_a_pixel_and_are_clipped():
    found = parsed(thing('cat', 0, 0, 65, 49), thing('cat', 0, 1, 0, 5), thing('cat', -1, 1, 5, 5))
    assert [a.box for a in found.annotations] == [(0, 0, 48, 64)]
    assert [defect.kind for _, defect in found.defects] == ['box of no area', 'box outside image']


WRONG = {
    'box that ends before it begins': (thing('cat', 9, 1, 5, 5), 'bndbox', 'x 9 to 5, y 1 to 5'),
    'box of NaN': (thing('cat', 'nan', 1, 5, 5), 'bndbox/xmin', "is 'nan'; allowed: a number of pixels from 1"),
    'box of words': (thing('cat', 1, 1, 'five', 5), 'bndbox/xmax', "is 'five'"),
    'box without a side': (thing('cat', 1, 1, 5, 5).replace('ymax', 'ymaxx'), 'bndbox/ymax', 'is missing'),
    'no box': ('<object><name>cat</name></object>', 'bndbox', 'is missing'),
    'no class': (thing('', 1, 1, 5, 5), 'name', 'is missing. Allowed: cat, dog'),
    'flag of two': (thing('cat', 1, 1, 5, 5, difficult=2), 'difficult', "is '2'; allowed: 0, 1"),
    'empty flag': (thing('cat', 1, 1, 5, 5, truncated=''), 'truncated', "is ''; allowed: 0, 1"),
}  # fmt: skip


@pytest.mark.parametrize(('text', 'field', 'words'), WRONG.values(), ids=WRONG)
def test_an_object_that_cannot_be_right(text: str, field: str, words: str):
    found = parsed(thing('dog', 1, 1, 5, 5), text)
    assert [a.label for a in found.annotations] == [2]
    ((what, defect),) = found.defects
    assert what.startswith('object 2')
    assert defect.field == field
    assert words in defect.message


SIZE = '<annotation><size><width>{}</width><height>48</height></size></annotation>'
NOTHING = {
    'cut off': ('<annotation><size>', '', 'is not valid XML'),
    'empty': ('', '', 'is not valid XML'),
    'another file': ('<html/>', '', 'holds <html>; allowed: <annotation>'),
    'entities': ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', '', 'declares a document type'),
    'no size': ('<annotation/>', 'size', 'is missing'),
    'no width': (SIZE.format('').replace('<width></width>', ''), 'size/width', 'is missing'),
    'width of 0': (SIZE.format(0), 'size/width', 'is 0; allowed: a whole number of pixels from 1'),
    'half a pixel': (SIZE.format(1.5), 'size/width', 'is 1.5'),
    'width in words': (SIZE.format('wide'), 'size/width', "is 'wide'"),
}  # fmt: skip


@pytest.mark.parametrize(('text', 'field', 'words'), NOTHING.values(), ids=NOTHING)
def test_a_file_of_which_nothing_can_be_used(text: str, field: str, words: str):
    with pytest.raises(coco_checks.Defect) as caught:
        voc_xml.parse(text.encode(), LABELS)
    assert caught.value.field == field
    assert words in caught.value.message


def test_any_number_of_classes(tmp_path: pathlib.Path, voc: pathlib.Path):
    (tmp_path / 'classes.txt').write_text('\n'.join([f'c{i}' for i in range(300)] + ['cat', 'dog', 'person']))
    found = run(voc, '--list=train', f'--classes={tmp_path}/classes.txt', out=tmp_path / 'out')
    assert {a.label for record in found for a in record.annotations} == {301, 302, 303}
