"""A dilated EfficientNet computes the strided one's features, and those between them."""

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory
from official.vision.modeling.backbones import factory

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import efficientnet as table
from official_rethink.configs import segmentation_model
from official_rethink.modeling.backbones import efficientnet
from official_rethink.modeling.checkpoints import layout

SIZE = 64
IMAGES = np.random.default_rng(0).normal(size=[1, SIZE, SIZE, 3]).astype(np.float32)


@pytest.fixture(scope='module')
def strided():
    """B0 with statistics that are not a new batch norm's.

    Squeeze-and-excitation takes means over all places, of which a dilated network has more, so it is left out.
    """
    tf.keras.utils.set_random_seed(0)
    model = efficientnet.EfficientNet('b0', se_ratio=0.0)
    random = np.random.default_rng(1)
    for variable in model.variables:
        if 'moving_variance' in variable.name or 'gamma' in variable.name:
            variable.assign(random.uniform(0.6, 1.4, variable.shape))
        elif 'moving_mean' in variable.name or 'beta' in variable.name:
            variable.assign(random.normal(0, 0.2, variable.shape))
    return model


def dilated_like(strided, output_stride):
    model = efficientnet.EfficientNet('b0', se_ratio=0.0, output_stride=output_stride)
    places = layout.paths({'backbone': strided})
    for path, variable in layout.paths({'backbone': model}).items():
        variable.assign(places.pop(path))
    assert not places, 'a checkpoint of one fits the other'
    return model


@pytest.mark.parametrize(('output_stride', 'levels'), [(16, '234'), (8, '23')])
def test_its_grid_holds_the_strided_features(strided, output_stride, levels):
    """'same' padding puts the odd row behind, so a stride of 2 keeps places 1, 3, 5, ...; two of them 3, 7, 11, ..."""
    model = dilated_like(strided, output_stride)
    wanted, found = strided(IMAGES, training=False), model(IMAGES, training=False)
    assert list(found) == list(levels) == list(model.output_specs)
    for level in levels[:-1]:
        np.testing.assert_allclose(found[level], wanted[level], rtol=1e-5, atol=1e-6)
    last = found[levels[-1]].numpy()
    assert last.shape == (1, SIZE // output_stride, SIZE // output_stride, 320)
    times = 32 // output_stride
    kept = last[:, times - 1 :: times, times - 1 :: times]
    assert np.std(wanted['5']) > 0.01
    np.testing.assert_allclose(kept, wanted['5'], rtol=1e-3, atol=1e-4)
    assert not np.allclose(last[:, ::times, ::times], wanted['5'], atol=1e-2)


@pytest.mark.parametrize('model_id', table.SCALES)
def test_no_block_gets_a_shortcut_for_losing_its_stride(model_id):
    for output_stride in (8, 16, 32):
        pairs = list(efficientnet._dilated(model_id, output_stride))
        assert [block.has_skip for block, _ in pairs] == [block.has_skip for block in table.blocks(model_id)]
        stride = table.STEM_STRIDE * np.prod([block.stride for block, _ in pairs])
        assert stride == output_stride
        assert all(block.stride == 1 or dilation == 1 for block, dilation in pairs)


def test_the_block_that_loses_a_stride_is_not_dilated_by_it():
    """B0's blocks 5 (to stride 16) and 11 (to 32) have the strides."""
    dilations = [dilation for _, dilation in efficientnet._dilated('b0', 8)]
    assert dilations == [1] * 6 + [2] * 6 + [4] * 4
    assert [dilation for _, dilation in efficientnet._dilated('b0', 16)] == [1] * 12 + [2] * 4


def test_a_config_builds_it():
    model = exp_factory.get_exp_config('seg_deeplabv3plus_efficientnet_pascal').task.model
    model.backbone.dilated_efficientnet.override({'model_id': 'lite0', 'output_stride': 8})
    assert isinstance(model.backbone, segmentation_model.Backbone)
    built = factory.build_backbone(
        tf.keras.layers.InputSpec(shape=[None, None, None, 3]), model.backbone, model.norm_activation
    )
    assert built.get_config()['output_stride'] == 8 and list(built.output_specs) == ['2', '3']
    assert built(tf.zeros([1, 40, 48, 3]))['3'].shape == (1, 5, 6, 320)
