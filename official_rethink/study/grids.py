"""Searches for values that arms take over: their combinations, and the record of what was found."""

import dataclasses
import itertools
import os
from typing import Any

from official_rethink.common import files
from official_rethink.configs import study as study_config
from official_rethink.study import identity, settings

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


def step_name(grid: study_config.GridConfig, arm: study_config.ArmConfig, default_steps: int) -> str:
    """Name of the step that ranks an arm's trainings; equal arms have the same."""
    return f'grids/{grid.name}-{identity.of(arm, default_steps)}'


def config(trials: tuple[tuple[str, dict[str, Any]], ...], metric: str) -> dict[str, Any]:
    """What the ranking reads: the number to rank by, and each training's step, folder and values."""
    rows = [{'step': step, 'folder': f'{{out}}/{step}', 'values': values} for step, values in trials]
    return {'metric': metric, 'trials': rows}


def ranking(search: Search, out: str) -> dict[str, Any]:
    """What a finished search has found: {"metric", "best", "trials"}, the trials in order of rank."""
    return dict(files.read_json(os.path.join(out, *search.step.split('/'), RANKING)))
