"""Every two-stage family at reduced size: each weight learns, and the train command takes a true step."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import train
from official_rethink.data import scenes
from official_rethink.tasks import maskrcnn
from tests.tasks import small_maskrcnn as tiny
from tests.tasks.test_maskrcnn_command import _SMALL

VGG = {
    'min_level': 4,
    'max_level': 4,
    'anchor': {'anchor_size': 0.5},
    'backbone': {'type': 'vgg', 'vgg': {'model_id': 11, 'depth_multiplier': 0.125}},
    'decoder': {'type': 'identity'},
    'detection_head': {'num_convs': 0, 'fc_dims': 32},
    'include_mask': False,
}
RESNEXT = {'backbone': {'type': 'resnext', 'resnext': {'model_id': 50, 'cardinality': 4, 'base_width': 4}}}
EFFICIENTNET = {
    'backbone': {'type': 'efficientnet', 'efficientnet': {'model_id': 'b0', 'stochastic_depth_drop_rate': 0.0}}
}


@pytest.mark.parametrize(
    ('experiment', 'model'),
    [
        ('fasterrcnn_vgg_coco', VGG),
        pytest.param('maskrcnn_resnextfpn_gn_coco', RESNEXT, marks=pytest.mark.slow),
        pytest.param('maskrcnn_efficientnetfpn_coco', EFFICIENTNET, marks=pytest.mark.slow),
    ],
)
def test_every_weight_learns_from_scratch(experiment, model):
    """Nothing is frozen, at random or otherwise; `test_maskrcnn.py` has ResNet, with and without a cascade."""
    tf.keras.utils.set_random_seed(3)
    task = maskrcnn.MaskRCNNTask(tiny.params(experiment, model=model))
    built = task.build_model()
    images, labels = tiny.batch(boxes_per_image=(3, 2))

    with tf.GradientTape() as tape:
        loss = task.named_losses(images, labels, built)['model_loss']
    gradients = tape.gradient(loss, built.trainable_variables)
    for variable, gradient in zip(built.trainable_variables, gradients, strict=True):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name
    running = [name for name in (variable.name for variable in built.non_trainable_variables) if 'moving_' not in name]
    assert not running
    assert ('decoder' in built.checkpoint_items) == (experiment != 'fasterrcnn_vgg_coco')


def test_without_normalisation_signals_keep_their_size():
    """Fully connected layers start from a variance of 2 over their inputs (He et al., 2015)."""
    tf.keras.utils.set_random_seed(3)
    model = {**VGG, 'detection_head': {'num_convs': 0, 'fc_dims': 256}}
    built = maskrcnn.MaskRCNNTask(tiny.params('fasterrcnn_vgg_coco', model=model)).build_model()
    for layer in built.detection_head[0]._fcs:
        kernel = layer.kernel.numpy()
        np.testing.assert_allclose(kernel.var() * kernel.shape[0], 2.0, rtol=0.05)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Scenes with masks."""
    folder = tmp_path_factory.mktemp('families')
    settings = scenes.Settings(height=64, width=64, num_classes=3)
    for seed, split in enumerate(('train', 'val')):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, 4)
    return folder


def _override(changes):
    """The small network's values, with some that another family has in the place of its own."""
    changed = tuple(f'task.model.{key}' for key in changes)
    kept = [
        item
        for item in re.split(',(?=task|trainer)', _SMALL)
        if not item.startswith(('task.model.backbone.', 'task.model.decoder.', *changed))
    ]
    return ','.join([*kept, *(f'task.model.{key}={value}' for key, value in changes.items())])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('experiment', 'changes'),
    [
        (
            'fasterrcnn_vgg_coco',
            {'backbone.vgg.depth_multiplier': 0.125, 'max_level': 4, 'detection_head.num_convs': 0},
        ),
        ('maskrcnn_resnextfpn_gn_coco', {'backbone.resnext.model_id': 50, 'backbone.resnext.base_width': 1}),
        ('maskrcnn_efficientnetfpn_coco', {'backbone.efficientnet.model_id': 'lite0'}),
    ],
)
def test_the_command_takes_a_true_step(place, monkeypatch, experiment, changes):
    monkeypatch.chdir(place)
    arguments = [f'--experiment={experiment}', '--mode=train', f'--model_dir={experiment}']
    assert train.main([*arguments, f'--params_override={_override(changes)}']) == 0
    lines = [json.loads(line) for line in (place / experiment / 'metrics.jsonl').read_text().splitlines()]
    assert lines[-1]['step'] == 2 and np.isfinite(lines[-1]['metrics']['training_loss'])
