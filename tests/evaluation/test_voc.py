"""PASCAL VOC's AP against numbers by hand and against a plain transcription of the development kit's rule."""

from fractions import Fraction

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import voc

NAMES = {1: 'cat', 3: 'dog'}
FAR, NEAR, APART = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 40.0, 30.0), (50.0, 50.0, 60.0, 70.0)


def add(evaluator, image_id, truth=(), found=(), difficult=None, crowd=None):
    """Truth rows are (box, class), found rows (box, score, class)."""
    evaluator.add(
        image_id, [row[0] for row in truth], [row[1] for row in truth], difficult, crowd,
        [row[0] for row in found], [row[1] for row in found], [row[2] for row in found],
    )  # fmt: skip


def measured(*given, categories=NAMES, protocols=('voc07', 'voc12'), **options):
    evaluator = voc.VocEvaluator(categories, protocols, **options)
    for number, one in enumerate(given):
        add(evaluator, number, **one)
    return evaluator.evaluate()


# What a class's detections are, best first, with how many objects there are -> its AP by eleven recalls and by area.
BY_HAND = {
    'all right': ('TT', 2, Fraction(1), Fraction(1)),
    'half found': ('T', 2, Fraction(6, 11), Fraction(1, 2)),  # recall 0.5 is six of eleven levels: 0 to 0.5
    'a third found': ('T', 3, Fraction(4, 11), Fraction(1, 3)),  # 0, 0.1, 0.2, 0.3
    'three of ten': ('TTT', 10, Fraction(4, 11), Fraction(3, 10)),  # recall 0.3 reaches the level of 0.3
    'wrong first': ('FT', 1, Fraction(1, 2), Fraction(1, 2)),  # precision 1/2 at every recall
    'wrong last': ('TF', 1, Fraction(1), Fraction(1)),
    # Precision 1, 1/2, 2/3: at recall 1/2 the best at or over it is 1, at recall 1 it is 2/3.
    'wrong between': ('TFT', 2, (6 + 5 * Fraction(2, 3)) / 11, (1 + Fraction(2, 3)) / 2),
    # Precision 0, 1/2, 2/3, 2/4, 3/5 and 4 objects: 2/3 up to recall 2/4, then 3/5 up to 3/4.
    'rising': ('FTTFT', 4, (6 * Fraction(2, 3) + 2 * Fraction(3, 5)) / 11, (2 * Fraction(2, 3) + Fraction(3, 5)) / 4),
    'nothing right': ('FF', 3, Fraction(0), Fraction(0)),
    'nothing detected': ('', 3, Fraction(0), Fraction(0)),
}


@pytest.mark.parametrize(('outcomes', 'number', 'eleven', 'area'), BY_HAND.values(), ids=BY_HAND)
def test_average_precision_by_hand(outcomes, number, eleven, area):
    right = np.array([letter == 'T' for letter in outcomes], bool)
    assert voc.average_precision(right, number, 'voc07') == pytest.approx(float(eleven), abs=1e-12)
    assert voc.average_precision(right, number, 'voc12') == pytest.approx(float(area), abs=1e-12)


def test_nothing_to_find_is_not_measured():
    assert voc.average_precision(np.array([False]), 0, 'voc12') == -1


def test_a_second_detection_of_an_object_is_wrong_though_it_overlaps_another():
    """Both detections overlap the first object most; COCO would give the second one the other object."""
    truth = [((0, 0, 10, 10), 1), ((0, 3, 10, 13), 1)]
    found = [((0, 0, 10, 10), 0.9, 1), ((0, 1, 10, 11), 0.8, 1)]  # IoU 9/11 with the first, 8/12 with the second
    result = measured({'truth': truth, 'found': found})
    assert result['VOC12_mAP'] == pytest.approx(0.5)
    swapped = measured({'truth': truth[::-1], 'found': found})
    assert swapped == result


def test_of_equal_overlaps_the_first_object_is_taken():
    """The detection lies midway; the object taken is difficult or not by its place in the file."""
    truth = [((0, 0, 10, 10), 1), ((0, 4, 10, 14), 1)]
    found = [((0, 2, 10, 12), 0.9, 1)]
    assert measured({'truth': truth, 'found': found, 'difficult': [1, 0]})['VOC12_mAP'] == 0.0
    assert measured({'truth': truth, 'found': found, 'difficult': [0, 1]})['VOC12_mAP'] == 1.0


def test_difficult_objects_are_neither_missed_nor_found():
    truth = [(FAR, 1), (NEAR, 1)]
    both = [(NEAR, 0.9, 1), (NEAR, 0.8, 1), (FAR, 0.7, 1)]
    assert measured({'truth': truth, 'found': both, 'difficult': [0, 1]})['VOC12_mAP'] == 1.0
    assert measured({'truth': truth, 'found': both, 'crowd': [0, 1]})['VOC12_mAP'] == 1.0
    assert measured({'truth': truth, 'found': both})['VOC12_mAP'] == pytest.approx((1 + 2 / 3) / 2)


def test_classes_without_easy_truth_have_no_part_in_the_mean():
    one = {'truth': [(FAR, 1), (NEAR, 3)], 'found': [(FAR, 0.9, 1), (NEAR, 0.9, 3)], 'difficult': [0, 1]}
    result = measured(one, per_category=True)
    assert result == {
        'VOC07_mAP': 1.0,
        'VOC12_mAP': 1.0,
        'PerCategory/cat/VOC07_AP': 1.0,
        'PerCategory/dog/VOC07_AP': -1.0,
        'PerCategory/cat/VOC12_AP': 1.0,
        'PerCategory/dog/VOC12_AP': -1.0,
    }
    # What is detected of such a class changes nothing; nor does a class that nobody knows.
    one['found'] = [(FAR, 0.9, 1), (APART, 0.9, 3), (APART, 0.9, 8)]
    assert measured(one)['VOC12_mAP'] == 1.0


@pytest.mark.parametrize('given', [{}, {'found': [(FAR, 0.5, 1)]}, {'truth': [(FAR, 1)], 'difficult': [1]}])
def test_nothing_to_measure_is_minus_one(given):
    assert measured(given) == {'VOC07_mAP': -1.0, 'VOC12_mAP': -1.0}
    assert measured(given, categories=None, protocols=['voc12']) == {'VOC12_mAP': -1.0}


def test_an_overlap_of_one_half_counts():
    truth = [((0, 0, 10, 10), 1)]
    assert measured({'truth': truth, 'found': [((0, 0, 10, 20), 0.9, 1)]})['VOC12_mAP'] == 1.0
    assert measured({'truth': truth, 'found': [((0, 0, 10, 20.01), 0.9, 1)]})['VOC12_mAP'] == 0.0


def test_ties_go_by_image_id_then_by_place_whatever_the_order_of_adding():
    right, wrong = {'truth': [(FAR, 1)], 'found': [(FAR, 0.5, 1)]}, {'found': [(FAR, 0.5, 1)]}
    for ids, expected in (((2, 10), 1.0), ((10, 2), 0.5)):
        for order in ((0, 1), (1, 0)):
            evaluator = voc.VocEvaluator(NAMES)
            for place in order:
                add(evaluator, ids[place], **(right, wrong)[place])
            assert evaluator.evaluate()['VOC12_mAP'] == expected


def test_padding_rows_are_skipped():
    padding = ((-1.0, -1.0, -1.0, -1.0), -1)
    truth, found = [padding, (FAR, 1)], [((0, 0, 0, 0), 0.99, -1), (FAR, 0.9, 1)]
    assert measured({'truth': truth, 'found': found, 'difficult': [-1, 0], 'crowd': [-1, 0]})['VOC12_mAP'] == 1.0


def kit(images, label, protocol):
    """The kit's VOCevaldet, line for line in its own terms: 1-based boxes whose last pixel belongs to them, loops."""
    rows, objects, number = [], [], 0
    for place, (boxes, classes, difficult, found, scores, labels) in enumerate(images):
        mine = [i for i in range(len(classes)) if classes[i] == label]
        objects.append([[list(boxes[i]), bool(difficult[i]), False] for i in mine])
        number += sum(not difficult[i] for i in mine)
        rows += [(scores[i], place, found[i]) for i in range(len(labels)) if labels[i] == label]
    rows.sort(key=lambda row: -row[0])  # stable
    tp, fp = np.zeros(len(rows)), np.zeros(len(rows))
    for row, (_, place, box) in enumerate(rows):
        most, where = -np.inf, None
        for one in objects[place]:
            height = min(box[2], one[0][2]) - max(box[0], one[0][0]) + 1
            width = min(box[3], one[0][3]) - max(box[1], one[0][1]) + 1
            if height > 0 and width > 0:
                areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, one[0])]
                overlap = height * width / (sum(areas) - height * width)
                if overlap > most:
                    most, where = overlap, one
        if most >= 0.5:
            if where[1]:
                continue
            tp[row], fp[row], where[2] = not where[2], where[2], True
        else:
            fp[row] = 1
    with np.errstate(invalid='ignore'):
        recall, precision = np.cumsum(tp) / number, np.cumsum(tp) / (np.cumsum(tp) + np.cumsum(fp))
    if protocol == 'voc07':
        exact = [Fraction(int(hits), number) for hits in np.cumsum(tp)]
        levels = [precision[np.array([one >= Fraction(level, 10) for one in exact], bool)] for level in range(11)]
        return sum(np.nanmax(values) if np.isfinite(values).any() else 0 for values in levels) / 11
    recall, precision = np.r_[0, recall, 1], np.nan_to_num(np.r_[0, precision, 0])
    for i in reversed(range(len(precision) - 1)):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def random_set(generator):
    """Images with objects in whole pixels, detections near them or anywhere, scores with ties, a third difficult."""
    images = []
    for _ in range(generator.integers(1, 8)):
        corner = generator.integers(1, 60, [generator.integers(0, 6), 2])
        boxes = np.concatenate([corner, corner + generator.integers(0, 40, corner.shape)], 1)
        near = boxes[generator.integers(0, len(boxes), 8)] if len(boxes) else np.ones([8, 4], int)
        found = near + generator.integers(-4, 5, near.shape)
        found = np.concatenate([found[:, :2], np.maximum(found[:, 2:], found[:, :2])], 1)
        count = generator.integers(0, 9)
        images.append(
            (
                boxes,
                generator.choice([1, 3], len(boxes)),
                generator.random(len(boxes)) < 0.3,
                found[:count],
                generator.integers(0, 6, count) / 5,
                generator.choice([1, 3], count),
            )
        )
    return images


@pytest.mark.parametrize('seed', range(60))
def test_equals_the_kit(seed):
    images = random_set(np.random.default_rng(seed))
    numbers = {
        label: sum(int(((classes == label) & ~difficult).sum()) for _, classes, difficult, *_ in images)
        for label in NAMES
    }
    evaluator = voc.VocEvaluator(NAMES, ('voc07', 'voc12'), per_category=True)
    for place, (boxes, classes, difficult, found, scores, labels) in enumerate(images):
        edges = [np.asarray(one, float).reshape(-1, 4) - [1, 1, 0, 0] for one in (boxes, found)]
        evaluator.add(place, edges[0], classes, difficult, None, edges[1], scores, labels)
    result = evaluator.evaluate()
    for protocol, kind in (('voc07', 'VOC07'), ('voc12', 'VOC12')):
        expected = {label: kit(images, label, protocol) for label in NAMES if numbers[label]}
        for label, name in NAMES.items():
            assert result[f'PerCategory/{name}/{kind}_AP'] == pytest.approx(expected.get(label, -1.0), abs=1e-12)
        mean = np.mean(list(expected.values())) if expected else -1.0
        assert result[f'{kind}_mAP'] == pytest.approx(mean, abs=1e-12)


def test_errors_name_the_image_and_the_value():
    with pytest.raises(errors.UserError, match="unknown protocol of PASCAL VOC 'voc08'.*Allowed: voc07, voc12"):
        voc.VocEvaluator(NAMES, ['voc08'])
    with pytest.raises(errors.UserError, match='protocols is .*one or more'):
        voc.VocEvaluator(NAMES, [])
    evaluator = voc.VocEvaluator(NAMES)
    with pytest.raises(errors.UserError, match='got no image'):
        evaluator.evaluate()
    with pytest.raises(errors.UserError, match="truth class is 2 .*image 'a'.*1, 3"):
        add(evaluator, 'a', [(FAR, 2)])
    with pytest.raises(errors.UserError, match=r'scores\[0\] is nan .*image 4'):
        add(evaluator, 4, found=[(FAR, np.nan, 1)])
    with pytest.raises(errors.UserError, match=r'truth_is_difficult.*\[1\], one for each box'):
        add(evaluator, 4, [(FAR, 1)], difficult=[1, 0])
    assert not len(evaluator)
    add(evaluator, 4, [(FAR, 1)])
    with pytest.raises(errors.UserError, match='image id is 4'):
        add(evaluator, 4)
