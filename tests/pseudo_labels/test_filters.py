"""What is stored, and histograms that answer for every threshold."""

import numpy as np
import pytest

from official_rethink.pseudo_labels import filters


def test_keep_by_hand() -> None:
    found = filters.Detections(
        boxes=np.array([
            [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [-5, -5, 8, 90],
            [5, 5, 5, 9], [20, 1, 30, 4], [0, 0, 1, 1],
        ], np.float32),
        scores=np.array([0.9, 0.35, 0.3499, 0.8, 0.7, 0.6, 0.5], np.float32),
        classes=np.array([1, 3, 1, 3, 1, 1, 2]),
    )  # fmt: skip
    kept = filters.keep(found, 0.35, (1, 3), height=10, width=20)
    assert [(a.box, a.label) for a in kept.annotations] == [
        ((1, 2, 3, 4), 1),
        ((1, 2, 3, 4), 3),
        ((0, 0, 8, 20), 3),
    ]
    np.testing.assert_allclose([a.score or 0 for a in kept.annotations], [0.9, 0.35, 0.8], atol=1e-7)
    # Without height, and outside the image; the class that no data has.
    assert (kept.empty, kept.unlisted) == (2, 1)


def test_keep_of_nothing() -> None:
    empty = filters.Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    assert filters.keep(empty, 0.05, (1,), 10, 10) == filters.Kept([], 0, 0)


def test_histogram_puts_edges_up() -> None:
    counts = filters.histogram([0.0, 0.049, 0.05, 0.35, 0.5, 0.999, 1.0])
    assert counts.tolist() == [2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1] + [0] * 8 + [2]
    assert filters.histogram([]).tolist() == [0] * 20


@pytest.mark.parametrize('threshold', filters.EDGES[:-1])
def test_over_is_exact_at_edges(threshold: float) -> None:
    scores = np.random.default_rng(0).uniform(size=500).astype(np.float32)
    scores = np.concatenate([scores, np.array(filters.EDGES, np.float32)])
    counted = filters.over(filters.histogram(scores.tolist()).tolist(), threshold)
    assert counted == int((scores >= np.float32(threshold)).sum())


def test_over_counts_a_cut_bin_whole() -> None:
    counts = filters.histogram([0.31, 0.34, 0.36, 1.0]).tolist()
    assert filters.over(counts, 0.33) == 4
    assert filters.over(counts, 0.35) == 2
    assert filters.over(counts, 0.99) == filters.over(counts, 1.0) == 1


def test_threshold_for() -> None:
    counts = filters.histogram([0.9, 0.8, 0.42, 0.41, 0.1, 0.1]).tolist()
    assert filters.threshold_for(counts, 4) == 0.4
    assert filters.threshold_for(counts, 2) == 0.8
    assert filters.threshold_for([0] * 20, 3) == 0.95


def test_table_by_hand() -> None:
    rows = filters.table(
        filters.histogram([0.95, 0.5, 0.2]).tolist(), filters.histogram([0.95, 0.2]).tolist(), 4
    )
    assert [row['threshold'] for row in rows] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert [row['boxes'] for row in rows] == [3, 3, 2, 2, 2, 1, 1, 1, 1]
    assert [row['images_with_boxes'] for row in rows] == [2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert rows[0]['boxes_per_image'] == 0.75
