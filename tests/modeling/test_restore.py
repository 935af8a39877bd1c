"""Guarded restore: what matches is set, what does not is an error before anything is set."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling import restore


def _dense(units=3, seed=0):
    tf.keras.utils.set_random_seed(seed)
    model = tf.keras.Sequential([tf.keras.layers.Dense(units), tf.keras.layers.BatchNormalization()])
    model.build([None, 4])
    return model


def _items(seed, units=3):
    return {'backbone': _dense(units, seed), 'head': _dense(2, seed + 50)}


def _save(items, path, **more):
    return tf.train.Checkpoint(**items, **more).write(str(path / 'ckpt-1'))


def _values(items):
    return [variable.numpy() for module in items.values() for variable in module.variables]


@pytest.mark.parametrize('modules', ['all', ['all'], ['backbone', 'head']])
def test_all_modules(tmp_path, modules):
    saved, live = _items(1), _items(2)
    reports = restore.restore(live, _save(saved, tmp_path, step=tf.Variable(7)), modules)
    for ours, theirs in zip(_values(live), _values(saved), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {name: (len(r.matched), r.missing, r.extra) for name, r in reports.items()} == {
        'backbone': (6, [], []),
        'head': (6, [], []),
    }


@pytest.mark.parametrize('modules', ['backbone', ['backbone']])
def test_one_module_leaves_the_other(tmp_path, modules):
    saved, live = _items(1), _items(2)
    head = [variable.numpy() for variable in live['head'].variables]
    restore.restore(live, _save(saved, tmp_path), modules)
    np.testing.assert_array_equal(live['backbone'].variables[0], saved['backbone'].variables[0])
    for before, variable in zip(head, live['head'].variables, strict=True):
        np.testing.assert_array_equal(before, variable)


def test_extra_is_named(tmp_path):
    saved, live = _items(1), _items(2)
    saved['backbone'].scale = tf.Variable(1.0)
    report = restore.restore(live, _save(saved, tmp_path))['backbone']
    assert report.extra == ['backbone/scale']


def _broken_missing(tmp_path):
    saved = _items(1)
    saved['backbone'] = tf.keras.Sequential([tf.keras.layers.Dense(3)])
    saved['backbone'].build([None, 4])
    return _save(saved, tmp_path), 'all', 'not in it: backbone/layer_with_weights-1'


def _broken_shape(tmp_path):
    return _save(_items(1, units=5), tmp_path), 'all', 'checkpoint [4, 5], model [4, 3]'


def _broken_module(tmp_path):
    return _save({'backbone': _dense()}, tmp_path), 'all', "no module 'head' (it has: backbone"


def _typo(tmp_path):
    return _save(_items(1), tmp_path), ['backbnoe'], "Did you mean 'backbone'?"


def _empty(tmp_path):
    return _save(_items(1), tmp_path), [], 'nothing would be restored'


def _no_file(tmp_path):
    return str(tmp_path / 'nowhere'), 'all', 'no checkpoint at'


def _empty_folder(tmp_path):
    return str(tmp_path), 'all', 'no checkpoint in the folder'


def _truncated(tmp_path):
    path = _save(_items(1), tmp_path)
    with open(path + '.index', 'r+b') as handle:
        handle.truncate(30)
    return path, 'all', 'not a readable checkpoint'


def _tf1(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable('kernel', [2])
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver().save(session, str(tmp_path / 'model')), 'all', 'TF1 checkpoint'


@pytest.mark.parametrize(
    'make',
    [_broken_missing, _broken_shape, _broken_module, _typo, _empty, _no_file, _empty_folder, _truncated, _tf1],
)
def test_refused_and_nothing_set(tmp_path, make):
    path, modules, expected = make(tmp_path)
    live = _items(2)
    before = _values(live)
    with pytest.raises(errors.UserError) as error:
        restore.restore(live, path, modules)
    assert expected in str(error.value)
    for old, new in zip(before, _values(live), strict=True):
        np.testing.assert_array_equal(old, new)


def test_hash_of_values_is_blind_to_how_often_they_were_saved(tmp_path):
    items = _items(1)
    one = tf.train.Checkpoint(**items)
    first = one.save(str(tmp_path / 'a' / 'ckpt'))
    often = tf.train.Checkpoint(**dict(reversed(items.items())))  # another order of the object graph, too
    often.save(str(tmp_path / 'b' / 'ckpt'))
    often.optimizer = tf.train.Checkpoint(momentum=tf.Variable(0.9))
    second = often.save(str(tmp_path / 'b' / 'ckpt'))
    assert restore.values_hash(first) == restore.values_hash(second)
    kernel = items['head'].variables[0]
    kernel.assign_add(tf.one_hot([0, 0, 0, 0], 2)[: kernel.shape[0]] * 1e-7)
    assert restore.values_hash(one.save(str(tmp_path / 'a' / 'ckpt'))) != restore.values_hash(second)
