"""The self-training release's RetinaNets on SpineNet, whole: tensorflow/tpu, models/official/detection.

Its layers are numbered within the scope they are made in, in the order of the forward pass. Its anchors run
through the aspect ratios 1, 2, 0.5, and ours through 0.5, 1, 2: the head's last channels are put in our order.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from official.vision.configs import retinanet
from official.vision.modeling import factory
from official.vision.modeling.layers import nn_blocks

from official_rethink.common import errors
from official_rethink.configs import detection
from official_rethink.modeling.backbones import padding
from official_rethink.modeling.backbones import spinenet as backbones
from official_rethink.modeling.checkpoints import layout

_RELEASE_RATIOS = (1.0, 2.0, 0.5)
_STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_ROOT = 'spinenet'
_LEVELS = range(3, 8)
_PERMUTED = _ROOT + '/sub_policy0/scale_permuted_block_2/conv2d'
_PREDICT = 'retinanet/class_net/class-predict/kernel'


@dataclasses.dataclass(frozen=True)
class _Size:
    """Attributes: of the backbone, and of the head."""

    model_id: str
    head_convs: int
    head_filters: int
    stochastic_depth: float


_SIZES = {
    'retinanet-spinenet-143': _Size('143-release', 4, 256, 0.16),
    'retinanet-spinenet-190': _Size('190-release', 7, 512, 0.2),
}
# A bottleneck is three convolutions, repeated; the first scale-permuted block needs no projection.
_REPEATS = {9: 'retinanet-spinenet-143', 12: 'retinanet-spinenet-190'}


def model_config(model: str) -> retinanet.RetinaNet:
    """Returns the experiment's model config with the size of a published model."""
    config = detection.retinanet_spinenet_coco().task.model
    size = _SIZES[model]
    config.backbone.spinenet.model_id = size.model_id
    config.backbone.spinenet.stochastic_depth_drop_rate = size.stochastic_depth
    config.head.num_convs, config.head.num_filters = size.head_convs, size.head_filters
    return config


class _Names:
    """Gives the release's names of layers in the order in which it makes them."""

    def __init__(self) -> None:
        self._made: collections.Counter[str] = collections.Counter()

    def next(self, scope: str) -> tuple[str, str]:
        """Returns the names of the next convolution and batch norm in a scope."""
        number = self._made[scope]
        self._made[scope] += 1
        end = f'_{number}' if number else ''
        return f'{scope}/conv2d{end}', f'{scope}/batch_normalization{end}'


Pair = tuple[tf.keras.layers.Layer, str]


class _Backbone:
    """Walks our SpineNet in the order of its making; Keras lists layers in another one, by depth."""

    def __init__(self, backbone: tf.keras.Model):
        self._layers: dict[type, list[tf.keras.layers.Layer]] = collections.defaultdict(list)
        kinds = (
            *(nn_blocks.BottleneckBlock, nn_blocks.ResidualBlock),
            *(padding.SymmetricConv2D, tf.keras.layers.Conv2D, tf.keras.layers.BatchNormalization),
        )
        for layer in sorted(backbone.layers, key=lambda item: _number(item.name)):
            for kind in kinds:
                if isinstance(layer, kind):
                    self._layers[kind].append(layer)
                    break
        self._names = _Names()

    def _take(self, kind: type) -> tf.keras.layers.Layer:
        return self._layers[kind].pop(0)

    def _conv_norm(self, scope: str, kind: type = tf.keras.layers.Conv2D) -> Iterator[Pair]:
        convolution, norm = self._names.next(scope)
        yield self._take(kind), convolution
        yield self._take(tf.keras.layers.BatchNormalization), norm

    def _group(self, scope: str, kind: type, repeats: int) -> Iterator[Pair]:
        for _ in range(repeats):
            block = self._take(kind)
            parts = (0, 1, 2, 3) if kind is nn_blocks.BottleneckBlock else (0, 1, 2)
            for part in parts:
                convolution = getattr(block, f'_conv{part}' if part else '_shortcut', None)
                if convolution is None:
                    continue
                names = self._names.next(scope)
                yield convolution, names[0]
                yield getattr(block, f'_norm{part}'), names[1]

    def pairs(self, repeats: int) -> Iterator[Pair]:
        """Yields every layer with weights beside its name in the release."""
        yield from self._conv_norm(_ROOT, padding.SymmetricConv2D)
        for _ in range(2):
            yield from self._group(_ROOT, nn_blocks.BottleneckBlock, repeats)
        levels = [2, 2]
        kinds = {'bottleneck': nn_blocks.BottleneckBlock, 'residual': nn_blocks.ResidualBlock}
        for index, (level, kind, inputs, _) in enumerate(backbones.BLOCKS):
            scope = f'{_ROOT}/sub_policy{index}'
            for place, source in enumerate(inputs):
                connection = f'{scope}/resample_with_alpha_resample_{index}_{place}'
                yield from self._conv_norm(connection)
                if levels[source] < level:
                    yield from self._conv_norm(connection, padding.SymmetricConv2D)
                yield from self._conv_norm(connection)
            yield from self._group(f'{scope}/scale_permuted_block_{len(levels)}', kinds[kind], repeats)
            levels.append(level)
        for _ in _LEVELS:
            yield from self._conv_norm(_ROOT)
        assert not any(self._layers.values()), 'a layer of the backbone has no name in the release'


def _number(name: str) -> int:
    end = name.rsplit('_', 1)[-1]
    return int(end) if end.isdigit() else 0


def _head_pairs(head: tf.keras.layers.Layer, convolutions: int) -> Iterator[Pair]:
    """Yields the head's layers beside their names; a level has batch norms of its own."""
    nets = (('class', head._cls_convs, head._cls_norms), ('box', head._box_convs, head._box_norms))
    for net, convs, norms in nets:
        for index in range(convolutions):
            yield convs[index], f'retinanet/{net}_net/{net}-{index}'
            for place, level in enumerate(_LEVELS):
                yield norms[place][index], f'retinanet/{net}_net/{net}-{index}-{level}'
    yield head._classifier, 'retinanet/class_net/class-predict'
    yield head._box_regressor, 'retinanet/box_net/box-predict'


def _in_our_order(ratios: Sequence[float], scales: int) -> layout.Transform:
    """Puts the last axis, anchors by numbers, from the release's aspect ratios into the order of `ratios`."""
    order = [_RELEASE_RATIOS.index(ratio) for ratio in ratios]

    def transform(value: np.ndarray) -> np.ndarray:
        apart = value.reshape(*value.shape[:-1], scales, len(order), -1)
        return apart[..., order, :].reshape(value.shape)

    return transform


class Release(layout.Layout):
    """RetinaNet on SpineNet-143 and -190."""

    format = 'self-training-release'

    def models(self) -> Sequence[str]:
        """By size."""
        return tuple(_SIZES)

    def recognise(self, shapes: layout.Shapes) -> str:
        """Tells sizes apart by the number of repeats."""
        if any(name.startswith('efficientnet') for name in shapes):
            raise errors.UserError(
                "this is one of the release's EfficientNet segmentation models; "
                '--format=self-training-release-segmentation takes them.'
            )
        repeats = sum(name.startswith(_PERMUTED) and name.endswith('/kernel') for name in shapes)
        if repeats not in _REPEATS or _PREDICT not in shapes:
            raise errors.UserError(
                f"this is none of {', '.join(_SIZES)}: it has {repeats} convolutions '{_PERMUTED}*' (allowed: "
                f"{', '.join(map(str, _REPEATS))}) and {'a' if _PREDICT in shapes else 'no'} '{_PREDICT}'."
            )
        return _REPEATS[repeats]

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds the experiment's detector at the size of the published one."""
        config = model_config(model)
        specs = tf.keras.layers.InputSpec(shape=[None, *config.input_size])
        built = factory.build_retinanet(specs, config)
        built.head(built.backbone.output)  # Model Garden makes a head's variables only behind a decoder.
        return dict(built.checkpoint_items)

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """Pairs both networks' layers in the order of their making."""
        config = model_config(model)
        place = {variable.ref(): path for path, variable in layout.paths(modules).items()}
        repeats = next(count for count, name in _REPEATS.items() if name == model) // 3
        pairs = [
            *_Backbone(modules['backbone']).pairs(repeats),
            *_head_pairs(modules['head'], config.head.num_convs),
        ]
        reorder = _in_our_order(config.anchor.aspect_ratios, config.anchor.num_scales)
        found = {}
        for layer, name in pairs:
            parts = _STATISTICS if hasattr(layer, 'moving_mean') else ('kernel', 'bias')
            change = reorder if name.endswith('-predict') else None
            for part in parts:
                variable = getattr(layer, part, None)
                if variable is not None:
                    found[place[variable.ref()]] = layout.Take(f'{name}/{part}', change)
        return found

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Optimizer and step."""
        found = {}
        for name in names:
            if name == 'global_step':
                found[name] = "training's step"
            elif name.endswith('/Momentum'):
                found[name] = "the optimizer's state"
        return found

    def settings(self, model: str) -> dict[str, str | int | float | bool]:
        """What makes `retinanet_spinenet_coco` this model."""
        size = _SIZES[model]
        return {
            'experiment': 'retinanet_spinenet_coco',
            'task.model.backbone.spinenet.model_id': size.model_id,
            'task.model.backbone.spinenet.stochastic_depth_drop_rate': size.stochastic_depth,
            'task.model.head.num_convs': size.head_convs,
            'task.model.head.num_filters': size.head_filters,
        }
