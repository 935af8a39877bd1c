"""From a study's config to its plan, with everything checked that can be before the first step."""

import os
import tempfile
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import layers, normalization, parse, study_kinds
from official_rethink.configs import study as study_config
from official_rethink.study import check_data, outputs, overrides, plan, settings, steps


def make_plan(config: study_config.StudyConfig) -> plan.Plan:
    """Checks data, checkpoints and every training's config, and plans the study.

    Raises:
        UserError: the first thing that is wrong.
    """
    for role in config.roles():
        settings.check_role(role, config.role(role))
    settings.check_arms(config)
    settings.check_grids(config)
    batches = overrides.batches(config)
    _check_kinds(config)
    _check_checkpoints(config)
    num_classes, num_unlabelled, other = check_data.check(config)
    made = plan.build(config, num_classes, num_unlabelled, batches, other)
    resolved = _check_trainings(config, made)
    _check_starts(config, made, resolved)
    if config.data.labelled:
        check_data.check_files(made, resolved)
    return made


def _without_network(config: study_config.StudyConfig) -> str:
    """Names an arm that takes the study's own roles beside networks that others take, as what may be amiss."""
    bare = [arm.name for arm in config.arms if not arm.network]
    if not config.networks or not bare:
        return ''
    names = ', '.join(network.name for network in config.networks)
    return f" Arm '{bare[0]}' names no network and so takes the study's own roles; it may name one of {names}."


def _check_kinds(config: study_config.StudyConfig) -> None:
    """Refuses arms that no one number can compare."""
    kind = config.kind()
    roles = [config.role_of(arm, 'supervised') for arm in config.arms]
    roles += [config.role_of(arm, 'self_training') for arm in config.arms if arm.self_training]
    for role in dict.fromkeys(roles):
        experiment = config.role(role).experiment
        found = study_kinds.of_experiment(experiment)
        if found is None:
            every = ' or '.join(f'{one.networks} ({one.metric})' for one in study_kinds.KINDS)
            raise errors.bad_value(f'{role}.experiment', experiment, f'an experiment of {every}')
        if found is not kind:
            raise errors.UserError(
                f'{role}.experiment, {experiment!r}, trains {found.networks}, measured by {found.metric}, and '
                f'{roles[0]}.experiment, {config.role(roles[0]).experiment!r}, {kind.networks}, measured by '
                f'{kind.metric}; a study compares arms of one kind.{_without_network(config)}'
            )
    aligned = next((item for item in config.used_pretraining() if item.kind == 'alignment'), None)
    if aligned is not None and not kind.boxes and not config.data.labelled:
        raise errors.UserError(
            f"pretraining '{aligned.name}' is of kind 'alignment', for which the built-in scenes hold boxes and no "
            'label maps; give data of your own (data.labelled, data.alignment), or another kind.'
        )


def _check_checkpoints(config: study_config.StudyConfig) -> None:
    for index, arm in enumerate(config.arms):
        start = arm.initialization
        if start != study_config.RANDOM and not steps.fingerprint([f'{start}*', os.path.join(start, '*')]):
            key = f"arms[{index}].initialization (arm '{arm.name}')"
            raise errors.bad_value(key, start, "'random' or the path of a checkpoint, without .index")


def _check_trainings(config: study_config.StudyConfig, made: plan.Plan) -> dict[str, Any]:
    """Resolves and validates the config of every training, as the training itself will.

    Returns:
        The configs by step; of trainings that differ in nothing but their seed one alone is there.
    """
    resolved: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'study.yaml')
        seen: list[Any] = []
        for step in made.steps.values():
            # Seeds differ in nothing that can be wrong.
            shared = {**(step.config or {}), 'task': {**(step.config or {}).get('task', {}), 'seed': 0}}
            signature = (step.role, step.given('params_override'), shared)
            if not step.trains or signature in seen:
                continue
            seen.append(signature)
            with open(path, 'w', encoding='utf-8') as handle:
                handle.write(outputs.to_yaml(step.filled_config('study') or {}))
            resolved[step.name] = _check_training(config, made, step, path)
    return resolved


def _check_training(config: study_config.StudyConfig, made: plan.Plan, step: steps.Step, path: str) -> Any:
    """Checks one training, whose part that the study sets stands in `path`, with all that a search may find for it."""
    found = next((search for search in made.searches if search.step in step.needs), None)
    if found is None:
        return _check_resolved(config, made, step, [path], _override_words(config, made, step))
    chosen = os.path.join(os.path.dirname(path), 'found.yaml')
    for _, values in found.trials:
        with open(chosen, 'w', encoding='utf-8') as handle:
            handle.write(outputs.to_yaml(settings.nested(values)))
        params = _check_resolved(config, made, step, [chosen, path], _override_words(config, made, step))
    return params


def _check_resolved(
    config: study_config.StudyConfig, made: plan.Plan, step: steps.Step, paths: list[str], places: str
) -> Any:
    """Resolves one config; `paths` are laid over the role's files, and `places` says where its override stands."""
    experiment, override = config.role(step.role).experiment, ','.join(step.given('params_override'))
    try:
        params = parse.load_experiment(experiment, [*step.given('config_file'), *paths], override)
    except errors.UserError as error:
        text = str(error).replace(paths[-1], 'the study').replace(layers.OVERRIDE_FLAG, places)
        text = text.replace(paths[0], 'what its grid finds')
        raise errors.UserError(f'{step.kind} of the study: {text}') from error
    if step.kind == 'teacher' and made.kind.boxes:
        _check_floor(config, params)
    if params.trainer.train_steps != step.total:
        key, found = f'trainer.train_steps of the {step.kind}', params.trainer.train_steps
        raise errors.bad_value(key, found, f'{step.total}, the budget')
    return params


def _check_starts(config: study_config.StudyConfig, made: plan.Plan, resolved: dict[str, Any]) -> None:
    """Refuses a pre-training whose backbone is not the one an arm takes over: seen here, it costs no training."""
    for run in made.runs:
        before, own = (resolved.get(run.stages.get(kind, '')) for kind in ('pretraining', _first(run)))
        if before is None or own is None or 'backbone' not in config.pretraining_of(run.arm.pretraining).modules:
            continue
        for (name, left), right in zip(_backbone(before).items(), _backbone(own).values(), strict=True):
            if left != right:
                raise errors.UserError(
                    f"{name} is {left!r} in pretraining '{run.arm.pretraining}' and {right!r} in arm '{run.arm.name}', "
                    'which takes its backbone over; set both alike, in config_files or params_override.'
                )


def _first(run: plan.ArmRun) -> str:
    return 'teacher' if run.arm.self_training else 'supervised'


def _backbone(params: Any) -> dict[str, Any]:
    """What decides which weights a backbone has; '' where it is not a choice."""
    model = params.task.model
    chosen = model.backbone.get()
    kind = getattr(getattr(model, 'norm_activation', None), 'normalization', normalization.BATCH)
    return {
        'task.model.backbone.type': model.backbone.type,
        'task.model.norm_activation.normalization': normalization.BATCH if kind == normalization.FROZEN else kind,
        **{
            f'task.model.backbone.{model.backbone.type}.{name}': getattr(chosen, name, '')
            for name in ('model_id', 'depth_multiplier')
        },
    }


def _override_words(config: study_config.StudyConfig, made: plan.Plan, step: steps.Step) -> str:
    """Where a training's params_override stands: with the role, with an arm, with a grid, or with several of them."""
    runs = made.sharing(step.name)
    places = [f"params_override of arm '{run.arm.name}'" for run in runs if run.arm.params_override][:1]
    if step.kind == 'trial':
        searches = [run.search for run in runs if run.search]
        places = [f"grid '{searches[0].grid}'"] + [
            f"params_override of arm '{search.arm}'" for search in searches if config.arm(search.arm).params_override
        ][:1]
    role = config.role(step.role).params_override or not places
    return ' or '.join([*([f'{step.role}.params_override'] if role else []), *places])


def _check_floor(config: study_config.StudyConfig, params: Any) -> None:
    """The teacher must not drop what the store is to hold."""
    dropped = params.task.model.detection_generator.pre_nms_score_threshold
    if config.pseudo_labels.score_floor < dropped:
        raise errors.bad_value(
            'pseudo_labels.score_floor',
            config.pseudo_labels.score_floor,
            f'{dropped} or more, since task.model.detection_generator.pre_nms_score_threshold of the teacher '
            'drops what is below; or lower that in supervised.params_override',
        )
