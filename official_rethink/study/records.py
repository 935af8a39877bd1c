"""The study's result: `results.json` and `results.csv`."""

import csv
import dataclasses
import io
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

import official_rethink
from official_rethink.common import errors, files
from official_rethink.configs import study as study_config
from official_rethink.configs import study_kinds, study_validation
from official_rethink.study import (
    curves,
    evidence_starts,
    findings,
    measures,
    outputs,
    records_grids,
    runner,
    samples,
    settings,
    statistics,
)
from official_rethink.study.plan import ArmRun, Plan

_PACKAGES = ('tensorflow', 'tf-models-official', 'numpy')
_CSV_TRAITS = ('initialization', 'augmentation', 'label_fraction', 'self_training', 'joint', 'rounds', 'seed')
_CSV_OWN = ('network', 'label_count', 'params_override')
_CSV_COSTS = (*outputs.COST_KEYS, *(f'pretraining_{key}' for key in outputs.COST_KEYS))


def collect(config: study_config.StudyConfig, plan: Plan, out: str) -> dict[str, Any]:
    """Builds the record of a finished study; AP, mIoU and their like are shares of 1, as the evaluator gives them."""
    arms = [_arm(config, plan, arm, out) for arm in config.arms]
    baseline = next(arm for arm in arms if arm['name'] == config.baseline)
    for arm in arms:
        arm['difference'] = None
        if arm is not baseline:
            pairs = ([seed['value'] for seed in one['seeds']] for one in (arm, baseline))
            arm['difference'] = dataclasses.asdict(statistics.paired_difference(*pairs))
    return {
        'format_version': 1,
        'study': config.name,
        'data': _data(config, plan, out),
        'metric': plan.kind.metric,
        'baseline': config.baseline,
        'confidence': statistics.CONFIDENCE,
        'budget': {**config.budget.as_dict(), 'supervised_steps': config.supervised_steps()},
        'arms': arms,
        'grids': records_grids.collect(config, plan, out),
        'findings': findings.as_records(findings.find(arms, plan.kind)),
        'meetings': curves.meetings(evidence_starts.pairs(arms), plan.kind.metric, *outputs.CURVES),
        'config': config.as_dict(),
        'config_hash': files.hash_of(config.as_dict()),
        'environment': environment(),
    }


def without_times(value: Any) -> Any:
    """A record, or a part of one, without wall times, which no two runs share."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != 'seconds'}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def environment() -> dict[str, Any]:
    """What the study ran on."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        'code_version': official_rethink.__version__,
        'python': platform.python_version(),
        'packages': versions,
        'platform': f'{platform.system()} {platform.machine()}',
        'processors': os.cpu_count(),
        'argv0': os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else '',
    }


def _arm(
    config: study_config.StudyConfig, plan: Plan, arm: study_config.ArmConfig, out: str
) -> dict[str, Any]:
    seeds = [_seed(plan, run, out) for run in plan.runs if run.arm.name == arm.name]
    values = [seed['value'] for seed in seeds]
    return {
        'name': arm.name,
        'network': arm.network,
        'initialization': arm.pretraining or arm.initialization,
        'pretraining': config.pretraining_of(arm.pretraining).kind if arm.pretraining else None,
        'augmentation': arm.augmentation,
        'label_fraction': _share(plan, arm, out),
        'label_count': arm.label_count,
        'self_training': arm.self_training,
        'joint': arm.joint,
        'rounds': arm.self_training_rounds if arm.self_training else 0,
        'score_threshold': arm.score_threshold if arm.self_training else None,
        'student_init': arm.student_init if arm.self_training else None,
        'steps': _steps(config, arm),
        'own_steps': arm.steps if arm.steps != config.supervised_steps() else 0,
        'params_override': dict(settings.flat(settings.read(arm.params_override))),
        'grid': next((grid.name for grid in config.grids if arm.name in grid.carried_to), None),
        'mean': statistics.mean(values),
        'std': statistics.std(values),
        'seeds': seeds,
    }


def _steps(config: study_config.StudyConfig, arm: study_config.ArmConfig) -> int:
    """Steps of all the trainings of an arm together."""
    if not arm.self_training:
        return config.steps_of(arm)
    return config.budget.teacher_steps + arm.self_training_rounds * config.budget.student_steps


def _share(plan: Plan, arm: study_config.ArmConfig, out: str) -> float:
    """The share of the labels an arm learns from; of a number of images, what that comes to."""
    from official_rethink.data import shards  # noqa: PLC0415  (TensorFlow)

    if not arm.label_count:
        return arm.label_fraction
    return arm.label_count / shards.load_description(plan.data.labelled.replace('{out}', out))['num_images']


def _seed(plan: Plan, run: ArmRun, out: str) -> dict[str, Any]:
    """One arm with one seed; its cost is that of all its stages, shared or not, but of pre-training apart."""
    stages = [_stage(plan, kind, name, out) for kind, name in run.stages.items()]
    best = outputs.result(plan.steps[run.result_step], out)
    own = [stage for stage in stages if stage['stage'] != 'pretraining']
    totals = {key: sum(stage['cost'][key] for stage in own) for key in outputs.COST_KEYS}
    before: dict[str, float] = next((stage['cost'] for stage in stages if stage['stage'] == 'pretraining'), {})
    return {
        'seed': run.seed,
        'value': outputs.value(plan.steps[run.result_step], out),
        'metrics': {name: float(value) for name, value in best['metrics'].items()},
        **{key: round(value, 3) if key == 'seconds' else int(value) for key, value in totals.items()},
        **{f'pretraining_{key}': before.get(key, 0) for key in outputs.COST_KEYS},
        'stages': stages,
    }


def _stage(plan: Plan, kind: str, name: str, out: str) -> dict[str, Any]:
    step = plan.steps[name]
    done = files.read_json(os.path.join(step.folder(out), runner.DONE))
    stage: dict[str, Any] = {
        'stage': kind,
        'step': name,
        'key': done['key'],
        'code': done['inputs']['code'],
        'kept_although': done.get('kept_although'),
        'shared_with': sorted({run.arm.name for run in plan.sharing(name)}),
        'cost': outputs.cost(step, out, done['seconds']),
    }
    if kind == 'pretraining':
        best = outputs.pretraining_result(step, out)
        stage |= {'best_step': best.get('step'), 'metrics': best['metrics']}
    elif step.trains:
        best = outputs.result(step, out)
        stage |= {'best_step': best.get('step'), 'value': outputs.value(step, out)}
        stage |= {'curves': outputs.curves(step, out), 'drops': outputs.drops(step, out)}
    else:
        found = outputs.manifest(step, out)
        stage[f'pseudo_{plan.kind.labels}'] = found.get('num_instances')
    return stage


def _data(config: study_config.StudyConfig, plan: Plan, out: str) -> dict[str, Any]:
    from official_rethink.data import shards  # noqa: PLC0415  (TensorFlow)

    found: dict[str, Any] = {'built_in_scenes': not config.data.labelled, 'test_is_validation': False}
    found['test_is_validation'] = plan.data.test == plan.data.validation
    for name in ('labelled', 'unlabelled', 'validation', 'test', *study_validation.needed_sets(config)):
        pattern = getattr(plan.data, name)
        used = pattern and (name != 'unlabelled' or any(arm.self_training for arm in config.arms))
        if not used:
            continue
        description = shards.load_description(pattern.replace('{out}', out))
        found[name] = {
            'images': description['num_images'],
            'instances': description['num_instances'],
            'source': pattern.replace('{out}/', ''),
        }
        if not plan.kind.boxes and 'pixels_per_category' in description:
            found[name]['pixel_shares'] = outputs.class_shares(description)
        if name == 'labelled':
            found['categories'] = [category['name'] for category in description['categories']]
    return found


def to_csv(results: dict[str, Any]) -> str:
    """One line an arm and seed; a column for networks, numbers of labels and settings where arms have their own.

    `total_images` and so on hold the pre-training too, and are empty where that came from elsewhere, uncounted.
    """
    kind = study_kinds.by_metric(results['metric'])
    own = [name for name in _CSV_OWN if any(arm.get(name) for arm in results['arms'])]
    known = {name for arm in results['arms'] for seed in arm['seeds'] for name in seed['metrics']}
    extras = [name for name in kind.extras if name in known]
    numbers = dict.fromkeys((kind.metric, *extras, *measures.measured(results)))
    totals = [f'total_{name}' for name in samples.QUANTITIES]
    fields = ('study', 'arm', *own, *_CSV_TRAITS, *numbers, *_CSV_COSTS, *totals)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fields, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    for arm in results['arms']:
        for seed in arm['seeds']:
            common = {**arm, **seed, **seed['metrics'], **samples.totals(seed, arm)}
            common |= {'study': results['study'], 'arm': arm['name']}
            common['params_override'] = json.dumps(arm.get('params_override') or {}, sort_keys=True)
            writer.writerow({name: common.get(name, '') for name in fields})
    return stream.getvalue()


def load(path: str) -> dict[str, Any]:
    """Reads a results.json.

    Raises:
        UserError: it is missing, or is not a study's result.
    """
    found = files.read_json(path)
    if not isinstance(found, dict) or not {'study', 'metric', 'arms', 'data'} <= set(found):
        raise errors.UserError(f"'{path}' is not the result of a study.")
    return found
