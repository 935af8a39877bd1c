"""Records come back from their TFExample, and Model Garden reads the same from it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from official.vision.dataloaders import segmentation_input, tf_example_decoder, utils

from official_rethink.data import label_maps, masks, records
from tests.data import making


def full_record() -> records.Record:
    mask = np.zeros((making.HEIGHT, making.WIDTH), np.uint8)
    mask[8:20, 10:30] = 1
    png, inverse_png = masks.to_png(mask), masks.to_png(1 - mask)
    points = [(1.0, 2.0, 1), (0.0, 0.0, 0)]
    annotations = [
        records.Annotation((8.0, 10.0, 20.0, 30.0), 3, False, 240.0, png, [(12.0, 9.0, 2)], 0.75),
        records.Annotation((0.0, 0.0, 48.0, 64.0), 7, True, 99.5, inverse_png, None, 0.25, is_truncated=True),
        records.Annotation((1.0, 2.0, 3.0, 4.0), 3, False, 4.0, png, points, 1.0, is_difficult=True),
    ]
    return records.Record(
        source_id='11',
        encoded=making.encoded(making.picture()),
        image_format='png',
        height=making.HEIGHT,
        width=making.WIDTH,
        filename='böse name.png',
        annotations=annotations,
        pseudo=True,
        label_map_png=label_maps.encode(mask * 3),
        score_map_png=label_maps.encode(mask * 200),
        class_label=4,
    )


def assert_equal(found: records.Record, expected: records.Record) -> None:
    """Equal in everything, boxes within float32's rounding."""
    pairs = list(zip(found.annotations, expected.annotations, strict=True))
    for a, b in pairs:
        np.testing.assert_allclose(a.box, b.box, atol=1e-4)
    as_is = [dataclasses.replace(a, box=b.box) for a, b in pairs]
    assert dataclasses.replace(found, annotations=as_is) == expected


def test_everything_comes_back():
    assert_equal(records.from_example(records.to_example(full_record())), full_record())


def test_bare_record_comes_back():
    bare = records.Record('5', b'bytes', 'jpeg', 3, 4)
    assert records.from_example(records.to_example(bare)) == bare


def test_human_labels_without_masks_areas_scores_come_back():
    annotation = records.Annotation((1.0, 2.0, 3.0, 4.0), 1)
    record = records.Record('5', b'x', 'png', 100, 100, annotations=[annotation])
    assert_equal(records.from_example(records.to_example(record)), record)


def test_serialising_is_stable():
    once = records.to_example(full_record())
    assert records.to_example(full_record()) == once
    assert records.to_example(records.from_example(once)) == once
    # Also for boxes that float32 cannot hold, at every size.
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width = (int(v) for v in rng.integers(1, 2000, 2))
        y1, x1 = rng.uniform(0, 0.5, 2) * (height, width)
        box = (y1, x1, rng.uniform(y1, height), rng.uniform(x1, width))
        record = records.Record('1', b'x', 'png', height, width, annotations=[records.Annotation(box, 1)])
        once = records.to_example(record)
        assert records.to_example(records.from_example(once)) == once


def test_stored_features_are_model_gardens():
    """The numbers are derived by hand: box y 8..20 of 48 rows, x 10..30 of 64 columns."""
    features = tf.train.Example.FromString(records.to_example(full_record())).features.feature
    keys = ('ymin', 'xmin', 'ymax', 'xmax')
    sides = {key: features[f'image/object/bbox/{key}'].float_list.value[0] for key in keys}
    assert sides == pytest.approx({'ymin': 8 / 48, 'xmin': 10 / 64, 'ymax': 20 / 48, 'xmax': 30 / 64})
    assert features['image/pseudo'].int64_list.value == [1]
    assert list(features['image/object/score'].float_list.value) == [0.75, 0.25, 1.0]
    assert features['image/source_id'].bytes_list.value == [b'11']
    flags = {key: list(features[f'image/object/{key}'].int64_list.value) for key in ('difficult', 'truncated')}
    assert flags == {'difficult': [0, 0, 1], 'truncated': [0, 1, 0]}
    assert 'image/object/occluded' not in features  # nobody has it


def test_model_garden_decodes_the_same():
    record = full_record()
    decoder = tf_example_decoder.TfExampleDecoder(include_mask=True)
    found = decoder.decode(tf.constant(records.to_example(record)))
    size = np.array([making.HEIGHT, making.WIDTH] * 2)
    boxes = [a.box for a in record.annotations]
    np.testing.assert_allclose(found['groundtruth_boxes'] * size, boxes, atol=1e-4)
    np.testing.assert_array_equal(found['groundtruth_classes'], [3, 7, 3])
    np.testing.assert_array_equal(found['groundtruth_is_crowd'], [False, True, False])
    np.testing.assert_array_equal(found['groundtruth_area'], [240.0, 99.5, 4.0])
    mask = np.zeros((making.HEIGHT, making.WIDTH))
    mask[8:20, 10:30] = 1
    np.testing.assert_array_equal(found['groundtruth_instance_masks'], [mask, 1 - mask, mask])
    np.testing.assert_array_equal(found['image'], np.asarray(making.picture()))
    assert (int(found['height']), int(found['width'])) == (making.HEIGHT, making.WIDTH)
    assert int(utils.process_source_id(found['source_id'])) == 11


def test_model_gardens_segmentation_reads_the_label_map():
    record = full_record()
    decoded = segmentation_input.Decoder().decode(tf.constant(records.to_example(record)))
    parser = segmentation_input.Parser(
        [making.HEIGHT, making.WIDTH], resize_eval_groundtruth=False, groundtruth_padded_size=[50, 70]
    )
    _, labels = parser._parse_eval_data(decoded)
    expected = np.full((50, 70, 1), 255)
    expected[: making.HEIGHT, : making.WIDTH] = 0
    expected[8:20, 10:30] = 3
    np.testing.assert_array_equal(labels['masks'], expected)


def test_model_garden_decodes_an_image_without_objects():
    bare = records.Record('5', making.encoded(making.picture()), 'png', making.HEIGHT, making.WIDTH)
    decoder = tf_example_decoder.TfExampleDecoder(include_mask=True)
    found = decoder.decode(tf.constant(records.to_example(bare)))
    assert found['groundtruth_boxes'].shape == (0, 4)
    assert found['groundtruth_instance_masks'].shape == (0, making.HEIGHT, making.WIDTH)


@pytest.mark.parametrize(('attribute', 'value'), [('area', None), ('mask_png', None), ('score', None)])
def test_parallel_lists_with_holes_are_refused(attribute: str, value: object):
    record = full_record()
    setattr(record.annotations[1], attribute, value)
    with pytest.raises(ValueError, match=f'image 11 has {attribute} for some annotations only'):
        records.to_example(record)


@pytest.mark.parametrize('source_id', ['cat', '', '007', '-3', '1.5', str(2**63)])
def test_source_ids_that_model_garden_cannot_read_are_refused(source_id: str):
    with pytest.raises(ValueError, match='not a decimal number'):
        records.to_example(records.Record(source_id, b'x', 'png', 1, 1))


def test_numeric_ids():
    assert records.numeric_id(42) == records.numeric_id('42') == records.numeric_id('0042') == '42'
    # sha256('cat') starts with 77af778b51abd4a (60 bits).
    assert records.numeric_id('cat') == str(0x77AF778B51ABD4A)
    assert records.numeric_id('²') != '2'
    assert int(records.numeric_id(str(2**63))) < 2**60
