"""The built-in scenes as a data set: determinism, truth that agrees with itself, balance, difficulty."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from official_rethink.common import errors
from official_rethink.data import scene_generator, scene_knobs, scenes
from official_rethink.data.scene_objects import KINDS

SMALL = scenes.Settings(height=64, width=80)


def digest(scene: scenes.Scene) -> str:
    arrays = [scene.image, scene.boxes, scene.classes, scene.masks, scene.label_map, *scene.keypoints]
    return hashlib.sha256(b''.join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope='module')
def crowded() -> list[scenes.Scene]:
    """Many objects that hide one another."""
    settings = scenes.Settings(height=96, width=96, difficulty=0.9, min_objects=5, max_objects=8)
    return [scenes.generate(index, 3, settings) for index in range(25)]


@pytest.fixture(scope='module')
def by_difficulty() -> list[list[scenes.Scene]]:
    return [
        [
            scenes.generate(index, 1, scenes.Settings(height=64, width=64, difficulty=difficulty))
            for index in range(60)
        ]
        for difficulty in (0.0, 0.5, 1.0)
    ]


# --- determinism


def test_an_image_depends_on_seed_index_and_settings_alone() -> None:
    forward = [digest(scenes.generate(index, 7, SMALL)) for index in range(4)]
    backward = [digest(scenes.generate(index, 7, SMALL)) for index in (3, 2, 1, 0)]
    assert forward == backward[::-1]
    others = [digest(scenes.generate(0, 8, SMALL)), digest(scenes.generate(4, 7, SMALL))]
    easier = scenes.Settings(height=64, width=80, difficulty=0.4)
    assert len({*forward, *others, digest(scenes.generate(0, 7, easier))}) == 7


def test_another_process_draws_the_same_image_without_tensorflow() -> None:
    program = (
        'import sys, hashlib; from official_rethink.data import scenes; '
        'r = scenes.make_record(5, 7, scenes.Settings(height=64, width=80)); '
        "assert 'tensorflow' not in sys.modules; "
        'print(hashlib.sha256(r.encoded).hexdigest(), [a.box for a in r.annotations])'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    record = scenes.make_record(5, 7, SMALL)
    expected = f'{hashlib.sha256(record.encoded).hexdigest()} {[a.box for a in record.annotations]}\n'
    assert done.stdout == expected


# --- the truth agrees with itself


def test_boxes_are_tight_around_the_visible_mask(crowded: list[scenes.Scene]) -> None:
    for scene in crowded:
        for box, mask in zip(scene.boxes, scene.masks, strict=True):
            rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
            assert box.tolist() == [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]


def test_masks_are_disjoint_and_make_up_the_label_map(crowded: list[scenes.Scene]) -> None:
    hidden = 0
    for scene in crowded:
        assert scene.masks.dtype == np.uint8 and set(np.unique(scene.masks)) <= {0, 1}
        assert scene.masks.sum(axis=0, dtype=int).max() == 1
        expected = (scene.masks * scene.classes[:, None, None]).sum(axis=0)
        np.testing.assert_array_equal(scene.label_map, expected)
        hidden += int((scene.visible_shares < 0.9).sum())
    assert hidden > 20, 'the scenes of this test must have objects that hide one another'


def test_every_object_shows_enough_of_itself(crowded: list[scenes.Scene]) -> None:
    least = scene_knobs.knobs(0.9).min_visible
    shares = np.concatenate([scene.visible_shares for scene in crowded])
    areas = np.concatenate([scene.masks.sum(axis=(1, 2), dtype=int) for scene in crowded])
    assert shares.min() >= least and shares.max() <= 1.0
    assert areas.min() >= 4


def test_keypoints_lie_in_the_image_and_visible_ones_on_their_object(crowded: list[scenes.Scene]) -> None:
    seen: set[int] = set()
    for scene in crowded:
        for points, mask in zip(scene.keypoints, scene.masks, strict=True):
            assert points.shape == (5, 3)
            for x, y, visibility in points:
                seen.add(int(visibility))
                if visibility == 0:
                    assert (x, y) == (0.0, 0.0)
                    continue
                assert 0 <= x < 96 and 0 <= y < 96
                row, column = int(y), int(x)
                around = mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                assert bool(around.any()) == (visibility == 2)
    assert seen == {0, 1, 2}


def test_arrays_have_the_types_promised() -> None:
    scene = scenes.generate(1, 0, SMALL)
    count = len(scene.boxes)
    assert count >= 1
    assert (scene.image.shape, scene.image.dtype) == ((64, 80, 3), np.uint8)
    assert (scene.boxes.shape, scene.boxes.dtype) == ((count, 4), np.float32)
    assert (scene.classes.shape, scene.classes.dtype) == ((count,), np.int32)
    assert scene.masks.shape == (count, 64, 80)
    assert (scene.label_map.shape, scene.label_map.dtype) == ((64, 80), np.uint8)
    assert len(scene.keypoints) == len(scene.visible_shares) == count
    assert scene.class_label is None


# --- what the task is like


def test_classes_are_balanced() -> None:
    classification = scenes.Settings(kind='classification', height=32, width=32)
    labels = [scenes.generate(index, 4, classification).class_label or 0 for index in range(50)]
    assert sorted(set(labels)) == list(range(1, 11))
    assert all(labels.count(label) == 5 for label in range(1, 11))
    assert labels[:10] != labels[10:20], 'the order within a block is drawn anew'


def test_every_class_occurs_alike_in_detection(by_difficulty: list[list[scenes.Scene]]) -> None:
    counts = np.bincount(np.concatenate([scene.classes for scene in by_difficulty[1]]), minlength=9)[1:]
    # 60 images guarantee about 7.5 a class; the rest is uniform.
    assert counts.min() >= 7 and counts.max() <= 3 * counts.min()


def test_difficulty_adds_clutter_and_occlusion(by_difficulty: list[list[scenes.Scene]]) -> None:
    clutter = [np.mean([scene.num_clutter for scene in level]) for level in by_difficulty]
    visible = [np.mean(np.concatenate([scene.visible_shares for scene in level])) for level in by_difficulty]
    sides = [
        np.median(np.concatenate([(scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1) for scene in level]))
        for level in by_difficulty
    ]
    assert clutter[0] + 1.5 < clutter[1] < clutter[2] - 5
    assert visible[0] > visible[1] + 0.01 and visible[1] > visible[2] + 0.02
    assert sides[0] > sides[1] > sides[2]


def test_every_image_has_an_object_by_default(by_difficulty: list[list[scenes.Scene]]) -> None:
    assert min(len(scene.boxes) for level in by_difficulty for scene in level) >= 1


def test_sizes_spread_as_objects_in_photographs_do() -> None:
    scenes_ = [scenes.generate(index, 2, scenes.Settings(height=96, width=96)) for index in range(60)]
    counts = [len(scene.boxes) for scene in scenes_]
    sides = np.concatenate([(scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1) for scene in scenes_]) / 96
    assert min(counts) == 1 and max(counts) >= 5
    low, middle, high = np.percentile(sides, [10, 50, 90])
    assert low < 0.3 < middle < 0.5 < 0.65 < high


def test_colour_alone_does_not_tell_the_classes() -> None:
    settings = scenes.Settings(height=64, width=64)
    colors, classes = [], []
    for index in range(200):
        scene = scenes.generate(index, 11, settings)
        colors += [scene.image[mask > 0].mean(axis=0) for mask in scene.masks]
        classes += scene.classes.tolist()
    color, known = np.array(colors), np.array(classes)
    half = len(known) // 2
    centres = np.stack([color[:half][known[:half] == label].mean(axis=0) for label in range(1, 9)])
    guess = np.linalg.norm(color[half:, None] - centres[None], axis=2).argmin(axis=1) + 1
    assert (guess == known[half:]).mean() < 0.3, 'chance is 0.125; shape has to carry the rest'


def test_the_two_kinds_share_no_class() -> None:
    names = {kind: [family.name for family in families] for kind, families in KINDS.items()}
    assert {kind: len(found) for kind, found in names.items()} == {'detection': 10, 'classification': 10}
    assert len({*names['detection'], *names['classification']}) == 20


# --- the edges of the settings


def test_no_object() -> None:
    scene = scenes.generate(0, 0, scenes.Settings(height=48, width=48, min_objects=0, max_objects=0))
    assert scene.boxes.shape == (0, 4) and scene.masks.shape == (0, 48, 48)
    assert scene.classes.shape == (0,) and scene.keypoints == [] and not scene.label_map.any()
    assert scene.image.std() > 0


@pytest.mark.parametrize('difficulty', [0.0, 1.0])
@pytest.mark.parametrize('shape', [(32, 32), (33, 47), (32, 200)])
def test_small_odd_and_long_images(shape: tuple[int, int], difficulty: float) -> None:
    settings = scenes.Settings(height=shape[0], width=shape[1], difficulty=difficulty)
    for index in range(6):
        scene = scenes.generate(index, 5, settings)
        assert scene.image.shape == (*shape, 3)
        assert len(scene.boxes) >= 1
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert (scene.boxes >= 0).all() and (scene.boxes[:, 2:] <= shape).all()


def test_one_class() -> None:
    settings = scenes.Settings(height=48, width=48, num_classes=1)
    assert {int(c) for index in range(8) for c in scenes.generate(index, 0, settings).classes} == {1}
    assert [category['name'] for category in scenes.categories(settings)] == ['walker']


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'difficulty': 2.0}, ['difficulty', '2.0', '0 to 1', '--difficulty']),
        ({'difficulty': float('nan')}, ['difficulty', 'nan']),
        ({'height': 7}, ['height', '7', '32 to 1024', '--size']),
        ({'width': 4096}, ['width', '4096', '32 to 1024']),
        ({'num_classes': 99}, ['num_classes', '99', '1 to 10', '--num_classes']),
        ({'num_classes': 0}, ['num_classes', '0', '1 to 10']),
        ({'kind': 'detektion'}, ["'detektion'", "Did you mean 'detection'?", '--kind']),
        ({'min_objects': 3, 'max_objects': 2}, ['(3, 2)', 'min <= max']),
    ],
)
def test_wrong_settings_name_value_range_and_flag(wrong: dict[str, object], words: list[str]) -> None:
    with pytest.raises(errors.UserError) as caught:
        scenes.Settings(**wrong)  # type: ignore[arg-type]
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_limits_themselves_are_allowed() -> None:
    for size in (scene_generator.MIN_SIZE, scene_generator.MAX_SIZE):
        assert scenes.Settings(height=size, width=size).height == size
    assert scenes.Settings(difficulty=0.0).difficulty == 0.0
    assert len(scenes.Settings(num_classes=10).families) == 10
