"""Pseudo key points: visible over a threshold, of the classes that have any, and which students may learn them."""

import argparse
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import maskrcnn_students
from official_rethink.data import keypoints, problems, records, shards
from official_rethink.dataloaders import decoder
from official_rethink.pseudo_labels import box_labels, filters, labelling, manifest, pictures, printing, store
from tests.pseudo_labels import making
from tests.pseudo_labels.test_manifest import _params

LAYOUT = keypoints.make(['left_end', 'right_end'], [1])
POINTS = filters.Points((1,), 0.05)


def _predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
    """As `making.predict`: its box's upper left corner with score 0.6, and its lower right one with 0.01."""
    found = making.predict(images, info)
    corners = tf.stack([found['boxes'][..., :2], found['boxes'][..., 2:]], axis=2)
    scores = tf.constant([0.6, 0.01])[:, tf.newaxis] * tf.ones_like(corners[..., :1])
    return {**found, 'keypoints': tf.concat([corners, scores], axis=-1)}


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished store of seven images, six of them with a box."""
    folder = tmp_path_factory.mktemp('keypoint_labels')
    images = making.open_images(making.write(folder / 'data', 'all', 7))
    place = store.Store(str(folder / 'labels'), 7, 5, making.CATEGORIES, 2, LAYOUT.described())
    place.open(making.inputs(images))
    reading = box_labels.BoxReading(making.SIZE, 0.05, (1, 3), points=POINTS)
    labelling.run(images, place, labelling.Labeller(_predict, reading, 4, tf.distribute.get_strategy()))
    counted = place.describe(making.inputs(images), problems.ProblemList())
    about, config = {'checkpoint': 'ckpt-7', 'files': {}, 'step': 7, 'metrics': None}, {'experiment': 'e', 'hash': 'h'}
    place.finish(manifest.build(counted, making.CATEGORIES, making.inputs(images), about, config))
    return folder


def test_keep_by_hand() -> None:
    """Scores 0.9, 0.05 (on the threshold) and 0.049; the second object's class has no key points."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.float32)
    points = np.array([[[1, 2, 0.9], [3, 4, 0.05], [5, 6, 0.049]]] * 2, np.float32)
    found = filters.Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 3]), keypoints=points)
    kept = filters.keep(found, 0.05, (1, 3), 10, 10, POINTS)
    assert kept.annotations[0].keypoints == [(2.0, 1.0, 2), (4.0, 3.0, 2), (0.0, 0.0, 0)]
    assert kept.annotations[1].keypoints is None and kept.annotations[0].mask_png is None
    assert filters.keep(found, 0.05, (1, 3), 10, 10).annotations[0].keypoints is None


def test_what_is_stored_and_read(made: pathlib.Path) -> None:
    told = json.loads((made / 'labels' / 'manifest.json').read_text())
    assert (told['keypoints'], told['num_visible_keypoints'], told['num_instances']) == (2, 6, 6)
    assert 'masks' not in told
    assert '2 key points an object, 6 in all visible' in printing.text(told, str(made)).splitlines()
    assert keypoints.of_description(json.loads((made / 'labels' / 'pseudo.json').read_text())) == LAYOUT
    for record in making.read(made / 'labels'):
        _, _, box = making.SCENES[int(record.source_id) - 1000]
        for annotation in record.annotations:
            assert annotation.keypoints is not None and box is not None
            (x, y, first), (_, _, second) = annotation.keypoints
            np.testing.assert_allclose((y, x), annotation.box[:2], atol=1e-3)
            assert (first, second) == (2, 0)
        decoded = decoder.RecordDecoder(num_keypoints=2).decode(records.to_example(record))['groundtruth_keypoints']
        assert decoded.shape == [len(record.annotations), 2, 3]
        assert decoded[:, 0, 2].numpy().tolist() == [2.0] * len(record.annotations)


def test_which_students_may(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for split, first in (('train', 20), ('val', 30)):
        chosen = [making.record(number, labelled=True) for number in range(first, first + 4)]
        shards.write(chosen, str(tmp_path / 'data'), split, making.CATEGORIES)
    params = _params(tmp_path, input_path=f'{made}/labels/pseudo*')
    params.task.model = maskrcnn_students.SelfTrainingMaskRCNNTask().model
    head = {'num_keypoints': 2}
    params.task.model.override({'include_mask': False, 'include_keypoints': True, 'keypoint_head': head})
    manifest.check_student(params)
    params.task.model.keypoint_head.num_keypoints = 17
    with pytest.raises(errors.UserError, match=r'have 2 key points an object, but .*num_keypoints is 17; label'):
        manifest.check_student(params)
    for name, data in making.contents(made / 'labels').items():
        (tmp_path / name).write_bytes(data)
    told = json.loads((made / 'labels' / 'manifest.json').read_text())
    del told['keypoints']
    (tmp_path / 'manifest.json').write_text(json.dumps(told))
    params.task.pseudo_data.input_path = f'{tmp_path}/pseudo*'
    with pytest.raises(errors.UserError, match='have no key points an object'):
        manifest.check_student(params)
    params.task.model.include_keypoints = False
    manifest.check_student(params)


def _kind(pattern: str, number: int = 2, include: bool = True) -> box_labels.BoxKind:
    task = maskrcnn_students.SelfTrainingMaskRCNNTask()
    task.model.override({'include_keypoints': include, 'keypoint_head': {'num_keypoints': number}})
    task.model.input_size = [32, 32, 3]
    task.train_data.input_path = pattern
    return box_labels.BoxKind(argparse.Namespace(task=task))


def _flags(**given: Any) -> argparse.Namespace:
    names = ('score_floor', 'keypoint_threshold', 'scales', 'flip', 'large_images', 'tile_overlap')
    return argparse.Namespace(**{name: given.get(name) for name in names})


def test_the_threshold_is_part_of_what_decides_the_labels(made: pathlib.Path) -> None:
    kind, args = _kind(f'{made}/labels/pseudo*'), _flags()
    kind.check(args)
    assert kind.inputs(args) == {'keypoint_threshold': box_labels.KEYPOINT_THRESHOLD}
    reading = kind.reading(args, (32, 32), (1, 3))
    assert reading.wanted[-2:] == ('masks', 'keypoints')
    bare = _kind('', include=False)
    bare.check(args := _flags())
    assert bare.inputs(args) == {} and args.keypoint_threshold is None


@pytest.mark.parametrize(
    ('settings', 'given', 'told'),
    [
        ({}, 1.5, r'keypoint_threshold is 1.5 \(set in --keypoint_threshold\); allowed: 0 to 1'),
        ({'include': False}, 0.2, 'is 0.2, but the teacher finds no key points .* Leave the flag out'),
        ({'number': 17}, None, 'finds 17 key points an object, but .* has 2: left_end, right_end; name the set'),
    ],
)
def test_mistakes(made: pathlib.Path, settings: dict[str, Any], given: float | None, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        _kind(f'{made}/labels/pseudo*', **settings).check(_flags(keypoint_threshold=given))


def test_a_set_without_key_points(made: pathlib.Path) -> None:
    making.write(made / 'data', 'bare', 2, labelled=True)
    with pytest.raises(errors.UserError, match='finds 2 key points an object, but .* has none'):
        _kind(f'{made}/data/bare*').check(_flags())


def test_the_gallery_shows_points() -> None:
    """Dots at the corners of a box of 20 x 40 in an image of 48 x 64, which is drawn 5 times as large, and a line."""

    def drawn(points: Any, skeleton: Any = ()) -> np.ndarray:
        box = records.Annotation((8.0, 16.0, 28.0, 56.0), 1, score=0.9, keypoints=points)
        image = tf.io.encode_png(np.zeros([48, 64, 3], np.uint8)).numpy()
        record = records.Record('1', image, 'png', 48, 64, annotations=[box])
        return pictures._draw([record], {1: 'red'}, 0.5, 1, skeleton)[0]

    bare, dots = drawn(None), drawn([(20.0, 12.0, 2), (50.0, 24.0, 2), (0.0, 0.0, 0)])
    lines = drawn([(20.0, 12.0, 2), (50.0, 24.0, 2), (0.0, 0.0, 0)], [[0, 1], [1, 2]])
    changed = np.argwhere((dots != bare).any(-1))
    # Each dot reaches two pixels to either side.
    assert np.abs(changed.min(0) - [58, 98]).max() <= 1 and np.abs(changed.max(0) - [122, 252]).max() <= 1
    assert (lines[90, 175] != bare[90, 175]).any() and (dots[90, 175] == bare[90, 175]).all()
