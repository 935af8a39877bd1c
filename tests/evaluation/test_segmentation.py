"""Confusion counts and mIoU against sets of pixels counted one class at a time, by hand, and in pieces."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.evaluation import segmentation


def _independent(truth, classes, num_classes):
    """mIoU, accuracy and mean accuracy from sets of pixels, without any confusion matrix."""
    labelled = truth != 255
    overlaps, recalls = [], []
    for label in range(num_classes):
        there, found = (truth == label) & labelled, (classes == label) & labelled
        if (there | found).any():
            overlaps.append((there & found).sum() / (there | found).sum())
        if there.any():
            recalls.append((there & found).sum() / there.sum())
    return np.mean(overlaps), (truth == classes)[labelled].mean(), np.mean(recalls)


@pytest.mark.parametrize(('num_classes', 'seed'), [(2, 0), (21, 1), (151, 2)])
def test_random_maps_with_void(num_classes, seed):
    """Equal to 1e-9, though the pixels come in batches; the last classes never occur."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, max(num_classes - 2, 2), [7, 33, 45]).astype(np.uint8)
    truth[generator.uniform(size=truth.shape) < 0.3] = 255
    right = generator.uniform(size=truth.shape) < 0.4
    classes = np.where(right & (truth != 255), truth, generator.integers(0, num_classes, truth.shape)).astype(np.uint8)
    counts = sum(
        segmentation.confusion(tf.constant(truth[part]), tf.constant(classes[part]), num_classes).numpy()
        for part in (slice(0, 3), slice(3, 7))
    )
    assert counts.dtype == np.int64 and counts.sum() == (truth != 255).sum()
    result = segmentation.scores(counts)
    expected = _independent(truth, classes, num_classes)
    found = [result[name] for name in ('mIoU', 'pixel_accuracy', 'mean_accuracy')]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_by_hand():
    """Truth 0 0 1 1 1 v, found 0 1 1 1 2 0.

    Class 0: 1 of 2 (the void pixel, found as 0, counts nowhere); class 1: 2 of 4; class 2 is only found: 0 of 1;
    class 3 never occurs. mIoU (1/2 + 1/2 + 0) / 3; accuracy 3/5; mean accuracy (1/2 + 2/3) / 2.
    """
    truth, classes = np.uint8([[0, 0, 1], [1, 1, 255]]), np.uint8([[0, 1, 1], [1, 2, 0]])
    counts = segmentation.confusion(truth, classes, 4)
    np.testing.assert_array_equal(counts[:3, :3], [[1, 1, 0], [0, 2, 1], [0, 0, 0]])
    result = segmentation.scores(counts, {1: 'cat', 2: 'dog', 3: 'cow'})
    assert result == pytest.approx(
        {
            'mIoU': 1 / 3,
            'pixel_accuracy': 3 / 5,
            'mean_accuracy': 7 / 12,
            'PerCategory/background/IoU': 1 / 2,
            'PerCategory/cat/IoU': 1 / 2,
            'PerCategory/dog/IoU': 0.0,
            'PerCategory/cow/IoU': -1.0,
        }
    )


def test_all_void_measures_nothing():
    truth = np.full([4, 4], 255, np.uint8)
    counts = segmentation.confusion(truth, np.zeros([4, 4], np.uint8), 3)
    assert not counts.numpy().any() and not segmentation.strays(truth, np.full([4, 4], 255, np.uint8), 3).numpy().any()
    assert set(segmentation.scores(counts, {1: 'cat'}).values()) == {-1.0}


def test_counts_do_not_saturate():
    """2**33 pixels of one class, which neither int32 nor float32 would hold, and one that is wrong."""
    counts = np.array([[2**33, 1], [0, 5]])
    result = segmentation.scores(counts)
    assert result['pixel_accuracy'] == pytest.approx((2**33 + 5) / (2**33 + 6), abs=1e-15)
    assert result['mIoU'] == pytest.approx((2**33 / (2**33 + 1) + 5 / 6) / 2, abs=1e-15)


def test_strays_are_named():
    truth, classes = np.uint8([0, 7, 255, 1, 1]), np.uint8([0, 0, 255, 255, 1])
    strays = segmentation.strays(truth, classes, 3).numpy()
    assert strays.tolist() == [1, 1] and segmentation.confusion(truth, classes, 3).numpy().sum() == 2
    segmentation.check_strays([0, 0], 3)
    with pytest.raises(errors.UserError, match='1 pixels .* highest id of the model, 2; set task.model.num_classes'):
        segmentation.check_strays(strays, 3)
    with pytest.raises(errors.UserError, match='1 pixels .* diverged'):
        segmentation.check_strays([0, 1], 3)
