"""Two-stage experiments resolve to their papers' values, and wrong networks without a pyramid are named."""

import numpy as np
import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import anchor_targets

TWO_STAGE = (
    'maskrcnn_resnetfpn_gn_coco',
    'maskrcnn_resnetfpn_syncbn_coco',
    'maskrcnn_resnextfpn_gn_coco',
    'cascadercnn_resnetfpn_gn_coco',
    'maskrcnn_efficientnetfpn_coco',
    'fasterrcnn_vgg_coco',
)


@pytest.mark.parametrize('experiment', TWO_STAGE)
def test_what_all_have_in_common(experiment):
    """Section 2 of the fact sheet: 16 images, 0.02, momentum, decay 1e-4, a third of the rate over 500 steps."""
    params = parse.load(experiment).params
    trainer = params.trainer
    assert params.task.train_data.global_batch_size == 16
    assert trainer.optimizer_config.learning_rate.stepwise.values == pytest.approx([0.02, 0.002, 0.0002])
    assert trainer.optimizer_config.optimizer.sgd.momentum == 0.9
    assert params.task.losses.l2_weight_decay == 1e-4
    warmup = trainer.optimizer_config.warmup.linear
    assert (warmup.warmup_steps, warmup.warmup_learning_rate) == (500, pytest.approx(0.02 / 3))
    drops = trainer.optimizer_config.learning_rate.stepwise.boundaries
    assert drops == [trainer.train_steps - 60_000, trainer.train_steps - 20_000]
    assert trainer.train_steps == (990_000 if 'vgg' in experiment else 180_000)


def test_anchors_of_one_level_span_octaves():
    """Detectron's square anchors of one level have sides of 64 to 512 pixels, around the middle of each stride."""
    model = parse.load('fasterrcnn_vgg_coco').params.task.model
    anchors = anchor_targets.multilevel_anchors(model)
    assert list(anchors) == ['4'] and anchors['4'].shape == [1344 // 16, 1344 // 16, 4 * 4 * 3]
    first = np.reshape(anchors['4'][0, 0], [12, 4])
    sides = first[:, 2:] - first[:, :2]
    square = sides[np.isclose(sides[:, 0], sides[:, 1])]
    np.testing.assert_allclose(sorted(square[:, 0]), [64, 128, 256, 512])
    np.testing.assert_allclose(first[:, :2] + first[:, 2:], 16.0)  # the middle is (8, 8)


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('max_level=5', 'min_level and max_level are one level'),
        ('min_level=5,task.model.max_level=5', 'a level of the backbone, 0 to 4'),
        ('anchor.octaves=0.0', 'anchor.octaves'),
        ('anchor.aspect_ratios=[]', 'at least one number'),
        ('decoder.type=aspp', 'Allowed: fpn, identity, nasfpn'),
    ],
)
def test_bad_networks_without_a_pyramid_are_named(override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load('fasterrcnn_vgg_coco', (), f'task.model.{override}')
