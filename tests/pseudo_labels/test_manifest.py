"""A manifest read, and every reason for which a student refuses it."""

import json
import pathlib
import types
from typing import Any

import pytest

from official_rethink.common import errors
from official_rethink.configs import classification
from official_rethink.configs import types as config_types
from official_rethink.data import problems, records, shards
from official_rethink.pseudo_labels import labelling, manifest
from tests.pseudo_labels import making


def _write(folder: pathlib.Path, split: str, images: list[records.Record], categories: Any) -> str:
    shards.write(images, str(folder), split, categories)
    return str(folder / f'{split}*')


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Pseudo labels of images 0 to 8; images 10 to 13 to train on, 20 to 23 to be measured on."""
    folder = tmp_path_factory.mktemp('manifest')
    images = making.open_images(making.write(folder / 'data', 'all', 9))
    place = making.open_store(folder / 'labels', images)
    labelling.run(images, place, making.labeller())
    counted = place.describe(making.inputs(images), problems.ProblemList())
    teacher = {'checkpoint': 'ckpt-7', 'files': {'ckpt-7.index': 'ab'}, 'step': 7, 'metrics': {'AP': 0.25}}
    config = {'experiment': 'e', 'hash': 'h'}
    place.finish(manifest.build(counted, making.CATEGORIES, making.inputs(images), teacher, config))
    for split, first in (('train', 10), ('val', 20)):
        chosen = [making.record(number, labelled=True) for number in range(first, first + 4)]
        _write(folder / 'data', split, chosen, making.CATEGORIES)
    return folder


def _params(made: pathlib.Path, **pseudo: Any) -> Any:
    task = types.SimpleNamespace(
        train_data=config_types.DataConfig(input_path=f'{made}/data/train*'),
        validation_data=config_types.DataConfig(input_path=f'{made}/data/val*'),
        test_data=config_types.DataConfig(),
        pseudo_data=config_types.PseudoDataConfig(input_path=f'{made}/labels/pseudo*', score_threshold=0.5),
    )
    task.pseudo_data.override(pseudo)
    return types.SimpleNamespace(task=task)


def _copy(made: pathlib.Path, folder: pathlib.Path, **changed: Any) -> str:
    """A copy of the store with another manifest; returns its pattern."""
    for name, data in making.contents(made / 'labels').items():
        (folder / name).write_bytes(data)
    found = json.loads((folder / 'manifest.json').read_text()) | changed
    (folder / 'manifest.json').write_text(json.dumps(found))
    return f'{folder}/pseudo*'


def test_load(made: pathlib.Path) -> None:
    found = manifest.load(str(made / 'labels'))
    assert found == manifest.load(str(made / 'labels' / 'manifest.json'))
    assert found['teacher'] == {
        'checkpoint': 'ckpt-7', 'files': {'ckpt-7.index': 'ab'}, 'step': 7, 'metrics': {'AP': 0.25},
    }  # fmt: skip
    assert found['categories'] == making.CATEGORIES
    assert (found['num_images'], found['num_instances'], found['score_floor']) == (9, 8, 0.05)
    assert found['source']['num_images'] == 9 and found['source']['path'].endswith('all-*.tfrecord')


def test_a_student_may(made: pathlib.Path) -> None:
    manifest.check_student(_params(made))
    manifest.check_student(_params(made, score_threshold=0.05))
    manifest.check_student(_params(made, manifest=f'{made}/labels/manifest.json'))


def test_other_tasks_are_none_of_its_business() -> None:
    manifest.check_student(types.SimpleNamespace(task=types.SimpleNamespace()))


def test_no_manifest(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match="no manifest of pseudo labels at '.*'; `python -m"):
        manifest.check_student(_params(made, input_path=f'{tmp_path}/pseudo*'))


def test_unfinished(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    images = making.open_images(f'{made}/data/all*')
    labelling.run(images, making.open_store(tmp_path, images), making.labeller())
    with pytest.raises(errors.UserError, match="are unfinished: there is no 'manifest.json' yet"):
        manifest.check_student(_params(made, input_path=f'{tmp_path}/pseudo*'))


@pytest.mark.parametrize('text', ['[]', '{}', '{"kind": "pseudo_labels"}'])
def test_another_file(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(errors.UserError, match='is not a manifest of pseudo labels'):
        manifest.load(str(tmp_path))


def test_another_version(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    _copy(made, tmp_path, format_version=9)
    with pytest.raises(errors.UserError, match='format_version is 9 .*allowed: 1'):
        manifest.load(str(tmp_path))


def test_a_shard_is_gone(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    pattern = _copy(made, tmp_path)
    (tmp_path / 'pseudo-00001-of-00002.tfrecord').unlink()
    with pytest.raises(errors.UserError, match="2 shards, 1 of which are not there, e.g. 'pseudo-00001"):
        manifest.check_student(_params(made, input_path=pattern))


def test_shards_that_are_not_the_manifests(made: pathlib.Path) -> None:
    path = f'{made}/labels/manifest.json'
    with pytest.raises(errors.UserError, match="matches '.*train-00000.*none of the 2 shards"):
        manifest.check_student(_params(made, input_path=f'{made}/data/train*', manifest=path))


@pytest.mark.parametrize(
    ('categories', 'told'),
    [
        ([{'id': 1, 'name': 'red'}], "id 3 is 'no class' there and 'blue' here"),
        ([{'id': 1, 'name': 'blue'}, {'id': 3, 'name': 'red'}], "id 1 is 'blue' there and 'red' here; id 3"),
        ([{'id': 1, 'name': 'red'}, {'id': 2, 'name': 'blue'}], "id 2 is 'blue' there and 'no class' here"),
        ([{'id': i, 'name': str(i)} for i in range(1, 9)], 'and 5 more. Use a teacher trained on the same'),
    ],
)
def test_other_classes(tmp_path: pathlib.Path, made: pathlib.Path, categories: Any, told: str) -> None:
    pattern = _copy(made, tmp_path, categories=categories)
    with pytest.raises(errors.UserError, match=told):
        manifest.check_student(_params(made, input_path=pattern))


def test_floor_above_the_threshold(made: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match='score_threshold is 0.04, but .* no box under 0.05'):
        manifest.check_student(_params(made, score_threshold=0.04))


def test_no_box_over_the_threshold(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match='no pseudo box .* 0.8 or more; the best lie between 0.75 and'):
        manifest.check_student(_params(made, score_threshold=0.8))
    pattern = _copy(made, tmp_path, score_histogram={'counts': [0] * 20})
    with pytest.raises(errors.UserError, match='there is no box at all'):
        manifest.check_student(_params(made, input_path=pattern))


@pytest.mark.parametrize('part', ['validation_data', 'test_data'])
def test_shared_images_under_other_ids(tmp_path: pathlib.Path, made: pathlib.Path, part: str) -> None:
    shared = making.record(4, labelled=True)
    shared.source_id = '77'
    params = _params(made)
    pattern = _write(tmp_path, 'held', [making.record(30, labelled=True), shared], making.CATEGORIES)
    getattr(params.task, part).input_path = pattern
    told = f"task.{part} .* share 1 images, e.g. '1004' there, '77' here"
    with pytest.raises(errors.UserError, match=told):
        manifest.check_student(params)


def test_equal_ids_of_other_images_are_no_alarm(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    other = making.record(30, labelled=True)
    other.source_id = '1004'
    params = _params(made)
    params.task.validation_data.input_path = _write(tmp_path, 'held', [other], making.CATEGORIES)
    manifest.check_student(params)


def test_a_description_without_hashes(tmp_path: pathlib.Path, made: pathlib.Path) -> None:
    params = _params(made)
    params.task.validation_data.input_path = _write(tmp_path, 'held', [making.record(4)], [])
    description = json.loads((tmp_path / 'held.json').read_text())
    del description['image_hashes']
    (tmp_path / 'held.json').write_text(json.dumps(description))
    with pytest.raises(errors.UserError, match='share 1 images'):
        manifest.check_student(params)


def test_labels_of_another_task_are_refused(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A detector reading a classifier's store would learn that there is nothing anywhere."""
    params = _params(made, input_path=_copy(made, tmp_path, labels='classes'))
    with pytest.raises(errors.UserError, match='are classes, but the task of this experiment learns boxes'):
        manifest.check_student(params)
    params.task.pseudo_data = classification.PseudoData(input_path=f'{made}/labels/pseudo*')
    with pytest.raises(errors.UserError, match='are boxes, but the task of this experiment learns classes'):
        manifest.check_student(params)
