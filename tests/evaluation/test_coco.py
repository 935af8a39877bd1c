"""COCO's numbers: by hand on tiny cases, against pycocotools used directly on random and degenerate ones."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as codec

from official_rethink.common import errors
from official_rethink.evaluation import coco
from tests.evaluation.coco_cases import BACKENDS, CATEGORIES, assert_equals_reference, evaluate, image, random_images


@pytest.mark.parametrize('backend', BACKENDS)
def test_one_of_two_found(backend: str) -> None:
    """AP and recall of one class, by hand.

    Two truths, the first found exactly with score 0.9, then a false detection with 0.8, the second truth
    missed. Recall after each detection is 1/2, 1/2, precision 1, 1/2. COCO reads precision at recalls 0,
    0.01, ..., 1: the 51 recalls 0 to 0.50 give 1, the other 50 give 0: AP = 51/101 at each IoU, since the
    match is exact. One detection an image reaches recall 1/2, and so do ten. The 100 x 100 boxes are large,
    so APl = AP, APs = -1.
    """
    truth = [((0, 0, 100, 100), 1), ((100, 100, 200, 200), 1)]
    found = [((0, 0, 100, 100), 0.9, 1), ((0, 150, 20, 170), 0.8, 1)]
    metrics = evaluate(image(1, truth, found), backend=backend)
    assert metrics['AP'] == pytest.approx(51 / 101, abs=1e-12)
    assert metrics['AP50'] == metrics['AP75'] == metrics['APl'] == metrics['AP']
    assert metrics['ARmax1'] == metrics['ARmax10'] == metrics['ARmax100'] == metrics['ARl'] == 0.5
    assert [metrics[name] for name in ('APs', 'APm', 'ARs', 'ARm')] == [-1] * 4


@pytest.mark.parametrize('backend', BACKENDS)
def test_false_detection_first(backend: str) -> None:
    """One truth, a better scored false detection before it: precision 1/2 at every recall, so AP = 1/2.

    One detection an image is the false one, so ARmax1 = 0.
    """
    found = [((0, 0, 50, 50), 0.8, 1), ((100, 100, 150, 150), 0.9, 1)]
    metrics = evaluate(image(1, [((0, 0, 50, 50), 1)], found), backend=backend)
    assert metrics['AP'] == pytest.approx(0.5, abs=1e-9)
    assert (metrics['ARmax1'], metrics['ARmax10'], metrics['APm']) == (0, 1, metrics['AP'])


@pytest.mark.parametrize('backend', BACKENDS)
def test_overlap_counts_at_the_thresholds_it_reaches(backend: str) -> None:
    """A box of 10 x 8 in a truth of 10 x 10 has IoU 0.8: right at 0.50 ... 0.80, 7 of 10 thresholds."""
    metrics = evaluate(image(1, [((0, 0, 10, 10), 1)], [((0, 0, 10, 8), 0.5, 1)]), backend=backend)
    assert metrics['AP'] == pytest.approx(0.7, abs=1e-9)
    assert (metrics['AP50'], metrics['AP75'], metrics['ARmax100']) == pytest.approx((1, 1, 0.7), abs=1e-9)


@pytest.mark.parametrize('backend', BACKENDS)
def test_crowd_is_neither_right_nor_wrong(backend: str) -> None:
    """Two detections inside a crowd are left out, by intersection over their own area, so AP stays 1."""
    truth = [((0, 0, 20, 20), 1), ((100, 0, 200, 200), 1)]
    found = [((110, 10, 130, 30), 0.95, 1), ((150, 50, 180, 90), 0.94, 1), ((0, 0, 20, 20), 0.5, 1)]
    metrics = evaluate(image(1, truth, found, truth_is_crowd=[0, 1]), backend=backend)
    assert metrics['AP'] == pytest.approx(1, abs=1e-9)
    without_flag = evaluate(image(1, truth, found), backend=backend)
    assert without_flag['AP'] < 0.5


@pytest.mark.parametrize('backend', BACKENDS)
def test_per_category(backend: str) -> None:
    """Cat is found (AP 1), dog is missed (0), bird is not in the truth (-1); AP is the mean of 1 and 0."""
    truth = [((0, 0, 50, 50), 1), ((60, 60, 120, 120), 3)]
    found = [((0, 0, 50, 50), 0.9, 1), ((60, 60, 120, 120), 0.9, 7)]
    metrics = evaluate(image(1, truth, found), backend=backend, per_category=True)
    assert metrics['PerCategory/cat/AP'] == pytest.approx(1, abs=1e-9)
    assert metrics['PerCategory/dog/AP'] == 0
    assert metrics['PerCategory/bird/AP'] == -1
    assert metrics['AP'] == pytest.approx(0.5, abs=1e-9)
    assert not any(
        name.startswith('PerCategory') for name in evaluate(image(1, truth, found), backend=backend)
    )


def test_mask_overlap_differs_from_box_overlap() -> None:
    """Same boxes, so AP 1; the found mask is half of the true one, IoU 1/2, right at 1 of 10 thresholds: 0.1.

    Without given areas the truth's is its mask's, 1,600 pixels, which is medium; so it counts in APm.
    """
    whole, half = np.zeros((200, 200), np.uint8, order='F'), np.zeros((200, 200), np.uint8, order='F')
    whole[:40, :40] = 1
    half[:20, :40] = 1
    one = image(1, [((0, 0, 40, 40), 1)], [((0, 0, 40, 40), 0.9, 1)])
    one |= {'truth_masks_rle': [codec.encode(whole)], 'masks_rle': [codec.encode(half)]}
    for backend in BACKENDS:
        metrics = evaluate(one, backend=backend, per_category=True)
        assert metrics['AP'] == pytest.approx(1, abs=1e-9)
        assert metrics['mask_AP'] == pytest.approx(0.1, abs=1e-9)
        assert metrics['mask_APm'] == pytest.approx(0.1, abs=1e-9)
        assert metrics['PerCategory/cat/mask_AP'] == metrics['mask_AP']


@pytest.mark.parametrize('seed', range(30))
def test_random_boxes_equal_pycocotools(seed: int) -> None:
    given = random_images(seed)
    assert_equals_reference(given)


@pytest.mark.parametrize('seed', range(12))
def test_random_masks_equal_pycocotools(seed: int) -> None:
    assert_equals_reference(random_images(100 + seed, with_masks=True), kinds=('bbox', 'segm'))


ONE_PIXEL = [((5, 5, 6, 6), 1), ((5, 6, 6, 7), 1), ((9, 9, 9, 9), 3)]
DEGENERATE = {
    'no truth': [image(1, found=[((0, 0, 9, 9), 0.5, 1)]), image(2, found=[((0, 0, 9, 9), 0.5, 3)])],
    'no truth in one image': [
        image(1, [((0, 0, 9, 9), 1)], [((0, 0, 9, 8), 0.5, 1)]),
        image(2, found=[((0, 0, 9, 9), 0.7, 1)]),
    ],
    'all crowd': [image(1, [((0, 0, 9, 9), 1)] * 3, [((0, 0, 9, 9), 0.5, 1)] * 2, truth_is_crowd=[1, 1, 1])],
    'one pixel and zero area': [image(1, ONE_PIXEL, [(box, 0.5, label) for box, label in ONE_PIXEL])],
    'class absent from truth': [
        image(1, [((0, 0, 9, 9), 1)], [((0, 0, 9, 9), 0.5, 7), ((0, 0, 9, 9), 0.5, 1)])
    ],
    'class absent from detections': [
        image(1, [((0, 0, 9, 9), 1), ((0, 0, 9, 9), 3)], [((0, 0, 9, 9), 0.5, 1)])
    ],
    'equal scores': [
        image(n, [((0, 0, 9, 9), 1)], [((0, 0, 9, 9 - n % 3 * 4), 0.5, 1)] * 3) for n in range(1, 9)
    ],
    'equal boxes': [image(1, [((0, 0, 9, 9), 1)] * 4, [((0, 0, 9, 9), 0.25 * n, 1) for n in range(4)])],
    'area on the borders': [
        image(1, [((0, 0, 32, 32), 1), ((0, 0, 96, 96), 1)], [((0, 0, 32, 32), 1, 1), ((0, 0, 96, 96), 1, 1)])
    ],
    'over 100 detections': [
        image(1, [((0, 0, 9, 9), 1)], [((0, 0, 9, 5), 0.9, 1)] * 150 + [((0, 0, 9, 9), 0.1, 1)])
    ],
    'scores 0 and 1': [image(1, [((0, 0, 9, 9), 1)], [((0, 0, 9, 9), 0.0, 1), ((50, 50, 60, 60), 1.0, 1)])],
    'ids not above 0': [
        image(-4, [((0, 0, 9, 9), 1)], [((0, 0, 9, 9), 0.5, 1)]),
        image(0, found=[((0, 0, 9, 9), 0.5, 1)]),
    ],
}


@pytest.mark.parametrize('case', DEGENERATE)
def test_degenerate_equals_pycocotools(case: str) -> None:
    assert_equals_reference(DEGENERATE[case])


@pytest.mark.parametrize('backend', BACKENDS)
def test_no_detection(backend: str) -> None:
    """Nothing found is AP 0 where there is truth, -1 where there is none; pycocotools cannot load it."""
    metrics = evaluate(image(1, [((0, 0, 9, 9), 1)]), backend=backend)
    assert (metrics['AP'], metrics['APs'], metrics['ARmax100'], metrics['APl']) == (0, 0, 0, -1)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('categories', [CATEGORIES, None])
def test_nothing_at_all(backend: str, categories: Any) -> None:
    metrics = evaluate(image(1), backend=backend, categories=categories)
    assert set(metrics) == set(coco.metric_names())
    assert set(metrics.values()) == {-1.0}


def test_order_of_adding_does_not_matter() -> None:
    """Scores tie between images; the numbers follow the ids, whatever the order of `add`."""
    given = DEGENERATE['equal scores']
    assert evaluate(*given[::-1]) == evaluate(*given)


def test_ids_may_be_strings_bytes_or_integers() -> None:
    given = random_images(3)
    renamed = [one | {'image_id': f'{one["image_id"]:05d}'} for one in given]
    as_bytes = [one | {'image_id': one['image_id'].encode()} for one in renamed]
    as_numpy = [one | {'image_id': np.int64(one['image_id'])} for one in given]
    wanted = evaluate(*given)
    assert evaluate(*renamed) == evaluate(*as_bytes) == evaluate(*as_numpy) == wanted


def test_categories_from_the_truth() -> None:
    """Without categories, classes are named by their ids, and a detection of another class counts nothing."""
    one = image(1, [((0, 0, 9, 9), 4)], [((0, 0, 9, 9), 0.5, 4), ((0, 0, 9, 9), 0.9, 5)])
    metrics = evaluate(one, categories=None, per_category=True)
    assert metrics['AP'] == metrics['PerCategory/4/AP'] == pytest.approx(1, abs=1e-9)
    assert 'PerCategory/5/AP' not in metrics


@pytest.mark.parametrize('backend', BACKENDS)
def test_unknown_class_of_a_detection_is_left_out_and_counted(backend: str) -> None:
    evaluator = coco.CocoEvaluator(CATEGORIES, backend=backend)
    evaluator.add(**image(1, [((0, 0, 9, 9), 1)], [((0, 0, 9, 9), 0.5, 2), ((0, 0, 9, 9), 0.4, 1)]))
    assert evaluator.ignored_detections == 1
    assert evaluator.evaluate()['AP'] == pytest.approx(1, abs=1e-9)


def test_padding_rows_are_skipped() -> None:
    truth, found = [((0, 0, 9, 9), 1)], [((0, 0, 9, 9), 0.5, 1)]
    padded = image(1, truth + [((-1, -1, -1, -1), -1)], found + [((-1, -1, -1, -1), -1, -1)] * 2)
    evaluator = coco.CocoEvaluator(CATEGORIES)
    evaluator.add(**padded)
    assert evaluator.evaluate() == evaluate(image(1, truth, found))
    assert evaluator.ignored_detections == 0


def test_cap_on_detections_is_named_and_applied() -> None:
    """The right box is the 21st by score: a cap of 20 misses it, a cap of 21 does not."""
    found = [((50, 50, 60, 60), 0.9, 1)] * 20 + [((0, 0, 9, 9), 0.1, 1)]
    one = image(1, [((0, 0, 9, 9), 1)], found)
    for backend in BACKENDS:
        assert evaluate(one, backend=backend, max_detections=20)['ARmax20'] == 0
        metrics = evaluate(one, backend=backend, max_detections=21)
        assert metrics['ARmax21'] == 1
        assert metrics['AP'] == pytest.approx(1 / 21, abs=1e-9)


def test_reset_forgets() -> None:
    evaluator = coco.CocoEvaluator(CATEGORIES)
    evaluator.add(**image(1))
    assert (len(evaluator), 1 in evaluator, 2 in evaluator) == (1, True, False)
    evaluator.reset()
    assert len(evaluator) == 0
    evaluator.add(**image(1))


def test_memory_is_numbers_only() -> None:
    """48 bytes a detection, and the arrays' and entries' own size: under 100 at 100 detections an image."""
    evaluator = coco.CocoEvaluator(CATEGORIES)
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (100, 1))
    scores, classes = np.full(100, 0.5, np.float32), np.ones(100, int)
    tracemalloc.start()
    try:
        for number in range(200):
            evaluator.add(number, 200, 200, [], [], None, None, boxes, scores, classes)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 48 <= held / 20000 < 100


def test_evaluation_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for backend in BACKENDS:
        evaluate(*random_images(1, with_masks=True), backend=backend)
    assert capfd.readouterr() == ('', '')


def test_auto_falls_back_to_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coco.CocoEvaluator(CATEGORIES).backend == 'hotcoco'
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert coco.CocoEvaluator(CATEGORIES).backend == 'pycocotools'
    with pytest.raises(errors.UserError, match='not installed'):
        coco.CocoEvaluator(CATEGORIES, backend='hotcoco')


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'nan score': (
        {'boxes': [[0, 0, 1, 1]], 'scores': [math.nan], 'classes': [1]},
        r'scores\[0\] is nan.*image 1',
    ),
    'infinite score': (
        {'boxes': [[0, 0, 1, 1]], 'scores': [math.inf], 'classes': [1]},
        r'scores\[0\] is inf',
    ),
    'nan box': ({'boxes': [[0, 0, math.nan, 1]], 'scores': [1], 'classes': [1]}, r'boxes\[0\].*nan.*finite'),
    'box turned round': ({'boxes': [[5, 0, 1, 1]], 'scores': [1], 'classes': [1]}, 'y1 <= y2'),
    'boxes of five': ({'boxes': [[0, 0, 1, 1, 1]], 'scores': [1], 'classes': [1]}, r'\[1, 5\].*\[n, 4\]'),
    'score missing': (
        {'boxes': [[0, 0, 1, 1]], 'scores': [], 'classes': [1]},
        r'shape of scores is \[0\].*\[1\]',
    ),
    'class with a fraction': ({'boxes': [[0, 0, 1, 1]], 'scores': [1], 'classes': [1.5]}, 'whole numbers'),
    'truth class unknown': (
        {'truth_boxes': [[0, 0, 1, 1]], 'truth_classes': [2]},
        'truth class is 2.*1, 3, 7',
    ),
    'image id': ({'image_id': 1.5}, 'image id is 1.5'),
    'height': ({'height': 0}, 'height is 0'),
    'mask size': (
        {
            'truth_boxes': [[0, 0, 1, 1]],
            'truth_classes': [1],
            'truth_masks_rle': [codec.encode(np.zeros((9, 9), np.uint8, order='F'))],
        },
        r'size of mask 0 is \[9, 9\].*\[200, 200\]',
    ),
    'mask missing': (
        {'truth_boxes': [[0, 0, 1, 1]], 'truth_classes': [1], 'masks_rle': []},
        'number of masks is 0',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_named_and_leaves_no_trace(case: str) -> None:
    changes, message = BAD[case]
    evaluator = coco.CocoEvaluator(CATEGORIES)
    with pytest.raises(errors.UserError, match=message):
        evaluator.add(**image(1) | changes)
    assert len(evaluator) == 0


def test_same_id_twice() -> None:
    evaluator = coco.CocoEvaluator(CATEGORIES)
    evaluator.add(**image('a'))
    with pytest.raises(ValueError, match="image id is 'a'"):
        evaluator.add(**image(b'a'))


def test_masks_for_some_images_only() -> None:
    evaluator = coco.CocoEvaluator(CATEGORIES)
    evaluator.add(**image(1))
    with pytest.raises(errors.UserError, match='masks for all images or for none'):
        evaluator.add(**image(2, masks_rle=[], truth_masks_rle=[]))


def test_bad_settings() -> None:
    with pytest.raises(errors.UserError, match="Did you mean 'hotcoco'"):
        coco.CocoEvaluator(CATEGORIES, backend='hotcocoa')
    with pytest.raises(errors.UserError, match='max_detections is 10'):
        coco.CocoEvaluator(CATEGORIES, max_detections=10)
    with pytest.raises(errors.UserError, match='each name once'):
        coco.CocoEvaluator({1: 'cat', 2: 'cat'})
    with pytest.raises(errors.UserError, match='no image'):
        coco.CocoEvaluator(CATEGORIES).evaluate()
