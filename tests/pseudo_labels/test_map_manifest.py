"""A student of label maps and what it is refused."""

import pathlib
import types
from typing import Any

import pytest

from official_rethink.common import errors
from official_rethink.configs import classification, segmentation
from official_rethink.configs import types as config_types
from official_rethink.data import shards
from official_rethink.pseudo_labels import manifest
from tests.pseudo_labels import making, making_maps


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Pseudo label maps of images 0 to 5; other images to train on and to be measured on."""
    folder = tmp_path_factory.mktemp('maps')
    images = making.open_images(making_maps.write(folder / 'data', 'all', 6))
    place, counted = making_maps.label(folder / 'labels', images)
    inputs = making.inputs(images, floor=0.0)
    place.finish(manifest.build(counted, making_maps.CATEGORIES, inputs, {'metrics': {'mIoU': 0.5}}, {}))
    for split in ('train', 'val'):
        records = [making.record(number) for number in ((10, 11) if split == 'train' else (20, 21))]
        shards.write(records, str(folder / 'data'), split, making_maps.CATEGORIES)
    return folder


def _params(made: pathlib.Path, kind: Any = segmentation.PseudoSegmentationData, **pseudo: Any) -> Any:
    task = types.SimpleNamespace(
        train_data=segmentation.SegmentationData(input_path=f'{made}/data/train*'),
        validation_data=segmentation.SegmentationData(input_path=f'{made}/data/val*'),
        test_data=segmentation.SegmentationData(),
        pseudo_data=kind(input_path=f'{made}/labels/pseudo*'),
    )
    task.pseudo_data.override(pseudo)
    return types.SimpleNamespace(task=task)


def test_a_student_may(made: pathlib.Path) -> None:
    manifest.check_student(_params(made))
    manifest.check_student(_params(made, score_threshold=0.0))
    found = manifest.load(str(made / 'labels'))
    assert found['labels'] == 'label_maps' and found['kept_at'][0]['coverage'] == 1.0


@pytest.mark.parametrize(
    ('kind', 'told'),
    [
        (config_types.PseudoDataConfig, 'are label_maps, but the task of this experiment learns boxes'),
        (classification.PseudoData, 'are label_maps, but the task of this experiment learns classes'),
    ],
)
def test_students_of_another_kind(made: pathlib.Path, kind: Any, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        manifest.check_student(_params(made, kind))


def test_boxes_are_no_label_maps(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'data', 'all', 4))
    counted = making.label(tmp_path / 'labels', images)
    place = making.open_store(tmp_path / 'other', images)
    inputs = making.inputs(images)
    place.folder = str(tmp_path / 'labels')
    place.finish(manifest.build(counted, making_maps.CATEGORIES, inputs, {}, {}))
    params = _params(made, input_path=f'{tmp_path}/labels/pseudo*')
    with pytest.raises(errors.UserError, match='are boxes, but the task of this experiment learns label_maps'):
        manifest.check_student(params)


def test_a_threshold_that_keeps_no_pixel(made: pathlib.Path) -> None:
    found = manifest.load(str(made / 'labels'))
    best = max(value for value, count in enumerate(found['pixel_scores']) if count)
    manifest.check_student(_params(made, score_threshold=best / 255))
    with pytest.raises(errors.UserError, match=rf'score_threshold 1.1 or more; the best has {best / 255:.3f}'):
        manifest.check_student(_params(made, score_threshold=1.1))


def test_other_classes_and_shared_images(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    params = _params(made)
    params.task.validation_data.input_path = f'{made}/data/all*'
    with pytest.raises(errors.UserError, match="task.validation_data .* share 6 images, e.g. '0' there, '0' here"):
        manifest.check_student(params)
    shards.write([making.record(1)], str(tmp_path), 'train', [{'id': 1, 'name': 'red'}, {'id': 2, 'name': 'green'}])
    params = _params(made)
    params.task.train_data.input_path = f'{tmp_path}/train*'
    with pytest.raises(errors.UserError, match="id 2 is 'no class' there and 'green' here; id 3 is 'green' there"):
        manifest.check_student(params)
