"""Boxes of several views put together, against a plain greedy suppression and against values by hand."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.modeling import union

RULES = union.Rules(num_classes=4, most=5, score_threshold=0.05, iou_threshold=0.5)


def _candidates(*rows):
    """One image's, of rows (y1, x1, y2, x2, score, class)."""
    values = np.array(rows, np.float32).reshape([-1, 6])
    boxes, scores, classes = values[None, :, :4], values[None, :, 4], values[None, :, 5].astype(np.int32)
    return union.Candidates(tf.constant(boxes), tf.constant(scores), tf.constant(classes))


def _merged(candidates, **changes):
    found = union.merge(candidates, RULES._replace(**changes))
    return {name: value.numpy()[0] for name, value in found.items()}


def _iou(first, second):
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared)


def test_suppression_within_a_class_alone():
    found = _merged(
        _candidates(
            (0, 0, 10, 10, 0.9, 1),
            (0, 0, 10, 8, 0.8, 1),  # IoU 0.8: suppressed
            (0, 0, 10, 8, 0.7, 2),  # another class
            (0, 5, 10, 15, 0.6, 1),  # IoU 1/3: stays
            (0, 0, 10, 10, 0.05, 3),  # not over the threshold
        )
    )
    assert found['num_detections'] == 3
    np.testing.assert_allclose(found['scores'], [0.9, 0.7, 0.6, 0, 0])
    assert found['classes'].tolist() == [1, 2, 1, 0, 0]
    np.testing.assert_array_equal(found['boxes'], [[0, 0, 10, 10], [0, 0, 10, 8], [0, 5, 10, 15], [0] * 4, [0] * 4])


def test_any_candidates_as_a_plain_loop():
    generator = np.random.default_rng(5)
    corner = generator.uniform(0, 20, [60, 2])
    boxes = np.concatenate([corner, corner + generator.uniform(4, 20, [60, 2])], 1)
    scores, classes = generator.uniform(0, 1, 60), generator.integers(1, 4, 60)
    expected = []
    for label in (1, 2, 3):
        kept = []
        for row in np.argsort(-scores):
            if classes[row] == label and scores[row] > 0.05:
                if all(_iou(boxes[row], boxes[other]) <= 0.5 for other in kept):
                    kept.append(row)
        expected += kept[:20]
    expected = sorted(expected, key=lambda row: -scores[row])[:20]
    rows = np.concatenate([boxes, scores[:, None], classes[:, None]], 1)
    found = _merged(_candidates(*rows), most=20)
    assert found['num_detections'] == len(expected)
    np.testing.assert_allclose(found['scores'][: len(expected)], scores[expected], rtol=1e-6)
    assert found['classes'][: len(expected)].tolist() == classes[expected].tolist()
    np.testing.assert_allclose(found['boxes'][: len(expected)], boxes[expected], rtol=1e-6)


def test_a_box_becomes_the_mean_of_its_neighbours():
    """By hand: weights 0.9 and 0.6 on IoU 0.9 and more; the third, IoU 0.8, has no vote."""
    rows = ((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 9.5, 0.6, 1), (0, 0, 10, 8, 0.5, 1), (0, 0, 10, 10, 0.8, 2))
    found = _merged(_candidates(*rows), voting_threshold=0.9)
    assert found['num_detections'] == 2
    np.testing.assert_allclose(found['boxes'][0], [0, 0, 10, (0.9 * 10 + 0.6 * 9.5) / 1.5], rtol=1e-6)
    np.testing.assert_allclose(found['boxes'][1], [0, 0, 10, 10])
    np.testing.assert_allclose(found['scores'][:2], [0.9, 0.8])
    lower = _merged(_candidates(*rows), voting_threshold=0.5)
    np.testing.assert_allclose(lower['boxes'][0][3], (0.9 * 10 + 0.6 * 9.5 + 0.5 * 8) / 2.0, rtol=1e-6)
    # Without an area it has no neighbour, not even itself.
    thin = _merged(_candidates((3, 3, 3, 9, 0.9, 1)), voting_threshold=0.9)
    np.testing.assert_array_equal(thin['boxes'][0], [3, 3, 3, 9])


def test_soft_suppression_lowers_scores():
    """TensorFlow's and Model Garden's sigma: exp(-IoU^2 / (2 sigma))."""
    rows = ((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 8, 0.8, 1))
    found = _merged(_candidates(*rows), soft_nms_sigma=0.5)
    np.testing.assert_allclose(found['scores'][:2], [0.9, 0.8 * np.exp(-(0.8**2) / (2 * 0.5))], rtol=1e-5)


@pytest.mark.parametrize('count', [0, 3])
def test_nothing_to_find(count):
    candidates = union.Candidates(tf.zeros([2, count, 4]), -tf.ones([2, count]), tf.ones([2, count], tf.int32))
    found = union.merge(candidates, RULES)
    assert found['num_detections'].numpy().tolist() == [0, 0]
    assert not found['boxes'].numpy().any() and not found['scores'].numpy().any()
    empty = union.merge(union.Candidates(*(part[:0] for part in candidates)), RULES)
    assert empty['boxes'].shape == (0, 5, 4)


@pytest.mark.parametrize('place', ['box', 'score'])
def test_what_is_not_finite_is_not_dropped_in_silence(place):
    row = [0, 0, 10, 10, 0.9, 1]
    row[0 if place == 'box' else 4] = np.nan
    found = _merged(_candidates(row, (0, 0, 4, 4, 0.5, 2)))
    assert found['num_detections'] >= 1
    assert not np.isfinite(found['boxes'][0]).all() and not np.isfinite(found['scores'][0])


def test_the_highest_pairs_of_region_and_class():
    scores = tf.constant([[[0.1, 0.6], [0.5, 0.2]]])
    boxes = tf.reshape(tf.range(16, dtype=tf.float32), [1, 2, 2, 4])
    found = union.best(boxes, scores, 3)
    np.testing.assert_allclose(found.scores[0], [0.6, 0.5, 0.2])
    assert found.classes.numpy().tolist() == [[2, 1, 2]]
    assert found.boxes[0, :, 0].numpy().tolist() == [4.0, 8.0, 12.0]
    alike = union.best(boxes[:, :, :1], scores, 9)
    assert alike.boxes[0, :, 0].numpy().tolist() == [0.0, 8.0, 8.0, 0.0]
    assert alike.classes.numpy().tolist() == [[2, 1, 2, 1]]
