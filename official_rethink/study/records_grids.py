"""What the searches of a study found and cost, as results.json holds it."""

from typing import Any

from official_rethink.configs import study as study_config
from official_rethink.study import grids, outputs
from official_rethink.study.plan import Plan


def collect(config: study_config.StudyConfig, plan: Plan, out: str) -> list[dict[str, Any]]:
    """One entry a search, its trainings in order of rank; values are of the best checkpoint on the validation images.

    Their cost is in no arm's, as little as that of a pre-training.
    """
    return [_search(config, plan, search, out) for search in plan.searches]


def _search(config: study_config.StudyConfig, plan: Plan, search: grids.Search, out: str) -> dict[str, Any]:
    grid = next(item for item in config.grids if item.name == search.grid)
    found = grids.ranking(search, out)
    rows = [{**row, 'cost': outputs.cost(plan.steps[row['step']], out, 0.0)} for row in found['trials']]
    return {
        'name': grid.name,
        'search': grid.search,
        'tuned_on': search.arm,
        'carried_to': [arm for arm in grid.carried_to if _takes(plan, arm, search)],
        'keys': grid.keys(),
        'seed': grid.seed,
        'best': found['best'],
        'trials': rows,
        'cost': {key: sum(row['cost'][key] for row in rows) for key in outputs.COST_KEYS},
    }


def _takes(plan: Plan, arm: str, search: grids.Search) -> bool:
    return any(run.arm.name == arm and run.search is not None and run.search.step == search.step for run in plan.runs)
