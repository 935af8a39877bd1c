"""Model Garden's own TF2 checkpoints: the backbone alone, out of whatever was trained on top of it."""

from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
from official.vision.configs import backbones, common
from official.vision.modeling.backbones import factory

from official_rethink.common import errors
from official_rethink.modeling.checkpoints import layout

_MODULE = 'backbone'
_RESNETS = (18, 34, 50, 101, 152)
_SPINENETS = ('49S', '49', '96', '143', '190')
_SIZE = 640
# Residual blocks, bottlenecks, channels of the narrowest bottleneck; SpineNet repeats 4 and 13, level 2 left out.
_BLOCKS = {
    (8, 0, 0): 'resnet18',
    (16, 0, 0): 'resnet34',
    (0, 16, 256): 'resnet50',
    (0, 33, 256): 'resnet101',
    (0, 50, 256): 'resnet152',
    (4, 13, 164): 'spinenet49S',
    (4, 13, 256): 'spinenet49',
    (8, 26, 256): 'spinenet96',
    (12, 39, 256): 'spinenet143',
    (16, 52, 332): 'spinenet190',
}


def _configs() -> dict[str, backbones.Backbone]:
    found = {
        f'resnet{depth}': backbones.Backbone(type='resnet', resnet=backbones.ResNet(model_id=depth))
        for depth in _RESNETS
    }
    for size in _SPINENETS:
        branch = backbones.SpineNet(model_id=size, min_level=3, max_level=7)
        found[f'spinenet{size}'] = backbones.Backbone(type='spinenet', spinenet=branch)
    return found


class ModelGarden(layout.Layout):
    """Checkpoints whose object graph has a `backbone`, as every vision task of Model Garden writes them."""

    format = 'model-garden'

    def models(self) -> Sequence[str]:
        """Backbones by size."""
        return tuple(_configs())

    def recognise(self, shapes: layout.Shapes) -> str:
        """Counts the backbone's blocks, and looks at their width."""
        names = [name for name in shapes if name.startswith(_MODULE + '/')]
        if not names:
            roots = ', '.join(sorted({name.split('/')[0] for name in shapes}))
            raise errors.UserError(
                f"this is no checkpoint of Model Garden's vision tasks: it has no '{_MODULE}' (it has: {roots})."
            )
        bottlenecks = [shapes[name] for name in names if name.endswith('/_conv3/kernel')]
        residuals = sum(name.endswith('/_conv2/kernel') for name in names) - len(bottlenecks)
        width = min((shape[-1] for shape in bottlenecks), default=0)
        found = _BLOCKS.get((residuals, len(bottlenecks), width))
        if found is None:
            raise errors.UserError(
                f"its '{_MODULE}' has {residuals} residual blocks and {len(bottlenecks)} bottlenecks, {width} "
                f"channels wide, as none of: {', '.join(self.models())}."
            )
        return found

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds Model Garden's own."""
        norm = common.NormActivation(activation='swish' if model.startswith('spinenet') else 'relu')
        specs = tf.keras.layers.InputSpec(shape=[None, _SIZE, _SIZE, 3])
        return {_MODULE: factory.build_backbone(specs, _configs()[model], norm)}

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """The same places."""
        return {path: layout.Take(path) for path in layout.paths(modules)}

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Everything but the backbone."""
        reasons = {
            'optimizer': "the optimizer's state",
            'model': 'what was trained on top of the backbone',
            'decoder': 'what was trained on top of the backbone',
            'head': 'what was trained on top of the backbone',
            'global_step': "training's step",
            'save_counter': "the checkpoint's own count",
            'metrics': "training's metrics",
        }
        found = {}
        for name in names:
            root = name.split('/')[0]
            if root != _MODULE:
                found[name] = reasons.get(root, 'beside the backbone')
        return found
