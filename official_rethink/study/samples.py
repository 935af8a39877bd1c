"""What the networks of an arm saw: images, instances and pixels, of pre-training, of training and of labelling.

The accounting of He et al. (Figure 2): an image that is read a hundred times counts a hundred times, and what the
pre-training read counts for every arm that starts from it.
"""

import dataclasses
from typing import Any

from official_rethink.study import statistics

QUANTITIES = ('images', 'instances', 'pixels')
RANDOM = 'random'
Arm = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Seen:
    """How much of one quantity an arm saw, the mean over its seeds.

    Attributes:
        pretraining: before the arm's own trainings; None where it starts from a checkpoint that came from elsewhere,
            of which nobody here counted anything.
        training: in all its trainings, repeats included.
        labelling: by teachers that labelled, forward only; 0 pixels and instances, which labelling does not count.
    """

    pretraining: float | None
    training: float
    labelling: float

    @property
    def known(self) -> float:
        """All that was counted."""
        return (self.pretraining or 0.0) + self.training + self.labelling

    @property
    def total(self) -> float | None:
        """All of it; None where the pre-training was not counted."""
        return None if self.pretraining is None else self.known


def seen(arm: Arm, quantity: str) -> Seen:
    """How many of 'images', 'instances' or 'pixels' an arm of a study's record saw."""
    labelling = [_labelled(seed, quantity) for seed in arm['seeds']]
    own = [seed.get(quantity, 0) - part for seed, part in zip(arm['seeds'], labelling, strict=True)]
    before = statistics.mean([seed.get(f'pretraining_{quantity}', 0) for seed in arm['seeds']])
    return Seen(None if uncounted(arm) else before, statistics.mean(own), statistics.mean(labelling))


def _labelled(seed: dict[str, Any], quantity: str) -> float:
    return sum(stage['cost'].get(quantity, 0) for stage in seed.get('stages', ()) if stage['stage'].startswith('label'))


def uncounted(arm: Arm) -> bool:
    """Whether the arm starts from weights that the study did not train."""
    return arm['initialization'] != RANDOM and not arm.get('pretraining')


def steps(arm: Arm) -> int:
    """Steps of an arm's own trainings together."""
    return round(statistics.mean([seed.get('steps', 0) for seed in arm['seeds']]))


def rate(arm: Arm, quantity: str) -> float:
    """How much of a quantity a step of an arm's trainings saw, the mean over its steps and seeds."""
    return seen(arm, quantity).training / steps(arm) if steps(arm) else 0.0


def totals(seed: dict[str, Any], arm: Arm) -> dict[str, int | None]:
    """One seed's 'total_images' and so on, pre-training included; None where that was not counted."""
    return {
        f'total_{name}': None if uncounted(arm) else int(seed[name] + seed.get(f'pretraining_{name}', 0))
        for name in QUANTITIES
    }
