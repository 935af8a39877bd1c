"""Self-training of a two-stage detector: two losses of one forward pass, masks of both, nothing pseudo-labelled."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.configs import maskrcnn_students
from official_rethink.tasks import self_training
from tests.tasks import small_maskrcnn as tiny


@pytest.fixture(scope='module')
def built():
    """A student of two human and two pseudo examples a step, and its model."""
    tf.keras.utils.set_random_seed(3)
    params = tiny.params(experiment='self_training_maskrcnn_resnetfpn_gn_coco', human=2)
    assert isinstance(params, maskrcnn_students.SelfTrainingMaskRCNNTask)
    params.override({'pseudo_data': {'global_batch_size': 2, 'mask_crop_size': tiny.MASK}})
    task = self_training.SelfTrainingMaskRCNNTask(params)
    return task, task.build_model()


def _joined(human, pseudo):
    images = tf.concat([human[0], pseudo[0]], axis=0)
    names = human[1].keys() & pseudo[1].keys()
    wide = max(part[1]['boxes'].shape[1] for part in (human, pseudo))

    def filled(name, value):
        if value.shape.rank < 2 or name == 'image_info':
            return value
        padding = [[0, 0], [0, wide - value.shape[1]]] + [[0, 0]] * (value.shape.rank - 2)
        return tf.pad(value, padding, constant_values=0 if name == 'masks' else -1)

    return images, {
        name: tf.concat([filled(name, human[1][name]), filled(name, pseudo[1][name])], axis=0) for name in names
    }


def _losses(task, model, inputs):
    """Losses with fresh running means, so that calls do not depend on each other."""
    for variable in (model.loss_balance.human_mean, model.loss_balance.pseudo_mean, model.loss_balance.weight):
        variable.assign(0.0)
    with tf.GradientTape() as tape:
        named = task.named_losses(*inputs, model)
    return named, tape.gradient(named['model_loss'], model.trainable_variables)


def test_each_half_is_the_base_tasks_loss_and_both_teach_masks(built):
    """Group norm sees one image, so each half of the joint batch is what the base task says of it alone."""
    task, model = built
    human, pseudo = tiny.batch(2, seed=1, boxes_per_image=(2, 1)), tiny.batch(2, seed=2, boxes_per_image=(1, 3))
    named, gradients = _losses(task, model, _joined(human, pseudo))
    for origin, part in (('human', human), ('pseudo', pseudo)):
        alone = task.base.named_losses(*part, model)
        for name in task.base.loss_names:
            np.testing.assert_allclose(named[f'{origin}/{name}'], alone[name], rtol=2e-3, err_msg=f'{origin} {name}')
        assert named[f'{origin}/mask_loss'] > 0
    # The first step's means are its losses: L = (L_h + L_h / L_p * L_p) / 2 = L_h.
    np.testing.assert_allclose(named['model_loss'], named['human/model_loss'], rtol=1e-5)
    np.testing.assert_allclose(named['loss_ratio'], named['human/model_loss'] / named['pseudo/model_loss'], rtol=1e-4)
    assert named['instances'] == 7 and named['pseudo/boxes_per_image'] == 2.0
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.name


def test_a_pseudo_mask_changes_the_pseudo_loss_alone(built):
    task, model = built
    human, pseudo = tiny.batch(2, seed=1, boxes_per_image=(2, 1)), tiny.batch(2, seed=2, boxes_per_image=(2, 1))
    first, _ = _losses(task, model, _joined(human, pseudo))
    whole = {**pseudo[1], 'masks': tf.fill(pseudo[1]['masks'].shape, tf.constant(255, tf.uint8))}
    second, _ = _losses(task, model, _joined(human, (pseudo[0], whole)))
    assert first['pseudo/mask_loss'] != second['pseudo/mask_loss']
    for name in ('human/mask_loss', 'human/model_loss', 'pseudo/frcnn_cls_loss', 'pseudo/rpn_box_loss'):
        assert first[name] == second[name], name


def test_nothing_pseudo_labelled(built):
    """All background: nothing is NaN, and no pseudo box or mask is learnt."""
    task, model = built
    human = tiny.batch(2, seed=1, boxes_per_image=(2, 1))
    named, gradients = _losses(task, model, _joined(human, tiny.empty_batch(2)))
    assert named['pseudo/mask_loss'] == named['pseudo/frcnn_box_loss'] == named['pseudo/images_with_boxes'] == 0.0
    assert all(np.isfinite(value) for value in named.values())
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_its_metrics_and_what_describe_counts(built):
    task, model = built
    names = {metric.name for metric in task.build_metrics()}
    assert {'human/mask_loss', 'pseudo/mask_loss', 'loss_ratio', 'pseudo/mean_score', 'instances'} <= names
    assert task.build_metrics(training=False) == []
    outputs = task.counted(model)(tf.zeros([1, tiny.SIZE, tiny.SIZE, 3]))
    assert outputs['detection_masks'].shape == [1, 10, 14, 14]
