"""Searches for values that arms take over: their combinations, and the record of what was found."""

import dataclasses
import itertools
import os
from typing import Any

from official_rethink.common import files
from official_rethink.configs import study as study_config
from official_rethink.study import identity, settings
from official_rethink.study.steps import Step

BEST, RANKING = 'best.yaml', 'ranking.json'


@dataclasses.dataclass(frozen=True)
class Search:
    """One choice among all combinations.

    Attributes:
        grid: name of the grid.
        arm: name of the arm whose trainings choose.
        step: the step that ranks them, in whose folder the best values lie.
        trials: the trainings' steps, each with its values by dotted key.
    """

    grid: str
    arm: str
    step: str
    trials: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of all its steps."""
        return (*(name for name, _ in self.trials), self.step)


def combinations(grid: study_config.GridConfig) -> list[dict[str, Any]]:
    """Every combination of the values by dotted key; those of the last key change first."""
    every = itertools.product(*(item.values for item in grid.values))
    return [dict(zip(grid.keys(), values, strict=True)) for values in every]


def trial(grid: study_config.GridConfig, arm: study_config.ArmConfig, values: dict[str, Any]) -> study_config.ArmConfig:
    """The arm as it is with these values, of the search's length; no search is carried to it."""
    override = settings.merged(arm.params_override, settings.to_text(settings.nested(values)))
    return arm.replace(name='', params_override=override, steps=grid.steps or arm.steps)


def ranking_step(
    grid: study_config.GridConfig,
    arm: study_config.ArmConfig,
    default_steps: int,
    trials: tuple[tuple[str, dict[str, Any]], ...],
    metric: str,
) -> Step:
    """The step that ranks an arm's trainings; of equal arms it is the same.

    Args:
        grid: the search.
        arm: the arm that is tuned.
        default_steps: length of supervised arms that have none of their own.
        trials: the trainings' steps with their values.
        metric: the number to rank by.
    """
    name = f'grids/{grid.name}-{identity.of(arm, default_steps)}'
    rows = [{'step': step, 'folder': f'{{out}}/{step}', 'values': values} for step, values in trials]
    return Step(
        name=name,
        kind='grid',
        module='official_rethink.study.select',
        arguments=(f'--output_dir={{out}}/{name}',),
        config={'metric': metric, 'trials': rows},
        needs=tuple(dict.fromkeys(step for step, _ in trials)),
        products=(BEST,),
        leaves=(RANKING,),
        total=len(trials),
        unit='trials',
    )


def ranking(search: Search, out: str) -> dict[str, Any]:
    """What a finished search has found: {"metric", "best", "trials"}, the trials in order of rank."""
    return dict(files.read_json(os.path.join(out, *search.step.split('/'), RANKING)))
