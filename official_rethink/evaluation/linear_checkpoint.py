"""Linear evaluation of a checkpoint's backbone beside the same network with random weights."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from official.modeling import hyperparams
from official.vision.configs import backbones, common

from official_rethink.common import errors
from official_rethink.configs import checks, layers
from official_rethink.evaluation import features, linear
from official_rethink.modeling import contrastive, restore

PARAMS = 'params.yaml'
_NEEDED = ('input_size', 'backbone', 'norm_activation')


@dataclasses.dataclass
class Network(hyperparams.Config):
    """The part of a config that a backbone is built from, of any task family.

    Attributes:
        input_size: height, width and channels.
        backbone: Model Garden's.
        norm_activation: of its layers.
    """

    input_size: list[int] = dataclasses.field(default_factory=list)
    backbone: backbones.Backbone = dataclasses.field(default_factory=backbones.Backbone)
    norm_activation: common.NormActivation = dataclasses.field(default_factory=common.NormActivation)


def find_model(checkpoint: str, config_files: Sequence[str] = ()) -> Network:
    """Reads which network a checkpoint's backbone is.

    Args:
        checkpoint: a folder with checkpoints, or a prefix.
        config_files: YAML files with task.model; the later ones win. Without any, the params.yaml in the
            checkpoint's folder or in the one above.

    Raises:
        UserError: nothing says it, or what says it is not whole.
    """
    folder = checkpoint if tf.io.gfile.isdir(checkpoint) else os.path.dirname(checkpoint)
    beside = [os.path.join(folder, PARAMS), os.path.join(os.path.dirname(folder.rstrip('/')), PARAMS)]
    files = list(config_files) or [path for path in beside if tf.io.gfile.exists(path)][:1]
    if not files:
        raise errors.UserError(
            f"nothing says which network '{checkpoint}' holds: there is no {PARAMS} in '{folder or '.'}' or above it; "
            'give a YAML with task.model.input_size, task.model.backbone and task.model.norm_activation as '
            '--config_file.'
        )
    values: dict[str, Any] = {}
    for path in files:
        given = _model_of(path)
        values |= {name: given[name] for name in _NEEDED if name in given}
    place = ', '.join(files)
    for name in ('input_size', 'backbone'):
        if name not in values:
            raise errors.UserError(f"task.model.{name} is not set in '{place}', so the network is not known.")
    network = Network()
    try:
        network.override(values)
    except (KeyError, ValueError, TypeError) as error:
        raise errors.UserError(f"task.model of '{place}' is no network that can be built: {error}") from error
    checks.check_types(network, checks.Where(dict.fromkeys(_NEEDED, place)))
    if len(network.input_size) != 3 or network.input_size[2] != 3 or min(network.input_size) < 1:
        raise errors.bad_value('task.model.input_size', network.input_size, '[height, width, 3]', place)
    kinds = [name for name in checks.fields(network.backbone) if name != 'type']
    if network.backbone.type not in kinds:
        raise errors.unknown_name('task.model.backbone.type', network.backbone.type, kinds, place)
    return network


def _model_of(path: str) -> dict[str, Any]:
    values = layers.read_file(path).values
    model = (values.get('task') or {}).get('model') if isinstance(values.get('task'), dict) else None
    if not isinstance(model, dict):
        raise errors.UserError(f"'{path}' has no task.model, so it does not say which network it is for.")
    return model


def evaluate(network: Network, checkpoint: str, train: str, validation: str, seed: int = 0) -> dict[str, Any]:
    """Measures a backbone and its random start.

    Args:
        network: which one it is.
        checkpoint: a folder or prefix whose module 'backbone' is restored.
        train: shard pattern to fit on.
        validation: shard pattern to measure on.
        seed: of the random weights.

    Returns:
        What was measured on what: accuracies of 'checkpoint' and 'random_weights' with their standard errors
        (those of a share of as many images), the share of the most frequent class, and the sizes.

    Raises:
        UserError: the checkpoint does not fit, or the images have no classes.
    """
    tf.keras.utils.set_random_seed(seed)
    backbone = contrastive.build_backbone(network.backbone, network.norm_activation, list(network.input_size))
    prefix = restore.find_checkpoint(checkpoint)
    size = (network.input_size[0], network.input_size[1])
    features_of = features.extractor(backbone)
    rows, count = {}, 0
    for name in ('random_weights', 'checkpoint'):
        if name == 'checkpoint':
            restore.restore({'backbone': backbone}, prefix, ['backbone'])
        ours, theirs = (features.extract(features_of, path, size) for path in (train, validation))
        count = len(theirs.labels)
        found = linear.evaluate(ours.values, ours.labels, theirs.values, theirs.labels)
        rows[name] = {
            **dataclasses.asdict(found),
            'standard_error': math.sqrt(found.top1 * (1 - found.top1) / count),
        }
    _, frequent = np.unique(theirs.labels, return_counts=True)
    return {
        'format_version': 1,
        'path': checkpoint,
        'file': os.path.basename(prefix),
        'train': train,
        'validation': validation,
        'train_images': len(ours.labels),
        'validation_images': count,
        'num_classes': len(np.unique(ours.labels)),
        'num_features': int(ours.values.shape[1]),
        'seed': seed,
        **rows,
        'most_frequent_class': float(frequent.max() / count),
    }
