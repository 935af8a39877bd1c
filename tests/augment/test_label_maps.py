"""Label maps go where the image goes: as masks of each class do, as a warp in numpy, and at every degenerate size."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import boxes_only, operations, pipeline, policies, resampling
from official_rethink.data import label_maps
from tests.augment import pictures

NO_BOX = np.zeros([0, 4], np.float32)
DRAWS = operations.Draws(tf.constant(-1.0), tf.constant([0.5, 0.5]), tf.constant([0, 0]))


def drawn(height: int = 120, width: int = 160) -> np.ndarray:
    """Stripes, a disc and a void border."""
    rows, columns = np.mgrid[:height, :width]
    labels = ((rows // 17) % 3).astype(np.uint8)
    distance = np.hypot(rows - height / 2, columns - width / 2)
    labels[distance < height / 3] = 7
    labels[np.abs(distance - height / 3) < 2] = 255
    return labels


@functools.cache
def mapped(name: str) -> list[pipeline.Augmented]:
    """Twelve augmentations in tf.data, of an image with its labels and with a mask of each class and of everything."""
    image, labels = pictures.photograph(), drawn()
    values = np.unique(labels)
    masks = np.concatenate([labels == values[:, np.newaxis, np.newaxis], np.ones([1, *labels.shape], bool)])
    masks, whole = masks.astype(np.uint8), np.tile(np.float32([0, 0, *labels.shape]), [len(masks), 1])
    policy = policies.get_policy(name)
    seeds = tf.data.Dataset.range(12).map(lambda index: tf.stack([tf.cast(index, tf.int32), 9]))
    return list(
        seeds.map(
            lambda seed: pipeline.augment(image, whole, (96, 112), policy, seed, masks=masks, label_map=labels)
        )
    )


def test_the_void_is_that_of_label_maps():
    assert resampling.IGNORE == label_maps.IGNORE


@pytest.mark.parametrize('name', ['S1', 'S4'])
def test_equal_to_the_masks_of_each_class(name):
    """Each class as a mask, and a mask of ones that tells where the image is at all; elsewhere 255."""
    values = np.unique(drawn())
    for result in mapped(name):
        planes = result.masks.numpy()
        assert len(planes) == len(values) + 1 and (planes[:-1].sum(axis=0) == planes[-1]).all()
        expected = np.where(planes[-1] == 1, values[planes[:-1].argmax(axis=0)], 255)
        np.testing.assert_array_equal(result.label_map, expected)


@pytest.mark.parametrize('name', ['S1', 'S4'])
def test_eager_and_tf_data_agree(name):
    """And labels change nothing for the image, nor boxes and masks for the labels."""
    policy, image = policies.get_policy(name), pictures.photograph()
    for index in range(0, 12, 4):
        there, seed = mapped(name)[index], tf.constant([index, 9])
        here = pipeline.augment(image, NO_BOX, (96, 112), policy, seed, label_map=drawn())
        np.testing.assert_array_equal(here.label_map, there.label_map)
        assert here.label_map.shape == (96, 112) and here.label_map.dtype == tf.uint8
        alone = pipeline.augment(image, NO_BOX, (96, 112), policy, seed)
        assert alone.label_map is None
        for other in (here, there):
            np.testing.assert_array_equal(alone.image, other.image)
            np.testing.assert_array_equal(alone.image_info, other.image_info)


def test_autoaugment_in_tf_data_and_eagerly():
    policy, image, labels = policies.get_policy('S3'), pictures.photograph(), drawn()

    def run(seed: tf.Tensor) -> pipeline.Augmented:
        return pipeline.augment(image, NO_BOX, (96, 112), policy, seed, label_map=labels)

    seeds = tf.data.Dataset.range(24).map(lambda index: tf.stack([tf.cast(index, tf.int32), 9]))
    results = list(seeds.map(run))
    assert any((result.label_map.numpy()[:40, :40] == 255).any() for result in results)
    for index in range(0, 24, 6):
        np.testing.assert_array_equal(results[index].label_map, run(tf.constant([index, 9])).label_map)


def warped(labels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels at the nearest of real places, 255 beyond, and which places are close to a tie."""
    near = [np.floor(places + 0.5).astype(int) for places in (rows, columns)]
    inside = np.logical_and.reduce([(n >= 0) & (n < s) for n, s in zip(near, labels.shape, strict=True)])
    result = np.where(inside, labels[tuple(np.clip(n, 0, s - 1) for n, s in zip(near, labels.shape, strict=True))], 255)
    ties = [np.abs(places + 0.5 - np.round(places + 0.5)) < 1e-3 for places in (rows, columns)]
    return result, ties[0] | ties[1]


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize(('name', 'scale'), [('', 0.6), ('', 1.37), ('Rotate_BBox', 1.2), ('ShearX_BBox', 0.8)])
def test_a_warp_in_numpy(name, scale, flip):
    """Flip, resize, crop and pad, after a rotation by -15 degrees or a shear of -0.15, place by place."""
    labels = drawn()
    scene = operations.start(tf.constant(pictures.photograph()), tf.constant(NO_BOX), None, tf.constant(labels))
    if name:
        scene = operations.apply(scene, operations.Choice(name, 5.0), DRAWS, 'grey', 0)
    size, crop = (100, 90), tf.constant([0.4, 0.6])
    result = pipeline.place(scene, size, (104, 96), tf.constant(flip), tf.constant(scale), crop, 'grey')
    step = 1 / result.image_info.numpy()[2]
    offset, scaled = result.image_info.numpy()[3], np.round(np.array([120, 160]) / step)
    content = np.minimum(scaled - offset, size).astype(int)
    rows, columns = np.mgrid[: content[0], : content[1]].astype(np.float64)
    rows, columns = (rows + offset[0] + 0.5) * step[0] - 0.5, (columns + offset[1] + 0.5) * step[1] - 0.5
    columns = 159 - columns if flip else columns
    if name == 'Rotate_BBox':
        angle = math.radians(-15)
        y, x = rows - 59.5, columns - 79.5
        rows, columns = x * math.sin(angle) + y * math.cos(angle), x * math.cos(angle) - y * math.sin(angle)
        rows, columns = rows + 59.5, columns + 79.5
    if name == 'ShearX_BBox':
        columns = columns - 0.15 * rows
    expected, ties = warped(labels, rows, columns)
    found = result.label_map.numpy()
    assert (found[content[0] :] == 255).all() and (found[:, content[1] :] == 255).all()
    differs = found[: content[0], : content[1]] != expected
    assert not (differs & ~ties).any() and ties.mean() < 0.15
    assert not name or (expected == 255).sum() > 300


def test_a_shift_shows_the_void_where_the_image_left():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    scene = operations.start(tf.zeros([3, 4, 3], tf.uint8), tf.constant(NO_BOX), None, tf.constant(labels))
    choice = operations.Choice('TranslateX_BBox', 10.0, translate_const=1.0)
    moved = operations.settle(operations.apply(scene, choice, DRAWS, 'grey', 0), 'grey')
    np.testing.assert_array_equal(moved.label_map, [[255, 0, 1, 2], [255, 4, 5, 6], [255, 8, 9, 10]])


def test_colours_and_cutout_leave_labels_alone():
    labels = drawn()
    for name in [*operations.POINTWISE, *operations.SETTLED]:
        scene = operations.start(tf.constant(pictures.photograph()), tf.constant(NO_BOX), None, tf.constant(labels))
        changed = operations.apply(scene, operations.Choice(name, 8.0), DRAWS, 'grey', 1)
        np.testing.assert_array_equal(changed.label_map, labels)


def test_boxes_of_classes_by_hand():
    """Class 3 in two places has one box round both; background, void and absent classes have none."""
    labels = np.zeros([5, 6], np.uint8)
    labels[1, 2], labels[3, 4], labels[4, 0], labels[0, 5] = 3, 3, 9, 255
    np.testing.assert_array_equal(boxes_only.boxes_of_classes(tf.constant(labels)), [[1, 2, 4, 5], [4, 0, 5, 1]])
    assert boxes_only.boxes_of_classes(tf.constant(labels[:1, 3:])).shape == (0, 4)


@pytest.mark.parametrize('fill', ['grey', 'reflect'])
def test_the_box_only_operation_takes_the_classes_boxes(fill):
    """Pixels of the colour of their class slide with their labels; where content left, grey and void."""
    labels = np.zeros([40, 40], np.uint8)
    labels[10:30, 5:25] = np.arange(1, 21)[:, np.newaxis]
    labels[10:30, 5:25][labels[10:30, 5:25] < 20] = 4
    image = np.repeat(labels[..., np.newaxis] * 10, 3, axis=2)
    scene = operations.start(tf.constant(image), tf.constant(NO_BOX), None, tf.constant(labels))
    choice = operations.Choice('TranslateY_Only_BBoxes', 1.0, probability=3.0)  # each box; 12 pixels down
    moved = operations.apply(scene, choice, DRAWS, fill, 0)
    found, colours = moved.label_map.numpy(), moved.image.numpy()[..., 0]
    assert (found != labels).any() and (found == 255).any() == (fill == 'grey')
    np.testing.assert_array_equal(colours, np.where(found == 255, 128, found * 10))
    outside = np.ones_like(labels, bool)
    outside[10:31, 5:26] = False  # the reference takes a box's last row and column in
    np.testing.assert_array_equal(found[outside], labels[outside])
    # Boxes of instances come first.
    corner = np.float32([[0, 0, 3, 3]])
    moved = operations.apply(scene._replace(boxes=tf.constant(corner)), choice, DRAWS, fill, 0)
    np.testing.assert_array_equal(moved.label_map[4:], labels[4:])


def test_masks_and_labels_slide_together():
    labels = drawn(40, 40)
    masks = np.stack([labels == 7, labels == 1]).astype(np.uint8)
    boxes = np.float32([[5, 5, 35, 35], [0, 0, 40, 40]])
    scene = operations.start(tf.zeros([40, 40, 3], tf.uint8), boxes, tf.constant(masks), tf.constant(labels))
    choice = operations.Choice('TranslateY_Only_BBoxes', 1.0, probability=3.0)
    moved = operations.apply(scene, choice, DRAWS, 'grey', 0)
    np.testing.assert_array_equal(moved.planes[0], moved.label_map.numpy() == 7)
    np.testing.assert_array_equal(moved.planes[1], moved.label_map.numpy() == 1)


@pytest.mark.parametrize('name', ['S2', 'S4'])
def test_smallest_images_and_nothing_but_void(name):
    policy = policies.get_policy(name)
    run = tf.function(
        lambda image, labels, seed: pipeline.augment(image, NO_BOX, (32, 40), policy, seed, label_map=labels),
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([None, None], tf.uint8),
            tf.TensorSpec([2], tf.int32),
        ],
    )
    for shape in [(1, 1), (1, 300), (2, 3), (50, 60)]:
        image = np.resize(pictures.photograph(), [*shape, 3])
        for value in (0, 3, 255):
            for seed in range(4):
                result = run(image, np.full(shape, value, np.uint8), [seed, 0])
                assert result.label_map.shape == (32, 40) and set(np.unique(result.label_map)) <= {value, 255}


@pytest.mark.parametrize('shape', [(120, 160), (61, 40), (1, 1), (1, 500)])
def test_resize_and_pad_is_tf_image_resize(shape):
    labels = np.resize(drawn(), shape)
    _, info = pipeline.resize_and_pad(tf.zeros([*shape, 3], tf.uint8), (90, 100), (96, 128))
    found = pipeline.resize_and_pad_label_map(tf.constant(labels), (90, 100), (96, 128))
    rows, columns = np.round(info[0] * info[2]).astype(int)
    expected = tf.image.resize(labels[..., np.newaxis], (rows, columns), 'nearest')[..., 0].numpy()
    assert found.shape == (96, 128) and (found.numpy()[:rows, :columns] == expected).mean() > 0.99
    assert (found.numpy()[rows:] == 255).all() and (found.numpy()[:, columns:] == 255).all()


def test_a_label_map_of_another_size_is_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match='not compatible'):
        pipeline.augment(
            np.zeros([4, 4, 3], np.uint8), NO_BOX, (8, 8), policies.get_policy('S1'), [0, 0],
            label_map=np.zeros([4, 5], np.uint8),
        )  # fmt: skip
