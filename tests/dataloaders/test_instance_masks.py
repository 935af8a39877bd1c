"""Masks sampled once from their source: against outlines, against masks carried through every operation, tiny ones."""

import functools

import numpy as np
import pytest
import skimage.measure
import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder

from official_rethink.augment import autoaugment, geometry, operations, pipeline, policies, randaugment
from official_rethink.configs import maskrcnn as configs
from official_rethink.data import masks, records
from official_rethink.dataloaders import detection, instance_masks
from tests.augment import pictures

HEIGHT, WIDTH, SIZES = 120, 160, (28, 112)
OUTPUT = (150, 170)


def outlines() -> list[np.ndarray]:
    """Corners, y and x, of an ellipse, a star, a letter L, a beam over the image's corner, and a small blot."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    star = circle[::4] * np.tile([1.0, 0.45], 6)[:, np.newaxis]
    letter = np.array([[0.0, 0], [60, 0], [60, 40], [45, 40], [45, 14], [0, 14]])
    return [
        [55.3, 60.7] + circle * [30.2, 17.6],
        [40.4, 110.2] + star * 33.0,
        [20.6, 12.3] + letter,
        np.array([[100.0, 120.0], [140.0, 170.0], [130.0, 180.0], [90.0, 128.0]]),
        [90.5, 90.5] + circle * 6.3,
    ]


def within(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Whether places of the source, in pixels, lie in each outline and in the image; bool [outlines, ...]."""
    points = np.stack([y.ravel(), x.ravel()], axis=1)
    image = ((points > 0) & (points < [HEIGHT, WIDTH])).all(axis=1)
    return np.stack([(skimage.measure.points_in_poly(points, one) & image).reshape(y.shape) for one in outlines()])


@functools.cache
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """The outlines as masks, and the boxes of these."""
    drawn = within(*(np.mgrid[:HEIGHT, :WIDTH] + 0.5)).astype(np.uint8)
    boxes = []
    for mask in drawn:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes.append([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])
    return drawn, np.array(boxes, np.float32)


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / max((found | truth).sum(), 1)


@functools.cache
def augmented(name: str, count: int = 48) -> list[tuple[pipeline.Augmented, dict[int, tf.Tensor]]]:
    """The photograph under a policy, its masks made as large as the image as well; and the masks cut, by their size."""
    drawn_masks, boxes = drawn()
    policy, image = policies.get_policy(name), pictures.photograph(HEIGHT, WIDTH)
    encoded = tf.constant([masks.to_png(mask) for mask in drawn_masks])

    def one(index: tf.Tensor) -> tuple[pipeline.Augmented, dict[int, tf.Tensor]]:
        seed = tf.stack([tf.cast(index, tf.int32), 11])
        found = pipeline.augment(image, boxes, OUTPUT, policy, seed, drawn_masks, track=True)
        kept = tf.gather(encoded, found.keep)
        return found, {size: instance_masks.cut(kept, found.boxes, found.motion, size) for size in SIZES}

    return list(tf.data.Dataset.range(count).map(one))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', policies.POLICIES)
def test_nearer_to_the_outline_than_a_mask_of_the_images_size(name, size):
    ours, before = [], []
    for result, found in augmented(name):
        if result.motion.sources.shape[2]:
            continue  # moved pixel by pixel: no outline is known
        whole = instance_masks.crop_masks(result.masks, result.boxes, size).numpy()
        cells = (np.arange(size) + 0.5) / size
        transform = result.motion.transform.numpy().astype(np.float64)
        for row, (box, number) in enumerate(zip(result.boxes.numpy(), result.keep.numpy(), strict=True)):
            y, x = np.meshgrid(box[0] + (box[2] - box[0]) * cells, box[1] + (box[3] - box[1]) * cells, indexing='ij')
            there = np.einsum('ij,jyx->iyx', transform, np.stack([x - 0.5, y - 0.5, np.ones_like(x)])) + 0.5
            truth = within(there[1], there[0])[number]
            if truth.any():
                ours.append(overlap(found[size][row].numpy() >= 128, truth))
                before.append(overlap(whole[row] >= 128, truth))
    assert len(ours) > 80
    assert np.mean(ours) > 0.93
    assert np.mean(ours) > np.mean(before) + 0.005
    assert np.quantile(ours, 0.05) >= np.quantile(before, 0.05)


@pytest.mark.parametrize('name', ['S2', 'S3', 'S4'])
def test_moved_pixel_by_pixel_it_is_the_moved_mask(name):
    """Where operations needed pixels in between, the source is known through them; edges are a pixel wide."""
    seen = [pair for pair in augmented(name) if pair[0].motion.sources.shape[2]]
    assert len(seen) >= 2
    agreements = []
    for result, found in seen:
        whole = instance_masks.crop_masks(result.masks, result.boxes, 28).numpy() >= 128
        pairs = zip(whole, found[28].numpy() >= 128, strict=True)
        agreements += [overlap(one, other) for one, other in pairs if one.any()]
    assert np.mean(agreements) > 0.85 and np.median(agreements) > 0.9


@pytest.mark.parametrize('name', ['S2', 'S4'])
def test_what_is_tracked_is_what_carried_masks_show(name):
    drawn_masks, boxes = drawn()
    image, policy = tf.constant(pictures.photograph(HEIGHT, WIDTH)), policies.get_policy(name)

    def moved(index: tf.Tensor) -> operations.Scene:
        seed = tf.stack([tf.cast(index, tf.int32), 3])
        untracked = tf.zeros([HEIGHT, WIDTH, 0], tf.int32)
        scene = operations.start(image, tf.constant(boxes), tf.constant(drawn_masks), sources=untracked)
        if policy.autoaugment:
            scene = autoaugment.distort(scene, policy.autoaugment, 'grey', seed)
        else:
            scene = randaugment.distort(scene, 2, 10.0, 'grey', seed)
        return operations.settle(scene, 'grey')

    tracked = 0
    for scene in tf.data.Dataset.range(40).map(moved):
        sources = scene.sources.numpy()
        if not sources.shape[2]:
            np.testing.assert_array_equal(scene.planes, drawn_masks)
            continue
        tracked += 1
        values = np.concatenate([np.zeros([len(drawn_masks), 1]), drawn_masks.reshape([len(drawn_masks), -1])], axis=1)
        np.testing.assert_array_equal(scene.planes, values[:, sources[..., 0]])
    assert tracked > 10


def motion(transform: tf.Tensor, height: int = HEIGHT, width: int = WIDTH) -> pipeline.Motion:
    return pipeline.Motion(transform, tf.zeros([height, width, 0], tf.int32))


@pytest.mark.parametrize('flip', [False, True])
def test_the_two_ways_of_sampling_agree(flip):
    """A shear that moves nothing by a hundredth of a pixel goes the other way, to the same masks."""
    drawn_masks, boxes = drawn()
    encoded = tf.constant([masks.to_png(mask) for mask in drawn_masks])
    size = tf.constant([HEIGHT, WIDTH])
    placed = geometry.placement(size, tf.constant([90, 130]), tf.constant([7, 20]), tf.constant(flip))
    there = geometry.clip_boxes(geometry.transform_boxes(tf.constant(boxes), placed), tf.constant([80, 100]))
    there = tf.gather(there, geometry.non_empty(there))
    encoded = encoded[: len(there)]
    aligned = instance_masks.cut(encoded, there, motion(placed), 28).numpy().astype(int)
    sheared = instance_masks.cut(encoded, there, motion(geometry.shear_x(1e-5) @ placed), 28).numpy()
    assert aligned.any() and np.abs(aligned - sheared).max() <= 2


def test_a_pixel_reaches_to_the_images_edge_and_no_further():
    mask = np.ones([1, 4, 4], np.uint8)
    box = tf.constant([[-2.0, 0.0, 6.0, 0.5]])
    expected = np.repeat([[0], [0], [255], [255], [255], [255], [255], [255], [255], [255], [0], [0]], 12, axis=1)
    rows = instance_masks.crop_masks(mask, tf.constant([[-1.0, 0.0, 5.0, 0.5]]), 12)[0]
    np.testing.assert_array_equal(rows, expected)
    turned = tf.constant([[1.0, 0.0, 0.0], [1e-6, 1.0, 0.0], [0.0, 0.0, 1.0]])
    warped = instance_masks.cut(tf.constant([masks.to_png(mask[0])]), box, motion(turned, 4, 4), 16)[0]
    np.testing.assert_array_equal(warped[:, 0] > 127, np.repeat([False, True, False], [4, 8, 4]))


@functools.cache
def of_others() -> list[bytes]:
    """The masks as TensorFlow's encoder writes them."""
    return [tf.io.encode_png(mask[..., np.newaxis]).numpy() for mask in drawn()[0]]


@pytest.mark.parametrize('name', ['S1', 'S2'])
def test_files_of_others_give_the_same(name):
    moved = 0
    for result, found in augmented(name)[:24]:
        foreign = np.array(of_others())[result.keep.numpy()]
        again = instance_masks.cut(tf.constant(foreign, tf.string), result.boxes, result.motion, 28)
        np.testing.assert_array_equal(again, found[28])
        moved += result.motion.sources.shape[2]
    assert moved > 2 or name == 'S1'


def test_ours_and_files_of_others_in_one_record_and_values_over_one():
    drawn_masks, boxes = drawn()
    still = motion(geometry.identity())
    expected = instance_masks.cut(tf.constant(of_others()), boxes, still, 28).numpy()
    bright = tf.io.encode_png(255 * drawn_masks[3][..., np.newaxis]).numpy()
    mixed = [masks.to_png(drawn_masks[0]), *of_others()[1:3], bright, masks.to_png(drawn_masks[4])]
    np.testing.assert_array_equal(instance_masks.cut(tf.constant(mixed), boxes, still, 28), expected)
    assert all(one.any() for one in expected)
    empty = tf.constant([masks.to_png(np.zeros([HEIGHT, WIDTH], np.uint8))])
    assert not instance_masks.cut(empty, boxes[:1], still, 28).numpy().any()
    elsewhere = np.array([[0.0, 0, 9, 9], [100, 120, 120, 160]], np.float32)  # no pixel of the object is in the window
    twice = tf.constant([masks.to_png(drawn_masks[0])] * 2)
    assert not instance_masks.cut(twice, elsewhere, still, 28).numpy().any()


def test_model_gardens_decoder_reads_ours():
    drawn_masks, boxes = drawn()
    objects = [
        records.Annotation(box=tuple(box), label=1, area=1.0, mask_png=masks.to_png(mask))
        for box, mask in zip(boxes.tolist(), drawn_masks, strict=True)
    ]
    image = tf.io.encode_png(pictures.photograph(HEIGHT, WIDTH)).numpy()
    record = records.to_example(records.Record('1', image, 'png', HEIGHT, WIDTH, annotations=objects))
    decoded = tf_example_decoder.TfExampleDecoder(include_mask=True).decode(record)
    np.testing.assert_array_equal(decoded['groundtruth_instance_masks'], drawn_masks)


def _record(height: int, width: int, png_size: tuple[int, int] | None, crowd: bool = False) -> bytes:
    objects = []
    if png_size:
        box = (0.0, 0.0, float(height), float(width))
        mask = masks.to_png(np.ones(png_size, np.uint8))
        objects = [records.Annotation(box=box, label=1, area=1.0, mask_png=mask, is_crowd=crowd)]
    image = tf.io.encode_png(np.full([height, width, 3], 90, np.uint8)).numpy()
    return records.to_example(records.Record('1', image, 'png', height, width, annotations=objects))


@pytest.mark.parametrize('name', ['S1', 'S2', 'S4'])  # S3 is S2 with other numbers
def test_no_objects_a_crowd_and_smallest_images(name):
    params = configs.DataConfig(is_training=True, max_num_instances=2)
    params.augmentation.override({'policy': name})
    parser = detection.DetectionParser(params, (32, 40), mask_size=4)
    examples = [_record(20, 30, None), _record(20, 30, (20, 30), crowd=True)]
    examples += [_record(*shape, shape) for shape in [(20, 30), (1, 1), (1, 300), (2, 3)]]
    dataset = tf.data.Dataset.from_tensor_slices(examples).repeat(6).enumerate()
    dataset = dataset.map(lambda index, record: parser.train(parser.decode(record), tf.stack([7, index])))
    assert dataset.element_spec[1]['masks'] == tf.TensorSpec([2, 4, 4], tf.uint8)
    seen = 0
    for number, (_, labels) in enumerate(dataset.as_numpy_iterator()):
        count = labels['num_instances']
        assert count <= (number % len(examples) > 1)
        assert not labels['masks'][count:].any()
        seen += labels['masks'].any()
    assert seen > 12


def test_a_mask_of_another_size_is_refused():
    params = configs.DataConfig(is_training=True, max_num_instances=2)
    parser = detection.DetectionParser(params, (32, 40), mask_size=4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a mask is not of its image's size"):
        parser.train(parser.decode(_record(20, 30, (30, 20))), tf.constant([0, 1], tf.int64))
