"""Several protocols at once: each gets what it would get alone."""

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.evaluation import coco, protocols, voc
from tests.evaluation import coco_cases

TRUTH = [((0, 0, 10, 10), 1), ((20, 20, 40, 30), 1), ((50, 50, 60, 70), 3)]
FOUND = [((0, 1, 10, 11), 0.9, 1), ((20, 20, 40, 30), 0.8, 1), ((0, 0, 5, 5), 0.7, 3)]


def given(image_id: int) -> dict:
    difficult = np.array([0, 1, 0])
    return coco_cases.image(image_id, TRUTH, FOUND) | {'truth_is_difficult': difficult, 'truth_is_crowd': [0, 0, 0]}


@pytest.mark.parametrize('names', [['coco'], ['coco', 'voc07'], ['coco', 'voc07', 'voc12'], ['voc12']])
def test_each_protocol_gives_what_it_gives_alone(names):
    joined = protocols.Evaluator(names, coco_cases.CATEGORIES, per_category=True)
    of_coco = coco.CocoEvaluator(coco_cases.CATEGORIES, per_category=True)
    pascal = [name for name in names if name != 'coco']
    of_voc = voc.VocEvaluator(coco_cases.CATEGORIES, pascal or ['voc12'], per_category=True)
    for number in (1, 2):
        image = given(number)
        joined.add(**image)
        of_coco.add(**{name: value for name, value in image.items() if name != 'truth_is_difficult'})
        of_voc.add(**{name: value for name, value in image.items() if name not in ('height', 'width', 'truth_areas')})
    expected = (of_coco.evaluate() if 'coco' in names else {}) | (of_voc.evaluate() if pascal else {})
    assert joined.evaluate() == expected
    assert ('VOC12_mAP' in expected) == ('voc12' in names)


def test_no_image_is_an_error():
    with pytest.raises(errors.UserError, match='got no image'):
        protocols.Evaluator(['coco', 'voc07'], None).evaluate()
