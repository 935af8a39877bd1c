"""Prints how equal imported EfficientNets are to the release's network, a row a model.

    python -m tests.modeling.checkpoints.efficientnet_table b0 b1 lite0

Each row writes a TF1 checkpoint of random values under the release's names, imports it, and compares what comes
out for a photograph with a plain recomputation. L2 needs 8 GB of memory and 2 GB of disk.
"""

import sys
import tempfile

import numpy as np
import skimage
import tensorflow as tf
from official.vision.ops import preprocess_ops

from official_rethink import registry_imports  # noqa: F401
from official_rethink.modeling.checkpoints import importing
from tests.modeling.backbones import tf1_efficientnet
from tests.modeling.checkpoints import writers


def released_input(model, images):
    """An image on the release's own scale."""
    if model.startswith('lite'):
        return (images - 127.0) / 128.0
    return (images - 255.0 * np.float64([0.485, 0.456, 0.406])) / (255.0 * np.float64([0.229, 0.224, 0.225]))


def outputs(modules, images):
    """All levels, and the logits if there is a head."""
    found = dict(modules['backbone'](preprocess_ops.normalize_image(tf.constant(images)), training=False))
    return {**found, 'logits': modules['head'](found['5'], training=False)} if 'head' in modules else found


def photograph():
    """A cat's face, with odd sides, so that padding lies on all four."""
    return skimage.data.chelsea()[60:125, 100:197][np.newaxis]


def greatest_difference(found, wanted):
    """Over all outputs, relative to the greatest value of each."""
    assert set(found) == set(wanted)
    return max(float(np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max()) for name in wanted)


def row(model):
    """Imports one model and compares."""
    kind = 'efficientnet-lite-tf1' if model.startswith('lite') else 'efficientnet-tf1'
    values = tf1_efficientnet.random_values(model, gain=0.75 if model == 'l2' else 1.5)
    with tempfile.TemporaryDirectory() as folder:
        writers.write_tf1(folder + '/model.ckpt', values)
        wanted = tf1_efficientnet.forward(values, model, released_input(model, photograph()))
        del values
        imported = importing.read(kind, folder + '/model.ckpt')
    report, difference = imported.report, greatest_difference(outputs(imported.modules, photograph()), wanted)
    trainable = sum(int(np.prod(v.shape)) for module in imported.modules.values() for v in module.trainable_variables)
    counts = f'{report["matched"]} / {report["missing"]} / {report["extra"]}'
    return f'| `{kind}` | {model} | {trainable:,} | {counts} | {difference:.1e} |'


if __name__ == '__main__':
    for name in sys.argv[1:]:
        print(row(name), flush=True)
        tf.keras.backend.clear_session()
