"""A classifier's labels: what is stored, how it is counted, and how right it is, by hand."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import classification as configs
from official_rethink.data import problems, records, shards
from official_rethink.pseudo_labels import class_labels, labelling, printing, selection, store
from tests.pseudo_labels import making

CATEGORIES = [{'id': 1, 'name': 'dark'}, {'id': 2, 'name': 'light'}, {'id': 3, 'name': 'none'}]
SIZE = (8, 8)


def _record(number: int, labelled: bool) -> records.Record:
    """Shade 20 times the number; class 2 from shade 80 on."""
    image = making.png(12, 10, None, shade=20 * number)
    label = (2 if number >= 4 else 1) if labelled else None
    return records.Record(str(number), image, 'png', 12, 10, class_label=label)


def _predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
    """Class 2 with probability shade / 200, class 1 with the rest: 0, 0.1, ... 0.6, so class 2 from image 6 on."""
    light = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3]) / 200.0
    return {'probabilities': tf.stack([1.0 - light, light, tf.zeros_like(light)], -1)}


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, store.Store, dict]:
    folder = tmp_path_factory.mktemp('classes')
    for split in ('images', 'truth'):
        found = [_record(number, split == 'truth') for number in range(7)]
        shards.write(found, str(folder / split), split, CATEGORIES if split == 'truth' else [])
    images = making.open_images(f'{folder}/images/images*')
    place = store.Store(str(folder / 'labels'), images.num_images, 3, CATEGORIES, best=1)
    inputs = {'input': {}, 'score_floor': 0.0}
    place.open(inputs)
    reading = class_labels.ClassReading(SIZE, configs.Data(crop_fraction=1.0))
    labeller = labelling.Labeller(_predict, reading, 2, tf.distribute.get_strategy())
    labelling.run(images, place, labeller)
    counted = place.describe(inputs, problems.ProblemList())
    place.finish({'labels': counted['labels'], 'shards': counted['shards']})
    return folder, place, counted


def test_every_image_is_stored_with_its_distribution(made: tuple) -> None:
    folder, _, counted = made
    found = list(shards.read(str(folder / 'labels' / 'pseudo.json')))
    assert [record.class_label for record in found] == [1, 1, 1, 1, 1, 1, 2]
    expected = [[1 - 0.1 * number, 0.1 * number, 0.0] for number in range(7)]
    np.testing.assert_allclose([record.class_probabilities for record in found], expected, atol=1e-6)
    assert all(record.pseudo and not record.annotations for record in found)
    assert counted['labels'] == 'classes' and counted['num_instances'] == 7
    assert counted['instances_per_category'] == {'1': 6, '2': 1, '3': 0}
    # 1, .9, .8, .7, .6, .5, .6: one each from 0.7 on, two of 0.6.
    assert counted['mean_score'] == pytest.approx(5.1 / 7)
    assert [row['boxes'] for row in counted['kept_at'] if row['threshold'] in (0.4, 0.9)] == [7, 2]


def test_a_student_chooses_among_them(made: tuple) -> None:
    folder, _, _ = made
    params = configs.PseudoData(input_path=f'{folder}/labels/pseudo-*.tfrecord', score_threshold=0.55)
    assert selection.select(params) == dict.fromkeys('012346', 1)
    # Two a class: of class 1 the first two, class 2's only one twice; class 3 has none.
    assert selection.select(params.replace(images_per_class=2)) == {'0': 1, '1': 1, '6': 2}
    with pytest.raises(errors.UserError, match=r'threshold 1\.01 or more; the most confident has 1\.0000'):
        selection.select(params.replace(score_threshold=1.01))


def test_quality_by_hand(made: tuple) -> None:
    """Truth turns at image 4, the teacher at 6: 4 and 5 are wrong. Over 0.6 are 0 to 4 and 6: five of six right."""
    folder, place, _ = made
    measured = class_labels.measure(f'{folder}/truth/truth*', place)
    assert measured == json.loads((folder / 'labels' / 'quality.json').read_text())
    assert measured['accuracy'] == pytest.approx(5 / 7)
    rows = {row['threshold']: (row['images'], row['accuracy']) for row in measured['thresholds']}
    assert rows[0.9] == (2, 1.0) and rows[0.8] == (3, 1.0)
    with pytest.raises(errors.UserError, match='has no class of image 0'):
        class_labels.measure(f'{folder}/images/images*', place)


def test_what_a_person_is_told(made: tuple) -> None:
    folder, _, counted = made
    manifest = {**counted, 'categories': CATEGORIES}
    told = printing.text(manifest, str(folder / 'labels'))
    assert '7 images with the probabilities of 3 classes' in told
    assert 'classes that no image was given: none' in told


def test_a_teacher_that_diverged_is_named() -> None:
    reading = class_labels.ClassReading(SIZE, configs.Data())
    found = {'probabilities': np.array([[np.nan, 0.5]], np.float32)}
    with pytest.raises(errors.UserError, match='predicts probabilities that are not finite on image 0'):
        reading.result(_record(0, False), found, 0)


def test_of_equal_probabilities_the_first_class_is_the_label() -> None:
    reading = class_labels.ClassReading(SIZE, configs.Data())
    kept = reading.keep(np.array([0.4, 0.4, 0.2], np.float32), _record(0, False))
    assert kept.class_label == 1 and kept.scored() == [(1, pytest.approx(0.4))]
