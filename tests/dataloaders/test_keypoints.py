"""Key points on their way to the network: decoded, augmented with the image, padded; which images train."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.configs import maskrcnn as configs
from official_rethink.configs import maskrcnn_students
from official_rethink.data import keypoints, masks, records
from official_rethink.dataloaders import decoder, detection

LAYOUT = keypoints.make(['head', 'left', 'right'], [1])
POINTS = [(6.0, 2.0, 2), (4.5, 5.0, 1), (0.0, 0.0, 0)]


def _example(*points_of_objects, crowd=False):
    """An image of 16 x 24 with objects in its left half."""
    objects = [
        records.Annotation(box=(0.0, 0.0, 8.0, 12.0), label=1, area=50.0, keypoints=points, is_crowd=crowd)
        for points in points_of_objects
    ]
    image = masks.to_png(np.zeros([16, 24], np.uint8))
    return records.to_example(records.Record('1', image, 'png', 16, 24, annotations=objects))


def _parser(kind=configs.DataConfig, size=(32, 48), **params):
    augmentation = {'policy': 'S1', 'scale_min': 1.0, 'scale_max': 1.0, 'flip_probability': params.pop('flip', 0.0)}
    params = kind(is_training=True, max_num_instances=4).replace(augmentation=augmentation, **params)
    return detection.DetectionParser(params, size, layout=LAYOUT)


def test_objects_with_and_without_points_are_decoded():
    parser = _parser()
    decoded = parser.decode(_example(POINTS, None))
    np.testing.assert_array_equal(decoded['groundtruth_keypoints'][0], [[2, 6, 2], [5, 4.5, 1], [0, 0, 0]])
    assert not decoded['groundtruth_keypoints'][1].numpy().any()
    assert parser.decode(_example(None))['groundtruth_keypoints'].shape == [1, 3, 3]
    assert parser.decode(_example())['groundtruth_keypoints'].shape == [0, 3, 3]
    assert 'groundtruth_keypoints' not in decoder.RecordDecoder().decode(_example(POINTS))


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_training_examples(flip):
    """Twice as large; mirrored, x becomes 48 - x and left and right trade places; padding has visibility 0."""
    parser = _parser(flip=flip)
    dataset = tf.data.Dataset.from_tensors(_example(None, POINTS))
    dataset = dataset.map(lambda record: parser.train(parser.decode(record), tf.constant([0, 1])))
    _, labels = next(iter(dataset))
    assert labels['keypoints'].shape == [4, 3, 3] and dataset.element_spec[1]['keypoints'].shape == [4, 3, 3]
    expected = [[4, 12, 2], [10, 9, 1], [0, 0, 0]] if not flip else [[4, 36, 2], [0, 0, 0], [10, 39, 1]]
    np.testing.assert_allclose(labels['keypoints'][1], expected, atol=1e-5)
    assert not labels['keypoints'].numpy()[[0, 2, 3]].any()
    np.testing.assert_array_equal(labels['boxes'][2:], -np.ones([2, 4]))


def test_the_truth_stays_in_pixels_of_its_image():
    parser = _parser()
    _, labels = parser.evaluate(parser.decode(_example(POINTS)))
    truth = labels['groundtruths']['keypoints']
    assert truth.shape == [4, 3, 3]
    np.testing.assert_array_equal(truth[0], [[2, 6, 2], [5, 4.5, 1], [0, 0, 0]])


def test_which_images_train():
    unlabelled = [(0.0, 0.0, 0)] * 3
    cases = {'points': (POINTS,), 'none': (None,), 'unlabelled': (unlabelled,), 'empty': ()}

    def wanted(parser):
        return {name for name, points in cases.items() if parser.wanted(parser.decode(_example(*points)))}

    assert wanted(_parser(keep_images_without_keypoints=False)) == {'points'}
    assert wanted(_parser()) == {'points', 'none', 'unlabelled'}
    crowd = _parser(keep_images_without_keypoints=False)
    assert not crowd.wanted(crowd.decode(_example(POINTS, crowd=True)))
    pseudo = _parser(maskrcnn_students.PseudoDataConfig, keep_images_without_keypoints=False, score_threshold=0.5)
    assert pseudo.wanted(pseudo.decode(_example(POINTS)))
