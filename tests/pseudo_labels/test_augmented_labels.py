"""A detector labels as it is evaluated: at its size, and in several views where that is asked for."""

import argparse

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import fitting, pipeline
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import views
from official_rethink.pseudo_labels import kinds, teacher
from tests.pseudo_labels import making, test_teacher


def _kind(override=''):
    params = parse.load('maskrcnn_resnetfpn_gn_coco', (), override).params
    return params, kinds.of(params, 'e')


def _flags(**given):
    return argparse.Namespace(**dict.fromkeys(kinds.kind.SPECIAL_FLAGS) | given)


def test_images_are_read_at_the_evaluations_size():
    params, kind = _kind()
    args = _flags()
    kind.check(args)
    assert 'inference' not in kind.inputs(args)
    reading = kind.reading(args, (1, 1), (1,))
    assert reading.output_size == (1344, 1344)
    image = tf.constant(np.random.default_rng(0).integers(0, 256, [48, 64, 3], np.uint8))
    read, info = reading.prepare(image)
    expected, about = pipeline.fit(image, fitting.Fit((1344, 1344), fitting.Resizing(800, 1333)))
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(info, about)
    assert about[2, 0] * 48 == 800
    assert views.plain(params.task).resizing == fitting.Resizing(800, 1333)


def test_flags_ask_for_views():
    params, kind = _kind()
    args = _flags(scales='0.5,1,1.5', flip=True)
    kind.check(args)
    assert list(params.task.inference.scales) == [0.5, 1.0, 1.5]
    assert kind.inputs(args)['inference'] == params.task.inference.as_dict()
    reading = kind.reading(args, (1, 1), (1,))
    assert reading.output_size == (2000, 2000)
    read, info = reading.prepare(tf.ones([48, 64, 3], tf.uint8))
    assert read.shape == (2000, 2000, 3) and info[2].numpy().tolist() == [1.0, 1.0]

    class Task:
        def infer(self, *inputs):
            return inputs

    assert kind.predict(Task(), 'model')('images', 'info') == ('images', 'info', 'model')
    with pytest.raises(errors.UserError, match='asks for more than plain inference, but the teacher is a SavedModel'):
        kind.check_saved_model('export')
    _kind()[1].check_saved_model('export')
    with pytest.raises(errors.UserError, match='numbers with commas'):
        kind.check(_flags(scales='a'))


def test_a_saved_model_that_resizes_by_the_shorter_side_is_refused(tmp_path):
    class Module(test_teacher._Module):
        @tf.function
        def serve(self, images):
            info = tf.constant([[[96.0] * 2, [96.0] * 2, [0.5] * 2, [0.0] * 2]])
            return {**super().serve(images), 'image_info': info}

    path = test_teacher._save(tmp_path / 'model', Module(), batch=1)
    with pytest.raises(errors.UserError, match='resizes images by their shorter side .*label with the checkpoint'):
        teacher.SavedModel(path, making.SIZE, False, tf.distribute.get_strategy())
