"""Self-training of two-stage detection: the student's types, and the one decorator that makes every student."""

import dataclasses
import functools
from collections.abc import Callable

from official.core import config_definitions as cfg
from official.core import exp_factory

from official_rethink.configs import checks, maskrcnn, types

_PREFIX = 'self_training_'

Factory = Callable[[], cfg.ExperimentConfig]


@dataclasses.dataclass
class PseudoDataConfig(types.PseudoDataConfig, maskrcnn.DataConfig):
    """Teacher-labelled examples of two-stage detection, masks included where the student learns them."""


@dataclasses.dataclass
class SelfTrainingMaskRCNNTask(maskrcnn.MaskRCNNTask):
    """A student: human-labelled and teacher-labelled examples in one batch, losses balanced.

    Attributes:
        pseudo_data: teacher-labelled training examples.
        balance: how the two losses are joined.
    """

    pseudo_data: PseudoDataConfig = dataclasses.field(default_factory=lambda: PseudoDataConfig(is_training=True))
    balance: types.LossBalance = dataclasses.field(default_factory=types.LossBalance)


def register_with_student(name: str) -> Callable[[Factory], Factory]:
    """Registers a factory of a two-stage experiment under `name`, and its student under self_training_`name`."""

    def register(factory: Factory) -> Factory:
        exp_factory.register_config_factory(name)(factory)
        exp_factory.register_config_factory(_PREFIX + name)(_student_of(factory))
        return factory

    return register


def _student_of(factory: Factory) -> Factory:
    """The factory of an experiment's student: as the experiment, and as many pseudo as human examples a step.

    No paper trains Mask R-CNN so. Half of each, and the human examples' augmentation on both, is what Zoph et al. did
    with RetinaNet (section 4 of their fact sheet); the schedule stays the experiment's own.
    """

    @functools.wraps(factory)
    def student() -> cfg.ExperimentConfig:
        config = factory()
        task = SelfTrainingMaskRCNNTask(**{key: getattr(config.task, key) for key in checks.fields(config.task)})
        task.pseudo_data.override(task.train_data.as_dict())
        task.pseudo_data.input_path = 'pseudo_labels/imagenet*'
        config.task = task
        return config

    student.__doc__ = f'Self-training student: {factory.__doc__}'
    student.__module__ = __name__
    return student
