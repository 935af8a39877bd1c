"""Key points of a set: COCO's own, left and right by name, what a category says, and what cannot be right."""

import numpy as np
import pytest
from pycocotools import cocoeval

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import coco, keypoints, problems, scenes, shards
from tests.data import making


def test_cocos_sigmas_are_those_of_its_evaluation():
    np.testing.assert_allclose(keypoints.COCO_SIGMAS, cocoeval.Params('keypoints').kpt_oks_sigmas)
    assert round(float(np.mean(keypoints.COCO_SIGMAS)), 3) == keypoints.DEFAULT_SIGMA
    layout = keypoints.make(keypoints.COCO_NAMES, [1])
    assert layout.flip_pairs == tuple((i, i + 1) for i in range(1, 17, 2))
    assert layout.flip_order() == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def test_what_is_not_said_is_filled_in_and_what_is_said_is_kept():
    entry = {'name': 'walker', 'keypoints': ['head', 'left_hand', 'right_hand'], 'skeleton': [[1, 2], [1, 3]]}
    layout = keypoints.of_categories({4: entry, 5: {'name': 'car'}}, 'a.json')
    assert layout == keypoints.Layout(
        ('head', 'left_hand', 'right_hand'), ((1, 2),), (keypoints.DEFAULT_SIGMA,) * 3, ((0, 1), (0, 2)), (4,)
    )
    said = keypoints.of_categories({4: {**entry, 'sigmas': [0.1, 0.2, 0.3], 'flip_pairs': []}}, 'a.json')
    assert (said.sigmas, said.flip_pairs) == ((0.1, 0.2, 0.3), ())
    assert keypoints.of_description({'keypoints': layout.described()}) == layout
    assert keypoints.of_description({'categories': []}) is None


BAD = {
    'none': ({'name': 'a'}, 'no category of'),
    'names': ({'name': 'a', 'keypoints': ['x', 3]}, 'a list of names'),
    'a name twice': ({'name': 'a', 'keypoints': ['x', 'x']}, 'each name once'),
    'a line to nowhere': ({'name': 'a', 'keypoints': ['x', 'y'], 'skeleton': [[1, 3]]}, 'from 1 to 2'),
    'a sigma of 0': ({'name': 'a', 'keypoints': ['x', 'y'], 'sigmas': [0.1, 0]}, '2 numbers above 0'),
    'too few sigmas': ({'name': 'a', 'keypoints': ['x', 'y'], 'sigmas': [0.1]}, '2 numbers above 0'),
    'a point in two pairs': ({'name': 'a', 'keypoints': ['x', 'y'], 'flip_pairs': [[0, 1], [1, 0]]}, 'each point once'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_categories_are_named(name):
    entry, words = BAD[name]
    with pytest.raises(errors.UserError, match=words):
        keypoints.of_categories({1: entry}, 'a.json')


def test_two_classes_with_points_of_their_own():
    entries = {1: {'name': 'a', 'keypoints': ['x']}, 2: {'name': 'b', 'keypoints': ['y']}}
    with pytest.raises(errors.UserError, match="categories 'a' and 'b' of 'a.json' differ in their key points"):
        keypoints.of_categories(entries, 'a.json')


@pytest.mark.parametrize(
    ('points', 'words'),
    [
        ([12, 9, 0, 0], ["'keypoints'", '4 numbers for 2 points', 'x y v of each']),
        (None, ["'keypoints'", 'is missing', '2 points']),
        ([], ["'keypoints'", 'is missing', '2 points']),
    ],
)
def test_objects_without_visibility_or_without_points_are_named(tmp_path, points, words):
    value = making.content()
    del value['annotations'][0]['num_keypoints'], value['annotations'][0]['keypoints']
    if points is not None:
        value['annotations'][0]['keypoints'] = points
    path, images_dir = making.write(tmp_path, value)
    with pytest.raises(errors.UserError) as caught:
        coco.read(path, images_dir, False, problems.ProblemList('stop'), include_keypoints=True)
    assert all(word in str(caught.value) for word in ['annotation 1', *words])


def test_prepare_stores_points_where_asked(tmp_path, capsys):
    path, images_dir = making.write(tmp_path, making.content())
    flags = ['coco', f'--annotations={path}', f'--images={images_dir}', f'--output_dir={tmp_path / "out"}']
    assert prepare.main([*flags, '--split=with', '--include_keypoints']) == 0
    assert 'key points: 2 an object: head, foot' in capsys.readouterr().out
    description = shards.load_description(str(tmp_path / 'out' / 'with.json'))
    assert description['keypoints']['categories'] == [3]
    stored = {record.source_id: record for record in shards.read(str(tmp_path / 'out' / 'with*'))}
    # Of a COCO pixel its centre; the dog has none.
    assert stored['11'].annotations[0].keypoints == [(12.5, 9.5, 2), (0.0, 0.0, 0)]
    assert stored['11'].annotations[1].keypoints is None
    assert prepare.main([*flags, '--split=without']) == 0
    assert 'keypoints' not in shards.load_description(str(tmp_path / 'out' / 'without.json'))
    records = shards.read(str(tmp_path / 'out' / 'without*'))
    assert not any(one.keypoints for record in records for one in record.annotations)


def test_scenes_of_one_class_have_key_points():
    layout = scenes.keypoint_layout(scenes.Settings(num_classes=1))
    assert layout.names == ('head', 'left_hand', 'right_hand', 'left_foot', 'right_foot')
    assert (layout.flip_pairs, layout.categories) == (((1, 2), (3, 4)), (1,))
    assert scenes.keypoint_layout(scenes.Settings(num_classes=2)) is None
    assert scenes.keypoint_layout(scenes.Settings(kind='segmentation', num_classes=1)) is None
