"""Label fractions: nested, the same everywhere, every class in them, disjoint from validation."""

import hashlib

import numpy as np
import pytest

from official_rethink.common import errors, files
from official_rethink.data import splits


def described(classes: list[list[int]], first: int = 0, **extra) -> dict:
    ids = [str(first + i) for i in range(len(classes))]
    return {'split': 'train', 'image_ids': ids, 'image_categories': classes, **extra}


def random_classes(number: int, seed: int, num_classes: int = 12) -> list[list[int]]:
    """Images with none to four classes, whose frequencies fall like COCO's, from common to rare."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, num_classes + 1) ** 1.5
    drawn = [rng.choice(num_classes, rng.integers(0, 5), p=weights / weights.sum()) for _ in range(number)]
    return [sorted({int(label) + 1 for label in labels}) for labels in drawn]


def count(classes: list[list[int]]) -> dict[int, int]:
    labels = sorted({label for row in classes for label in row})
    return {label: sum(label in row for row in classes) for label in labels}


def chosen(description: dict, ids: list[str]) -> list[list[int]]:
    by_id = dict(zip(description['image_ids'], description['image_categories'], strict=True))
    return [by_id[identifier] for identifier in ids]


def test_order_follows_from_the_rule_by_hand():
    """One class in four images, another in two, seed 0; the hashes are looked up, the places derived.

    sha256 of '0:a' ... '0:f' sorts the ids as below. N = 6: class 1 (4 images) may wait until place
    6 // 4 = 1, class 2 until 6 // 2 = 3. Place 1: class 1 must come now. Place 2: behind by
    4 * 2/6 - 1 = 0.33 and 2 * 2/6 = 0.67: class 2. Place 3: 4 * 3/6 - 1 = 1 against 0: class 1.
    Place 4: 0.67 against 0.33: class 1. Place 5: 0.33 against 0.67: class 2. Place 6: the last of class 1.
    """
    ids, classes = list('abcdef'), [[1], [1], [2], [1], [2], [1]]
    hashed = sorted(ids, key=lambda i: hashlib.sha256(f'0:{i}'.encode()).digest())
    ones = [i for i in hashed if i in 'abdf']
    twos = [i for i in hashed if i in 'ce']
    assert splits.order(ids, classes, 0) == [ones[0], twos[0], ones[1], ones[2], twos[1], ones[3]]


def test_order_is_the_same_on_every_machine():
    """Fixed here for good: split files of other machines must agree with it."""
    found = splits.order([str(i) for i in range(8)], [[1]] * 4 + [[2]] * 3 + [[]], 0)
    assert ''.join(found) == '34276051'


@pytest.mark.parametrize('seed', range(3))
def test_order_does_not_depend_on_the_order_of_records(seed: int):
    classes = random_classes(200, seed)
    ids = [str(i * 7) for i in range(200)]
    shuffled = np.random.default_rng(seed).permutation(200)
    again = splits.order([ids[i] for i in shuffled], [classes[i][::-1] * 2 for i in shuffled], seed)
    assert again == splits.order(ids, classes, seed)
    assert sorted(again) == sorted(ids)


def test_seeds_give_different_samples():
    description = described(random_classes(200, 0))
    samples = [frozenset(splits.make(description, 0.1, seed)) for seed in range(5)]
    assert len(set(samples)) == 5


@pytest.mark.parametrize('seed', range(10))
def test_fractions_are_nested_and_hold_every_class_with_enough_images(seed: int):
    classes = random_classes(300, seed)
    description = described(classes)
    whole, inner = count(classes), set()
    for fraction in (0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0):
        ids = splits.make(description, fraction, seed)
        assert len(ids) == len(set(ids)) == int(300 * fraction + 0.5)
        assert inner <= set(ids)
        inner = set(ids)
        found = count(chosen(description, ids))
        enough = [label for label in whole if whole[label] * fraction >= 1]
        # With few places, classes may be more than fit: only then may one be missing.
        if len(enough) <= len(ids):
            assert set(enough) <= set(found)


@pytest.mark.parametrize('seed', range(5))
def test_classes_keep_their_shares(seed: int):
    """Nearer than half the standard deviation of a plain random sample (and half an image of rounding)."""
    classes = random_classes(2000, seed)
    description = described(classes)
    sample = chosen(description, splits.make(description, 0.2, seed))
    found, whole = count(sample), count(classes)
    for label, number in whole.items():
        assert abs(found[label] - 0.2 * number) <= 0.5 * (0.2 * 0.8 * number) ** 0.5 + 0.5, label
    empty = sum(not row for row in classes)
    assert abs(sum(not row for row in sample) - 0.2 * empty) <= 0.5 * (0.2 * 0.8 * empty) ** 0.5
    instances = sum(map(len, sample)) / sum(map(len, classes))
    assert instances == pytest.approx(0.2, abs=0.004)


def test_rare_classes_come_in_time_although_common_ones_are_far_behind():
    """Class k of 1..5 has one image of 100, class 9 the rest: at 100 % all, no sooner is owed."""
    classes = [[9]] * 90 + [[1], [1], [2], [2], [3], [3], [4], [4], [5], [5]]
    description = described(classes)
    half = chosen(description, splits.make(description, 0.5, 3))
    assert set(count(half)) == {1, 2, 3, 4, 5, 9}


def test_an_unlabelled_set_is_sampled_at_random():
    ids = splits.make(described([[] for _ in range(10)]), 0.3, 0)
    assert len(set(ids)) == 3


def test_the_smallest_fraction_has_one_image():
    description = described([[1]] * 10)
    assert len(splits.make(description, 0.05, 0)) == 1
    with pytest.raises(errors.UserError, match=r'fraction is 0.04 .*at least 0.05, for one of the 10 images'):
        splits.make(description, 0.04, 0)


@pytest.mark.parametrize('fraction', [0, -0.1, 1.01, 20, float('nan'), float('inf')])
def test_fractions_out_of_range_are_refused(fraction: float):
    with pytest.raises(errors.UserError, match='fraction is .*allowed: above 0, up to 1'):
        splits.make(described([[1]] * 10), fraction, 0)


@pytest.mark.parametrize('seed', [-1, 0.5, '0', None, True])
def test_seeds_out_of_range_are_refused(seed: object):
    with pytest.raises(errors.UserError, match='seed is .*whole number from 0'):
        splits.make(described([[1]] * 10), 0.5, seed)


def test_files_hold_ids_and_seed(tmp_path):
    description = described(random_classes(50, 1))
    paths = splits.write(description, '/data/coco/train.json', [0.2, 1.0], 7, str(tmp_path))
    assert paths == [str(tmp_path / 'splits' / f'fraction_{f}_seed_7.json') for f in ('0.2', '1.0')]
    content = files.read_json(paths[0])
    assert content == {
        'format_version': 1,
        'fraction': 0.2,
        'seed': 7,
        'source': 'train.json',
        'source_hash': splits.source_hash(description),
        'image_ids': splits.make(description, 0.2, 7),
    }
    assert splits.load(paths[0], description) == content


def test_path_does_not_double_the_folder():
    for folder in ('data', 'data/', 'data/splits', 'data/splits/'):
        assert splits.split_path(folder, 1, 0) == 'data/splits/fraction_1.0_seed_0.json'


@pytest.mark.parametrize('fractions', [[], [0.2, 0.2]])
def test_lists_of_fractions_must_make_sense(tmp_path, fractions: list[float]):
    with pytest.raises(errors.UserError, match='fractions is'):
        splits.write(described([[1]] * 10), 'x', fractions, 0, str(tmp_path))


def test_one_bad_fraction_writes_none(tmp_path):
    with pytest.raises(errors.UserError, match='fraction is 0.001'):
        splits.write(described([[1]] * 10), 'x', [0.5, 0.001], 0, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_counts_are_nested_and_agree_with_the_fractions_of_as_many_images(tmp_path):
    description = described(random_classes(50, 1))
    paths = splits.write(description, 'd/train.json', [0.2], 7, str(tmp_path), counts=[25, 10, 1, 50])
    names = [f'{name}_seed_7.json' for name in ('fraction_0.2', 'count_25', 'count_10', 'count_1', 'count_50')]
    assert paths == [str(tmp_path / 'splits' / name) for name in names]
    fraction, half, ten, one, every = (splits.load(path, description) for path in paths)
    assert ten == fraction
    assert (half['fraction'], len(half['image_ids'])) == (0.5, 25)
    assert set(one['image_ids']) < set(ten['image_ids']) < set(half['image_ids']) < set(every['image_ids'])
    assert sorted(every['image_ids']) == sorted(description['image_ids'])
    assert half['image_ids'] == splits.make_count(description, 25, 7)
    assert splits.make_count(description, 25, 8) != half['image_ids']
    assert splits.count_path('a/splits/', 5, 0) == 'a/splits/count_5_seed_0.json'


@pytest.mark.parametrize('count', [0, -1, 11, 2.0, True, None])
def test_counts_that_the_set_cannot_give_are_refused(tmp_path, count: object):
    with pytest.raises(errors.UserError, match=r"count is .*set in --counts.*1 to 10, the images of the set 'train'"):
        splits.write(described([[1]] * 10), 'x', [0.5], 0, str(tmp_path), counts=[5, count])
    assert list(tmp_path.iterdir()) == []


def test_a_count_twice_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match=r'counts is \[5, 5\]'):
        splits.write(described([[1]] * 10), 'x', [], 0, str(tmp_path), counts=[5, 5])


def test_a_split_of_another_set_is_refused(tmp_path):
    (path,) = splits.write(described([[1]] * 10), 'a/train.json', [0.5], 0, str(tmp_path))
    other = described([[1]] * 10, first=7)
    with pytest.raises(errors.UserError, match='another data set .*of its 5 images are not in that set'):
        splits.load(path, other)
    # The same shards in another order are the same set.
    same = described([[1]] * 10)
    same['image_ids'] = same['image_ids'][::-1]
    assert splits.load(path, same)['fraction'] == 0.5


@pytest.mark.parametrize(
    ('content', 'words'), [([], 'not a split file'), ({'image_ids': []}, 'not a split file')]
)
def test_what_is_no_split_file_is_named(tmp_path, content: object, words: str):
    files.write_json(str(tmp_path / 'x.json'), content)
    with pytest.raises(errors.UserError, match=words):
        splits.load(str(tmp_path / 'x.json'))
    with pytest.raises(errors.UserError, match='no file at'):
        splits.load(str(tmp_path / 'y.json'))


def test_disjoint_is_judged_by_content():
    a = described([[1]] * 3, image_hashes=['aa', 'bb', 'cc'])
    splits.check_disjoint(a, described([[1]] * 2, image_hashes=['dd', 'ee']))  # equal ids, other pictures
    copied = {**described([[1]] * 2, first=100, image_hashes=['dd', 'bb']), 'split': 'val'}
    with pytest.raises(errors.UserError) as caught:
        splits.check_disjoint(a, copied)
    for words in ("training set 'train'", "validation set 'val'", 'share 1 image ', 'ids 1 = 101'):
        assert words in str(caught.value)
    splits.check_disjoint(a, copied, ids_of_a=['0', '2'])
    with pytest.raises(errors.UserError, match='share 1 image'):
        splits.check_disjoint(a, copied, ids_of_a=['1', '2'])


def test_disjoint_without_hashes_is_judged_by_id():
    with pytest.raises(errors.UserError, match='the labelled set .* the held-out set .* share 7 images'):
        splits.check_disjoint(
            described([[1]] * 10), described([[1]] * 10, first=3), names=('labelled', 'held-out')
        )
    splits.check_disjoint(described([[1]] * 3), described([[1]] * 3, first=3))
