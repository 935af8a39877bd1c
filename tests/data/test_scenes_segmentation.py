"""Scenes to segment: detection's images, with void borders in their label maps."""

import dataclasses
import pathlib

import numpy as np
import pytest

from official_rethink import prepare
from official_rethink.common import errors
from official_rethink.data import label_maps, scenes, shards

_LOOK = {'height': 64, 'width': 80, 'difficulty': 0.3, 'num_classes': 5}
DETECTION = scenes.Settings(kind='detection', **_LOOK)
SEGMENTATION = scenes.Settings(kind='segmentation', **_LOOK)
VOID = label_maps.IGNORE


def numbered(scene: scenes.Scene) -> np.ndarray:
    result = np.zeros(scene.label_map.shape, int)
    for number, mask in enumerate(scene.masks, 1):
        result[mask > 0] = number
    return result


def outline(numbers: np.ndarray) -> np.ndarray:
    """Pixels with another object, or background, to the left, right, above or below; pixel by pixel."""
    height, width = numbers.shape
    found = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < height and 0 <= u < width:
                    found[y, x] |= numbers[v, u] != numbers[y, x]
    return found


@pytest.mark.parametrize('index', range(6))
def test_the_border_is_void_and_all_else_is_detections(index: int):
    whole, bordered = (scenes.generate(index, 5, settings) for settings in (DETECTION, SEGMENTATION))
    np.testing.assert_array_equal(whole.image, bordered.image)
    edge = outline(numbered(whole))
    assert 0 < edge.sum() < edge.size / 4
    np.testing.assert_array_equal(bordered.label_map, np.where(edge, VOID, whole.label_map))
    assert (bordered.label_map.dtype, whole.label_map.max()) == (np.uint8, bordered.classes.max())


def test_borders_as_wide_as_asked_for():
    """Void with a border of 3 is what lies within 3 pixels of an outline's other side; none with 0."""
    wide, none = (dataclasses.replace(SEGMENTATION, void_border=border) for border in (3, 0))
    whole = scenes.generate(1, 5, DETECTION)
    np.testing.assert_array_equal(scenes.generate(1, 5, none).label_map, whole.label_map)
    numbers = numbered(whole)
    label_map = scenes.generate(1, 5, wide).label_map
    for y in range(64):
        for x in range(80):
            near = numbers[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
            if (near == numbers[y, x]).all():
                assert label_map[y, x] == whole.label_map[y, x]
            elif (numbers[max(y - 3, 0) : y + 4, x] != numbers[y, x]).any():
                assert label_map[y, x] == VOID


def test_mixed_scenes_have_borders_around_what_is_labelled():
    settings = scenes.Settings(kind='mixed', void_border=1, **_LOOK)
    for index in range(4):
        scene = scenes.generate(index, 3, settings)
        np.testing.assert_array_equal(scene.label_map == VOID, outline(numbered(scene)))


def test_records_hold_label_maps_and_boxes_alone():
    scene, record = scenes.generate(2, 9, SEGMENTATION), scenes.make_record(2, 9, SEGMENTATION)
    assert record.label_map_png is not None
    np.testing.assert_array_equal(label_maps.decode(record.label_map_png), scene.label_map)
    assert [a.label for a in record.annotations] == scene.classes.tolist()
    assert not any(a.mask_png or a.keypoints for a in record.annotations)
    # The same picture has the same id under both kinds, so that overlaps are found.
    assert record.source_id == scenes.make_record(2, 9, DETECTION).source_id
    assert scenes.categories(SEGMENTATION)[0] == {'id': 1, 'name': 'walker', 'source_id': 1}


def test_command(tmp_path: pathlib.Path, capsys):
    command = ['scenes', '--kind=segmentation', '--num_images=4', '--seed=3', '--size=48', '--num_classes=3']
    assert prepare.main([*command, f'--output_dir={tmp_path}']) == 0
    assert 'label maps: 9,216 pixels' in capsys.readouterr().out
    description = shards.load_description(str(tmp_path))
    found = [label_maps.decode(record.label_map_png or b'') for record in shards.read(str(tmp_path))]
    counts = sum(label_maps.pixels(label_map) for label_map in found)
    assert description['label_maps'] is True
    assert description['pixels_per_category'] == {str(i): int(counts[i]) for i in range(4)}
    assert description['void_pixels'] == counts[VOID] > 0
    with pytest.raises(errors.UserError, match='--overwrite'):  # another border is another set
        prepare.main([*command, f'--output_dir={tmp_path}', '--void_border=2'])
    with pytest.raises(errors.UserError, match='void_border is 17 .*--void_border.*0 to 16'):
        prepare.main([*command, f'--output_dir={tmp_path}', '--void_border=17'])


def test_sets_without_borders_are_the_sets_of_before(tmp_path: pathlib.Path):
    """The hash of a set's inputs leaves the border out where there is none."""
    plain = scenes.write_scenes(str(tmp_path), 'plain', DETECTION, 1, 1)
    none = scenes.write_scenes(str(tmp_path), 'plain', dataclasses.replace(DETECTION, void_border=0), 1, 1)
    assert plain == none
