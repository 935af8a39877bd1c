"""Which images a student reads and how often: threshold and class balancing, counted by hand."""

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.configs import classification as configs
from official_rethink.data import records, shards
from official_rethink.pseudo_labels import selection
from tests.pseudo_labels import making

IDS = ['10', '11', '12', '13', '14', '15', '16', '17']
LABELS = [1, 1, 1, 1, 2, 2, 3, 2]
SCORES = [0.9, 0.5, 0.9, 0.7, 0.4, 0.8, 0.2, 0.8]


def test_threshold_takes_each_image_once():
    assert selection.balanced(IDS, LABELS, SCORES, 0.5) == dict.fromkeys(['10', '11', '12', '13', '15', '17'], 1)


def test_balancing_by_hand():
    """Three a class over 0.4.

    Class 1 has four: the two with 0.9 and the one with 0.7. Class 2 has 0.8, 0.8 (in this order) and 0.4:
    one of each. Class 3 has none over the threshold and stays away.
    """
    expected = {'10': 1, '12': 1, '13': 1, '14': 1, '15': 1, '17': 1}
    assert selection.balanced(IDS, LABELS, SCORES, 0.4, 3) == expected


def test_duplicates_fill_a_small_class_the_most_confident_first():
    """Eight a class over 0.45: of class 1's four each twice; of class 2's two each four times."""
    found = selection.balanced(IDS, LABELS, SCORES, 0.45, 8)
    assert found == {'10': 2, '11': 2, '12': 2, '13': 2, '15': 4, '17': 4}
    # Seven: 7 = 4 + 3, so the three most confident of class 1 twice, the fourth once; 7 = 2 * 3 + 1.
    found = selection.balanced(IDS, LABELS, SCORES, 0.45, 7)
    assert found == {'10': 2, '11': 1, '12': 2, '13': 2, '15': 4, '17': 3}


def test_of_equal_scores_the_first_image_goes_first():
    assert selection.balanced(['5', '4', '3'], [1, 1, 1], [0.6, 0.6, 0.6], 0.5, 2) == {'5': 1, '4': 1}


def test_scores_are_compared_as_they_are_stored():
    stored = float(np.float32(0.7))
    assert stored < 0.7
    assert selection.balanced(['1'], [1], [stored], 0.7) == {'1': 1}


def test_nothing_over_the_threshold():
    assert selection.balanced(IDS, LABELS, SCORES, 0.95, 3) == {}
    assert selection.balanced([], [], [], 0.5) == {}


def _store(folder, scores):
    made = [
        records.Record(str(number), making.png(8, 8, None), 'png', 8, 8, class_label=1, class_probabilities=[score, 0])
        for number, score in enumerate(scores)
    ]
    shards.write(made, str(folder), 'pseudo', [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}])
    return configs.PseudoData(input_path=f'{folder}/pseudo*', score_threshold=0.5)


def test_a_store_of_boxes_is_refused(tmp_path):
    params = _store(tmp_path, [0.9])
    with pytest.raises(errors.UserError, match='describes pseudo labels of boxes, not of classes'):
        selection.select(params)
