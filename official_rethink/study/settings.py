"""What the params_overrides of a role and of an arm come to together, and what neither may set."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import layers
from official_rethink.configs import study as study_config

# Keys a params_override may not set, and the study's field that sets them.
OWNED = {
    'task.seed': 'seeds',
    'task.train_data.input_path': 'data.labelled',
    'task.train_data.split_file': "an arm's label_fraction or label_count",
    'task.train_data.augmentation.policy': "an arm's augmentation",
    'task.validation_data.input_path': 'data.validation',
    'task.test_data.input_path': 'data.test',
    'task.init_checkpoint': "an arm's initialization or pretraining",
    'task.init_checkpoint_modules': "an arm's initialization_modules",
    'task.classification_data.input_path': 'data.classification',
    'task.classification_validation_data.input_path': 'data.classification_validation',
    'task.joint.num_classes': "the classification images' class list",
    'task.pseudo_data.input_path': 'the pseudo labels the study makes',
    'task.pseudo_data.manifest': 'the pseudo labels the study makes',
    'task.pseudo_data.augmentation.policy': "an arm's augmentation",
    'task.pseudo_data.score_threshold': "an arm's score_threshold",
    'trainer.train_steps': 'budget',
    'trainer.schedule.base_train_steps': 'budget',
    'trainer.schedule.train_epochs': 'budget',
    'trainer.schedule.train_examples': 'budget',
    'trainer.validation_interval': 'budget.validation_interval',
    'task.model.num_classes': "the data's class list",
}
# What a pre-training may decide for itself, since no arm does.
_FREE_IN_PRETRAINING = (
    'task.train_data.split_file',
    'task.train_data.augmentation.policy',
    'task.test_data.input_path',
    'task.init_checkpoint',
    'task.init_checkpoint_modules',
)
_SLUG = 40  # letters of a folder's name that say what an arm sets otherwise


@dataclasses.dataclass(frozen=True)
class Settings:
    """How one training is started, but for what the study sets.

    Attributes:
        role: the part of the study file that says how it is done.
        experiment: registered experiment.
        config_files: YAML files in order.
        params_override: the role's with the arm's over it.
        own: the role's alone.
    """

    role: str
    experiment: str
    config_files: tuple[str, ...]
    params_override: str
    own: str

    @property
    def variant(self) -> str:
        """The role, and the override where it is not the role's own."""
        return self.role if self.params_override == self.own else f'{self.role} {self.params_override}'

    def arguments(self) -> list[str]:
        """The flags of the training."""
        flags = [f'--experiment={self.experiment}', *(f'--config_file={path}' for path in self.config_files)]
        return flags + ([f'--params_override={self.params_override}'] if self.params_override else [])


def of(config: study_config.StudyConfig, role: str, override: str = '') -> Settings:
    """The settings of a role with an arm's override over them."""
    item = config.role(role)
    text = merged(item.params_override, override)
    return Settings(role, item.experiment, tuple(item.config_files), text, item.params_override)


def merged(below: str, above: str) -> str:
    """One override in place of two, of which `above` counts where both set a key."""
    if not above:
        return below
    return to_text(_over(read(below), read(above), ''))


def read(text: str) -> dict[str, Any]:
    """An override's nested values."""
    return layers.read_override(text).values


def to_text(values: Mapping[str, Any]) -> str:
    """Nested values in the one form that equal ones have in common."""
    return json.dumps(values, sort_keys=True) if values else ''


def _over(below: Mapping[str, Any], above: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        known = found.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            value = _over(known, value, f'{prefix}{name}.')
        elif name in found and isinstance(known, dict) != isinstance(value, dict):
            lines = f"'{prefix}{name}' is given a value by the role or the arm, and keys below it by the other"
            raise errors.UserError(f'params_override: {lines}.')
        found[name] = value
    return found


def flat(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of nested values."""
    for name, value in values.items():
        key = f'{prefix}{name}'
        if isinstance(value, dict):
            yield from flat(value, f'{key}.')
        else:
            yield key, value


def check_role(role: str, settings: study_config.RoleConfig) -> None:
    """Refuses a role's overrides of what the study itself sets.

    Raises:
        UserError: names the key and the study's field to use instead.
    """
    free = _FREE_IN_PRETRAINING if role.startswith(study_config.PRETRAINING) else ()
    _check(f'{role}.params_override', settings.params_override, free)


def check_arms(config: study_config.StudyConfig) -> None:
    """Refuses an arm's overrides of what the study itself sets.

    Raises:
        UserError: names the arm, the key and the study's field to use instead.
    """
    for index, arm in enumerate(config.arms):
        what = f"arms[{index}].params_override (arm '{arm.name}')"
        _check(what, arm.params_override, ())
        for part in ('supervised', 'self_training')[: 1 + arm.self_training]:
            try:
                of(config, config.role_of(arm, part), arm.params_override)
            except errors.UserError as error:
                raise errors.UserError(f'{what} and that of its role: {error}') from error


def _check(what: str, text: str, free: Collection[str]) -> None:
    try:
        values = read(text)
    except errors.UserError as error:
        raise errors.UserError(str(error).replace(layers.OVERRIDE_FLAG, what)) from error
    for key, value in flat(values):
        owned = next((own for own in OWNED if own == key or own.startswith(f'{key}.') or key.startswith(f'{own}.')), '')
        if owned and owned not in free:
            raise errors.bad_value(f'{what}: {key}', value, f'nothing; in a study, {OWNED[owned]} decides it')


def slug(text: str) -> str:
    """A piece of a folder's name for an override: what it sets, cut short, and a hash that tells any two apart."""
    values = read(text)
    words = [f'{key.rpartition(".")[2]}_{value}' for key, value in sorted(flat(values))]
    plain = re.sub(r'[^A-Za-z0-9._]+', '_', '_'.join(words))[:_SLUG].strip('_')
    return f'{plain}_{hashlib.sha256(to_text(values).encode()).hexdigest()[:6]}'
