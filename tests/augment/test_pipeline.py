"""The whole of S1 to S4: against Model Garden, eagerly and in tf.data, with tiny inputs, seeds and masks."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import preprocess_ops

from official_rethink.augment import operations, pipeline, policies
from tests.augment import pictures

NAMES = list(policies.POLICIES)


def rectangles(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Masks that fill the boxes, cut to whole pixels."""
    masks = np.zeros([len(boxes), *image.shape[:2]], np.uint8)
    for mask, (top, left, bottom, right) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
    return masks


def bounding_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]


@functools.cache
def mapped(name: str, with_masks: bool, count: int = 16) -> list[pipeline.Augmented]:
    image = pictures.photograph()
    boxes = pictures.boxes_for(image)
    masks = rectangles(boxes, image) if with_masks else None
    policy = policies.get_policy(name)
    seeds = tf.data.Dataset.range(count).map(lambda index: tf.stack([tf.cast(index, tf.int32), 9]))
    return list(seeds.map(lambda seed: pipeline.augment(image, boxes, (96, 112), policy, seed, masks)))


@pytest.mark.parametrize('scale', [0.5, 0.8, 1.0, 1.2, 2.0])
@pytest.mark.parametrize('shape', [(120, 160), (97, 61)])
def test_s1_at_a_fixed_scale_is_model_gardens(shape, scale):
    image = np.ascontiguousarray(pictures.photograph()[: shape[0], : shape[1]])
    boxes = pictures.boxes_for(image)
    expected, info = preprocess_ops.resize_and_crop_image(
        tf.constant(image), (96, 112), (96, 112), aug_scale_min=scale, aug_scale_max=scale
    )
    expected_boxes = preprocess_ops.resize_and_crop_boxes(tf.constant(boxes), info[2], info[1], info[3])
    # Its random offset, as the fraction of the room that gives the same one.
    room = np.maximum(np.round(info[2] * info[0]) - info[1], 1.0)
    result = pipeline.place(
        operations.start(tf.constant(image), tf.constant(boxes), None),
        (96, 112),
        (96, 112),
        tf.constant(False),
        tf.constant(scale),
        tf.constant((info[3].numpy() + 0.5) / room),
        'grey',
    )
    np.testing.assert_allclose(result.image_info, info, rtol=1e-6)
    content = np.minimum(np.round(info[2] * info[0]) - info[3], info[1]).astype(int)
    difference = (
        result.image.numpy()[: content[0], : content[1]] - expected[: content[0], : content[1]].numpy()
    )
    assert np.abs(difference).max() <= 0.51
    assert (result.image[content[0] :] == mean_pixel()).numpy().all()
    kept = np.flatnonzero(((expected_boxes[:, 2:] - expected_boxes[:, :2]).numpy() > 0).all(axis=1))
    np.testing.assert_array_equal(result.keep, kept)
    np.testing.assert_allclose(result.boxes, expected_boxes.numpy()[kept], atol=2e-3)


def mean_pixel() -> np.ndarray:
    return np.array([124, 116, 104], np.uint8)


@pytest.mark.parametrize('shape', [(120, 160), (61, 40), (1, 1), (2, 90)])
def test_resize_and_pad_is_model_gardens(shape):
    image = np.resize(pictures.photograph(), [*shape, 3])
    result, info = pipeline.resize_and_pad(tf.constant(image), (90, 100), (96, 128))
    assert result.shape == (96, 128, 3) and result.dtype == tf.uint8
    expected, expected_info = preprocess_ops.resize_and_crop_image(tf.constant(image), (90, 100), (96, 128))
    np.testing.assert_allclose(info, expected_info)
    rows, columns = np.round(info[0] * info[2]).astype(int)
    assert np.abs(result.numpy()[:rows, :columns] - expected[:rows, :columns].numpy()).max() <= 0.51
    assert (result[rows:] == mean_pixel()).numpy().all()
    assert (result[:, columns:] == mean_pixel()).numpy().all()


@pytest.mark.parametrize('name', NAMES)
def test_eager_and_tf_data_agree_and_the_seed_decides(name):
    image = pictures.photograph()
    boxes = pictures.boxes_for(image)
    masks = rectangles(boxes, image)
    in_data = mapped(name, True)
    for index in range(0, 16, 5):
        policy, seed = policies.get_policy(name), tf.constant([index, 9])
        eager = pipeline.augment(image, boxes, (96, 112), policy, seed, masks)
        for ours, theirs in zip(eager, in_data[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len({result.image.numpy().tobytes() for result in in_data}) == len(in_data)


@pytest.mark.parametrize('name', NAMES)
def test_results_keep_their_promises(name):
    for result, without in zip(mapped(name, True), mapped(name, False), strict=True):
        assert result.image.shape == (96, 112, 3) and result.image.dtype == tf.uint8
        boxes = result.boxes.numpy()
        assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min(initial=0) >= 0
        assert (boxes <= [96, 112, 96, 112]).all()
        assert result.masks.shape == (len(boxes), 96, 112) and set(np.unique(result.masks)) <= {0, 1}
        assert (np.diff(result.keep) > 0).all() and len(result.keep) == len(boxes)
        np.testing.assert_array_equal(result.image_info[:2], [[120, 160], [96, 112]])
        # Masks change nothing for the rest.
        assert without.masks is None
        np.testing.assert_array_equal(without.image, result.image)
        np.testing.assert_array_equal(without.boxes, boxes)


def test_s1_masks_have_their_boxes():
    for result in mapped('S1', True):
        for mask, box in zip(result.masks.numpy(), result.boxes.numpy(), strict=True):
            if (box[2:] - box[:2]).min() >= 3:  # masks are cut to whole pixels before
                np.testing.assert_allclose(bounding_box(mask), box, atol=2.0)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('second', ['Rotate_BBox', 'ShearX_BBox', 'ShearY_BBox', 'TranslateX_BBox'])
def test_a_warped_masks_box_is_the_warped_box(second, flip):
    """Two geometric operations, flip, jitter and crop: one matrix each for mask and box."""
    image = pictures.photograph()
    boxes = np.array([[40, 50, 80, 110], [55, 60, 65, 100], [50, 70, 75, 80]], np.float32)
    scene = operations.start(tf.constant(image), tf.constant(boxes), tf.constant(rectangles(boxes, image)))
    draws = operations.Draws(tf.constant(-1.0), tf.constant([0.5, 0.5]), tf.constant([0, 0]))
    for step, name in enumerate(['TranslateY_BBox', second]):
        scene = operations.apply(
            scene, operations.Choice(name, 5.0, translate_const=20.0), draws, 'grey', step
        )
    size, crop = (100, 100), tf.constant([0.4, 0.6])
    result = pipeline.place(scene, size, size, tf.constant(flip), tf.constant(1.3), crop, 'grey')
    assert len(result.boxes) == 3
    for mask, box in zip(result.masks.numpy(), result.boxes.numpy(), strict=True):
        np.testing.assert_allclose(bounding_box(mask), box, atol=1.05)


def any_shape(name: str):
    """Returns `augment` as one graph for images of any size."""
    policy = policies.get_policy(name)
    signature = [
        tf.TensorSpec([None, None, 3], tf.uint8),
        tf.TensorSpec([None, 4], tf.float32),
        tf.TensorSpec([None, None, None], tf.uint8),
        tf.TensorSpec([2], tf.int32),
    ]
    return tf.function(
        lambda image, boxes, masks, seed: pipeline.augment(image, boxes, (32, 40), policy, seed, masks),
        input_signature=signature,
    )


@pytest.mark.parametrize('name', ['S1', 'S2', 'S4'])  # S3 is S2 with other numbers
def test_zero_boxes_and_smallest_images(name):
    run = any_shape(name)
    for shape in [(120, 160), (1, 1), (1, 300), (2, 3)]:
        image = np.resize(pictures.photograph(), [*shape, 3])
        box, mask = np.array([[0, 0, *shape]], np.float32), np.ones([1, *shape], np.uint8)
        for seed in range(8):
            none = run(image, box[:0], mask[:0], [seed, 0])
            assert none.boxes.shape == (0, 4) and none.keep.shape == (0,) and none.masks.shape == (0, 32, 40)
            one = run(image, box, mask, [seed, 0])
            np.testing.assert_array_equal(one.image_info, none.image_info)
            assert one.image.shape == (32, 40, 3) and len(one.masks) == len(one.boxes)
            assert np.isfinite(one.image_info).all() and np.isfinite(one.boxes).all()


@pytest.mark.parametrize('name', ['S2', 'S4'])
def test_graphs_of_a_known_tiny_size_build(name):
    box, image, policy = np.array([[0, 0, 1, 2]], np.float32), pictures.noise(1, 2), policies.get_policy(name)
    run = tf.function(lambda seed: pipeline.augment(image, box, (32, 32), policy, seed))
    assert run(tf.constant([1, 1])).image.shape == (32, 32, 3)


def test_very_long_images_keep_a_row_where_model_gardens_resize_fails():
    result, info = pipeline.resize_and_pad(tf.fill([1, 500, 3], tf.constant(9, tf.uint8)), (90, 100))
    np.testing.assert_allclose(info, [[1, 500], [90, 100], [1, 0.2], [0, 0]])
    assert (result[:1] == 9).numpy().all() and (result[1:] == mean_pixel()).numpy().all()


def test_all_boxes_cropped_away():
    image = pictures.photograph()
    boxes = np.array([[100, 140, 119, 159]], np.float32)
    scene = operations.start(tf.constant(image), tf.constant(boxes), tf.constant(rectangles(boxes, image)))
    arguments = ((64, 64), (64, 64), tf.constant(False), tf.constant(2.0), tf.zeros([2]), 'grey')
    result = pipeline.place(scene, *arguments)
    assert result.boxes.shape == (0, 4) and result.masks.shape == (0, 64, 64) and result.keep.shape == (0,)


@pytest.mark.parametrize(('name', 'low', 'high'), [('S1', 0.8, 1.2), ('S4', 0.5, 2.0)])
def test_jitter_is_uniform_over_its_range(name, low, high):
    policy = policies.get_policy(name, randaugment_layers=0)
    image = np.zeros([10, 10, 3], np.uint8)
    seeds = tf.data.Dataset.range(1500).map(lambda index: tf.stack([tf.cast(index, tf.int32), 3]))

    def measured(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        result = pipeline.augment(image, [[2.0, 1.0, 3.0, 2.0]], (100, 100), policy, seed)
        return result.image_info[2, 0] / 10.0, result.image_info[3], result.boxes

    scales, offsets, _ = zip(*seeds.map(measured).as_numpy_iterator(), strict=True)
    scales, offsets = np.array(scales), np.array(offsets)
    assert low - 0.006 <= scales.min() < low + 0.02 and high - 0.02 < scales.max() <= high + 0.006
    # A uniform variable: mean and variance within four standard errors.
    width = high - low
    assert abs(scales.mean() - (low + high) / 2) < 4 * width / np.sqrt(12 * 1500)
    np.testing.assert_allclose(scales.var(), width**2 / 12, rtol=0.1)
    # The crop moves over all the room it has, and only where there is room.
    room = np.round(scales * 100) - 100
    assert (offsets[room <= 0] == 0).all()
    fractions = offsets[room > 10] / room[room > 10][:, np.newaxis]
    assert fractions.min() < 0.06 and fractions.max() > 0.94 and abs(fractions.mean() - 0.5) < 0.06


def test_flip_comes_with_its_probability_and_moves_boxes():
    image = np.zeros([10, 10, 3], np.uint8)
    image[:, :5] = 200
    for probability in (0.0, 0.5, 1.0):
        policy = policies.get_policy('S1', scale_min=1.0, scale_max=1.0, flip_probability=probability)
        seeds = tf.data.Dataset.range(150).map(lambda index: tf.stack([tf.cast(index, tf.int32), 4]))
        results = list(
            seeds.map(lambda seed: pipeline.augment(image, [[0.0, 0.0, 10.0, 5.0]], (10, 10), policy, seed))  # noqa: B023
        )
        flipped = np.array([result.image[0, 0, 0] == 0 for result in results])
        assert abs(flipped.mean() - probability) <= (0.16 if probability == 0.5 else 0.0)
        for result, was_flipped in zip(results, flipped, strict=True):
            np.testing.assert_allclose(
                result.boxes, [[0, 5, 10, 10] if was_flipped else [0, 0, 10, 5]], atol=1e-4
            )


def test_padded_size_adds_only_padding():
    image, boxes = pictures.photograph(), pictures.boxes_for(pictures.photograph())
    arguments = (image, boxes, (90, 100), policies.get_policy('S4'), tf.constant([5, 6]))
    plain, padded = pipeline.augment(*arguments), pipeline.augment(*arguments, padded_size=(128, 128))
    np.testing.assert_array_equal(padded.image[:90, :100], plain.image)
    np.testing.assert_array_equal(padded.boxes, plain.boxes)
    assert (padded.image[90:] == mean_pixel()).numpy().all()


def test_float_images_are_refused():
    with pytest.raises(ValueError, match='float32; allowed: uint8'):
        pipeline.augment(
            np.zeros([4, 4, 3], np.float32), [[0.0, 0, 1, 1]], (8, 8), policies.get_policy('S1'), [0, 0]
        )
