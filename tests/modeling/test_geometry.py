"""Boxes keep their places where a network computes in bfloat16."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.modeling import geometry
from tests.tasks import small_maskrcnn


@pytest.fixture
def bfloat16():
    tf.keras.mixed_precision.set_global_policy('mixed_bfloat16')
    yield
    tf.keras.mixed_precision.set_global_policy('float32')


class _Inner(tf.keras.layers.Layer):
    def call(self, boxes):
        return boxes + 1.0


class _Layer(tf.keras.layers.Layer):
    """As Model Garden's region generator, anchors take the type of the scores."""

    def __init__(self):
        super().__init__()
        self._inner = _Inner()

    def get_config(self):
        return {'apply_nms': True}

    def call(self, boxes, scores, anchors, training=None):
        assert training
        scores = scores['3']
        return self._inner(boxes['3']), tf.cast(anchors['3'], scores.dtype), scores


def test_a_wrapped_layer_sees_every_pixel(bfloat16):
    """1301 has no place in bfloat16: there it is 1304."""
    boxes = {'3': tf.constant([1301.0])}
    arguments = (boxes, {'3': tf.constant([0.5], tf.bfloat16)}, boxes)
    plain = _Layer()(*arguments, training=True)
    assert [float(value) for value in plain[:2]] == [1304.0, 1304.0]
    wrapped = geometry.InFloat32(_Layer())
    found = wrapped(*arguments, training=True)
    assert [(float(value), value.dtype) for value in found] == [
        (1302.0, tf.float32), (1301.0, tf.float32), (0.5, tf.float32)
    ]  # fmt: skip
    assert wrapped.get_config() == {'apply_nms': True}


def test_a_two_stage_detector_learns_in_bfloat16(bfloat16):
    """Regions and their targets are float32, the network's answers bfloat16; losses are finite."""
    tf.keras.utils.set_random_seed(3)
    task = small_maskrcnn.task()
    model = task.build_model()
    images, labels = small_maskrcnn.batch()

    @tf.function
    def step():
        outputs = task.forward(images, model, labels)
        return outputs, task.losses_of(outputs, labels)

    outputs, named = step()
    assert outputs['class_outputs'].dtype == outputs['rpn_boxes']['3'].dtype == tf.bfloat16
    assert outputs['box_targets'].dtype == outputs['mask_targets'].dtype == tf.float32
    assert all(np.isfinite(value) for value in named.values())
    # A box among its own regions has nothing to correct: its target is 0 to float32's last digits, or it is not met.
    targets = np.abs(outputs['box_targets'].numpy()).max(axis=-1)
    assert (targets[outputs['class_targets'].numpy() > 0] < 1e-5).any()
