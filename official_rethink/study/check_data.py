"""The user's data, before the first step of a study: whether the sets fit together and hold what is learnt."""

from collections.abc import Mapping
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks, families, study_validation
from official_rethink.configs import study as study_config
from official_rethink.study import plan


def check_files(made: plan.Plan, resolved: Mapping[str, Any]) -> None:
    """Checks that the user's sets hold what the networks learn, as a training does when it starts.

    Args:
        made: the plan.
        resolved: configs by training step.

    Raises:
        UserError: boxes, masks or key points are missing.
    """
    seen = []
    for name, params in resolved.items():
        step = made.steps[name]
        looked_for = (step.role, step.given('params_override'))
        check_of_family = families.of(params.task).check_files
        if step.kind not in ('supervised', 'teacher', 'trial') or looked_for in seen or check_of_family is None:
            continue
        seen.append(looked_for)
        try:
            check_of_family(checks.Rules(params, checks.Where()))
        except errors.UserError as error:
            raise errors.UserError(f'{step.kind} of the study: {error}') from error


def check(config: study_config.StudyConfig) -> tuple[int, int, dict[str, int]]:
    """Checks that the user's sets fit together, and that there are as many images as arms ask for.

    Returns:
        Largest class id plus one; the number of unlabelled images; largest class id of the 'classification'
        and the 'alignment' images, where arms need them. Of the built-in scenes, which fit, nothing but zeros.
    """
    from official_rethink.data import shards, splits  # noqa: PLC0415  (TensorFlow)

    data = config.data
    if not data.labelled:
        _check_counts(config, data.scenes.num_labelled)
        return 0, 0, {}
    patterns = {name: getattr(data, name) for name in ('labelled', 'unlabelled', 'validation', 'test')}
    found: dict[str, dict[str, Any]] = {}
    for name, pattern in patterns.items():
        if pattern and (name != 'unlabelled' or any(arm.self_training for arm in config.arms)):
            try:
                found[name] = shards.load_description(pattern)
            except errors.UserError as error:
                raise errors.UserError(f'data.{name}: {error}') from error
    classes = {item['id']: item['name'] for item in found['labelled']['categories']}
    if not classes:
        raise errors.UserError(f"data.labelled '{data.labelled}' has no classes; its images carry no labels.")
    for name in ('validation', 'test'):
        other = {item['id']: item['name'] for item in found.get(name, {}).get('categories', [])}
        differing = sorted(key for key in {*classes, *other} if classes.get(key) != other.get(key))
        if name in found and differing:
            key = differing[0]
            raise errors.UserError(
                f'data.{name} and data.labelled have different classes: id {key} is {other.get(key)!r} in '
                f'{name} and {classes.get(key)!r} in labelled ({len(differing)} ids differ). '
                'Prepare them together.'
            )
    for learnt in ('labelled', 'unlabelled'):
        for measured in ('validation', 'test'):
            if learnt in found and measured in found:
                splits.check_disjoint(found[learnt], found[measured], names=(learnt, measured))
    _check_counts(config, found['labelled']['num_images'])
    if not config.kind().boxes:
        _check_label_maps(config, found)
    other = _check_other_sets(config, found)
    return max(classes) + 1, found.get('unlabelled', {}).get('num_images', 0), other


def _check_counts(config: study_config.StudyConfig, labelled: int) -> None:
    """Refuses an arm that asks for more labelled images than there are."""
    for index, arm in enumerate(config.arms):
        if arm.label_count > labelled:
            key = f"arms[{index}].label_count (arm '{arm.name}')"
            raise errors.bad_value(key, arm.label_count, f'at most {labelled:,}, the labelled images')


def _check_label_maps(config: study_config.StudyConfig, found: dict[str, dict[str, Any]]) -> None:
    """Refuses sets without a class for every pixel where a segmentation network needs them."""
    for name, description in found.items():
        needed = name != 'unlabelled' or config.data.unlabelled_truth
        if needed and not description.get('label_maps'):
            raise errors.UserError(
                f"data.{name} '{getattr(config.data, name)}' has no label maps, which segmentation networks learn "
                'from and are measured by; prepare it with `prepare voc`, or `prepare scenes --kind=segmentation`.'
            )


def _check_other_sets(config: study_config.StudyConfig, found: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Checks the sets of joint arms and pre-trainings; returns the largest class id of each kind."""
    from official_rethink.data import shards, splits  # noqa: PLC0415  (TensorFlow)

    other: dict[str, int] = {}
    for name in study_validation.needed_sets(config):
        pattern = getattr(config.data, name)
        if not pattern:
            continue
        try:
            description = shards.load_description(pattern)
        except errors.UserError as error:
            raise errors.UserError(f'data.{name}: {error}') from error
        kind = name.removesuffix('_validation')
        largest = max((item['id'] for item in description['categories']), default=0)
        contrastive = kind == 'classification' and not config.classifies()
        if not largest and not contrastive:
            raise errors.UserError(f"data.{name} '{pattern}' has no classes; its images carry no labels.")
        other[kind] = max(other.get(kind, 0), largest)
        for measured in ('validation', 'test'):
            if measured in found and name == kind:
                splits.check_disjoint(description, found[measured], names=(name, measured))
    return other
