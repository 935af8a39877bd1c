"""Classification examples: labels, soft and hard pseudo labels, copies, mixup, order after a restart."""

import math

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.configs import classification as configs
from official_rethink.data import records
from official_rethink.dataloaders import classification, reader
from tests.pseudo_labels import making

SIZE = (16, 16)
K = 3


def _record(number, label, probabilities=None):
    encoded = making.png(20 + number, 24, (2, 2, 9, 9), shade=number * 7)
    return records.Record(
        str(number), encoded, 'png', 20 + number, 24, class_label=label, class_probabilities=probabilities
    )


@pytest.fixture(scope='module')
def pattern(tmp_path_factory):
    """Twelve images, classes 1, 2, 3 by turns, each with a teacher's probabilities."""
    path = str(tmp_path_factory.mktemp('data') / 'pseudo-00000-of-00001.tfrecord')
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(12):
            probabilities = [0.1, 0.1, 0.1]
            probabilities[number % 3] = 0.8
            writer.write(records.to_example(_record(number, number % 3 + 1, probabilities)))
    return path


def _read(params, first_step=0, copies=None, smoothing=0.0, **kwargs):
    parser = classification.ClassificationParser(params, SIZE, K, smoothing)
    mix = parser.mix if parser.mixes else None
    return reader.read(params, SIZE, 5, first_step, parser=parser, copies=copies, mix=mix, **kwargs)


def _params(pattern, kind=configs.Data, training=True, batch=4, **values):
    values = {'drop_remainder': training, **values}
    return kind(input_path=pattern, global_batch_size=batch, is_training=training, **values)


def test_probabilities_survive_the_record():
    record = _record(1, 2, [0.25, 0.5, 0.25])
    assert records.from_example(records.to_example(record)) == record
    assert records.from_example(records.to_example(_record(1, 2))).class_probabilities is None


def test_evaluation_reads_every_image_once_in_order(pattern):
    batches = list(_read(_params(pattern, training=False, batch=5)))
    assert [len(images) for images, _ in batches] == [5, 5, 2]
    labels = np.concatenate([labels['label'] for _, labels in batches])
    assert labels.tolist() == [1, 2, 3] * 4
    assert batches[0][0].shape[1:] == [*SIZE, 3] and batches[0][0].dtype == tf.uint8
    np.testing.assert_allclose(batches[0][1]['targets'][1], [0, 1, 0])
    np.testing.assert_allclose(batches[0][1]['confidence'], 0.8, rtol=1e-6)


@pytest.mark.parametrize(
    ('labels', 'temperature', 'expected'),
    [
        ('hard', 1.0, (0.8, 0.1, 0.1)),  # smoothing 0.3 over 3 classes: 0.7 + 0.1
        ('soft', 1.0, (0.8, 0.1, 0.1)),  # as the teacher says
        ('soft', 0.5, (64 / 66, 1 / 66, 1 / 66)),  # squared
    ],
)
def test_pseudo_labels_by_hand(pattern, labels, temperature, expected):
    params = _params(pattern, configs.PseudoData, labels=labels, temperature=temperature)
    images, batch = next(iter(_read(params, smoothing=0.3)))
    assert images.shape == [4, *SIZE, 3]
    for target, label in zip(batch['targets'].numpy(), batch['label'].numpy(), strict=True):
        np.testing.assert_allclose(np.roll(target, 1 - label), expected, rtol=1e-4)


def test_copies_leave_out_and_repeat(pattern):
    """Image 0 twice, image 4 once, the others never: of 30 examples 20 and 10."""
    batches = list(_read(_params(pattern, batch=3, shuffle_buffer_size=1), copies={'0': 2, '4': 1}).take(10))
    labels = np.concatenate([labels['label'] for _, labels in batches])
    assert (labels == 1).sum() == 20 and (labels == 2).sum() == 10
    only = list(_read(_params(pattern, batch=2), copies={'2': 1}).take(2))
    assert all(labels['label'].numpy().tolist() == [3, 3] for _, labels in only)


@pytest.mark.parametrize('alpha', [0.0, 0.4])
def test_a_restart_goes_on_where_it_was(pattern, alpha):
    augmentation = configs.Augmentation(mixup_alpha=alpha)
    params = _params(pattern, augmentation=augmentation)
    whole = list(_read(params).take(5))
    rest = list(_read(params, first_step=3).take(2))
    for (images, labels), (others, theirs) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_allclose(labels['targets'], theirs['targets'])


@pytest.mark.parametrize('wrap', [lambda function: function, tf.function])
def test_mixup_by_hand(wrap):
    """The same weight mixes an image and its label, and is at least a half; each with its opposite."""
    params = _params('x', augmentation=configs.Augmentation(mixup_alpha=0.4))
    parser = classification.ClassificationParser(params, SIZE, K)
    values = tf.constant([0.0, 100.0, 200.0, 40.0])
    images = tf.cast(tf.ones([4, 2, 2, 3]) * values[:, None, None, None], tf.uint8)
    targets = tf.one_hot([0, 1, 2, 0], 3)
    mixed, labels = wrap(parser.mix)(images, {'targets': targets}, tf.constant([3, 9], tf.int64))
    pairs = [(0, 3), (1, 2), (2, 1), (3, 0)]
    weights = []
    for own, other in pairs:
        mine, theirs = float(values[own]), float(values[other])
        weight = (float(mixed[own, 0, 0, 0]) - theirs) / (mine - theirs)
        weights.append(weight)
        assert 0.48 < weight < 1.02
        expected = weight * targets[own].numpy() + (1 - weight) * targets[other].numpy()
        np.testing.assert_allclose(labels['targets'][own], expected, atol=0.02)
    assert max(weights) - min(weights) > 1e-3 and math.isclose(float(tf.reduce_sum(labels['targets'])), 4, abs_tol=1e-4)


def test_images_of_one_pixel(tmp_path):
    path = str(tmp_path / 'train-00000-of-00001.tfrecord')
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(2):
            record = records.Record(str(number), making.png(1, 1, None, 9), 'png', 1, 1, class_label=number + 1)
            writer.write(records.to_example(record))
    for training in (True, False):
        # Training shuffles across passes over the data, so a single batch of it may hold one image twice.
        batches = list(_read(_params(path, training=training, batch=2)).take(16 if training else 1))
        assert all(np.all(images == 9) for images, _ in batches)
        assert {int(number) for _, labels in batches for number in labels['label'].numpy()} == {1, 2}
