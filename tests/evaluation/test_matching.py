"""Overlap against shapely and pycocotools; the two greedy matchings by hand."""

import numpy as np
import pytest
import shapely
from pycocotools import mask as codec

from official_rethink.evaluation import matching


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.integers(0, 12, (2, count, 2)).astype(
        float
    )  # few values: touching, equal and empty boxes occur
    return np.concatenate([corners.min(0), corners.max(0)], axis=1)


@pytest.mark.parametrize('seed', range(5))
def test_overlap_equals_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, others = random_boxes(rng, 20), random_boxes(rng, 15)
    found = matching.overlap(boxes, others)
    for row, box in enumerate(boxes):
        for column, other in enumerate(others):
            first, second = (shapely.box(x1, y1, x2, y2) for y1, x1, y2, x2 in (box, other))
            union = first.union(second).area
            wanted = first.intersection(second).area / union if union else 0.0
            assert found[row, column] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('seed', range(5))
def test_overlap_with_crowds_equals_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, others, crowd = random_boxes(rng, 20), random_boxes(rng, 15), rng.random(15) < 0.5

    def sides(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([rows[:, 1], rows[:, 0], rows[:, 3] - rows[:, 1], rows[:, 2] - rows[:, 0]])

    wanted = codec.iou(sides(boxes), sides(others), crowd.astype(np.uint8))
    np.testing.assert_allclose(matching.overlap(boxes, others, crowd), wanted, atol=1e-12)


def test_overlap_of_nothing() -> None:
    assert matching.overlap(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert matching.overlap(np.zeros((2, 4)), np.zeros((0, 4))).shape == (2, 0)
    assert not matching.overlap(np.zeros((1, 4)), np.zeros((1, 4))).any()  # an empty box overlaps nothing


def test_coco_matching_gives_the_best_free_truth() -> None:
    """Columns: truths 0 and 1. The first takes 1 (0.9), the second must take 0 (0.6), the last finds none."""
    overlaps = np.array([[0.7, 0.9], [0.6, 0.8], [0.9, 0.9]])
    none = np.zeros(2, bool)
    assert matching.match_as_coco(overlaps, none, 0.5).tolist() == [1, 0, -1]
    assert matching.match_as_coco(overlaps, none, 0.65).tolist() == [1, -1, 0]


def test_coco_matching_prefers_truth_to_a_crowd_and_reuses_the_crowd() -> None:
    """The truth (column 0) wins over a crowd of larger overlap; the crowd then takes both others."""
    overlaps = np.array([[0.6, 1.0], [0.6, 1.0], [0.0, 0.5], [0.0, 0.4]])
    assert matching.match_as_coco(overlaps, np.array([False, True]), 0.5).tolist() == [0, 1, 1, -1]


def test_coco_matching_threshold_is_reached_by_equality() -> None:
    assert matching.match_as_coco(np.array([[0.5]]), np.array([False]), 0.5).tolist() == [0]


def test_symmetric_matching() -> None:
    """Largest first: (0, 1) at 0.9, then (1, 0) at 0.6, though row 0 would have had column 0 at 0.8."""
    overlaps = np.array([[0.8, 0.9], [0.6, 0.7], [0.5, 0.0]])
    assert matching.match_symmetrically(overlaps, 0.5) == [(0, 1), (1, 0)]
    swapped = matching.match_symmetrically(overlaps.T, 0.5)
    assert [(column, row) for row, column in swapped] == [(0, 1), (1, 0)]
    assert matching.match_symmetrically(overlaps, 0.95) == []
    assert matching.match_symmetrically(np.zeros((0, 3)), 0.5) == []
