"""Reading: splits, thresholds, padding, joint order, and the same stream after a restart."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors, files
from official_rethink.configs import types
from official_rethink.data import records, shards
from official_rethink.dataloaders import reader

SIZE = (32, 32)
COUNT = 12


def _image(index):
    pixels = np.full([24, 32, 3], 20 * index, np.uint8)
    return tf.io.encode_png(pixels).numpy()


def _write(folder, split, scores=(None,)):
    """Image i holds one box an entry of `scores`, rows 4 to 20, columns 2 to 12 + i."""
    items = [
        records.Record(
            source_id=str(100 + index),
            encoded=_image(index),
            image_format='png',
            height=24,
            width=32,
            annotations=[
                records.Annotation(box=(4.0, 2.0, 20.0, 12.0 + index), label=1 + place, score=score)
                for place, score in enumerate(scores)
            ],
            pseudo=scores[0] is not None,
        )
        for index in range(COUNT)
    ]
    categories = [{'id': place, 'name': f'c{place}', 'source_id': place} for place in range(1, 4)]
    shards.write(items, str(folder), split, categories, num_shards=3)
    return str(folder / f'{split}*')


def _params(path, kind=types.DataConfig, training=True, **values):
    return kind(input_path=path, global_batch_size=4, is_training=training, max_num_instances=3, **values)


def _take(dataset, count):
    return [tf.nest.map_structure(lambda value: value.numpy(), batch) for batch in dataset.take(count)]


def _equal(left, right):
    for ours, theirs in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope='module')
def human(tmp_path_factory):
    return _write(tmp_path_factory.mktemp('human'), 'train')


@pytest.fixture(scope='module')
def pseudo(tmp_path_factory):
    return _write(tmp_path_factory.mktemp('pseudo'), 'pseudo', scores=(0.9, 0.5, 0.3))


def test_a_resumed_stream_goes_on_where_it_was(human):
    params = _params(human)
    whole = _take(reader.read(params, SIZE, seed=5), 6)
    rest = _take(reader.read(params, SIZE, seed=5, first_step=4), 2)
    _equal(whole[4:], rest)


def test_seeds_differ(human):
    first, second = (_take(reader.read(_params(human), SIZE, seed=seed), 1)[0] for seed in (1, 2))
    assert not np.array_equal(first[0], second[0])


def test_an_epoch_reads_each_image_once(human):
    """Grey value 20 i names image i; 12 images in 3 batches of 4."""
    batches = _take(reader.read(_params(human, shuffle_buffer_size=12), SIZE, seed=1), 3)
    centres = np.concatenate([images.max(axis=(1, 2, 3)) for images, _ in batches])
    assert len(centres) == COUNT


def test_evaluation_reads_all_in_order_with_truth(human):
    batches = _take(reader.read(_params(human, training=False, drop_remainder=False), SIZE), 9)
    ids = np.concatenate([labels['groundtruths']['source_id'] for _, labels in batches])
    np.testing.assert_array_equal(ids, [100 + 3 * (i % 4) + i // 4 for i in range(COUNT)])  # shard by shard
    truth = batches[0][1]['groundtruths']
    np.testing.assert_allclose(truth['boxes'][1], [[4, 2, 20, 15], [-1] * 4, [-1] * 4], atol=1e-4)
    np.testing.assert_array_equal(truth['classes'][1], [1, -1, -1])
    np.testing.assert_array_equal(truth['num_detections'], [1, 1, 1, 1])


def test_difficult_objects_train_on_demand_and_are_told_to_the_evaluation(tmp_path):
    boxes = [records.Annotation((4.0, 2.0, 20.0, 12.0), label, is_difficult=label == 2) for label in (1, 2, 3)]
    none = [records.Annotation((4.0, 2.0, 20.0, 12.0), 1, is_difficult=True)]
    items = [
        records.Record(str(number), _image(number), 'png', 24, 32, annotations=found)
        for number, found in enumerate((boxes, none, []), 1)
    ]
    categories = [{'id': label, 'name': f'c{label}', 'source_id': label} for label in (1, 2, 3)]
    shards.write(items, str(tmp_path), 'train', categories, num_shards=1)
    path = str(tmp_path / 'train*')
    for skip, counts in ((True, [2, 0, 0]), (False, [3, 1, 0])):
        params = _params(path, training=False, drop_remainder=False, skip_difficult=skip)
        ((_, labels),) = _take(reader.read(params, SIZE), 2)
        np.testing.assert_array_equal(labels['num_instances'], counts)
        truth = labels['groundtruths']
        np.testing.assert_array_equal(truth['is_difficult'], [[0, 1, 0], [1, -1, -1], [-1, -1, -1]])
        np.testing.assert_array_equal(truth['num_detections'], [3, 1, 0])
        assert truth['is_difficult'].dtype == np.int32
    # No jitter: what is kept is what trains. The stream goes round and round, so a batch may lack one of the three.
    for skip, counts in ((True, {0, 2}), (False, {0, 1, 3})):
        params = _params(path, skip_difficult=skip, augmentation={'scale_min': 1.0, 'scale_max': 1.0})
        batches = _take(reader.read(params, SIZE), 12)
        assert {int(count) for _, labels in batches for count in labels['num_instances']} == counts


def test_split_file_keeps_its_images(human, tmp_path):
    split = str(tmp_path / 'split.json')
    files.write_json(split, {'image_ids': ['103', '107']})
    params = _params(human, training=False, drop_remainder=False, split_file=split)
    (_, labels), = _take(reader.read(params, SIZE), 9)
    np.testing.assert_array_equal(labels['groundtruths']['source_id'], [103, 107])


def test_empty_split_is_refused(human, tmp_path):
    split = str(tmp_path / 'split.json')
    files.write_json(split, {'image_ids': []})
    with pytest.raises(errors.UserError, match='names no image'):
        reader.read(_params(human, split_file=split), SIZE)


@pytest.mark.parametrize(('threshold', 'kept', 'score'), [(0.2, 3, 1.7), (0.5, 2, 1.4), (0.95, 0, 0.0)])
def test_score_threshold_at_reading_time(pseudo, threshold, kept, score):
    params = _params(pseudo, types.PseudoDataConfig, score_threshold=threshold)
    params.augmentation.override({'scale_min': 1.0, 'scale_max': 1.0, 'flip_probability': 0.0})
    _, labels = _take(reader.read(params, SIZE), 1)[0]
    np.testing.assert_array_equal(labels['num_kept'], [kept] * 4)
    np.testing.assert_array_equal(labels['num_instances'], [kept] * 4)
    np.testing.assert_array_equal(labels['num_candidates'], [3] * 4)
    np.testing.assert_allclose(labels['score_sum'], [score] * 4, rtol=1e-5)
    assert (labels['classes'] == -1).sum() == 4 * (3 - kept)


def test_joint_batch_is_human_first(human, pseudo):
    """Human images hold one box, pseudo images two over the threshold."""
    pseudo_params = _params(pseudo, types.PseudoDataConfig)
    for params in (_params(human), pseudo_params):
        params.augmentation.override({'scale_min': 1.0, 'scale_max': 1.0})
    for images, labels in _take(reader.read_joint(_params(human), pseudo_params, SIZE), 2):
        assert images.shape == (8, *SIZE, 3)
        np.testing.assert_array_equal(labels['num_kept'], [1, 1, 1, 1, 2, 2, 2, 2])


def test_joint_stream_resumes(human, pseudo):
    parts = (_params(human), _params(pseudo, types.PseudoDataConfig), SIZE)
    _equal(_take(reader.read_joint(*parts, seed=5), 4)[3:], _take(reader.read_joint(*parts, seed=5, first_step=3), 1))


def test_replicas_share_a_batch(human):
    """Two replicas of one pipeline get the two halves of the batch one device gets."""
    context = tf.distribute.InputContext(num_input_pipelines=1, input_pipeline_id=0, num_replicas_in_sync=2)
    one = _take(reader.read(_params(human), SIZE, seed=2), 1)[0]
    two = _take(reader.read(_params(human), SIZE, seed=2, input_context=context), 2)
    _equal(one, tf.nest.map_structure(lambda a, b: np.concatenate([a, b]), *two))


@pytest.mark.parametrize('path', ['', 'nowhere/train*'])
def test_no_shards_is_named(path):
    with pytest.raises(errors.UserError, match='input_path'):
        reader.read(_params(path), SIZE)


@pytest.mark.parametrize('training', [True, False])
def test_what_is_read_to_its_end_is_not_tuned(human, training):
    tuned = reader.read(_params(human, training=training), SIZE).options().autotune.enabled
    assert tuned is (None if training else False)  # None is TensorFlow's default: it tunes
