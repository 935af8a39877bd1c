"""The summary tells what the description holds, and points at what is odd."""

import numpy as np

from official_rethink.data import label_maps, problems, records, shards, summary
from tests.data import making

BOX = (0.0, 0.0, 8.0, 10.0)


def test_summary_of_a_labelled_set(tmp_path):
    dogs = [records.Annotation(BOX, 2) for _ in range(4)]
    items = [
        making.record(1, dogs),
        making.record(2, [records.Annotation(BOX, 1), records.Annotation(BOX, 1, is_crowd=True)]),
        making.record(4),
        making.spoilt(3),
    ]
    categories = [{'id': i, 'name': name} for i, name in enumerate(('cat', 'dog', 'unicorn'), 1)]
    found = problems.ProblemList('skip')
    description = shards.write(items, str(tmp_path), 'train', categories, found=found)
    assert summary.text(description, 'here').splitlines() == [
        "'train' in here: 3 images in 1 shard",
        '  image sizes (height x width; each side by itself): min 11 x 20, median 12 x 20, max 14 x 20',
        '  boxes: 5 (1.7 an image; 5 small, 0 medium, 0 large, at areas of 32² and 96²), 1 crowds',
        '  images without any: 1',
        '  classes: 3, instances of each (crowds left out):',
        '       1  cat              1  ###############',  # half of the longest: the root of a quarter
        '       2  dog              4  ##############################',
        '       3  unicorn          0  (none)',
        '  skipped: 1 (1 x bad), listed in train-skipped.jsonl',
    ]


def test_summary_of_an_unlabelled_set_with_copies(tmp_path):
    one, other = making.record(1), making.record(2)
    other.encoded = one.encoded
    description = shards.write([one, other], str(tmp_path), 'extra', [], num_shards=2)
    text = summary.text(description)
    assert text.startswith("'extra': 2 images in 2 shards\n")
    assert '  no labels' in text
    assert '  note: 1 images are byte for byte copies of others in this set' in text


def test_summary_of_single_object_images(tmp_path):
    one = making.record(1)
    one.class_label = 1
    text = summary.text(shards.write([one], str(tmp_path), 'train', [{'id': 1, 'name': 'cat'}]))
    assert '1  cat          1' in text
    assert 'boxes' not in text


def test_summary_of_label_maps(tmp_path):
    """2 x 20 pixels: 20 background, 8 void, 3 cat, 9 dog; shares are of the 32 that are not void."""
    rows = [np.array([[0] * 20, [255] * 8 + [1] * 3 + [2] * 9], np.uint8), np.zeros((2, 20), np.uint8)]
    items = [making.record(number) for number in range(2)]
    for item, label_map in zip(items, rows, strict=True):
        item.label_map_png = label_maps.encode(label_map)
    categories = [{'id': i, 'name': name} for i, name in enumerate(('cat', 'dog', 'unicorn'), 1)]
    text = summary.text(shards.write(items, str(tmp_path), 'train', categories))
    assert text.splitlines()[2:] == [
        '  label maps: 80 pixels; 15.0% of classes, 75.0% background, 10.0% void',
        '  classes: 3, images with each, and its share of the pixels that are not void:',
        '       1  cat              1   4.17%  ##############################',
        '       2  dog              1  12.50%  ##############################',
        '       3  unicorn          0   0.00%  (none)',
    ]
