"""Images of one class each: folders, ImageNet's tar of tars, lists of labels; and tars that lie."""

import gzip
import io
import json
import os
import tarfile

import pytest

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import class_tar, imagenet, problems, shards
from tests.data import making

CLASSES = {'n01': 2, 'n02': 1, 'n03': 3}


def _image(seed):
    return making.encoded(making.picture(seed=seed), 'JPEG')


def _files():
    """Name -> bytes: two, one and three images of three classes; one is a PNG named JPEG, as in ImageNet."""
    found, seed = {}, 0
    for name, count in CLASSES.items():
        for number in range(count):
            found[f'{name}/{name}_{number}.JPEG'] = _image(seed)
            seed += 1
    found['n03/n03_2.JPEG'] = making.encoded(making.picture(seed=seed))
    return found


def _folder(place, found=None):
    for name, data in (found or _files()).items():
        os.makedirs(os.path.dirname(place / name), exist_ok=True)
        (place / name).write_bytes(data)
    return place


def _add(tar, name, data=b'', **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def _tar(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as tar:
        for name, data, *fields in members:
            _add(tar, name, data, **(fields[0] if fields else {}))
    return stream.getvalue()


def _tar_of_tars():
    found = _files()
    return _tar(
        (f'{name}.tar', _tar((key.split('/')[1], data) for key, data in found.items() if key.startswith(name)))
        for name in CLASSES
    )


def _prepare(images, output, *flags):
    prepare.main(['imagenet', f'--images={images}', f'--output_dir={output}', '--processes=1', *flags])
    return {record.filename: record for record in shards.read(str(output))}


def test_folder_tar_and_tar_of_tars_give_the_same_records(tmp_path):
    _folder(tmp_path / 'folder')
    (tmp_path / 'all.tar').write_bytes(_tar_of_tars())
    (tmp_path / 'flat.tar').write_bytes(_tar(('./' + name, data) for name, data in _files().items()))
    (tmp_path / 'flat.tar.gz').write_bytes(gzip.compress((tmp_path / 'flat.tar').read_bytes()))
    expected = _prepare(tmp_path / 'folder', tmp_path / 'a')
    assert {name: record.class_label for name, record in expected.items()} == {
        'n01/n01_0.JPEG': 1, 'n01/n01_1.JPEG': 1, 'n02/n02_0.JPEG': 2,
        'n03/n03_0.JPEG': 3, 'n03/n03_1.JPEG': 3, 'n03/n03_2.JPEG': 3,
    }  # fmt: skip
    assert expected['n03/n03_2.JPEG'].image_format == 'png'
    assert expected['n01/n01_0.JPEG'].encoded == _files()['n01/n01_0.JPEG']
    for name in ('all.tar', 'flat.tar', 'flat.tar.gz'):
        assert _prepare(tmp_path / name, tmp_path / f'to_{name}') == expected
    description = shards.load_description(str(tmp_path / 'to_all.tar'))
    assert [(c['id'], c['name']) for c in description['categories']] == [(1, 'n01'), (2, 'n02'), (3, 'n03')]
    assert description['instances_per_category'] == {'1': 2, '2': 1, '3': 3}
    assert description['num_instances'] == 0 and len(description['shards']) == 1


def test_a_class_without_an_image_keeps_its_number(tmp_path):
    _folder(tmp_path / 'train')
    (tmp_path / 'train' / 'n00').mkdir()
    _prepare(tmp_path / 'train', tmp_path / 'out')
    description = shards.load_description(str(tmp_path / 'out'))
    assert description['instances_per_category'] == {'1': 0, '2': 2, '3': 1, '4': 3}


def test_classes_of_train_number_those_of_val(tmp_path):
    """Without its class n01, a validation folder would call n02 class 1."""
    _folder(tmp_path / 'train')
    _folder(tmp_path / 'val', {'n02/x.JPEG': _image(9)})
    output = tmp_path / 'out'
    _prepare(tmp_path / 'train', output)
    with pytest.raises(errors.UserError, match=r'not numbered as those of .*train.json.*--classes='):
        prepare.main(['imagenet', f'--images={tmp_path}/val', f'--output_dir={output}', '--split=val'])
    flags = [f'--images={tmp_path}/val', f'--output_dir={output}', '--split=val', f'--classes={output}/train.json']
    prepare.main(['imagenet', *flags])
    (record,) = shards.read(str(output / 'val*'))
    assert record.class_label == 2


def test_class_files(tmp_path):
    (tmp_path / 'classes.txt').write_text('n03 tench, a fish\n\nn01\nn02,goldfish\n')
    assert imagenet.read_classes(str(tmp_path / 'classes.txt')) == [
        {'id': 1, 'name': 'n03', 'source_id': 1, 'title': 'tench, a fish'},
        {'id': 2, 'name': 'n01', 'source_id': 2},
        {'id': 3, 'name': 'n02', 'source_id': 3, 'title': 'goldfish'},
    ]
    for text, message in (('n1\nn2\nn1\n', "names the class 'n1' twice"), ('\n', 'is empty')):
        (tmp_path / 'classes.txt').write_text(text)
        with pytest.raises(errors.UserError, match=message):
            imagenet.read_classes(str(tmp_path / 'classes.txt'))
    (tmp_path / 'a.json').write_text('[]')
    with pytest.raises(errors.UserError, match='no description with classes'):
        imagenet.read_classes(str(tmp_path / 'a.json'))


@pytest.mark.parametrize(
    'text',
    [
        'ILSVRC2012_val_2.JPEG n02\nILSVRC2012_val_1.JPEG n01\n',
        'ImageId,PredictionString\nILSVRC2012_val_1,n01 85 1 499 272 n01 1 2 3 4\nILSVRC2012_val_2,n02 1 2 3 4\n',
        'n01\nn02\n',
    ],
)
def test_a_flat_validation_set_takes_its_labels_from_a_file(tmp_path, text):
    _folder(tmp_path / 'val', {f'flat/ILSVRC2012_val_{number}.JPEG': _image(number) for number in (2, 1)})
    (tmp_path / 'labels').write_text(text)
    found = _prepare(tmp_path / 'val' / 'flat', tmp_path / 'out', f'--labels={tmp_path}/labels')
    assert {name: record.class_label for name, record in found.items()} == {
        'ILSVRC2012_val_1.JPEG': 1, 'ILSVRC2012_val_2.JPEG': 2,
    }  # fmt: skip


def test_labels_of_a_flat_tar_need_names(tmp_path):
    (tmp_path / 'val.tar').write_bytes(_tar([('v_1.JPEG', _image(1)), ('v_2.JPEG', _image(2))]))
    (tmp_path / 'labels').write_text('v_1 n05\nv_2 n04\n')
    found = _prepare(tmp_path / 'val.tar', tmp_path / 'out', f'--labels={tmp_path}/labels')
    assert {name: record.class_label for name, record in found.items()} == {'v_1.JPEG': 2, 'v_2.JPEG': 1}
    (tmp_path / 'labels').write_text('n05\nn04\n')
    with pytest.raises(errors.UserError, match='allowed: image and class on each line'):
        imagenet.open_source(str(tmp_path / 'val.tar'), labels=str(tmp_path / 'labels'))
    (tmp_path / 'labels').write_text('n05\n')
    with pytest.raises(errors.UserError, match='has 1 lines for 6 images'):
        imagenet.open_source(str(_folder(tmp_path / 'train')), labels=str(tmp_path / 'labels'))


def test_unsafe_members_are_refused_and_never_written(tmp_path):
    """Names that climb, absolute names, links of both kinds, a device; each told, the good image kept."""
    link, hard, device = ({'type': kind, 'linkname': '/etc/passwd'} for kind in (b'2', b'1', b'3'))
    members = [
        ('../n01/escaped.JPEG', _image(0)),
        ('/n01/absolute.JPEG', _image(0)),
        ('n01/..\\up.JPEG', _image(0)),
        ('n01/link.JPEG', b'', link),
        ('n01/hard.JPEG', b'', hard),
        ('n01/device.JPEG', b'', device),
        ('n01/good.JPEG', _image(1)),
        ('n01/notes.txt', b'no image'),
    ]
    (tmp_path / 'inner.tar').write_bytes(_tar([('n01.tar', _tar([('../x.JPEG', _image(2))])), *members]))
    before = sorted(tmp_path.rglob('*'))
    source = imagenet.open_source(str(tmp_path / 'inner.tar'))
    assert [category['name'] for category in source.categories] == ['n01']
    made = [imagenet.make(item) for item in imagenet.items(source, problems.ProblemList())]
    assert sorted(tmp_path.rglob('*')) == before
    kept = [outcome.record.filename for outcome in made if outcome.record]
    assert kept == ['n01/good.JPEG']
    assert [str(outcome.problems[0].kind) for outcome in made if outcome.problems] == ['unsafe tar member'] * 7
    with pytest.raises(errors.UserError, match=r"link.JPEG: is a link to '/etc/passwd'"):
        _prepare(tmp_path / 'inner.tar', tmp_path / 'out')
    found = _prepare(tmp_path / 'inner.tar', tmp_path / 'out', '--on_error=skip')
    assert list(found) == ['n01/good.JPEG']
    assert shards.load_description(str(tmp_path / 'out'))['skipped_by_kind'] == {'unsafe tar member': 7}


def test_a_member_that_claims_too_much_is_not_read(tmp_path):
    info = tarfile.TarInfo('n01/huge.JPEG')
    info.size = 300 << 20
    (tmp_path / 'a.tar').write_bytes(info.tobuf() + b'\0' * 10240)
    first = next(class_tar.read(str(tmp_path / 'a.tar')))
    assert first.data == b'' and 'claims 314,572,800 bytes' in first.problem.message


@pytest.mark.parametrize('cut', [700, -9000])
def test_a_cut_tar_is_named_and_nothing_is_written(tmp_path, cut):
    (tmp_path / 'a.tar').write_bytes(_tar_of_tars()[:cut])
    with pytest.raises(errors.UserError, match='is no whole tar'):
        list(class_tar.read(str(tmp_path / 'a.tar')))
    with pytest.raises(errors.UserError, match='is no whole tar'):
        _prepare(tmp_path / 'a.tar', tmp_path / 'out')
    assert not [path for path in (tmp_path / 'out').glob('*')]


def test_what_is_no_tar_or_not_there_is_named(tmp_path):
    (tmp_path / 'a.tar').write_text('<html>not found</html>' * 100)
    with pytest.raises(errors.UserError, match='is no whole tar'):
        imagenet.open_source(str(tmp_path / 'a.tar'))
    with pytest.raises(errors.UserError, match='there is no file'):
        imagenet.open_source(str(tmp_path / 'b.tar'))
    with pytest.raises(errors.UserError, match='which is no folder'):
        imagenet.open_source(str(tmp_path / 'nothing'))
    making.picture().save(tmp_path / 'loose.png')
    with pytest.raises(errors.UserError, match='has no folder a class'):
        imagenet.open_source(str(tmp_path))


def test_broken_images_and_images_without_a_class_are_counted(tmp_path):
    _folder(tmp_path / 'train', {**_files(), 'n01/broken.JPEG': b'<html>', 'loose.JPEG': _image(3)})
    with pytest.raises(errors.UserError, match='loose.JPEG: has no class'):
        _prepare(tmp_path / 'train', tmp_path / 'out')
    assert len(_prepare(tmp_path / 'train', tmp_path / 'out', '--on_error=skip')) == 6
    description = json.loads((tmp_path / 'out' / 'train.json').read_text())
    assert description['skipped_by_kind'] == {'not an image': 1, 'no class': 1}


def test_one_pixel_images_are_images(tmp_path):
    _folder(tmp_path / 'train', {'n01/a.JPEG': making.encoded(making.picture(1, 1))})
    (record,) = _prepare(tmp_path / 'train', tmp_path / 'out').values()
    assert (record.height, record.width) == (1, 1)


def test_the_same_again_is_nothing_to_do(tmp_path, capsys):
    (tmp_path / 'all.tar').write_bytes(_tar_of_tars())
    first = _prepare(tmp_path / 'all.tar', tmp_path / 'out')
    capsys.readouterr()
    assert _prepare(tmp_path / 'all.tar', tmp_path / 'out') == first
    assert 'nothing to do' in capsys.readouterr().err
