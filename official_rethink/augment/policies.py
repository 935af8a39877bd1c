"""The four augmentation policies of the study, Augment-S1 (weakest) to Augment-S4 (strongest), in one table.

Each value carries where it comes from:
  [T1]  the paper's own Table 1 (Zoph et al., section on augmentation): what each policy contains;
  [TPU] the code its authors released (tensorflow/tpu, models/official/detection);
  [SHT] a published summary of the paper;
  [ours] the paper is silent, or we only recall it: our default, open to override.
"""

import dataclasses
import math
from typing import Any

from official_rethink.common import errors

AUTOAUGMENT_NAMES = ('', 'v0')
FILLS = ('grey', 'reflect')
RESAMPLINGS = ('once', 'each')


@dataclasses.dataclass(frozen=True)
class Policy:
    """What one augmentation policy does to an image; every field can be overridden.

    Attributes:
        name: how the paper calls it, without 'Augment-'.
        scale_min: smallest factor of the output size the image is resized to, before the crop.
        scale_max: largest such factor.
        shorter_side_min: where images are resized by their shorter side, the least that it is drawn from, in pixels;
            None for no draw.
        shorter_side_max: the greatest.
        shorter_side_step: it is one of min, min + step, ... max; 0 for any whole number between them.
        flip_probability: probability of the horizontal flip.
        autoaugment: name of the AutoAugment policy, '' for none.
        randaugment_layers: operations RandAugment draws per image, 0 for none.
        randaugment_magnitude: strength of each of them, in [0, 10].
        fill: what AutoAugment's and RandAugment's rotations, shears and translations show beyond the image:
            'grey' (128, the released code) or 'reflect' (the mirrored image, Model Garden 2.15).
        resampling: 'once' composes these operations with flip, resize and crop; 'each' samples after every
            one of them, as the released code and Model Garden do.
    """

    name: str
    scale_min: float = 1.0
    scale_max: float = 1.0
    shorter_side_min: int | None = None
    shorter_side_max: int | None = None
    shorter_side_step: int = 0
    flip_probability: float = 0.5
    autoaugment: str = ''
    randaugment_layers: int = 0
    randaugment_magnitude: float = 10.0
    fill: str = 'grey'
    resampling: str = 'once'

    def __post_init__(self) -> None:
        where = f'augmentation policy {self.name}'
        _check_number('scale_min', self.scale_min, 0.01, 100.0, where)
        _check_number('scale_max', self.scale_max, 0.01, 100.0, where)
        if self.scale_min > self.scale_max:
            raise errors.bad_value(
                'scale_min', self.scale_min, f'at most scale_max, which is {self.scale_max}', where
            )
        self._check_shorter_side(where)
        _check_number('flip_probability', self.flip_probability, 0.0, 1.0, where)
        _check_number('randaugment_magnitude', self.randaugment_magnitude, 0.0, 10.0, where)
        layers = self.randaugment_layers
        if isinstance(layers, bool) or not isinstance(layers, int) or not 0 <= layers <= 16:
            raise errors.bad_value('randaugment_layers', layers, 'a whole number from 0 to 16', where)
        if self.autoaugment not in AUTOAUGMENT_NAMES:
            raise errors.unknown_name('autoaugment policy', self.autoaugment, ('v0',), where)
        if self.fill not in FILLS:
            raise errors.unknown_name('fill', self.fill, FILLS, where)
        if self.resampling not in RESAMPLINGS:
            raise errors.unknown_name('resampling', self.resampling, RESAMPLINGS, where)
        if self.autoaugment and layers:
            raise errors.bad_value(
                'randaugment_layers', layers, f"0 while autoaugment is '{self.autoaugment}'", where
            )

    def _check_shorter_side(self, where: str) -> None:
        ends = {'shorter_side_min': self.shorter_side_min, 'shorter_side_max': self.shorter_side_max}
        for field, value in ends.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise errors.bad_value(field, value, 'a whole number of pixels, 1 or more, or null', where)
        low, high, step = *ends.values(), self.shorter_side_step
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise errors.bad_value('shorter_side_step', step, 'a whole number of pixels, 0 or more', where)
        if (low is None) != (high is None):
            field, other = ends if high is None else reversed(ends)
            raise errors.bad_value(other, None, f'a whole number of pixels; {field} is {ends[field]}', where)
        if low is None or high is None:
            if step:
                raise errors.bad_value('shorter_side_step', step, '0 without shorter_side_min and _max', where)
            return
        if low > high:
            raise errors.bad_value('shorter_side_min', low, f'at most shorter_side_max, which is {high}', where)
        if step and (high - low) % step:
            allowed = f'0, or a step that goes from {low} to {high} in whole steps'
            raise errors.bad_value('shorter_side_step', step, allowed, where)


def _check_number(what: str, value: Any, low: float, high: float, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise errors.bad_value(what, value, f'a number from {low} to {high}', where)
    if not low <= value <= high:
        raise errors.bad_value(what, value, f'a number from {low} to {high}', where)


# Flip with probability 0.5: flips [T1], the probability [TPU].
POLICIES: dict[str, Policy] = {
    # flips and crops [T1]; jitter 0.8-1.2 [ours; TPU's retinanet_autoaugment.yaml has the same].
    'S1': Policy('S1', scale_min=0.8, scale_max=1.2),
    # S1 and AutoAugment [T1]; v0 [ours; TPU's docstring names v0 for the detection paper's results].
    'S2': Policy('S2', scale_min=0.8, scale_max=1.2, autoaugment='v0'),
    # large scale jitter and AutoAugment [T1]; 0.5-2.0 [SHT]; v0 [ours, as in S2].
    'S3': Policy('S3', scale_min=0.5, scale_max=2.0, autoaugment='v0'),
    # large scale jitter and RandAugment [T1]; 0.5-2.0 and magnitude 10 [SHT]; two layers [ours].
    'S4': Policy('S4', scale_min=0.5, scale_max=2.0, randaugment_layers=2, randaugment_magnitude=10.0),
}


def get_policy(name: str, **overrides: Any) -> Policy:
    """Returns the policy called `name` ('S1' to 'S4'), with the given fields replaced.

    Raises:
        errors.UserError: if the name or an overridden field is unknown, or a value is out of range.
    """
    if name not in POLICIES:
        raise errors.unknown_name('augmentation policy', name, POLICIES)
    fields = [field.name for field in dataclasses.fields(Policy)]
    for field in overrides:
        if field not in fields:
            raise errors.unknown_name('field', field, fields, f'augmentation policy {name}')
    return dataclasses.replace(POLICIES[name], **overrides)
