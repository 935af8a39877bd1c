"""Task families: what the checks of a config ask each for, beside what all have in common."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks

HIGHER, LOWER = 'higher', 'lower'


@dataclasses.dataclass(frozen=True)
class Family:
    """What one family of tasks knows of itself.

    Attributes:
        check: checks the values that only this family has, its model's and its losses'.
        metrics: of a task's config, the numbers its evaluation reports -> whether higher or lower is better. A
            best checkpoint is chosen by one of them; a name that ends in '/' stands for all that begin so.
        background: `num_classes` counts a class 0 for what is none of the classes, whose ids start from 1; else
            it is the number of classes.
        check_files: checks the files that only this family reads, just before training starts.
    """

    check: Callable[[checks.Rules], None]
    metrics: Callable[[Any], Mapping[str, str]]
    background: bool = True
    check_files: Callable[[checks.Rules], None] | None = None


_FAMILIES: dict[type, Family] = {}


def register(task_class: type, family: Family) -> None:
    """Says that configs of `task_class`, and of what is derived from it, belong to `family`."""
    _FAMILIES[task_class] = family


def of(task: Any) -> Family:
    """The family of a task's config."""
    for cls in type(task).__mro__:
        if cls in _FAMILIES:
            return _FAMILIES[cls]
    raise TypeError(f'{type(task).__name__} belongs to no family; its module has to call families.register.')


def need_detector(task: Any, experiment: str, what: str) -> None:
    """Refuses a task whose model does not detect.

    Args:
        task: its config.
        experiment: as the user gave it.
        what: what cannot be done without a detector.

    Raises:
        UserError: the model has no detection generator.
    """
    if 'detection_generator' not in checks.fields(task.model):
        raise errors.UserError(
            f"--experiment='{experiment}' trains no detector, so {what}; give the experiment of a detector, which may "
            "start from this one's checkpoint (task.init_checkpoint, task.init_checkpoint_modules=[backbone])."
        )
