"""What all layouts of EfficientNet checkpoints have in common: our variables, and which model widths tell."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import efficientnet as table
from official_rethink.modeling.backbones import efficientnet, efficientnet_head
from official_rethink.modeling.checkpoints import layout

CLASSES = 1000
BACKBONE, HEAD = 'backbone', 'head'
_STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
LITE = tuple(name for name, scale in table.SCALES.items() if scale.lite)
FULL = tuple(name for name in table.SCALES if name not in LITE)
WITHOUT_CLASSIFIER = '-notop'


class Slot(NamedTuple):
    """One of our variables.

    Attributes:
        block: the block it lies in; None in stem and head.
        layer: its layer's name, as 'stem_conv', 'expand_bn', 'reduce'.
        part: 'kernel', 'bias', or a batch norm's.
    """

    block: table.Block | None
    layer: str
    part: str


def _parts(layer: tf.keras.layers.Layer) -> dict[str, tf.Variable]:
    """The variables that lie in a layer itself, and not in layers of it, by what they are."""
    if isinstance(layer, tf.keras.layers.BatchNormalization):
        return {part: getattr(layer, part) for part in _STATISTICS}
    if isinstance(layer, tf.keras.layers.DepthwiseConv2D):
        return {'depthwise_kernel': layer.depthwise_kernel}
    if isinstance(layer, tf.keras.layers.Conv2D | tf.keras.layers.Dense):
        return {'kernel': layer.kernel} | ({'bias': layer.bias} if layer.use_bias else {})
    return {}


def slots(modules: Mapping[str, tf.keras.Model]) -> dict[str, Slot]:
    """Returns every variable of live modules: path to what it is."""
    paths = {variable.ref(): path for path, variable in layout.paths(modules).items()}
    found = {}
    for module in modules.values():
        for owner in module.layers:
            for layer in owner._flatten_layers():
                for part, variable in _parts(layer).items():
                    found[paths[variable.ref()]] = Slot(getattr(owner, 'block', None), layer.name, part)
    return found


def widths_of(shapes: layout.Shapes, pattern: str, axis: int) -> dict[int, int]:
    """Returns the output channels of convolutions by their block.

    Args:
        shapes: of a file.
        pattern: matches the whole name of a kernel; its group is the block's number.
        axis: of the output channels.
    """
    found = {}
    for name, shape in shapes.items():
        match = re.fullmatch(pattern, name)
        if match and len(shape) == 4:
            found[int(match.group(1))] = shape[axis]
    return found


class EfficientNetLayout(layout.Layout):
    """What the layouts have in common; subclasses name tensors.

    Attributes:
        ids: the models of the family that the format can hold.
    """

    ids: Sequence[str]

    def models(self) -> Sequence[str]:
        """The family's models, as the originals call them."""
        return tuple(f'efficientnet-{name}' for name in self.ids)

    def name(self, model: str, slot: Slot) -> str:
        """Returns the original's name of a variable."""
        raise NotImplementedError

    def transform(self, slot: Slot) -> layout.Transform | None:
        """Returns what has to be done to the original's array; None for nothing."""
        del slot
        return None

    def missing(self, name: str, shapes: layout.Shapes) -> errors.UserError:
        """The error for a file without a name that it has to have."""
        near = errors.nearest(name, shapes)
        hint = f"; the nearest is '{near}'" if near else ''
        return errors.UserError(f"this is no EfficientNet as --format={self.format} lays it out: no '{name}'{hint}.")

    def model_of(self, stem: int, blocks: Mapping[int, int]) -> str:
        """Returns the one model whose stem and blocks give out these channels."""
        widths = [blocks[place] for place in sorted(blocks)]
        for name in self.ids:
            if stem == table.stem_filters(name) and widths == [block.filters for block in table.blocks(name)]:
                return f'efficientnet-{name}'
        known = ', '.join(f'{name} ({table.stem_filters(name)}; {len(table.blocks(name))})' for name in self.ids)
        raise errors.UserError(
            f'this is no EfficientNet that --format={self.format} knows: its stem has {stem} channels, and its '
            f'{len(widths)} blocks give out {widths}. Known, with channels of the stem and number of blocks: {known}.'
        )

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds backbone and classification head."""
        model_id = _id(model)
        return {
            BACKBONE: efficientnet.EfficientNet(model_id),
            HEAD: efficientnet_head.ClassificationHead(model_id, CLASSES),
        }

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """Names every variable's source."""
        return {
            path: layout.Take(self.name(model, slot), self.transform(slot)) for path, slot in slots(modules).items()
        }

    def stem(self, model: str, modules: Mapping[str, tf.keras.Model]) -> layout.Stem:
        """Lite's stem pads with the colour that the original's zeros stand for."""
        del model
        paths = {(slot.layer, slot.part): path for path, slot in slots(modules).items()}
        return layout.Stem(
            paths['stem_conv', 'kernel'], paths['stem_bn', 'moving_mean'], pads_zero_point=self.ids == LITE
        )

    def settings(self, model: str) -> dict[str, str | int | float | bool]:
        """What makes an experiment's backbone this one."""
        found: dict[str, str | int | float | bool] = {
            'task.model.backbone.type': efficientnet.NAME,
            'task.model.backbone.efficientnet.model_id': _id(model),
            'task.model.norm_activation.norm_epsilon': 1e-3,
        }
        if not table.SCALES[_id(model)].lite:  # Lite has no squeeze-and-excitation and is ReLU6 whatever is asked for
            found['task.model.backbone.efficientnet.se_ratio'] = table.SE_RATIO
            found['task.model.norm_activation.activation'] = 'swish'
        return found


def _id(model: str) -> str:
    return model.removeprefix('efficientnet-').removesuffix(WITHOUT_CLASSIFIER)
