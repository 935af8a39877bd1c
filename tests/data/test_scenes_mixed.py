"""Scenes with objects of both sorts of classes: one set of images, two sets of labels."""

import numpy as np
import pytest

from official_rethink.data import scenes
from official_rethink.data.scene_objects import KINDS

_SETTINGS = {'height': 64, 'width': 64, 'difficulty': 0.2, 'num_classes': 5}


@pytest.fixture(scope='module')
def pairs():
    kinds = [scenes.Settings(kind=kind, **_SETTINGS) for kind in ('mixed', 'mixed_other')]
    return [tuple(scenes.generate(index, 3, settings) for settings in kinds) for index in range(20)]


def test_the_images_are_the_same_and_no_object_is_labelled_twice(pairs):
    for target, other in pairs:
        np.testing.assert_array_equal(target.image, other.image)
        assert not ((target.label_map > 0) & (other.label_map > 0)).any()
        assert all(not (a & b).any() for a in target.masks for b in other.masks)


def test_labels_are_those_of_the_kind(pairs):
    for place, most in ((0, 5), (1, 10)):
        classes = np.concatenate([pair[place].classes for pair in pairs])
        assert classes.min() >= 1 and classes.max() <= most and len(set(classes)) > 3
        for pair in pairs:
            scene = pair[place]
            assert len(scene.boxes) == len(scene.masks) == len(scene.keypoints) == len(scene.visible_shares)
            assert set(np.unique(scene.label_map)) - {0} == set(scene.classes)
            for mask, label in zip(scene.masks, scene.classes, strict=True):
                assert (scene.label_map[mask > 0] == label).all()


def test_class_lists_are_detection_s_and_the_other_ten():
    names = [
        [item['name'] for item in scenes.categories(scenes.Settings(kind=kind, **_SETTINGS))]
        for kind in ('mixed', 'mixed_other')
    ]
    assert names[0] == [family.name for family in KINDS['detection'][:5]]
    assert names[1] == [family.name for family in KINDS['classification']]


def test_records_of_the_two_kinds_have_one_image(tmp_path):
    target, other = (
        scenes.make_record(0, 3, scenes.Settings(kind=kind, **_SETTINGS)) for kind in ('mixed', 'mixed_other')
    )
    assert target.encoded == other.encoded and target.source_id == other.source_id
    unlabelled = scenes.make_record(0, 3, scenes.Settings(kind='mixed', **_SETTINGS), labelled=False)
    assert unlabelled.encoded == target.encoded and not unlabelled.annotations
