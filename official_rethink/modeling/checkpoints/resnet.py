"""ResNet-50 as SimCLR (TF1, TF2), MoCo and Keras Applications publish it, into Model Garden's ResNet-50.

All of them become the same variables; what their own code computes differently from Model Garden's network
(padding, place of the stride) is `backbone.resnet.stem_type`. The batch norms' epsilon is 1e-5 there and 1e-3
in our experiments: gamma absorbs the ratio, so that gamma / sqrt(variance + epsilon) stays what it was.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.modeling.backbones import resnet
from official_rethink.modeling.checkpoints import layout

DEPTH = 50
BLOCKS = (3, 4, 6, 3)
OUR_EPSILON = 1e-3
_MODULE = 'backbone'
_FIRST_BLOCK = 2  # layer_with_weights-0 and -1 are the stem's convolution and batch norm.
_STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_OPTIMIZER_SLOTS = ('/Momentum', '/LARSOptimizer', '/Adam', '/Adam_1', '/RMSProp', '/RMSProp_1')


@dataclasses.dataclass(frozen=True)
class Unit:
    """A convolution with its batch norm.

    Attributes:
        group: 0 for the stem, else 1 to 4.
        block: its place in the group.
        part: 0 for the shortcut's projection, else 1 to 3; 1 in the stem.
        kernel: path of our variable.
        norm: path of our batch norm.
    """

    group: int
    block: int
    part: int
    kernel: str
    norm: str


def units() -> list[Unit]:
    """Lists ResNet-50's convolutions in the order in which the forward pass of the original makes them."""
    stem = f'{_MODULE}/layer_with_weights-'
    found = [Unit(0, 0, 1, f'{stem}0/kernel', f'{stem}1')]
    place = _FIRST_BLOCK
    for group, blocks in enumerate(BLOCKS, start=1):
        for block in range(blocks):
            path = f'{_MODULE}/layer_with_weights-{place}'
            if block == 0:
                found.append(Unit(group, block, 0, f'{path}/_shortcut/kernel', f'{path}/_norm0'))
            for part in (1, 2, 3):
                found.append(Unit(group, block, part, f'{path}/_conv{part}/kernel', f'{path}/_norm{part}'))
            place += 1
    return found


def rescaled_gamma(epsilon: float) -> layout.Transform:
    """Returns gamma, variance -> the gamma that gives with our epsilon what gamma gave with the original's."""

    def transform(gamma: np.ndarray, variance: np.ndarray) -> np.ndarray:
        wide = variance.astype(np.float64)
        return gamma * np.sqrt((wide + OUR_EPSILON) / (wide + epsilon))

    return transform


def _mean_without_bias(mean: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A bias in front of a batch norm does what a lower mean does."""
    return mean.astype(np.float64) - bias


def _from_torch(kernel: np.ndarray) -> np.ndarray:
    return np.transpose(kernel, (2, 3, 1, 0))


def _turn_channels(kernel: np.ndarray) -> np.ndarray:
    """B, G, R to R, G, B."""
    return kernel[:, :, ::-1, :]


class _ResNet50(layout.Layout):
    """What the four have in common: subclasses name a unit's tensors.

    Attributes:
        origin: a key of `backbones.resnet.ORIGINS`.
        epsilon: of the original's batch norms.
        statistics: the original's words for gamma, beta, mean and variance.
        has_bias: whether convolutions carry a bias, which goes into the batch norm's mean.
    """

    origin: str
    model: str
    epsilon: float
    statistics: Sequence[str] = _STATISTICS
    kernel: str = 'kernel'
    has_bias: bool = False

    @property
    def preprocessing(self) -> layout.Preprocessing:  # type: ignore[override]
        """The input scale of the original."""
        return resnet.ORIGINS[self.origin].preprocessing

    def models(self) -> Sequence[str]:
        """ResNet-50 alone."""
        return (self.model,)

    def names(self, unit: Unit) -> tuple[str, str]:
        """Returns the original's names of a unit's convolution and batch norm."""
        raise NotImplementedError

    def recognise(self, shapes: layout.Shapes) -> str:
        """Looks for the first and the last convolution and their shapes."""
        all_units = units()
        wanted = {all_units[0]: {3, 64, 7}, all_units[-1]: {1, 512, 2048}}
        for unit, sizes in wanted.items():
            name = self._tensor(self.names(unit)[0], self.kernel)
            if name not in shapes:
                near = errors.nearest(name, shapes)
                hint = f"; the nearest is '{near}'" if near else ''
                raise errors.UserError(
                    f"this is no {self.model} as --format={self.format} lays it out: it has no '{name}'{hint}."
                )
            if not sizes <= set(shapes[name]) or len(shapes[name]) != 4:
                raise errors.UserError(
                    f"this is no {self.model}: '{name}' has the shape {list(shapes[name])}; "
                    'another width or depth cannot be imported.'
                )
        return self.model

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds Model Garden's ResNet-50, computing as the original."""
        del model
        return {_MODULE: resnet.ResNet(origin=self.origin, model_id=DEPTH, norm_epsilon=OUR_EPSILON)}

    def _tensor(self, owner: str, part: str) -> str:
        return f'{owner}/{part}'

    def takes(self, model: str, modules: Mapping[str, tf.keras.Model]) -> dict[str, layout.Take]:
        """Names a unit's six tensors and how they become our five."""
        found = {}
        for unit in units():
            convolution, norm = self.names(unit)
            gamma, beta, mean, variance = (self._tensor(norm, word) for word in self.statistics)
            bias = (self._tensor(convolution, 'bias'),) if self.has_bias else ()
            change = self._kernel_change(unit)
            found[unit.kernel] = layout.Take(self._tensor(convolution, self.kernel), change)
            found[f'{unit.norm}/gamma'] = layout.Take(gamma, rescaled_gamma(self.epsilon), (variance,))
            found[f'{unit.norm}/beta'] = layout.Take(beta)
            found[f'{unit.norm}/moving_mean'] = layout.Take(mean, _mean_without_bias if bias else None, bias)
            found[f'{unit.norm}/moving_variance'] = layout.Take(variance)
        return found

    def _kernel_change(self, unit: Unit) -> layout.Transform | None:
        del unit
        return None

    def stem(self, model: str, modules: Mapping[str, tf.keras.Model]) -> layout.Stem:
        """The stem pads with the original's colour."""
        first = units()[0]
        return layout.Stem(first.kernel, f'{first.norm}/moving_mean', pads_zero_point=True)

    def settings(self, model: str) -> dict[str, str | int | float | bool]:
        """What makes an experiment's backbone compute as the original."""
        return {
            'task.model.backbone.type': 'resnet',
            'task.model.backbone.resnet.model_id': DEPTH,
            'task.model.backbone.resnet.stem_type': self.origin,
            'task.model.norm_activation.activation': 'relu',
            'task.model.norm_activation.norm_epsilon': OUR_EPSILON,
        }


def _suffixed(name: str, number: int) -> str:
    return f'{name}_{number}' if number else name


class SimclrTf1(_ResNet50):
    """google-research/simclr, TF1: layers numbered in the order of their making, under `base_model`."""

    format = 'simclr-tf1'
    origin = 'simclr'
    model = 'simclr-resnet50-1x'
    epsilon = 1e-5

    def names(self, unit: Unit) -> tuple[str, str]:
        """Numbers: a block's projection is made before its other convolutions."""
        number = units().index(unit)
        return (
            'base_model/' + _suffixed('conv2d', number),
            'base_model/' + _suffixed('batch_normalization', number),
        )

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Heads, optimizer, step."""
        found = {}
        for name in names:
            if name == 'global_step':
                found[name] = "training's step"
            elif name.endswith(_OPTIMIZER_SLOTS):
                found[name] = "the optimizer's state"
            elif name.startswith('head_contrastive/'):
                found[name] = 'the projection head, which only pre-training uses'
            elif name.startswith('head_supervised/'):
                found[name] = 'the ImageNet classifier'
        return found


class SimclrTf2(_ResNet50):
    """google-research/simclr, TF2: places in the object graph, in checkpoints and SavedModels alike."""

    format = 'simclr-tf2'
    origin = 'simclr'
    model = 'simclr-resnet50-1x'
    epsilon = 1e-5
    _root = 'model/resnet_model'
    # Each convolution is followed by its batch norm and a drop-block layer without weights.
    _places = {1: 0, 2: 3, 3: 6}

    def names(self, unit: Unit) -> tuple[str, str]:
        """Places of a unit's layers."""
        if unit.group == 0:
            stem = f'{self._root}/initial_conv_relu_max_pool'
            return f'{stem}/0/conv2d', f'{stem}/2/bn'
        block = f'{self._root}/block_groups/{unit.group - 1}/layers/{unit.block}'
        if unit.part == 0:
            return f'{block}/projection_layers/0/conv2d', f'{block}/projection_layers/1/bn'
        place = self._places[unit.part]
        rest = f'{block}/conv_relu_dropblock_layers'
        return f'{rest}/{place}/conv2d', f'{rest}/{place + 1}/bn'

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Heads, optimizer, step."""
        reasons = {
            'model/_projection_head/': 'the projection head, which only pre-training uses',
            'model/supervised_head/': 'the ImageNet classifier',
            'optimizer/': "the optimizer's state",
            'model/optimizer/': "the optimizer's state",
        }
        found = {}
        for name in names:
            if name in ('global_step', 'save_counter'):
                found[name] = "training's step"
            for start, reason in reasons.items():
                if name.startswith(start):
                    found[name] = reason
        return found


class Moco(_ResNet50):
    """facebookresearch/moco v1 and v2: torchvision's ResNet-50 as the query encoder of a wrapped model."""

    format = 'moco'
    origin = 'torch'
    model = 'moco-resnet50'
    epsilon = 1e-5
    statistics = ('weight', 'bias', 'running_mean', 'running_var')
    kernel = 'weight'
    _encoder = 'module.encoder_q.'

    def names(self, unit: Unit) -> tuple[str, str]:
        """Torchvision's names."""
        if unit.group == 0:
            return f'{self._encoder}conv1', f'{self._encoder}bn1'
        block = f'{self._encoder}layer{unit.group}.{unit.block}.'
        if unit.part == 0:
            return f'{block}downsample.0', f'{block}downsample.1'
        return f'{block}conv{unit.part}', f'{block}bn{unit.part}'

    def _tensor(self, owner: str, part: str) -> str:
        return f'{owner}.{part}'

    def _kernel_change(self, unit: Unit) -> layout.Transform | None:
        return _from_torch

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Key encoder, queue, head, counters, optimizer."""
        found = {}
        for name in names:
            if name.startswith('module.encoder_k.'):
                found[name] = 'the key encoder, a moving average that only pre-training uses'
            elif name in ('module.queue', 'module.queue_ptr'):
                found[name] = 'the queue of negatives, which only pre-training uses'
            elif name.startswith(self._encoder + 'fc.'):
                found[name] = 'the projection head, which only pre-training uses'
            elif name.startswith(self._encoder) and name.endswith('.num_batches_tracked'):
                found[name] = "a batch norm's count of steps"
            elif name.startswith('optimizer/'):
                found[name] = "the optimizer's state"
        return found


class KerasResNet50(_ResNet50):
    """Keras Applications' ResNet-50, HDF5, with or without its classifier."""

    format = 'keras-resnet50'
    origin = 'keras'
    model = 'keras-resnet50'
    epsilon = 1.001e-5
    has_bias = True
    _groups = ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')

    def names(self, unit: Unit) -> tuple[str, str]:
        """Keras repeats a layer's name as the group of its weights."""
        owner = self._groups[unit.group]
        if unit.group:
            owner += f'_block{unit.block + 1}_{unit.part}'
        return f'{owner}_conv/{owner}_conv', f'{owner}_bn/{owner}_bn'

    def _tensor(self, owner: str, part: str) -> str:
        return f'{owner}/{part}:0'

    def _kernel_change(self, unit: Unit) -> layout.Transform | None:
        return None if unit.group else _turn_channels

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """The classifier."""
        classifier = ('predictions/', 'probs/', 'fc1000/')
        return {name: 'the ImageNet classifier' for name in names if name.startswith(classifier)}
