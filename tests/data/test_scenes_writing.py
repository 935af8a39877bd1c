"""The built-in scenes as records and shards: what is encoded, what an unlabelled set lacks, the flags."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from official_rethink.common import entry_point, errors
from official_rethink.data import scenes, shards

SETTINGS = scenes.Settings(height=64, width=48)


def flags(*argv: str) -> Any:
    parser = entry_point.Parser(prog='prepare scenes')
    scenes.add_arguments(parser)
    return parser.parse_args(list(argv))


def decoded(png: bytes | None) -> np.ndarray:
    assert png is not None
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_record_holds_the_scene() -> None:
    scene, record = scenes.generate(2, 9, SETTINGS), scenes.make_record(2, 9, SETTINGS)
    image = cv2.imdecode(np.frombuffer(record.encoded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (record.height, record.width, record.image_format) == (64, 48, 'jpeg')
    # Channels in another order, or a poor quality, would be far above this.
    assert np.abs(image.astype(int) - scene.image).mean() < 6.0
    assert np.abs(image[..., ::-1].astype(int) - scene.image).mean() > 6.0
    np.testing.assert_array_equal(decoded(record.label_map_png), scene.label_map)
    assert [a.label for a in record.annotations] == scene.classes.tolist()
    for number, annotation in enumerate(record.annotations):
        assert list(annotation.box) == scene.boxes[number].tolist()
        np.testing.assert_array_equal(decoded(annotation.mask_png), scene.masks[number])
        assert annotation.area == scene.masks[number].sum()
        np.testing.assert_allclose(np.array(annotation.keypoints), scene.keypoints[number])
    assert record.class_label is None and not record.pseudo


def test_classification_record_has_its_one_class() -> None:
    settings = scenes.Settings(kind='classification', height=48, width=48)
    for index in range(5):
        record = scenes.make_record(index, 0, settings)
        assert record.class_label is not None
        assert [annotation.label for annotation in record.annotations] == [record.class_label]


def test_unlabelled_record_is_the_same_image_without_truth() -> None:
    truth, bare = scenes.make_record(2, 9, SETTINGS), scenes.make_record(2, 9, SETTINGS, labelled=False)
    assert (bare.encoded, bare.source_id) == (truth.encoded, truth.source_id)
    assert bare.annotations == [] and bare.label_map_png is None and bare.class_label is None


def test_ids_are_int64_and_differ_between_kinds_seeds_and_images() -> None:
    classification = scenes.Settings(kind='classification')
    ids = [
        scenes.source_id(index, seed, settings)
        for settings in (SETTINGS, classification)
        for seed in (0, 1, scenes.MAX_SEED)
        for index in (0, 1, scenes.MAX_IMAGES - 1)
    ]
    assert len(set(ids)) == 18 and max(map(int, ids)) < 2**63
    assert scenes.source_id(42, 7, SETTINGS) == '100000000700000042'


def test_written_set_reads_back_and_is_not_written_twice(tmp_path: Path) -> None:
    folder = str(tmp_path / 'scenes')
    argv = [
        f'--output_dir={folder}',
        '--num_images=9',
        '--seed=3',
        '--size=64x48',
        '--split=val',
        '--num_shards=2',
    ]
    description = scenes.run(flags(*argv))
    found = list(shards.read(f'{folder}/val*'))
    assert sorted(os.listdir(folder)) == [
        'val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord', 'val.json',
    ]  # fmt: skip
    expected = [scenes.make_record(index, 3, SETTINGS) for index in (0, 2, 4, 6, 8, 1, 3, 5, 7)]
    assert [record.encoded for record in found] == [record.encoded for record in expected]
    assert [record.source_id for record in found] == description['image_ids']
    for record, original in zip(found, expected, strict=True):
        assert len(record.annotations) == len(original.annotations)
        for annotation, truth in zip(record.annotations, original.annotations, strict=True):
            np.testing.assert_allclose(annotation.box, truth.box, atol=1e-4)
            assert (annotation.mask_png, annotation.label) == (truth.mask_png, truth.label)
    assert [category['name'] for category in description['categories']][:3] == ['walker', 'windmill', 'car']
    assert sum(description['instances_per_category'].values()) == sum(len(r.annotations) for r in found)
    stamp = os.stat(f'{folder}/val-00000-of-00002.tfrecord').st_mtime_ns
    assert scenes.run(flags(*argv)) == description
    assert os.stat(f'{folder}/val-00000-of-00002.tfrecord').st_mtime_ns == stamp
    with pytest.raises(errors.UserError, match='--overwrite'):
        scenes.run(flags(*argv, '--difficulty=0.6'))
    assert scenes.run(flags(*argv, '--difficulty=0.6', '--overwrite')) != description


def test_first_images_of_a_larger_set_are_the_smaller_set(tmp_path: Path) -> None:
    for count in (3, 5):
        scenes.write_scenes(str(tmp_path), f'n{count}', SETTINGS, 1, count)
    few, more = ([r.encoded for r in shards.read(f'{tmp_path}/n{count}*')] for count in (3, 5))
    assert len(few) == 3 and more[:3] == few


def test_unlabelled_set_has_no_truth(tmp_path: Path) -> None:
    description = scenes.run(flags(f'--output_dir={tmp_path}', '--num_images=3', '--size=32', '--unlabelled'))
    assert description['categories'] == [] and description['num_instances'] == 0
    assert [record.annotations for record in shards.read(f'{tmp_path}/train*')] == [[], [], []]
    truth = scenes.run(flags(f'--output_dir={tmp_path}', '--num_images=3', '--size=32', '--split=truth'))
    assert truth['image_hashes'] == description['image_hashes'] and truth['num_instances'] >= 3


@pytest.mark.parametrize(
    ('argument', 'words'),
    [
        ('--size=7', ['height', '7', '32 to 1024']),
        ('--size=12b', ["'12b'", 'HEIGHTxWIDTH', '--size']),
        ('--size=64x', ["'64x'", '--size']),
        ('--seed=-1', ['seed', '-1', '0 to 999999999']),
        ('--num_images=0', ['num_images', '0', 'from 1']),
        ('--difficulty=2', ['difficulty', '2.0']),
        ('--num_classes=99', ['num_classes', '99']),
        ('--kind=classifcation', ["Did you mean 'classification'?"]),
        ('--unlabeled', ["Did you mean '--unlabelled'?"]),
    ],
)
def test_wrong_flags_leave_nothing_behind(tmp_path: Path, argument: str, words: list[str]) -> None:
    folder = tmp_path / 'out'
    with pytest.raises(errors.UserError) as caught:
        scenes.run(flags(f'--output_dir={folder}', '--num_images=2', argument))
    assert [word for word in words if word not in str(caught.value)] == []
    assert not folder.exists()
