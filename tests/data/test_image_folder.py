"""A folder of images becomes unlabelled records; nothing in it is passed over in silence."""

import pytest

from official_rethink.common import errors
from official_rethink.data import image_folder, problems
from tests.data import making


def test_images_are_found_in_folders_below_in_order_of_name(tmp_path):
    making.write_images(tmp_path)
    (tmp_path / 'UPPER.JPG').write_bytes((tmp_path / 'a.jpg').read_bytes())
    (tmp_path / 'readme.txt').write_text('no image')
    (tmp_path / '.hidden.jpg').write_text('no image')
    (tmp_path / '.cache').mkdir()
    (tmp_path / '.cache' / 'thumb.png').write_text('no image')
    found = problems.ProblemList()
    items = image_folder.read(str(tmp_path), found)
    assert [item.filename for item in items] == ['UPPER.JPG', 'a.jpg', 'c.jpg', 'sub/b.png']
    made = [image_folder.make(item).record for item in items]
    assert [(r.height, r.width) for r in made] == [(making.HEIGHT, making.WIDTH)] * 4
    assert [r.image_format for r in made] == ['jpeg', 'jpeg', 'jpeg', 'png']
    assert len({r.source_id for r in made}) == 4
    assert all(r.source_id.isdigit() and not r.annotations for r in made)


def test_source_ids_depend_on_the_name_alone(tmp_path):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        making.picture().save(tmp_path / folder / '7.png')
    making.picture().save(tmp_path / 'two' / '0.png')
    ids = {}
    for folder in ('one', 'two'):
        for item in image_folder.read(str(tmp_path / folder), problems.ProblemList()):
            ids[folder, item.filename] = image_folder.make(item).record.source_id
    assert ids['one', '7.png'] == ids['two', '7.png'] != ids['two', '0.png']
    assert ids['one', '7.png'] != '7'  # image 7 of a COCO file is another picture


def test_images_of_other_formats_are_named_or_skipped(tmp_path):
    making.picture().save(tmp_path / 'a.png')
    making.picture().save(tmp_path / 'b.webp')
    with pytest.raises(errors.UserError, match=r"b.webp: is of format '.webp'; allowed: JPEG, PNG"):
        image_folder.read(str(tmp_path), problems.ProblemList())
    found = problems.ProblemList('skip')
    assert len(image_folder.read(str(tmp_path), found)) == 1
    assert found.counts() == {'not an image': 1}


def test_a_corrupt_image_is_a_problem(tmp_path):
    (tmp_path / 'a.jpg').write_text('<html>not found</html>')
    (item,) = image_folder.read(str(tmp_path), problems.ProblemList())
    outcome = image_folder.make(item)
    assert outcome.record is None
    assert str(outcome.problems[0]).startswith(f'{tmp_path}/a.jpg: is HTML')


def test_folders_without_images_and_no_folders_are_named(tmp_path):
    with pytest.raises(errors.UserError, match='holds 0 files, none of which is named like an image'):
        image_folder.read(str(tmp_path), problems.ProblemList())
    with pytest.raises(errors.UserError, match='none/here.*which is no folder'):
        image_folder.listing(str(tmp_path / 'none/here'))
    making.picture().save(tmp_path / 'a.png')
    with pytest.raises(errors.UserError, match='a.png.*which is no folder'):
        image_folder.listing(str(tmp_path / 'a.png'))


def test_remote_listing_gives_the_same_names(tmp_path):
    making.write_images(tmp_path)
    local = [row[0] for row in image_folder.listing(str(tmp_path))]
    assert local == ['a.jpg', 'c.jpg', 'sub/b.png']
    assert [row[0] for row in image_folder.listing(f'file://{tmp_path}')] == local


def test_hash_changes_with_any_file_or_option(tmp_path):
    making.write_images(tmp_path)
    names = image_folder.listing(str(tmp_path))
    first = image_folder.inputs_hash(names, num_shards=1)
    assert image_folder.inputs_hash(image_folder.listing(str(tmp_path)), num_shards=1) == first
    assert image_folder.inputs_hash(names, num_shards=2) != first
    (tmp_path / 'a.jpg').write_bytes(b'other')
    assert image_folder.inputs_hash(image_folder.listing(str(tmp_path)), num_shards=1) != first
