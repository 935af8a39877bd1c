"""How the built-in scenes are drawn: shapes, figures and their key points, sprites, layers, textures."""

import math

import cv2
import numpy as np
import pytest

from official_rethink.data import scene_knobs, scene_render, scene_shapes, scene_sprites, scene_textures
from official_rethink.data.scene_objects import KINDS
from official_rethink.data.scene_shapes import Draw, Family, Figure, Part

FAMILIES = [family for families in KINDS.values() for family in families]
LOOK = scene_sprites.Look(backdrop=(128.0, 128.0, 128.0), gap=60.0, texture=0.4, usual=0.5)


def area(outline: np.ndarray) -> float:
    x, y = outline.T
    return 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))


# --- shapes


def test_areas_of_shapes() -> None:
    assert area(scene_shapes.box(3.0, -1.0, 2.0, 0.5, 0.7)) == pytest.approx(1.0)
    # A polygon of 20 corners on the ellipse has n/2 * sin(2*pi/n) times the area of radius-one's axes.
    assert area(scene_shapes.ellipse(1, 2, 3.0, 2.0, 0.3)) == pytest.approx(10 * math.sin(math.pi / 10) * 6)
    # Two half hexadecagon-like caps of 7 points (6 steps of 30 degrees) close a bar of 2 x 1.
    assert area(scene_shapes.limb((0, 0), (2, 0), 1.0)) == pytest.approx(
        2.0 + 12 * 0.125 * math.sin(math.pi / 6)
    )
    assert area(scene_shapes.star(0, 0, 1.0, 0.5, 4)) == pytest.approx(8 * 0.25 * math.sin(math.pi / 4))
    # A half disc of 13 steps.
    assert area(scene_shapes.sector(0, 0, 1.0, math.pi, 2 * math.pi)) == pytest.approx(
        6.5 * math.sin(math.pi / 13)
    )


def test_angles_turn_clockwise_on_screen() -> None:
    quarter = math.pi / 2.0
    np.testing.assert_allclose(
        scene_shapes.rotated(np.array([[1.0, 0.0]]), quarter), [[0.0, 1.0]], atol=1e-12
    )
    np.testing.assert_allclose(scene_shapes.step((1.0, 1.0), quarter, 2.0), (1.0, 3.0))
    petal = scene_shapes.petal(0.0, 0.0, 1.0, 0.4, quarter)
    assert petal[:, 1].max() == pytest.approx(1.0) and petal[:, 1].min() == pytest.approx(0.0)
    assert np.ptp(petal[:, 0]) == pytest.approx(0.4)
    np.testing.assert_allclose(scene_shapes.between((0.0, 2.0), (4.0, 0.0), 0.25), (1.0, 1.5))


def test_draws_without_variation_are_the_mean() -> None:
    draw = Draw(np.random.default_rng(0), 0.0)
    assert [draw.around(0.3, 5.0) for _ in range(3)] == [0.3] * 3
    wide = Draw(np.random.default_rng(0), 1.0)
    values = [wide.around(1.0, 0.5) for _ in range(200)]
    assert 0.5 <= min(values) < 0.55 and 1.45 < max(values) <= 1.5


# --- figures


@pytest.mark.parametrize('family', FAMILIES, ids=lambda family: family.name)
def test_keypoints_lie_on_the_figure(family: Family) -> None:
    rng = np.random.default_rng(5)
    for number in range(12):
        figure = family.build(Draw(rng, 1.0))
        assert len(figure.keypoints) == len(family.keypoint_names) and len(figure.parts) >= 3
        pose = scene_sprites.Pose(100.0, 0.5 * number, 1.0, mirrored=number % 2 == 1)
        sprite = scene_sprites.draw_sprite(rng, figure, pose, LOOK)
        away = cv2.distanceTransform((sprite.alpha == 0).astype(np.uint8), cv2.DIST_L2, 5)
        height, width = sprite.alpha.shape
        for name, (x, y) in zip(family.keypoint_names, sprite.keypoints, strict=True):
            assert 0 <= x < width and 0 <= y < height, name
            assert away[int(y), int(x)] <= 3.0, f'{name} is off the figure'


@pytest.mark.parametrize('family', FAMILIES, ids=lambda family: family.name)
def test_flip_pairs_are_exchanges(family: Family) -> None:
    indices = [index for pair in family.flip_pairs for index in pair]
    assert len(set(indices)) == len(indices)
    assert all(0 <= index < len(family.keypoint_names) for index in indices)
    for first, second in family.flip_pairs:
        names = {family.keypoint_names[first], family.keypoint_names[second]}
        assert names in [{'tip_1', 'tip_4'}, {'tip_2', 'tip_3'}] or {
            name.replace('left', 'right') for name in names
        } == {name for name in names if name.startswith('right')}


def by_name(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


@pytest.mark.parametrize('mirrored', [False, True])
def test_left_stays_left_under_mirroring(mirrored: bool) -> None:
    pose = scene_sprites.Pose(100.0, 0.0, 1.0, mirrored)
    for name, left, right in (('walker', 1, 2), ('walker', 3, 4), ('house', 1, 2), ('flower', 3, 4)):
        family, rng = by_name(name), np.random.default_rng(1)
        sprite = scene_sprites.draw_sprite(rng, family.build(Draw(rng, 0.1)), pose, LOOK)
        points = family.named(sprite.keypoints, mirrored)
        assert points[left][0] < points[right][0], name


@pytest.mark.parametrize('mirrored', [False, True])
def test_windmill_tips_go_clockwise_from_the_top(mirrored: bool) -> None:
    family, rng = by_name('windmill'), np.random.default_rng(1)
    pose = scene_sprites.Pose(100.0, 0.0, 1.0, mirrored)
    for _ in range(5):
        sprite = scene_sprites.draw_sprite(rng, family.build(Draw(rng, 1.0)), pose, LOOK)
        hub, *tips = family.named(sprite.keypoints, mirrored)
        from_top = [math.degrees(math.atan2(x - hub[0], hub[1] - y)) % 360.0 for x, y in tips]
        assert from_top == sorted(from_top) and from_top[0] < 90.0


# --- sprites


def square(side: float = 1.0, *holes: np.ndarray) -> Figure:
    return Figure((Part((scene_shapes.box(0.0, 0.0, side, side), *holes), 'body'),), ((0.0, 0.0),))


def test_sprite_has_the_extent_asked_for_and_keeps_holes() -> None:
    pose = scene_sprites.Pose(40.0, 0.0, 1.0, mirrored=False)
    solid = scene_sprites.draw_sprite(np.random.default_rng(0), square(), pose, LOOK)
    assert solid.area == pytest.approx(40 * 40, rel=0.06)
    holed = scene_sprites.draw_sprite(
        np.random.default_rng(0), square(1.0, scene_shapes.box(0.0, 0.0, 0.5, 0.5)), pose, LOOK
    )
    assert solid.area - holed.area == pytest.approx(20 * 20, rel=0.12)
    x, y = holed.keypoints[0].astype(int)
    assert holed.alpha[y, x] == 0 and solid.alpha[y, x] == 255
    turned = scene_sprites.draw_sprite(
        np.random.default_rng(0), square(), scene_sprites.Pose(40.0, math.pi / 4, 1.0, False), LOOK
    )
    columns = np.nonzero(turned.alpha.any(axis=0))[0]
    assert np.ptp(columns) + 1 == pytest.approx(40 * math.sqrt(2), abs=2)


def test_main_colour_keeps_its_gap_from_the_background() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        others = [scene_textures.draw_color(rng, (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))]
        color = scene_textures.distinct_color(rng, others, 80.0)
        assert math.dist(color, others[0]) >= 80.0


# --- layers


def block(height: int, width: int) -> scene_sprites.Sprite:
    return scene_sprites.Sprite(
        np.full((height, width, 3), 200, np.uint8),
        np.full((height, width), 255, np.uint8),
        np.zeros((0, 2)),
        height * width,
    )


def test_a_sprite_that_would_hide_too_much_is_refused() -> None:
    composer = scene_render.Composer(np.zeros((60, 60, 3), np.uint8), min_visible=0.54)
    assert composer.place(block(20, 20), 10, 10, is_object=True) == 1
    # Hides 8 of 20 columns: 0.6 stays visible.
    assert composer.place(block(20, 20), 10, 22, is_object=True) == 2
    assert composer.visible_share(1) == pytest.approx(0.6)
    # Two more columns would leave 0.5.
    before = composer.order.copy()
    assert composer.place(block(20, 10), 10, 10, is_object=False) is None
    assert composer.place(block(20, 1), 10, 10, is_object=False) == 3
    assert composer.visible_share(1) == pytest.approx(0.55)
    assert composer.visible_share(2) == 1.0
    assert (composer.order != before).sum() == 20


def test_a_sprite_mostly_outside_is_refused_and_one_partly_outside_is_cut() -> None:
    composer = scene_render.Composer(np.zeros((40, 40, 3), np.uint8), min_visible=0.5)
    assert composer.place(block(20, 20), -12, 0, is_object=True) is None
    assert composer.place(block(20, 20), 50, 50, is_object=False) is None
    assert composer.place(block(20, 20), -10, 25, is_object=True) is None  # half by three quarters
    assert composer.place(block(20, 20), -5, 0, is_object=True) == 1
    assert composer.visible_share(1) == pytest.approx(0.75)
    assert (composer.order == 1).sum() == 15 * 20
    assert composer.canvas[0, 0].tolist() == [200, 200, 200] and composer.canvas[15, 0].tolist() == [0, 0, 0]


def test_objects_of_a_few_pixels_are_refused() -> None:
    composer = scene_render.Composer(np.zeros((40, 40, 3), np.uint8), min_visible=0.5)
    assert composer.place(block(6, 7), 0, 0, is_object=True) is None  # 42 of at least 48 canvas pixels
    assert composer.place(block(6, 8), 0, 0, is_object=True) == 1


def test_halving_takes_the_layer_with_half_the_block_and_the_front_of_two() -> None:
    blocks = {
        (0, 0, 0, 3): 0,
        (0, 3, 3, 0): 3,
        (2, 2, 5, 5): 5,
        (5, 5, 5, 1): 5,
        (1, 2, 3, 4): 3,
        (7, 0, 0, 7): 7,
    }
    for (a, b, c, d), expected in blocks.items():
        order = np.array([[a, b], [c, d]], np.uint8)
        assert scene_render._halved(order).tolist() == [[expected]]


def test_visibility_of_keypoints() -> None:
    mask = np.zeros((10, 12), bool)
    mask[4:6, 4:6] = True
    points = np.array([(4.5, 4.5), (3.2, 3.9), (8.0, 8.0), (-0.1, 5.0), (12.0, 5.0), (11.99, 9.99)])
    found = scene_render._visibility(points, mask)
    assert found[:, 2].tolist() == [2, 2, 1, 0, 0, 1]
    assert found[3].tolist() == [0, 0, 0] and found[2].tolist() == [8, 8, 1]


# --- knobs and textures


def test_every_knob_turns_one_way() -> None:
    easy, middle, hard = (vars(scene_knobs.knobs(difficulty)) for difficulty in (0.0, 0.5, 1.0))
    falling = {'min_visible', 'min_extent', 'color_gap', 'usual_colors'}
    assert set(easy) >= falling
    for name in easy:
        low, high = (hard, easy) if name in falling else (easy, hard)
        assert low[name] < middle[name] < high[name], name
        assert middle[name] == pytest.approx(easy[name] + 0.25 * (hard[name] - easy[name]))


def test_pattern_bank_is_rich() -> None:
    bank = scene_textures.pattern_bank()
    assert set(bank) == set(scene_textures.PATTERN_FAMILIES) and len(bank) >= 8
    for family, patterns in bank.items():
        for pattern in patterns:
            assert (pattern.shape, pattern.dtype) == ((256, 256), np.uint8), family
            assert pattern.std() > 20, family


def test_background_contrast_spreads_its_colours() -> None:
    def spread(contrast: float) -> float:
        rng = np.random.default_rng(0)
        return float(
            np.mean([scene_textures.background(rng, 48, 48, contrast).std(axis=(0, 1)) for _ in range(60)])
        )

    assert spread(0.0) + 5 < spread(1.0)


def test_ramp_runs_from_one_colour_to_the_other() -> None:
    table = scene_textures.ramp((0.0, 100.0, 255.0), (255.0, 100.0, 0.0))
    assert table.shape == (256, 1, 3)
    assert [table[index, 0].tolist() for index in (0, 51, 255)] == [
        [0, 100, 255],
        [51, 100, 204],
        [255, 100, 0],
    ]
