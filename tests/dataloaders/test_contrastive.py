"""Reading pairs of views and images of one class: shapes, seeds, restarts, any kind of set, grey and PNG images."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.augment import contrastive as views
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.configs import simclr
from official_rethink.data import records, shards
from official_rethink.dataloaders import contrastive, one_class

CATEGORIES = [{'id': 1, 'name': 'cat', 'source_id': 1}, {'id': 2, 'name': 'dog', 'source_id': 2}]
SIZE = (20, 24)


def _record(number, folder, objects=0, class_label=None, mode='RGB'):
    pixels = np.random.default_rng(number).integers(0, 256, [30, 40, 3], np.uint8)
    path = folder / 'image.png'
    Image.fromarray(pixels).convert(mode).save(path)
    return records.Record(
        source_id=str(number),
        encoded=path.read_bytes(),
        image_format='png',
        height=30,
        width=40,
        annotations=[records.Annotation((1.0, 2.0, 9.0, 12.0), label=2, area=80.0) for _ in range(objects)],
        class_label=class_label,
    )


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A detection set, a classification set and images without labels, ten images each."""
    folder = tmp_path_factory.mktemp('data')
    kinds = {
        'detection': [_record(number, folder, objects=2) for number in range(10)],
        'classes': [_record(number, folder, class_label=1 + number % 2) for number in range(10)],
        'unlabelled': [_record(number, folder, mode='L' if number % 2 else 'RGB') for number in range(10)],
        'single': [_record(number, folder, objects=1) for number in range(3)],
    }
    for split, made in kinds.items():
        shards.write(made, str(folder), split, [] if split == 'unlabelled' else CATEGORIES, num_shards=1)
    return folder


def _params(data, split, training=True, **changes):
    values = {'input_path': f'{data}/{split}-*', 'global_batch_size': 4, 'shuffle_buffer_size': 10, **changes}
    return simclr.ContrastiveData(is_training=training, **values)


@pytest.mark.parametrize('split', ['detection', 'classes', 'unlabelled'])
def test_any_set_gives_pairs_of_static_shape(data, split):
    dataset = contrastive.read(_params(data, split), SIZE)
    assert dataset.element_spec == (tf.TensorSpec([4, 2, *SIZE, 3], tf.uint8), {})
    batch, labels = next(iter(dataset))
    assert labels == {} and (batch[:, 0] != batch[:, 1]).numpy().any(axis=(1, 2, 3)).all()


def test_views_are_those_of_seed_and_place_in_the_stream(data):
    """Without a shuffle to speak of, example 5 of seed 3 is drawn from (3 * 1,000,003, 5)."""
    params = _params(data, 'detection', shuffle_buffer_size=1)
    batches = [batch for batch, _ in contrastive.read(params, SIZE, seed=3).take(2)]
    record = next(iter(tf.data.TFRecordDataset(tf.io.gfile.glob(params.input_path)[:1]).skip(5)))
    image = contrastive.ContrastiveParser(params, SIZE).decode(record)['image']
    expected = views.two_views(image, SIZE, views.ViewPolicy(), tf.constant([3_000_009, 5], tf.int64))
    # Colours are computed in a graph there and eagerly here.
    assert np.abs(np.int32(batches[1][1]) - np.int32(expected)).max() <= 1


def test_a_resumed_run_sees_what_it_would_have_seen(data):
    params = _params(data, 'unlabelled')
    whole = [batch.numpy() for batch, _ in contrastive.read(params, SIZE, seed=1).take(4)]
    rest = [batch.numpy() for batch, _ in contrastive.read(params, SIZE, seed=1, first_step=2).take(2)]
    np.testing.assert_array_equal(rest, whole[2:])
    other = next(iter(contrastive.read(params, SIZE, seed=2)))[0].numpy()
    assert (other != whole[0]).any()


def test_evaluation_has_whole_batches_and_the_same_views_each_time(data):
    """Ten images, four at a time: two batches, also where the evaluation asks for the rest."""
    params = _params(data, 'detection', training=False, drop_remainder=False)
    once, again = ([batch.numpy() for batch, _ in contrastive.read(params, SIZE, seed=seed)] for seed in (0, 5))
    assert [len(batch) for batch in once] == [4, 4]
    np.testing.assert_array_equal(once, again)
    assert (once[0][:, 0] != once[0][:, 1]).any(axis=(1, 2, 3)).all()


def test_settings_of_the_views_are_the_policys():
    """Same names, same defaults; a setting arrives."""
    assert simclr.Views().as_dict() == vars(views.ViewPolicy())
    parser = contrastive.ContrastiveParser(simclr.ContrastiveData(views=simclr.Views(blur_probability=0.25)), SIZE)
    assert parser._policy == views.ViewPolicy(blur_probability=0.25)


# --- one class an image


def test_classes_come_in_order_with_images_as_in_evaluation(data):
    batches = list(one_class.read(f'{data}/classes-*', (32, 32), 4))
    assert [len(images) for images, _ in batches] == [4, 4, 2]
    assert np.concatenate([about['label'] for _, about in batches]).tolist() == [1, 2] * 5
    assert [int(number) for _, about in batches for number in about['source_id'].numpy()] == list(range(10))
    pixels = np.random.default_rng(3).integers(0, 256, [30, 40, 3], np.uint8)
    np.testing.assert_array_equal(batches[0][0][3], pipeline.resize_and_pad(tf.constant(pixels), (32, 32))[0])


@pytest.mark.parametrize(('split', 'label'), [('single', 2), ('detection', -1), ('unlabelled', -1)])
def test_the_one_objects_class_stands_in(data, split, label):
    _, about = next(iter(one_class.read(f'{data}/{split}-*', (32, 32), 3)))
    assert about['label'].numpy().tolist() == [label] * 3


def test_no_shard_is_named(tmp_path):
    with pytest.raises(errors.UserError, match='none-.* matches no file'):
        one_class.read(f'{tmp_path}/none-*', (32, 32), 4)
