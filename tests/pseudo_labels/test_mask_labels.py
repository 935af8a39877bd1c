"""Pseudo masks: stored as human masks are, measured by their pixels, read by a student, refused where they lack."""

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.common import errors
from official_rethink.configs import maskrcnn_students
from official_rethink.data import records, shards
from official_rethink.dataloaders import detection
from official_rethink.evaluation import instance_masks
from official_rethink.pseudo_labels import filters, labelling, manifest, pictures, printing, store, truth
from tests.pseudo_labels import making, making_masks
from tests.pseudo_labels.test_manifest import _params

COUNT = 14  # twice `making.SCENES`; the second seven are shaded, so their masks are empty


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished store with masks, and one without."""
    folder = tmp_path_factory.mktemp('mask_labels')
    images = making.open_images(making.write(folder / 'data', 'all', COUNT))
    making_masks.label(folder / 'labels', images)
    place = making.open_store(folder / 'boxes', images)
    labelling.run(images, place, making.labeller())
    return folder


def _manifest(made: pathlib.Path) -> dict[str, Any]:
    return json.loads((made / 'labels' / 'manifest.json').read_text())


def _mask(annotation: records.Annotation) -> np.ndarray:
    assert annotation.mask_png is not None
    return np.asarray(Image.open(io.BytesIO(annotation.mask_png)))


def test_keep_by_hand() -> None:
    """A box of 8 x 12 with nothing in its lower half; one whose mask never passes 0.5; one under the floor."""
    upper = np.zeros((14, 14), np.float32)
    upper[:7] = 1.0
    boxes = np.array([[2, 4, 10, 16], [0, 0, 6, 6], [1, 1, 9, 9]], np.float32)
    masks = np.stack([upper, np.full((14, 14), 0.5), np.ones((14, 14))]).astype(np.float32)
    found = filters.Detections(boxes, np.array([0.9, 0.8, 0.01], np.float32), np.array([1, 3, 1]), masks)
    kept = filters.keep(found, 0.05, (1, 3), height=20, width=30)
    assert len(kept.annotations) == 2 and kept.empty_masks == 1
    first, second = map(_mask, kept.annotations)
    assert first.shape == second.shape == (20, 30) and set(np.unique(first)) == {0, 1} and not second.any()
    # Rows 3 to 5 are well within the upper half (2 to 6) and rows 7 on well without.
    assert first[3:6, 5:15].all() and not first[7:].any() and not first[:, :3].any() and not first[:, 18:].any()
    assert [a.area for a in kept.annotations] == [first.sum(), 0]


def test_what_is_stored(made: pathlib.Path) -> None:
    told = _manifest(made)
    assert told['masks'] is True and told['num_instances'] == 12 and told['num_empty_masks'] == 6
    for record in making.read(made / 'labels'):
        number = int(record.source_id) - 1000
        _, _, box = making.SCENES[number % 7]
        for annotation in record.annotations:
            mask = _mask(annotation)
            assert mask.shape == (record.height, record.width) and annotation.area == mask.sum()
            assert (mask.sum() == 0) == (number >= 7)
            assert annotation.score == pytest.approx(0.75)
        if box and number < 7:
            middle, (mask,) = (box[0] + box[2]) // 2, map(_mask, record.annotations)
            assert not mask[middle + 8 :].any() and mask[: middle + 8].any()
    printed = printing.text(told, str(made / 'labels'))
    assert printed.splitlines()[2] == 'each box with a mask, 6 of them without a pixel'
    boxes = store.Store(str(made / 'boxes'), COUNT, 5, making.CATEGORIES, 2).finished()
    assert all(part['num_masks'] == 0 for part in boxes)


def test_killed_and_started_again(made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are as without the kill."""
    images, calls, keep = making.open_images(f'{made}/data/all*'), [], filters.keep

    def killed(*values: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return keep(*values)

    with monkeypatch.context() as context:
        context.setattr(filters, 'keep', killed)
        with pytest.raises(KeyboardInterrupt):
            making_masks.label(tmp_path, images)
    making_masks.label(tmp_path, images)
    ours, theirs = (making.contents(folder, but=('manifest.json',)) for folder in (tmp_path, made / 'labels'))
    assert ours == theirs and (tmp_path / 'manifest.json').exists()


def test_masks_that_are_not_finite(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def diverged(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        found = making_masks.predict(images, info)
        return {**found, 'masks': found['masks'] / 0.0}

    images = making.open_images(f'{made}/data/all*')
    with pytest.raises(errors.UserError, match=r"predicts masks that are not finite on image 1000 \('000.png'\)"):
        making_masks.label(tmp_path, images, diverged)


def test_quality_by_masks(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Overlaps by hand from the pixels: an upper half is about half of the truth, an empty one nothing."""
    place = store.Store(str(made / 'labels'), COUNT, 5, making.CATEGORIES, best=2)
    result = truth.measure(making_masks.truth(tmp_path, COUNT), place, 0.05)
    assert json.loads((made / 'labels' / 'quality.json').read_text()) == result
    (box_row,) = [row for row in result['curve'] if (row['score_threshold'], row['iou_threshold']) == (0.5, 0.5)]
    assert (box_row['precision'], box_row['recall']) == (1.0, 1.0)
    shares = []
    for record in making.read(made / 'labels'):
        number = int(record.source_id) - 1000
        for annotation in record.annotations:
            ours, theirs = _mask(annotation), making_masks.rectangle(record, making.SCENES[number % 7][2])
            shares.append((ours & theirs).sum() / (ours | theirs).sum())
    assert 0.4 < shares[0] < 0.6 and shares[-1] == 0
    right = [share for share in shares if share >= 0.5]
    (row,) = [one for one in result['masks']['curve'] if (one['score_threshold'], one['iou_threshold']) == (0.5, 0.5)]
    assert (row['kept'], row['true_positives'], row['missed']) == (12, len(right), 12 - len(right))
    assert row['mean_iou'] == pytest.approx(np.mean(right) if right else None)


def test_a_truth_without_masks(made: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = store.Store(str(made / 'labels'), COUNT, 5, making.CATEGORIES, best=2)
    result = truth.measure(making_masks.truth(tmp_path, COUNT, with_masks=False), place, 0.05)
    assert 'masks' not in result and 'measured by their boxes alone' in capsys.readouterr().err


def test_the_gallery_shows_masks(made: pathlib.Path) -> None:
    place = store.Store(str(made / 'labels'), COUNT, 5, making.CATEGORIES, best=2)
    record = making.read(made / 'labels')[0]
    (drawn,) = pictures._draw([record], {1: 'red'}, 0.5, 1, ())
    (bare,) = pictures._draw([_without_masks(record)], {1: 'red'}, 0.5, 1, ())
    assert drawn.shape == bare.shape and (drawn != bare).any()
    # Only inside the box, 8 16 24 40 of 48 x 64, here 5 times as large; its frame and name are on top.
    changed = np.argwhere((drawn != bare).any(-1)) / 5
    assert changed.min(0)[1] >= 14 and changed.max(0)[0] <= 20 and changed.max(0)[1] <= 42
    assert place.num_shards == 3


def _without_masks(record: records.Record) -> records.Record:
    for annotation in record.annotations:
        annotation.mask_png = None
    return record


def test_a_student_reads_the_masks_over_its_threshold(made: pathlib.Path) -> None:
    """The upper half of each box is 255; nothing of an image under the threshold is even decoded."""
    record = making.read(made / 'labels')[0]
    extra = records.Annotation((0.0, 0.0, 9.0, 9.0), 3, area=1.0, mask_png=b'no picture at all', score=0.2)
    record.annotations.insert(0, extra)
    params = maskrcnn_students.PseudoDataConfig(is_training=True, max_num_instances=3, score_threshold=0.5)
    params.augmentation.override({'scale_min': 1.0, 'scale_max': 1.0, 'flip_probability': 0.0})
    parser = detection.DetectionParser(params, (64, 64), mask_size=8)
    seed = tf.constant([1, 2])
    image, labels = tf.function(lambda one: parser.train(parser.decode(one), seed))(records.to_example(record))
    assert image.shape == [64, 64, 3]
    assert labels['classes'].numpy().tolist() == [1, -1, -1] and labels['num_candidates'] == 2
    masks = labels['masks'].numpy()
    assert masks.shape == (3, 8, 8) and (masks[0, :3, 1:-1] == 255).all() and not masks[0, 5:].any()
    assert not masks[1:].any()
    high = maskrcnn_students.PseudoDataConfig(is_training=True, max_num_instances=3, score_threshold=0.9)
    parser = detection.DetectionParser(high, (64, 64), mask_size=8)
    nothing = parser.train(parser.decode(records.to_example(record)), seed)[1]
    assert nothing['num_instances'] == 0 and nothing['masks'].shape == [3, 8, 8]


def test_which_students_may(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """One that learns masks needs them; one that learns boxes alone leaves them unread."""
    for split, first in (('train', 20), ('val', 30)):
        chosen = [making.record(number, labelled=True) for number in range(first, first + 4)]
        shards.write(chosen, str(tmp_path / 'data'), split, making.CATEGORIES)
    params = _params(tmp_path, input_path=f'{made}/labels/pseudo*')
    manifest.check_student(params)
    params.task.model = maskrcnn_students.SelfTrainingMaskRCNNTask().model
    manifest.check_student(params)
    for name, data in making.contents(made / 'labels').items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / 'manifest.json').write_text(json.dumps(_manifest(made) | {'masks': False}))
    params.task.pseudo_data.input_path = f'{tmp_path}/pseudo*'
    told = 'have no masks, but task.model.include_mask is true; label .* Mask R-CNN'
    with pytest.raises(errors.UserError, match=told):
        manifest.check_student(params)
    params.task.model.include_mask = False
    manifest.check_student(params)


def test_overlap_of_nothing() -> None:
    code = instance_masks.encode(np.ones((1, 3, 4)))
    assert instance_masks.overlap([], code, np.zeros(1, bool)).shape == (0, 1)
    assert instance_masks.overlap(code, [], np.zeros(0, bool)).shape == (1, 0)
    # Of a crowd, the share of what was found; else of both together.
    half = instance_masks.encode(np.repeat([[[1], [0]]], 4, axis=2)[:, :, :])
    whole = instance_masks.encode(np.ones((1, 2, 4)))
    assert instance_masks.overlap(half, whole * 2, np.array([False, True])).tolist() == [[0.5, 1.0]]
