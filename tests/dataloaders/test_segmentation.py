"""Segmentation examples: labels, thresholds, evaluation at both sizes, joint batches, restarts, bad records."""

import json

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import segmentation as configs
from official_rethink.data import label_maps, records, shards
from official_rethink.dataloaders import reader, segmentation
from tests.pseudo_labels import making

SIZE = (16, 16)
K = 4
PLAIN = {'policy': 'S1', 'scale_min': 1.0, 'scale_max': 1.0, 'flip_probability': 0.0}


def _maps(height, width, number):
    """A class in the upper half, background below, a void column; scores rise from left to right."""
    labels = np.zeros([height, width], np.uint8)
    labels[: height // 2] = number % (K - 1) + 1
    labels[:, 0] = 255
    scores = np.tile(np.linspace(0, 255, width).round().astype(np.uint8), [height, 1])
    return labels, scores


def _record(number, scored=False, **values):
    height, width = 16 + number, 20
    labels, scores = _maps(height, width, number)
    given = {'label_map_png': label_maps.encode(labels)}
    if scored:
        given['score_map_png'] = label_maps.encode(scores)
    encoded = making.png(height, width, (2, 2, 9, 9), shade=number * 7)
    return records.Record(str(number), encoded, 'png', height, width, **{**given, **values})


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Eight human-labelled and eight scored images, with their descriptions."""
    folder = tmp_path_factory.mktemp('data')
    categories = [{'id': number, 'name': f'class {number}'} for number in range(1, K)]
    for split, scored in (('human', False), ('pseudo', True)):
        shards.write([_record(number, scored) for number in range(8)], str(folder), split, categories)
    return folder


def _params(place, split='human', training=True, batch=4, **values):
    kind = configs.PseudoSegmentationData if split == 'pseudo' else configs.SegmentationData
    params = kind(input_path=str(place / f'{split}*'), global_batch_size=batch, is_training=training)
    params.drop_remainder = training
    params.augmentation.override(PLAIN)
    params.override(values)
    return params


def _parser(params):
    return segmentation.SegmentationParser(params, SIZE, K)


def _read(params, first_step=0, seed=5):
    return reader.read(params, SIZE, seed, first_step, parser=_parser(params))


def _decoded(params, record):
    return _parser(params).decode(tf.constant(records.to_example(record)))


@pytest.mark.parametrize('threshold', [0.0, 0.2, 0.5, 0.6, 1.0])
def test_threshold_by_hand(place, threshold):
    """A pixel is kept if its value is at least 255 times the threshold and it is not void."""
    params = _params(place, 'pseudo', score_threshold=threshold)
    labels, scores = _maps(19, 20, 3)
    parser = _parser(params)
    decoded = _decoded(params, _record(3, scored=True))
    expected = (scores >= 255 * threshold) & (labels != 255)
    np.testing.assert_array_equal(parser.kept(decoded), expected)
    image, found = parser.train(decoded, tf.constant([1, 2], tf.int64))
    assert image.shape == (*SIZE, 3) and found['label_map'].shape == SIZE
    assert found['coverage'].numpy() == pytest.approx(expected.mean())
    assert found['kept_pixels'].numpy() == expected.sum()
    assert found['score_sum'].numpy() == pytest.approx(scores[expected].sum() / 255, rel=1e-5)
    valid = found['label_map'].numpy() != 255
    assert found['valid_pixels'].numpy() == valid.sum()
    assert found['num_regions'].numpy() == 1 and set(np.unique(found['label_map'])) <= {0, 1, 255}


def test_a_human_label_is_certain(place):
    params = _params(place)
    decoded = _decoded(params, _record(2))
    assert (decoded['score_map'].numpy() == 255).all()
    _, found = _parser(params).train(decoded, tf.constant([1, 2], tf.int64))
    assert found['score_sum'].numpy() == found['kept_pixels'].numpy() == 18 * 19


def test_evaluation_carries_the_original_along(place):
    """8 images of 16 to 23 x 20: the truth is padded to the largest, 23 x 20, or as the config says."""
    for size, values in (((23, 20), {}), ((30, 40), {'groundtruth_padded_size': [30, 40]})):
        batches = list(_read(_params(place, training=False, batch=5, **values)))
        assert [len(images) for images, _ in batches] == [5, 3]
        truth = batches[0][1]['groundtruths']
        assert truth['label_map'].shape == (5, *size) and truth['source_id'].numpy().tolist() == [0, 1, 2, 3, 4]
        for row in range(5):
            labels, _ = _maps(16 + row, 20, row)
            np.testing.assert_array_equal(truth['label_map'][row, : 16 + row, :20], labels)
            assert (truth['label_map'][row, 16 + row :].numpy() == 255).all()
            assert (truth['height'][row], truth['width'][row]) == (16 + row, 20)
        network = batches[0][1]['label_map'].numpy()
        # 20 columns become 16: rows shrink to 0.8, 16 to 13, and the rest is padding.
        assert (network[0, 13:] == 255).all() and (network[0, :13, 1:] != 255).all()
        assert batches[0][1]['valid_pixels'].numpy().tolist() == (network != 255).sum(axis=(1, 2)).tolist()


def test_joint_batches_and_a_restart(place):
    human, pseudo = _params(place), _params(place, 'pseudo')

    def joint(first_step):
        return reader.join(_read(human, first_step), _read(pseudo, first_step, 9))

    whole = list(joint(0).take(4))
    assert whole[0][0].shape == (8, *SIZE, 3) and whole[0][1]['label_map'].shape == (8, *SIZE)
    again = next(iter(joint(3)))
    tf.nest.map_structure(np.testing.assert_array_equal, again, whole[3])


def test_images_without_labels_may_be_left_out(place, tmp_path):
    """Every other image has no pixel over the threshold."""
    path = str(tmp_path / 'pseudo-00000-of-00001.tfrecord')
    low = label_maps.encode(np.full([16, 20], 100, np.uint8))
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(8):
            record = _record(0, scored=True)
            record.source_id = str(number)
            record.score_map_png = low if number % 2 else record.score_map_png
            writer.write(records.to_example(record))
    for keep, empty in ((True, True), (False, False)):
        params = _params(place, 'pseudo', score_threshold=0.5, keep_images_without_labels=keep)
        params.input_path = path
        kept = np.concatenate([labels['kept_pixels'] for _, labels in _read(params).take(4)])
        assert (kept == 0).any() == empty and (kept > 0).any()


def test_nothing_but_void_is_an_example(place):
    params = _params(place)
    record = _record(1, label_map_png=label_maps.encode(np.full([17, 20], 255, np.uint8)))
    _, found = _parser(params).train(_decoded(params, record), tf.constant([1, 2], tf.int64))
    assert found['valid_pixels'].numpy() == found['num_regions'].numpy() == found['coverage'].numpy() == 0


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'label_map_png': None}, 'has no label map'),
        ({'label_map_png': label_maps.encode(np.zeros([9, 20], np.uint8))}, 'of another size'),
        ({'score_map_png': label_maps.encode(np.zeros([17, 9], np.uint8))}, 'of another size'),
        ({'label_map_png': label_maps.encode(np.full([17, 20], 7, np.uint8))}, 'class id of 4 or more'),
    ],
)
def test_bad_records_are_named(place, values, message):
    params = _params(place)
    record = records.to_example(_record(1, **values))
    dataset = tf.data.Dataset.from_tensors(record).map(_parser(params).decode)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(dataset)


def test_a_size_nobody_tells_is_asked_for(place, tmp_path):
    (tmp_path / 'val-00000-of-00001.tfrecord').write_bytes(b'')
    params = configs.SegmentationData(input_path=str(tmp_path / 'val*'), global_batch_size=2)
    with pytest.raises(errors.UserError, match='groundtruth_padded_size'):
        _parser(params)
    assert json.loads((place / 'human.json').read_text())['image_sizes']['max'] == [23, 20]


def test_an_original_over_the_padded_size_is_named(place):
    with pytest.raises(tf.errors.InvalidArgumentError, match='larger than groundtruth_padded_size'):
        list(_read(_params(place, training=False, groundtruth_padded_size=[20, 20])))
