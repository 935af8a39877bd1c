"""Tests of instance masks: pasted where the box is, read back from shards, objects without one."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from official_rethink.common import errors
from official_rethink.data import masks, records, shards
from official_rethink.evaluation import images, instance_masks


def test_a_full_mask_fills_its_box():
    codes = instance_masks.paste(np.ones([1, 28, 28]), np.array([[10.0, 20.0, 30.0, 60.0]]), 50, 80)
    pasted = coco_mask.decode(codes[0])
    assert pasted.shape == (50, 80)
    # Half of the border's cells lie beyond the box.
    assert pasted[11:29, 21:59].all()
    assert not pasted[:9].any() and not pasted[32:].any() and not pasted[:, :19].any() and not pasted[:, 62:].any()


def test_half_a_mask_fills_half_a_box():
    mask = np.zeros([1, 28, 28])
    mask[:, :, :14] = 1.0
    pasted = coco_mask.decode(instance_masks.paste(mask, np.array([[0.0, 0.0, 40.0, 80.0]]), 40, 80)[0])
    assert pasted[2:38, 2:38].all() and not pasted[:, 43:].any()


def test_a_box_beyond_the_image_is_cut():
    pasted = coco_mask.decode(instance_masks.paste(np.ones([1, 7, 7]), np.array([[-5.0, -5.0, 3.0, 100.0]]), 4, 6)[0])
    assert pasted.shape == (4, 6) and pasted[:2].all()


def test_no_mask_and_one_pixel():
    assert instance_masks.paste(np.zeros([0, 7, 7]), np.zeros([0, 4]), 4, 6) == []
    code = instance_masks.paste(np.ones([1, 7, 7]), np.array([[0.0, 0.0, 1.0, 1.0]]), 1, 1)[0]
    assert coco_mask.area(code) == 1


def _write(folder, mask_png):
    annotation = records.Annotation(box=(1.0, 1.0, 3.0, 4.0), label=1, area=6.0, mask_png=mask_png)
    image = masks.to_png(np.zeros([5, 6], np.uint8))
    record = records.Record('7', image, 'png', 5, 6, annotations=[annotation])
    shards.write([record], str(folder), 'val', [{'id': 1, 'name': 'cup', 'source_id': 1}])
    return str(folder / 'val*')


def test_the_truth_out_of_its_shards(tmp_path):
    mask = np.zeros([5, 6], np.uint8)
    mask[1:3, 1:4] = 1
    truth = instance_masks.Truth(_write(tmp_path, masks.to_png(mask)))
    (code,) = truth.of(7)
    np.testing.assert_array_equal(coco_mask.decode(code), mask)


def test_an_object_without_a_mask_is_named(tmp_path):
    with pytest.raises(errors.UserError, match=r'image 7 .* object without a mask.*--include_masks'):
        instance_masks.Truth(_write(tmp_path, None))


@pytest.mark.parametrize('count', [0, 1, 255, 256, 700])
def test_areas_of_any_number_of_masks(count):
    """Mask i has i % 5 pixels; pycocotools alone stops at 256 of them under NumPy 2."""
    masks = []
    for number in range(count):
        pixels = np.zeros([3, 4], np.uint8, order='F')
        pixels.reshape(-1, order='F')[: number % 5] = 1
        masks.append(coco_mask.encode(pixels))
    assert images.mask_areas(masks).tolist() == [number % 5 for number in range(count)]
