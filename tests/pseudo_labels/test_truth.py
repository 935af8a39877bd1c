"""Pseudo labels against truth by hand, and truths that are not of the images."""

import json
import pathlib

import pytest

from official_rethink.common import errors
from official_rethink.data import problems, shards
from official_rethink.pseudo_labels import box_labels, labelling, pictures, store, truth
from tests.pseudo_labels import making


def _labelled(tmp_path: pathlib.Path) -> tuple[store.Store, dict]:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 14))
    place = making.open_store(tmp_path / 'out', images)
    labelling.run(images, place, making.labeller())
    return place, place.describe(making.inputs(images), problems.ProblemList())


def test_quality_by_hand(tmp_path: pathlib.Path) -> None:
    """Twelve boxes, all right and of score 0.75; the truth lies in other shards in another order."""
    place, _ = _labelled(tmp_path)
    pattern = making.write(tmp_path / 'truth', 'truth', 14, labelled=True, num_shards=3)
    result = truth.measure(pattern, place, 0.05)
    assert json.loads((tmp_path / 'out' / 'quality.json').read_text()) == result
    rows = {row['score_threshold']: row for row in result['curve'] if row['iou_threshold'] == 0.5}
    assert (rows[0.75]['precision'], rows[0.75]['recall'], rows[0.75]['kept']) == (1.0, 1.0, 12)
    assert (rows[0.8]['precision'], rows[0.8]['recall']) == (None, 0.0)
    assert min(rows) == 0.05
    # Under the floor the store holds nothing, so a curve there would mislead.
    assert min(row['score_threshold'] for row in truth.measure(pattern, place, 0.32)['curve']) == 0.35


def test_truths_that_are_refused(tmp_path: pathlib.Path) -> None:
    images = making.open_images(making.write(tmp_path / 'in', 'all', 4))
    good = making.write(tmp_path / 'good', 'truth', 4, labelled=True)
    truth.check(good, images, making.CATEGORIES)
    with pytest.raises(errors.UserError, match='holds no label at all'):
        box_labels.BoxKind(None).check_truth(images.path, shards.load_description(images.path))
    with pytest.raises(errors.UserError, match="id 3 is 'blue' there and None here"):
        truth.check(good, images, making.CATEGORIES[:1])
    few = making.write(tmp_path / 'few', 'truth', 3, labelled=True)
    with pytest.raises(errors.UserError, match="1 of 4 are missing there or are other pictures, e.g. '1003'"):
        truth.check(few, images, making.CATEGORIES)
    other = [making.record(number + 7 * (number == 2), labelled=True) for number in range(4)]
    other[2].source_id = '1002'
    shards.write(other, str(tmp_path / 'other'), 'truth', making.CATEGORIES)
    with pytest.raises(errors.UserError, match="1 of 4 .* other pictures, e.g. '1002'"):
        truth.check(str(tmp_path / 'other' / 'truth*'), images, making.CATEGORIES)


def test_gallery(tmp_path: pathlib.Path) -> None:
    place, counted = _labelled(tmp_path)
    pictures.write(place, {1: 'red', 3: 'blue'}, 12 / 14, counted, images=3)
    listing = json.loads((tmp_path / 'out' / 'gallery.json').read_text())
    assert [len(listing[kind]) for kind in ('most', 'least', 'median')] == [3, 3, 3]
    # Twelve boxes were wanted, and the highest edge that leaves twelve is 0.75.
    assert listing['shown_score'] == 0.75
    assert {one['confidence'] for one in listing['most']} == {0.75}
    without = {str(1000 + number) for number in (5, 12)}
    assert not without & {one['source_id'] for kind in ('most', 'least', 'median') for one in listing[kind]}
    assert (tmp_path / 'out' / 'gallery.png').read_bytes().startswith(b'\x89PNG')
