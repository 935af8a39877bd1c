"""A COCO file becomes the records it says; everything that cannot be right is named or skipped."""

import functools
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from official.vision.dataloaders import tf_example_decoder
from pycocotools import coco as pycoco

from official_rethink.common import errors
from official_rethink.data import coco, problems, records, shards
from tests.data import making

Spoil = Callable[[dict[str, Any]], object]


def convert(
    folder: pathlib.Path, value: Any = None, include_masks: bool = True, on_error: str = 'stop', keypoints: bool = False
):
    """Reads the file and makes every record; returns records, problems and the categories."""
    annotations, images_dir = making.write(folder, value)
    found = problems.ProblemList(on_error)
    dataset = coco.read(annotations, images_dir, include_masks, found, keypoints)
    made = [coco.make(include_masks)(item) for item in dataset.items]
    for outcome in made:
        found.add(*outcome.problems)
    found.check()
    return [outcome.record for outcome in made if outcome.record], found.problems, dataset.categories


def test_records_hold_what_the_file_says(tmp_path):
    made, found, categories = convert(tmp_path, include_masks=False, keypoints=True)
    assert not found
    assert categories == [
        {'id': 3, 'name': 'person', 'source_id': 3},
        {'id': 7, 'name': 'dog', 'source_id': 7},
    ]
    assert [record.source_id for record in made] == ['11', '5', '7']
    assert [record.filename for record in made] == ['a.jpg', 'sub/b.png', 'c.jpg']
    assert made[1].encoded == (tmp_path / 'images' / 'sub' / 'b.png').read_bytes()
    # COCO's x y width height become y1 x1 y2 x2.
    assert made[0].annotations == [
        records.Annotation((8, 10, 20, 30), 3, False, 240.0, None, [(12.5, 9.5, 2), (0.0, 0.0, 0)]),
        records.Annotation((0, 0, 48, 64), 7, True, 100.0),
    ]
    assert made[1].annotations == [records.Annotation((2.25, 1.5, 5.75, 9.25), 7, False, 27.125)]
    assert made[2].annotations == []


def test_model_garden_reads_pycocotools_masks(tmp_path):
    made, _, _ = convert(tmp_path)
    reference = pycoco.COCO(str(tmp_path / 'instances.json'))
    decoder = tf_example_decoder.TfExampleDecoder(include_mask=True)
    compared = 0
    for record in made:
        decoded = decoder.decode(records.to_example(record))
        annotations = reference.imgToAnns[int(record.source_id)]
        expected = [reference.annToMask(annotation) for annotation in annotations]
        np.testing.assert_array_equal(
            decoded['groundtruth_instance_masks'], np.reshape(expected, (-1, making.HEIGHT, making.WIDTH))
        )
        for box, annotation in zip(decoded['groundtruth_boxes'].numpy(), annotations, strict=True):
            y1, x1, y2, x2 = box * ([making.HEIGHT, making.WIDTH] * 2)
            np.testing.assert_allclose([x1, y1, x2 - x1, y2 - y1], annotation['bbox'], atol=1e-4)
            compared += 1
    assert compared == 3


@pytest.mark.parametrize(
    ('ids', 'expected'),
    [
        ([1, 2, 3], {1: 1, 2: 2, 3: 3}),
        ([90, 1, 44], None),
        ([0, 1, 2], {0: 1, 1: 2, 2: 3}),
        ([0], {0: 1}),
        ([24, 3], {3: 3, 24: 24}),  # 2 * 2 + 20 = 24: kept
        ([25, 3], {3: 1, 25: 2}),  # beyond: numbered anew
        ([1000, 20, 7], {7: 1, 20: 2, 1000: 3}),
        ([], {}),
    ],
)
def test_class_ids_are_kept_or_numbered_anew(ids: list[int], expected: dict[int, int] | None):
    assert coco.class_ids(ids) == (expected or dict(zip(sorted(ids), range(1, len(ids) + 1), strict=True)))


def test_cocos_own_ids_stay():
    missing = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # COCO's 80 classes are numbered within 1 to 90
    ids = [i for i in range(1, 91) if i not in missing]
    assert len(ids) == 80
    assert coco.class_ids(ids) == {i: i for i in ids}


def test_ids_from_0_are_numbered_anew_in_records_too(tmp_path):
    value = making.content()
    value['categories'] = [{'id': 0, 'name': 'dog'}, {'id': 4, 'name': 'cat'}]
    for annotation, category in zip(value['annotations'], (0, 4, 0), strict=True):
        annotation['category_id'] = category
    made, _, categories = convert(tmp_path, value)
    assert [a.label for record in made for a in record.annotations] == [1, 2, 1]
    assert [(c['id'], c['source_id']) for c in categories] == [(1, 0), (2, 4)]


def test_optional_fields_may_be_missing(tmp_path):
    value = making.content()
    for annotation in value['annotations']:
        for key in ('area', 'iscrowd', 'num_keypoints'):
            annotation.pop(key, None)
    made, _, _ = convert(tmp_path / 'masks', value)
    # With masks their pixels count: the square's 240, and of the run lengths 5 + 46.
    assert [a.area for a in made[0].annotations] == [240.0, 51.0]
    for annotation in value['annotations']:
        del annotation['segmentation']
    made, _, _ = convert(tmp_path / 'boxes', value, include_masks=False)
    assert [a.area for a in made[0].annotations] == [240.0, 48.0 * 64.0]
    assert not any(a.is_crowd for a in made[0].annotations)


def test_text_ids_get_numbers(tmp_path):
    value = making.content()
    value['images'][0]['id'] = 'first'
    for annotation in value['annotations'][:2]:
        annotation['image_id'] = 'first'
    made, _, _ = convert(tmp_path, value)
    assert made[0].source_id == records.numeric_id('first')
    assert len(made[0].annotations) == 2


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ([-1, -0.5, 11, 10.5], (0.0, 0.0, 10.0, 10.0)),
        ([60, 40, 5, 9], (40.0, 60.0, 48.0, 64.0)),
        ([0, 0, 64, 48], (0.0, 0.0, 48.0, 64.0)),
        ([0.25, 0.5, 1e-3, 1e-3], (0.5, 0.25, 0.501, 0.251)),
    ],
)
def test_a_pixel_too_far_is_clipped(tmp_path, box: list[float], expected: tuple[float, ...]):
    value = making.content()
    value['annotations'][0]['bbox'] = box
    made, _, _ = convert(tmp_path, value)
    assert made[0].annotations[0].box == pytest.approx(expected)


def put(kind: str, position: int, key: str, new: Any) -> Spoil:
    return lambda value: value[kind][position].__setitem__(key, new)


def drop(kind: str, position: int, key: str) -> Spoil:
    return lambda value: value[kind][position].pop(key)


def repeat(kind: str, position: int) -> Spoil:
    return lambda value: value[kind].append(dict(value[kind][position]))


annotation = functools.partial(put, 'annotations', 0)
# What is spoilt, and what the message must name: the entry, the field, the value or what is allowed.
BAD: dict[str, tuple[Spoil, list[str]]] = {
    'unknown category': (
        annotation('category_id', 99),
        ['annotation 1 (image 11)', "'category_id'", '99', 'the file has the categories 3, 7'],
    ),
    'wrong type of category_id': (annotation('category_id', [3]), ['annotation 1', "'category_id'", '[3]']),
    'no category_id': (drop('annotations', 0, 'category_id'), ["'category_id'", 'is missing']),
    'annotation without image': (
        annotation('image_id', 404),
        ['annotation 1 (image 404)', "'image_id'", 'no entry of images has'],
    ),
    'number where images have text': (annotation('image_id', '11'), ["'image_id'", "is '11'"]),
    'zero width': (annotation('bbox', [5, 5, 0, 9]), ['annotation 1', "'bbox'", '[5, 5, 0, 9]', 'above 0']),
    'negative height': (annotation('bbox', [5, 5, 9, -1]), ["'bbox'", 'width and height above 0']),
    'NaN in box': (annotation('bbox', [float('nan'), 5, 9, 9]), ["'bbox'", 'nan', 'four finite numbers']),
    'infinite box': (annotation('bbox', [0, 0, float('inf'), 9]), ["'bbox'", 'four finite numbers']),
    'number of 400 digits': (annotation('bbox', [0, 0, 10**400, 9]), ["'bbox'", 'four finite numbers']),
    'three numbers': (annotation('bbox', [5, 5, 9]), ["'bbox'", '[5, 5, 9]', 'four finite numbers']),
    'text in box': (annotation('bbox', ['5', 5, 9, 9]), ["'bbox'", 'four finite numbers']),
    'box is null': (annotation('bbox', None), ["'bbox'", 'is None']),
    'box right of image': (
        annotation('bbox', [50, 5, 20, 9]),
        ["'bbox'", 'x up to 70', 'outside the image of 48 x 64 (height x width)'],
    ),
    'box left of image': (annotation('bbox', [-2, 5, 20, 9]), ["'bbox'", 'outside the image']),
    'box below image': (annotation('bbox', [5, 40, 5, 9.5]), ["'bbox'", 'y up to 49.5']),
    'box inside the tolerance only': (annotation('bbox', [64, 5, 0.5, 9]), ["'bbox'", 'nothing lies inside']),
    'no box': (drop('annotations', 0, 'bbox'), ['annotation 1', "'bbox'", 'is missing']),
    'no annotation id': (
        drop('annotations', 0, 'id'),
        ['annotation at position 0 (image 11)', "'id'", 'is missing'],
    ),
    'duplicate annotation': (repeat('annotations', 0), ['annotation 1', "'id'", 'earlier annotation']),
    'duplicate image': (repeat('images', 1), ['image 5', "'id'", 'earlier image']),
    'same image id as text': (put('images', 2, 'id', '11'), ["image '11'", "'id'", 'earlier image']),
    'duplicate category': (repeat('categories', 0), ['category 7', "'id'", 'earlier category']),
    'duplicate category name': (
        put('categories', 0, 'name', 'person'),
        ['category 3', "'name'", "is 'person', as of an earlier category"],
    ),
    'category id of wrong type': (put('categories', 0, 'id', '7'), ["'id'", "is '7'; allowed: a whole"]),
    'category without name': (drop('categories', 0, 'name'), ['category 7', "'name'", 'is missing']),
    'image without file': (drop('images', 0, 'file_name'), ['image 11', "'file_name'", 'is missing']),
    'image without height': (drop('images', 0, 'height'), ['image 11', "'height'", 'is missing']),
    'height of zero': (put('images', 0, 'height', 0), ["'height'", 'is 0; allowed: a whole number']),
    'width and a half': (put('images', 0, 'width', 64.5), ["'width'", '64.5']),
    'image id of wrong type': (put('images', 0, 'id', True), ["'id'", 'is True']),
    'image is no object': (lambda v: v['images'].append('a.jpg'), ['image at position 3', "'a.jpg'"]),
    'annotation is no object': (lambda v: v['annotations'].append(7), ['annotation at position 3', 'is 7']),
    'crowd of 2': (annotation('iscrowd', 2), ["'iscrowd'", 'is 2; allowed: 0, 1']),
    'crowd as text': (annotation('iscrowd', 'no'), ["'iscrowd'", "'no'"]),
    'negative area': (annotation('area', -3), ["'area'", '-3', 'above 0']),
    'NaN area': (annotation('area', float('nan')), ["'area'", 'nan']),
    'no mask': (annotation('segmentation', []), ["'segmentation'", '[]', '--include_masks']),
    'mask of two points': (annotation('segmentation', [[1, 2, 3, 4]]), ["'segmentation'", '4 values']),
    'mask of another size': (
        put('annotations', 1, 'segmentation', {'size': [9, 9], 'counts': [81]}),
        ['annotation 2 (image 11)', "'segmentation'", '[9, 9]', '[48, 64]'],
    ),
    'run lengths too long': (
        put('annotations', 1, 'segmentation', {'size': [48, 64], 'counts': [0, 10**9]}),
        ["'segmentation'", 'add up to 1000000000'],
    ),
    'key points cut': (annotation('keypoints', [1, 2, 2, 3]), ["'keypoints'", '[1, 2, 2, 3]']),
    'key points of another class': (annotation('keypoints', [1, 2, 2]), ["'keypoints'", 'names 2']),
    'visibility of 3': (annotation('keypoints', [1, 2, 3, 1, 2, 0]), ["'keypoints'", 'visibility 3']),
    'key point outside': (annotation('keypoints', [1, 2, 0, 90, 2, 1]), ["'keypoints'", 'x 90']),
    'key points miscounted': (annotation('num_keypoints', 2), ["'num_keypoints'", 'is 2, but 1 points']),
    'missing image': (put('images', 0, 'file_name', 'gone.jpg'), ['gone.jpg', 'image 11', 'no such file']),
    'wrong size': (put('images', 2, 'height', 50), ['c.jpg', 'image 7', 'is 48 x 64', 'says 50 x 64']),
}


@pytest.mark.parametrize('name', BAD)
def test_what_cannot_be_right_is_named(tmp_path, name: str):
    spoil, words = BAD[name]
    value = making.content()
    spoil(value)
    with pytest.raises(errors.UserError) as caught:
        convert(tmp_path, value)
    # An image without a usable id also leaves its two annotations without image.
    count = '3 problems' if name == 'image id of wrong type' else '1 problem'
    for word in [*words, 'instances.json', f'{count}:', '--on_error=skip']:
        assert word in str(caught.value)


OF_CATEGORIES = ('category ', 'duplicate category')
# Images and annotations left of 3 and 3 where one entry is skipped; the first image has two annotations.
SKIPPED = {
    'annotation': (3, 2),
    'image': (2, 1),
    'image without annotations': (2, 3),
    'entry that is one too many': (3, 3),
}


def skipped(name: str) -> tuple[int, int]:
    if name.startswith('duplicate') or name.endswith('no object'):
        return SKIPPED['entry that is one too many']
    if name in ('same image id as text', 'wrong size'):
        return SKIPPED['image without annotations']
    of_image = ('image without', 'image id', 'missing image', 'height of zero', 'width and a half')
    return SKIPPED['image' if name.startswith(of_image) else 'annotation']


@pytest.mark.parametrize('name', [name for name in BAD if not name.startswith(OF_CATEGORIES)])
def test_what_cannot_be_right_can_be_skipped(tmp_path, name: str):
    value = making.content()
    BAD[name][0](value)
    made, found, categories = convert(tmp_path, value, on_error='skip')
    assert found
    assert (len(made), sum(len(record.annotations) for record in made)) == skipped(name)
    assert len(categories) == 2


@pytest.mark.parametrize('name', [name for name in BAD if name.startswith(OF_CATEGORIES)])
def test_a_broken_list_of_categories_is_never_skipped(tmp_path, name: str):
    value = making.content()
    BAD[name][0](value)
    with pytest.raises(errors.UserError, match='categor'):
        convert(tmp_path, value, on_error='skip')


WHOLE_FILE = {
    'nothing': ('', ['is not valid JSON', 'line 1, column 1']),
    'cut': ('{"images": [\n{"id": 1', ['is not valid JSON', 'line 2']),
    'list': ('[]', ['a JSON list; allowed: an object']),
    'no images': ('{"annotations": [], "categories": []}', ["'images' is missing", 'a list of objects']),
    'no annotations': ('{"images": [], "categories": []}', ["'annotations' is missing", 'prepare images']),
    'no categories': ('{"images": [], "annotations": []}', ["'categories' is missing"]),
    'object for list': ('{"images": {}, "annotations": [], "categories": []}', ["'images' is a object"]),
    'empty images': ('{"images": [], "annotations": [], "categories": []}', ["'images' is an empty list"]),
    'too deep': ('[' * 100_000, ['is not a COCO file']),
    'number of 5000 digits': ('{"images": ' + '9' * 5000 + '}', ['is not a COCO file']),
    'latin-1': ('{"images": "\xe9"}'.encode('latin-1'), ['is not UTF-8 text', 'at byte 12']),
}


@pytest.mark.parametrize('name', WHOLE_FILE)
def test_files_that_are_no_coco_are_named(tmp_path, name: str):
    text, words = WHOLE_FILE[name]
    path = tmp_path / 'file.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(errors.UserError) as caught:
        coco.read(str(path), str(tmp_path), True, problems.ProblemList())
    for word in [*words, str(path)]:
        assert word in str(caught.value)


def test_truncated_image_is_named(tmp_path):
    annotations, images_dir = making.write(tmp_path)
    path = tmp_path / 'images' / 'a.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    dataset = coco.read(annotations, images_dir, False, problems.ProblemList())
    outcome = coco.make(False)(dataset.items[0])
    assert outcome.record is None
    (problem,) = outcome.problems
    assert (problem.kind, problem.file, problem.field) == ('truncated image', str(path), 'file_name')
    assert 'image 11' in problem.record


def test_twenty_problems_are_told_at_once(tmp_path):
    value = making.content()
    value['annotations'] = [
        {'id': i, 'image_id': 11, 'category_id': 3, 'bbox': [0, 0, 0, 0]} for i in range(1, 31)
    ]
    with pytest.raises(errors.UserError, match='the first 20 problems') as caught:
        convert(tmp_path, value, include_masks=False)
    assert 'annotation 20 ' in str(caught.value)
    assert 'annotation 21 ' not in str(caught.value)


def test_skipped_problems_are_counted_and_listed(tmp_path):
    value = making.content()
    value['annotations'][0]['bbox'] = [0, 0, 0, 0]
    value['images'][2]['file_name'] = 'gone.jpg'
    annotations, images_dir = making.write(tmp_path, value)
    found = problems.ProblemList('skip')
    dataset = coco.read(annotations, images_dir, False, found)
    description = shards.write(
        dataset.items, str(tmp_path / 'out'), 'train', dataset.categories, make=coco.make(False), found=found
    )
    assert description['num_images'] == 2
    assert (description['num_instances'], description['num_crowds']) == (1, 1)
    assert description['skipped'] == 2
    assert description['skipped_by_kind'] == {'box of no area': 1, 'missing image': 1}
    lines = [json.loads(line) for line in (tmp_path / 'out' / 'train-skipped.jsonl').read_text().splitlines()]
    assert [(line['kind'], line['field']) for line in lines] == [
        ('box of no area', 'bbox'),
        ('missing image', 'file_name'),
    ]
    assert lines[1]['file'].endswith('gone.jpg')


def test_outlines_are_packed_while_read(tmp_path):
    """A list of floats takes 32 bytes a number, an array 8: what makes COCO's 450 MB of JSON fit."""
    value = making.content()
    circle = [float(x) for x in np.random.default_rng(0).uniform(0, 40, 2000)]
    value['annotations'][0]['segmentation'] = [circle]
    annotations, images_dir = making.write(tmp_path, value)
    dataset = coco.read(annotations, images_dir, True, problems.ProblemList())
    (packed,) = dataset.items[0].instances[0].segmentation
    assert packed.tolist() == circle
    assert sys.getsizeof(packed) < 2000 * 9
    without = coco.read(annotations, images_dir, False, problems.ProblemList())
    assert without.items[0].instances[0].segmentation is None


def test_inputs_hash_follows_file_images_and_options(tmp_path):
    annotations, images_dir = making.write(tmp_path)
    first = coco.inputs_hash(annotations, images_dir, include_masks=False)
    assert coco.inputs_hash(annotations, images_dir, include_masks=False) == first
    assert coco.inputs_hash(annotations, images_dir, include_masks=True) != first
    (tmp_path / 'images' / 'a.jpg').write_bytes(making.encoded(making.picture(seed=9), 'JPEG'))
    changed = coco.inputs_hash(annotations, images_dir, include_masks=False)
    assert changed != first
    (tmp_path / 'instances.json').write_text('{}')
    assert coco.inputs_hash(annotations, images_dir, include_masks=False) not in (first, changed)


def test_masks_asked_for_of_a_file_without_any(tmp_path):
    value = making.content()
    for entry in value['annotations']:
        entry.pop('segmentation', None)
    with pytest.raises(errors.UserError, match='--include_masks asks for them; leave the flag out'):
        convert(tmp_path, value)
