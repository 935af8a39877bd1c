"""Pseudo label maps: size, scores, counts, tiles, restart, refusals, quality, pictures."""

import argparse
import io
import json
import pathlib
import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.common import errors
from official_rethink.configs import parse, segmentation
from official_rethink.data import label_maps, shards
from official_rethink.dataloaders import full_batches
from official_rethink.pseudo_labels import feeding, inference, kinds, labelling, map_labels, map_pictures, store
from official_rethink.pseudo_labels import printing as printed
from tests import devices
from tests.pseudo_labels import making, making_maps

COUNT = 6
NAMES = {1: 'red', 3: 'green'}


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    return making_maps.write(tmp_path_factory.mktemp('images'), 'all', COUNT)


@pytest.fixture(scope='module')
def made(images: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[store.Store, dict[str, Any]]:
    """Labels in tiles, so that the network sees each pixel as it is."""
    folder = tmp_path_factory.mktemp('labels')
    place, counted = making_maps.label(folder, making.open_images(images), overlap=8)
    map_pictures.write(place, NAMES, 2)
    return place, counted


def _maps(folder: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = shards.read(f'{folder}/pseudo.json')
    pngs = [(record.label_map_png, record.score_map_png) for record in found]
    return [tuple(label_maps.decode(png or b'') for png in pair) for pair in pngs]  # type: ignore[misc]


def test_maps_are_of_the_image_s_own_size_and_tiles_give_what_the_whole_gives(made: tuple) -> None:
    place, _ = made
    for number, (classes, scores) in enumerate(_maps(place.folder)):
        image = making_maps.pixels(number)
        if max(image.shape) <= 32:  # enlarged to the network's size, and back
            assert classes.shape == image.shape[:2]
            continue
        ours, theirs = (classes, scores), making_maps.expected(image)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    assert set(np.unique(np.concatenate([classes.ravel() for classes, _ in _maps(place.folder)]))) == {0, 1, 3}


def test_scaled_maps_are_those_of_the_network_s_grid(images: str, tmp_path: pathlib.Path) -> None:
    place, _ = making_maps.label(tmp_path, making.open_images(images))
    for number, (classes, scores) in enumerate(_maps(place.folder)):
        image = making_maps.pixels(number)
        assert classes.shape == scores.shape == image.shape[:2]
        right = classes == making_maps.expected(image)[0]
        assert right.mean() > 0.8  # all but what lies near borders
    scaled = place.finished()[0]
    assert scaled['sizes'] == [list(size) for size in making_maps.SIZES[:2]]


def test_counts_are_those_of_the_stored_maps(made: tuple) -> None:
    place, counted = made
    maps = _maps(place.folder)
    classes, scores = (np.concatenate([pair[axis].ravel() for pair in maps]) for axis in (0, 1))
    assert counted['labels'] == 'label_maps' and counted['num_images'] == COUNT
    assert counted['num_pixels'] == counted['num_instances'] == len(classes) and counted['void_pixels'] == 0
    assert counted['pixels_per_category'] == {str(label): int((classes == label).sum()) for label in (0, 1, 3)}
    assert counted['share_per_category']['1'] == (classes == 1).mean()
    assert counted['mean_score'] == pytest.approx(scores.mean() / 255)
    assert counted['pixel_scores'] == np.bincount(scores, minlength=256).tolist()
    assert sum(counted['score_histogram']['counts']) == len(classes)
    assert counted['score_histogram']['counts'][-1] == int((scores >= 255 * 0.95).sum())
    for row in counted['kept_at']:
        kept = scores >= 255 * row['score_threshold']
        assert row['pixels'] == kept.sum() and row['coverage'] == kept.mean()
        assert row['share_per_category']['3'] == (classes[kept] == 3).mean()
        best = [pair[1].max() for pair in maps]
        assert row['images_with_labels'] == sum(value >= 255 * row['score_threshold'] for value in best)
    assert counted['num_images_without_objects'] == 2  # image 3 is grey, image 5 one dark pixel
    assert counted['kept_at'][0]['images_with_objects'] == COUNT - 2
    description = shards.load_description(f'{place.folder}/pseudo.json')
    assert description['label_maps'] and description['pixels_per_category'] == counted['pixels_per_category']
    told = printed.text({**counted, 'categories': making_maps.CATEGORIES, 'score_floor': 0.0}, place.folder)
    assert f'{COUNT} images' in told and '2 images with nothing but background' in told and 'green' in told


def test_killed_and_started_again_gives_the_same_bytes(made: tuple, images: str, tmp_path: pathlib.Path) -> None:
    place, _ = made
    calls = []

    def killing(batch: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        def count() -> None:
            calls.append(1)
            if len(calls) > 5:
                raise KeyboardInterrupt

        tf.py_function(count, [], [])
        return making_maps.predict(batch, info)

    source = making.open_images(images)
    with pytest.raises(BaseException):  # noqa: B017, PT011  TensorFlow wraps what it meets
        making_maps.label(tmp_path, source, overlap=8, found=killing)
    assert sorted(path.name for path in tmp_path.glob('*')) == [store.STATE, 'pseudo-00000-of-00003.tfrecord']
    making_maps.label(tmp_path, source, overlap=8)
    for name in ('pseudo.json', *(f'pseudo-0000{shard}-of-00003.tfrecord' for shard in range(3))):
        assert (tmp_path / name).read_bytes() == pathlib.Path(place.path(name)).read_bytes()


def test_batches_are_full_of_tiles_and_never_span_two_shards() -> None:
    reading = map_labels.MapReading(making_maps.SIZE, (1, 3), 8)
    counts = [len(reading.windows(*size)) for size in making_maps.SIZES]
    assert counts == [1, 2, 4, 1, 12, 1]
    items = [feeding.Item(number // 2, making_maps.record(number)) for number in range(COUNT)]
    found = [(item.shard, item.record is None) for item in feeding.filled(items, 4, reading)]
    assert [shard for shard, filler in found if filler] == [0, 1, 1, 1, 2, 2, 2]


def test_replicas_with_images_of_different_sizes() -> None:
    strategy = devices.two_devices()
    items = [feeding.Item(0, making_maps.record(number)) for number in range(COUNT)]
    results = []
    for used in (tf.distribute.get_strategy(), strategy):
        labeller = making_maps.labeller(strategy=used)
        found = inference.detect(items, labeller.predict, labeller.reading, 2, used)
        results.append([maps for _, maps in found])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one.classes, other.classes)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_teacher_that_says_background_everywhere_is_empty(images: str, tmp_path: pathlib.Path) -> None:
    def nothing(batch: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        found = making_maps.predict(batch, info)
        return found | {'classes': tf.zeros_like(found['classes'])}

    with pytest.raises(labelling.EmptyTeacher, match='found nothing but background on all 6 images'):
        making_maps.label(tmp_path, making.open_images(images), found=nothing)


def test_a_diverged_teacher_is_named(images: str, tmp_path: pathlib.Path) -> None:
    def diverged(batch: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        return making_maps.predict(tf.zeros_like(batch), info * 1.0) | {
            'scores': tf.zeros_like(making_maps.predict(batch, info)['scores'])
        }

    with pytest.raises(errors.UserError, match="probabilities that are not finite on image 0 .'0.png'.*diverged"):
        making_maps.label(tmp_path, making.open_images(images), found=diverged)


def test_a_class_that_the_data_does_not_have_is_ignored() -> None:
    reading = map_labels.MapReading(making_maps.SIZE, (1, 3))
    classes = np.array([[0, 1, 2, 3, 255]], np.uint8)
    kept = reading.keep(map_labels.Maps(classes, np.full((1, 5), 200, np.uint8)), making_maps.record(0))
    assert kept.label_map is not None and kept.score_map is not None
    assert kept.label_map.tolist() == [[0, 1, 255, 3, 255]] and kept.score_map.tolist() == [[200, 200, 0, 200, 200]]
    assert (kept.unlisted, kept.num_labels()) == (1, 2)


def test_on_a_tpu_maps_are_as_evaluation_pads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One size for every batch, else that of its largest image; an image that is larger is refused by name."""
    config = segmentation.SegmentationTask()
    config.validation_data.groundtruth_padded_size = [40, 30]
    task = types.SimpleNamespace(task_config=config, predict_maps=lambda images, info, model, size: size)
    predict = map_labels.MapKind(None).predict(task, None)
    info = tf.tile(tf.constant([[[20.0, 10.0], [16, 16], [1, 1], [0, 0]]]), [2, 1, 1])
    assert tf.get_static_value(predict(tf.zeros([2, 16, 16, 3], tf.uint8), info)).tolist() == [20, 10]
    monkeypatch.setattr(full_batches, 'needed', lambda: True)
    assert predict(tf.zeros([2, 16, 16, 3], tf.uint8), info) == (40, 30)
    image = making_maps.record(0)
    small = {name: np.ones([1, image.height - 1, image.width], np.uint8) for name in ('classes', 'scores')}
    with pytest.raises(errors.UserError, match=r"'0.png'.*groundtruth_padded_size"):
        map_labels.MapReading((image.height, image.width), (1, 3)).result(image, small, 0)


def test_quality_against_truth(made: tuple, tmp_path: pathlib.Path) -> None:
    place, _ = made
    pattern = making_maps.write(tmp_path / 'truth', 'truth', COUNT, labelled=True)
    measured = map_labels.measure(pattern, place)
    assert measured == json.loads(pathlib.Path(place.path('quality.json')).read_text())
    kept = right = total = 0
    for number, (classes, scores) in enumerate(_maps(place.folder)):
        truth = making_maps.truth(number)
        high = (truth != 255) & (scores >= 255 * 0.7)
        total += int((truth != 255).sum())
        kept += int(high.sum())
        right += int((classes == truth)[high].sum())
    (row,) = (row for row in measured['curve'] if row['score_threshold'] == 0.7)
    assert (row['kept'], row['coverage'], row['pixel_accuracy']) == (kept, kept / total, right / kept)
    assert set(measured['per_category']) == {'background', 'red', 'green'}
    few = making_maps.write(tmp_path / 'few', 'truth', COUNT - 1, labelled=True)
    with pytest.raises(errors.UserError, match="has no image 5 .'5.png'., which was labelled"):
        map_labels.measure(few, place)
    kind = kinds.of(_params(), 'e')
    kind.check_truth(pattern, shards.load_description(pattern))
    with pytest.raises(errors.UserError, match='holds no label maps.*prepare voc'):
        kind.check_truth('x', {'image_categories': [[1]]})


def test_gallery(made: tuple) -> None:
    place, _ = made
    listing = json.loads(pathlib.Path(place.path('gallery.json')).read_text())
    assert listing['shown_score'] == 0.5
    named = [one['source_id'] for kind in ('most', 'least', 'median') for one in listing[kind]]
    assert '3' not in named and len(listing['most']) == 2  # image 3 is all background
    assert listing['most'][0]['coverage'] >= listing['least'][0]['coverage']
    assert listing['least'][0]['classes']
    assert Image.open(io.BytesIO(pathlib.Path(place.path('gallery.png')).read_bytes())).width > 600


def _params() -> Any:
    params = parse.load_experiment('seg_nasfpn_efficientnet_pascal')
    assert isinstance(params.task, segmentation.SegmentationTask)
    return params


def _flags(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**dict.fromkeys(kinds.kind.SPECIAL_FLAGS) | given)


def test_flags_decide_how_the_task_infers() -> None:
    params = _params()
    kind = kinds.of(params, 'e')
    args = _flags(scales='0.5,1,1.75', flip=True, large_images='tile')
    kind.check(args)
    assert params.task.inference.as_dict() == {'scales': [0.5, 1.0, 1.75], 'flip': True}
    assert kind.inputs(args) == {'scales': [0.5, 1.0, 1.75], 'flip': True, 'large_images': 'tile', 'tile_overlap': 128}
    assert args.score_floor == 0.0
    kind.check(_flags(flip=False))
    assert params.task.inference.as_dict() == {'scales': [0.5, 1.0, 1.75], 'flip': False}


@pytest.mark.parametrize(
    ('given', 'told'),
    [
        ({'score_floor': 0.1}, '--score_floor is 0.1, but of a label map every pixel is stored; the student chooses'),
        ({'scales': '0.5;1'}, "scales is '0.5;1' .*numbers with commas"),
        ({'scales': '1,1'}, r'scales is \[1.0, 1.0\].*each once'),
        ({'scales': '0'}, r'from 0.1 to 4'),
        ({'tile_overlap': 9}, '--tile_overlap is 9, but --large_images=scale cuts no tiles'),
        ({'large_images': 'tile', 'tile_overlap': 512}, 'tile_overlap is 512 .*0 to 511'),
    ],
)
def test_flags_that_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        kinds.of(_params(), 'e').check(_flags(**given))


def test_flags_of_label_maps_are_no_detector_s() -> None:
    params = parse.load_experiment('retinanet_efficientnet_coco')
    with pytest.raises(errors.UserError, match='tile_overlap is 4, but the teacher is a detector. Leave the flag out'):
        kinds.of(params, 'e').check(_flags(tile_overlap=4))


def test_a_teacher_that_found_the_background_alone_finds_nothing() -> None:
    kind = kinds.of(_params(), 'e')
    found = {'mIoU': 0.2, 'PerCategory/background/IoU': 0.6, 'PerCategory/cat/IoU': 0.0, 'PerCategory/dog/IoU': -1.0}
    assert kind.finds_nothing(found) == 'IoU of every class but the background'
    assert kind.finds_nothing(found | {'PerCategory/cat/IoU': 0.01}) == ''
    assert kind.finds_nothing({'mIoU': 0.0}) == 'mIoU' and kind.finds_nothing({'mIoU': 0.1}) == ''
