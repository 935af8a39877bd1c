"""The prepare command, as a user types it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import shards, splits
from tests.data import making


def coco_command(folder: pathlib.Path, *more: str, value: object = None) -> list[str]:
    if not (folder / 'images').exists():
        making.write(folder, value)
    return [
        'coco',
        f'--annotations={folder}/instances.json',
        f'--images={folder}/images',
        f'--output_dir={folder}/out',
        *more,
    ]


def test_coco(tmp_path, capsys):
    assert prepare.main(coco_command(tmp_path, '--include_masks', '--num_shards=2')) == 0
    out = capsys.readouterr().out
    assert "'train' in" in out
    assert '3 images in 2 shards' in out
    assert 'boxes: 2 (0.7 an image; 2 small, 0 medium, 0 large' in out
    assert '1 crowds' in out
    assert '7  dog' in out
    found = {record.source_id: record for record in shards.read(f'{tmp_path}/out/train*')}
    assert set(found) == {'11', '5', '7'}
    assert all(a.mask_png for record in found.values() for a in record.annotations)


def test_the_same_again_does_nothing_and_another_needs_overwrite(tmp_path, capsys):
    prepare.main(coco_command(tmp_path))
    path = tmp_path / 'out' / 'train-00000-of-00001.tfrecord'
    before = path.stat().st_mtime_ns
    prepare.main(coco_command(tmp_path, '--processes=1'))
    captured = capsys.readouterr()
    assert 'nothing to do' in captured.err
    assert captured.out.count('3 images') == 2  # the summary is told again
    with pytest.raises(errors.UserError, match='--overwrite'):
        prepare.main(coco_command(tmp_path, '--include_masks'))
    assert path.stat().st_mtime_ns == before
    prepare.main(coco_command(tmp_path, '--include_masks', '--overwrite'))
    assert path.stat().st_mtime_ns != before


def test_problems_stop_with_all_named_or_are_skipped(tmp_path, capsys):
    value = making.content()
    value['annotations'][0]['bbox'] = [0, 0, 0, 0]
    value['annotations'][2]['category_id'] = 8
    with pytest.raises(errors.UserError) as caught:
        prepare.main(coco_command(tmp_path, value=value))
    assert 'annotation 1 (image 11)' in str(caught.value)
    assert 'annotation 3 (image 5)' in str(caught.value)
    assert not (tmp_path / 'out').exists()
    prepare.main(coco_command(tmp_path, '--on_error=skip'))
    assert 'skipped: 2 (1 x box of no area, 1 x unknown category)' in capsys.readouterr().out
    lines = (tmp_path / 'out' / 'train-skipped.jsonl').read_text().splitlines()
    skipped = [json.loads(line)['record'] for line in lines]
    assert skipped == ['annotation 1 (image 11)', 'annotation 3 (image 5)']


def test_bad_images_stop_and_leave_nothing(tmp_path):
    command = coco_command(tmp_path)
    path = tmp_path / 'images' / 'a.jpg'
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(errors.UserError, match=r'a\.jpg: image 11 of .*is truncated'):
        prepare.main(command)
    assert os.listdir(tmp_path / 'out') == []


def test_images(tmp_path, capsys):
    making.write_images(tmp_path / 'images')
    (tmp_path / 'images' / 'bad.png').write_bytes(b'')
    command = ['images', f'--images={tmp_path}/images', f'--output_dir={tmp_path}/out']
    with pytest.raises(errors.UserError, match='bad.png: the file is empty'):
        prepare.main(command)
    assert prepare.main([*command, '--on_error=skip']) == 0
    assert "'unlabelled' in" in capsys.readouterr().out
    description = shards.load_description(f'{tmp_path}/out/unlabelled*')
    assert (description['num_images'], description['skipped'], description['categories']) == (3, 1, [])


def test_scenes(tmp_path, capsys):
    command = ['scenes', f'--output_dir={tmp_path}', '--num_images=4', '--seed=3', '--size=48']
    assert prepare.main(command) == 0
    assert '4 images' in capsys.readouterr().out
    assert shards.load_description(str(tmp_path))['num_instances'] > 0


def test_split(tmp_path, capsys):
    prepare.main(coco_command(tmp_path))
    command = ['split', f'--output_dir={tmp_path}/out', '--fractions=0.4,1.0', '--seed=2']
    inputs = ('out/train.json', 'out', 'out/train*')
    for name in inputs:
        assert prepare.main([*command, f'--input={tmp_path}/{name}']) == 0
    assert '1 of 3 images, ' in capsys.readouterr().out
    description = shards.load_description(f'{tmp_path}/out')
    split = splits.load(f'{tmp_path}/out/splits/fraction_0.4_seed_2.json', description)
    assert split['source'] == 'train.json'
    assert len(split['image_ids']) == 1


def test_split_by_counts(tmp_path, capsys):
    prepare.main(coco_command(tmp_path))
    command = ['split', f'--input={tmp_path}/out', f'--output_dir={tmp_path}/out', '--counts=2,1', '--seed=2']
    assert prepare.main(command) == 0
    assert 'splits/count_2_seed_2.json: 2 of 3 images, ' in capsys.readouterr().out
    found = [splits.load(f'{tmp_path}/out/splits/count_{n}_seed_2.json')['image_ids'] for n in (1, 2)]
    assert found[0] == found[1][:1]
    with pytest.raises(errors.UserError, match='count is 35000 .*allowed: 1 to 3'):
        prepare.main([*command[:3], '--counts=35000'])


def test_split_refuses_a_validation_set_that_shares_pictures(tmp_path):
    prepare.main(coco_command(tmp_path))
    images = ['images', f'--images={tmp_path}/images/sub', f'--output_dir={tmp_path}/val', '--split=val']
    prepare.main(images)
    command = ['split', f'--input={tmp_path}/out', '--fractions=1', f'--output_dir={tmp_path}/out']
    with pytest.raises(errors.UserError, match='share 1 image .*ids 5 = '):
        prepare.main([*command, f'--validation={tmp_path}/val'])
    assert not (tmp_path / 'out' / 'splits').exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'a command is missing; allowed: coco, open_images, imagenet, voc, voc_detection, images, scenes, split'),
        (['cocoa'], "unknown command 'cocoa'.*Did you mean 'coco'"),
        (['coco'], 'required: --annotations, --images, --output_dir'),
        (['coco', '--annotations=none', '--images=.', '--output_dir=x'], "'none', which is no file"),
        (['coco', '--annotations=a.json', '--images=none', '--output_dir=x'], "'none', which is no folder"),
        (['images', '--images=nowhere', '--output_dir=x'], "'nowhere', which is no folder"),
        (['images', '--images=.', '--output_dir=x', '--on_eror=skip'], "Did you mean '--on_error'"),
        (['images', '--images=.', '--output_dir=x', '--on_error=ignore'], "invalid choice: 'ignore'"),
        (['split', '--input=nowhere', '--fractions=0.5', '--output_dir=x'], "no shards match 'nowhere'"),
        (['split', '--input=x', '--fractions=half', '--output_dir=x'], "fractions is 'half'.*numbers"),
        (['split', '--input=x', '--counts=1.5', '--output_dir=x'], "counts is '1.5'.*whole numbers"),
        (['split', '--input=x', '--output_dir=x'], '--fractions or --counts is missing'),
    ],
)
def test_mistakes_are_named(arguments: list[str], words: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('a.json').write_text('')
    with pytest.raises(errors.UserError, match=words):
        prepare.main(arguments)
    assert not pathlib.Path('x').exists()


def test_a_number_of_processes_must_be_one(tmp_path):
    with pytest.raises(errors.UserError, match='processes is 0'):
        prepare.main(coco_command(tmp_path, '--processes=0'))


@pytest.mark.parametrize('command', ['', 'coco', 'voc', 'voc_detection', 'images', 'scenes', 'split'])
def test_help_is_quick_and_needs_no_tensorflow(command: str):
    code = (
        'import sys\nfrom official_rethink import prepare\n'
        f'try: prepare.main({[*filter(None, [command]), "--help"]})\n'
        'except SystemExit as end: assert not end.code\n'
        'assert "tensorflow" not in sys.modules'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert 'usage: prepare' in done.stdout
