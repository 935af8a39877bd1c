"""The self-training release's segmentation models, whole: EfficientNet-B7 and -L2 under NAS-FPN.

tensorflow/tpu's detection code builds the backbone with the EfficientNet release's own builder, so its names are
those of `efficientnet.Tf1`, ImageNet's classifier included, which segmentation neither used nor trained. NAS-FPN's
layers are named by cell and node, in the order of their making. The head's convolutions have a bias in front of
their batch norm, which takes it into its mean.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from official_rethink.configs import segmentation as experiments
from official_rethink.configs import segmentation_model as configs
from official_rethink.modeling import segmentation
from official_rethink.modeling.checkpoints import efficientnet, efficientnet_layout, layout

_OPTIMIZER_SLOTS = ('/Momentum', '/RMSProp', '/RMSProp_1')
_STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_SEPARABLE = ('depthwise_kernel', 'pointwise_kernel', 'bias')
_LEVELS = range(3, 6)  # of the backbone's, that NAS-FPN takes
_NODES = 7  # of a cell, behind its five inputs
_INPUTS = 5
_EXPERIMENT = 'seg_nasfpn_efficientnet_pascal'

Pair = tuple[tf.keras.layers.Layer, str]


def model_config(model: str) -> configs.SegmentationModel:
    """Returns the experiment's model config with the backbone of a published model."""
    config = experiments.seg_nasfpn_efficientnet_pascal().task.model
    config.backbone.efficientnet.model_id = model.removeprefix('efficientnet-')
    config.pyramid_resampling = 'corners'
    return config


def _number(layer: tf.keras.layers.Layer) -> int:
    end = layer.name.rsplit('_', 1)[-1]
    return int(end) if end.isdigit() else 0


def _decoder_pairs(decoder: tf.keras.Model) -> Iterator[Pair]:
    """Yields NAS-FPN's layers beside their names; Keras lists them by depth, and numbers them as they are made."""
    kinds = (tf.keras.layers.SeparableConv2D, tf.keras.layers.BatchNormalization)
    convolutions, norms = (
        sorted((layer for layer in decoder.layers if isinstance(layer, kind)), key=_number) for kind in kinds
    )
    names = [(f'resample_l{level}/separable_conv2d', f'resample_l{level}/bn') for level in _LEVELS]
    for place in range(len(convolutions) - len(names)):
        cell, node = divmod(place, _NODES)
        scope = f'fpn_cells/cell_{cell}/sub_policy{node}/op_after_combine{_INPUTS + node}'
        names.append((f'{scope}/conv', f'{scope}/bn'))
    for convolution, norm, (first, second) in zip(convolutions, norms, names, strict=True):
        yield convolution, first
        yield norm, second


def _without_bias(moving_mean: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The mean of a batch norm whose input no longer has a bias."""
    return moving_mean - bias


def _head_takes(head: tf.keras.layers.Layer) -> Iterator[tuple[tf.Variable, layout.Take]]:
    for place, (convolution, norm) in enumerate(zip(head._convs, head._norms, strict=True)):
        name = f'segmentation/conv-{place}'
        yield convolution.kernel, layout.Take(f'{name}/kernel')
        for part in _STATISTICS:
            take = layout.Take(f'{name}-bn/{part}')
            if part == 'moving_mean':
                take = layout.Take(take.source, _without_bias, (f'{name}/bias',))
            yield getattr(norm, part), take
    for part in ('kernel', 'bias'):
        yield getattr(head._classifier, part), layout.Take(f'segmentation/conv2d/{part}')


class Release(efficientnet.Tf1):
    """Backbone, decoder and head; what only training or ImageNet's classes needed is left out, with the reason."""

    format = 'self-training-release-segmentation'
    ids = ('b7', 'l2')

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds the experiment's network at the size of the published one."""
        return dict(segmentation.build(model_config(model)).checkpoint_items)

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """Names every variable's source."""
        found = super().takes(model, {efficientnet_layout.BACKBONE: modules[efficientnet_layout.BACKBONE]})
        place = {variable.ref(): path for path, variable in layout.paths(modules).items()}
        for layer, name in _decoder_pairs(modules['decoder']):
            for part in _STATISTICS if hasattr(layer, 'moving_mean') else _SEPARABLE:
                found[place[getattr(layer, part).ref()]] = layout.Take(f'{name}/{part}')
        return found | {place[variable.ref()]: take for variable, take in _head_takes(modules['head'])}

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """ImageNet's classifier, optimizer, step."""
        found = {}
        for name in names:
            if name == 'global_step':
                found[name] = "training's step"
            elif name.endswith(_OPTIMIZER_SLOTS):
                found[name] = "the optimizer's state"
            elif name.startswith(f'{model}/head/'):
                found[name] = 'the ImageNet classifier, which segmentation does not use'
        return found

    def stem(self, model: str, modules: object) -> layout.Stem | None:  # type: ignore[override]
        """The pipeline's own input scale: nothing to fold."""
        del model, modules
        return None

    def settings(self, model: str) -> dict[str, str | int | float | bool]:
        """What makes the experiment this model."""
        return {
            'experiment': _EXPERIMENT,
            **super().settings(model),
            'task.model.decoder_norm_activation.activation': 'relu',
            'task.model.decoder_norm_activation.norm_epsilon': 1e-3,
            'task.model.pyramid_resampling': 'corners',
        }
