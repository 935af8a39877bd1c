"""A small format of the tests' own, sound files of it, and what a refusal has to look like."""

import io
import os
import tarfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling.checkpoints import importing, layout
from tests.modeling.checkpoints import writers

KERNEL, MEAN = 'net/conv/kernel', 'net/norm/mean'


class Tiny(layout.Layout):
    """A convolution and a batch norm, under the same names whatever the kind of file."""

    format = 'tiny'

    def models(self):
        return ('tiny-a', 'tiny-b')

    def recognise(self, shapes):
        if KERNEL not in shapes:
            raise errors.UserError(f"this is no tiny: it has no '{KERNEL}'.")
        return 'tiny-a'

    def build(self, model):
        convolution = tf.keras.layers.Conv2D(4, 3, use_bias=False)
        norm = tf.keras.layers.BatchNormalization(center=False, scale=False)
        return {'backbone': tf.keras.Sequential([tf.keras.Input([8, 8, 3]), convolution, norm])}

    def takes(self, model, modules):
        root = 'backbone/layer_with_weights-'
        return {
            f'{root}0/kernel': layout.Take(KERNEL),
            f'{root}1/moving_mean': layout.Take(MEAN),
            f'{root}1/moving_variance': layout.Take('net/norm/variance'),
        }

    def left_out(self, model, names):
        return {name: "training's step" for name in names if name == 'global_step'}


def good():
    return {
        KERNEL: np.arange(108, dtype=np.float32).reshape(3, 3, 3, 4),
        MEAN: np.array([1, 2, 3, 4], np.float32),
        'net/norm/variance': np.ones([4], np.float32),
    }


def refused(source, output, match, **options):
    """Imports, expects the error, and that nothing was left in the output's folder."""
    with pytest.raises(errors.UserError, match=match) as caught:
        importing.import_checkpoint('tiny', str(source), str(output), **options)
    assert not output.parent.exists()
    assert 'Traceback' not in str(caught.value)


def taken(source, output, **options):
    """Imports, and expects the good values."""
    importing.import_checkpoint('tiny', str(source), str(output), **options)
    reader = tf.train.load_checkpoint(str(output))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if 'VARIABLE_VALUE' in name}
    assert len(values) == 3
    kernel = next(value for name, value in values.items() if name.endswith('kernel/.ATTRIBUTES/VARIABLE_VALUE'))
    np.testing.assert_array_equal(kernel, good()[KERNEL])
    assert not [name for name in os.listdir(output.parent) if name.startswith('.')]


def write_hdf5(path, tensors):
    with h5py.File(path, 'w') as handle:
        for name, value in tensors.items():
            handle[name] = value


def packed(path, members):
    with tarfile.open(path, 'w:gz') as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def sound_bytes():
    """A sound PyTorch file."""
    tensors = good()
    storages = {str(place): array for place, array in enumerate(tensors.values())}
    return writers.legacy_bytes(writers.content_of(tensors), storages)
