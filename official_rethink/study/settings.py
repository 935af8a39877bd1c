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
# What a study plans its steps by, before a search can have chosen.
_BATCH_SIZES = (
    'task.train_data.global_batch_size',
    'task.pseudo_data.global_batch_size',
    'task.classification_data.global_batch_size',
    'trainer.schedule.base_batch_size',
)
_SLUG = 40  # letters of a folder's name that say what an arm sets otherwise


@dataclasses.dataclass(frozen=True)
class Settings:
    """How one training is started, but for what the study sets.

    Attributes:
        role: the part of the study file that says how it is done.
        experiment: registered experiment.
        config_files: YAML files in order.
        params_override: the role's with the arm's over it, but for what a search decides.
        own: the role's alone.
        carried: file with what a search has found, which no step has made while the study is planned; '' for none.
    """

    role: str
    experiment: str
    config_files: tuple[str, ...]
    params_override: str
    own: str
    carried: str = ''

    @property
    def variant(self) -> str:
        """The role, and the override where it is not the role's own."""
        return self.role if self.params_override == self.own else f'{self.role} {self.params_override}'

    def arguments(self) -> list[str]:
        """The flags of the training."""
        paths = [*self.config_files, *([self.carried] if self.carried else [])]
        flags = [f'--experiment={self.experiment}', *(f'--config_file={path}' for path in paths)]
        return flags + ([f'--params_override={self.params_override}'] if self.params_override else [])


def of(config: study_config.StudyConfig, role: str) -> Settings:
    """The settings of a role alone."""
    item = config.role(role)
    return Settings(role, item.experiment, tuple(item.config_files), item.params_override, item.params_override)


def of_arm(config: study_config.StudyConfig, arm: study_config.ArmConfig, part: str) -> Settings:
    """The settings of an arm's trainings.

    Args:
        config: the study.
        arm: one of its arms, or like one.
        part: 'supervised', teachers included, or 'self_training'.
    """
    found = of(config, config.role_of(arm, part))
    text, grid = merged(found.params_override, arm.params_override), config.grid_of(arm.name)
    # An override would count for more than the file of what was found.
    return dataclasses.replace(found, params_override=without(text, grid.keys()) if grid else text)


def merged(below: str, above: str) -> str:
    """One override in place of two, of which `above` counts where both set a key."""
    if not above:
        return below
    return to_text(_over(read(below), read(above), ''))


def without(text: str, keys: Collection[str]) -> str:
    """An override without some dotted keys; as it is where it sets none of them."""
    found = dict(flat(read(text)))
    kept = {key: value for key, value in found.items() if key not in keys}
    return text if len(kept) == len(found) else to_text(nested(kept))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys and values as nested mappings."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split('.')
        node = found
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    return found


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
                of_arm(config, arm, part)
            except errors.UserError as error:
                raise errors.UserError(f'{what} and that of its role: {error}') from error


def check_grids(config: study_config.StudyConfig) -> None:
    """Refuses searches for what the study, or an arm that takes part, sets itself.

    Raises:
        UserError: names the grid and the key.
    """
    for index, grid in enumerate(config.grids):
        where = f"grids[{index}].values (grid '{grid.name}')"
        for item in grid.values:
            owned = _owner(item.key)
            if owned:
                raise errors.bad_value(f'{where}: {item.key}', item.values, f'nothing; in a study, {owned} decides it')
            if item.key in _BATCH_SIZES:
                allowed = 'nothing; the steps of a study are counted in batches of a size known from its start'
                raise errors.bad_value(f'{where}: {item.key}', item.values, allowed)
        for name in dict.fromkeys([*([grid.arm] if grid.arm else []), *grid.carried_to]):
            for key, value in flat(read(config.arm(name).params_override)):
                if any(f'{key}.'.startswith(f'{one}.') or f'{one}.'.startswith(f'{key}.') for one in grid.keys()):
                    what = f"params_override of arm '{name}': {key}"
                    raise errors.bad_value(what, value, f"nothing, since grid '{grid.name}' decides it")


def _owner(key: str) -> str:
    """The study's field that decides a key, or some of what lies below it; '' if none does."""
    owned = next((one for one in OWNED if f'{one}.'.startswith(f'{key}.') or f'{key}.'.startswith(f'{one}.')), '')
    return OWNED.get(owned, '')


def _check(what: str, text: str, free: Collection[str]) -> None:
    try:
        values = read(text)
    except errors.UserError as error:
        raise errors.UserError(str(error).replace(layers.OVERRIDE_FLAG, what)) from error
    for key, value in flat(values):
        owner = _owner(key)
        if owner and key not in free:
            raise errors.bad_value(f'{what}: {key}', value, f'nothing; in a study, {owner} decides it')


def slug(text: str) -> str:
    """A piece of a folder's name for an override: what it sets, cut short, and a hash that tells any two apart."""
    values = read(text)
    words = [f'{key.rpartition(".")[2]}_{value}' for key, value in sorted(flat(values))]
    plain = re.sub(r'[^A-Za-z0-9._]+', '_', '_'.join(words))[:_SLUG].strip('_')
    return f'{plain}_{hashlib.sha256(to_text(values).encode()).hexdigest()[:6]}'
