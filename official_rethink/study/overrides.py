"""What a study sets in a training's config: the one place that knows these keys."""

import dataclasses
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import layers
from official_rethink.configs import study as study_config

# Keys a role's params_override may not set, and the study's field that sets them.
_OWNED = {
    'task.seed': 'seeds',
    'task.train_data.input_path': 'data.labelled',
    'task.train_data.split_file': "an arm's label_fraction",
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


@dataclasses.dataclass(frozen=True)
class Batch:
    """Batch sizes of a role.

    Attributes:
        human: human-labelled examples a step.
        pseudo: pseudo-labelled examples a step.
        base: the batch size that the schedule's steps are counted in; 0: the same as `human`.
        classified: images a joint step classifies.
    """

    human: int
    pseudo: int = 0
    base: int = 0
    classified: int = 0

    @property
    def images(self) -> int:
        """Images a step reads."""
        return self.human + self.pseudo + self.classified


def check_role(role: str, settings: study_config.RoleConfig) -> None:
    """Refuses overrides of what the study itself sets.

    Raises:
        UserError: names the key and the study's field to use instead.
    """
    if not settings.params_override:
        return
    for key, value in _flat(layers.read_override(settings.params_override).values, ''):
        free = role.startswith(study_config.PRETRAINING) and key in _FREE_IN_PRETRAINING
        if key in _OWNED and not free:
            allowed = f'nothing; in a study, {_OWNED[key]} decides it'
            raise errors.bad_value(f'{role}.params_override: {key}', value, allowed)


def _flat(values: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        key = f'{prefix}{name}'
        found += _flat(value, f'{key}.') if isinstance(value, dict) else [(key, value)]
    return found


def training(
    data: Any,
    batch: Batch,
    arm: study_config.ArmConfig,
    seed: int,
    steps: int,
    validation_interval: int,
    split: str,
) -> dict[str, Any]:
    """What the study sets in any training, supervised or student."""
    return {
        'task': {
            'seed': seed,
            'model': {'num_classes': data.num_classes},
            'train_data': {
                'input_path': data.labelled,
                'split_file': split,
                'augmentation': {'policy': arm.augmentation},
            },
            'validation_data': {'input_path': data.validation},
            'test_data': {'input_path': data.test},
        },
        'trainer': {
            'train_steps': steps,
            'validation_interval': validation_interval,
            'schedule': _length(batch, steps),
        },
    }


def _length(batch: Batch, steps: int) -> dict[str, Any]:
    """The schedule's length that comes out as exactly `steps` at this batch size."""
    whole, rest = divmod(steps * batch.human, batch.base or batch.human)
    if not rest:
        return {'base_train_steps': whole, 'train_epochs': None}
    # One "epoch" of one batch a step is exact where the base batch does not divide the length.
    return {'base_train_steps': None, 'train_epochs': float(steps), 'train_examples': batch.human}


def start_from_initialization(config: dict[str, Any], arm: study_config.ArmConfig) -> None:
    """Starts from the arm's initialisation."""
    random = arm.initialization == study_config.RANDOM
    config['task']['init_checkpoint'] = '' if random else arm.initialization
    if not random:
        config['task']['init_checkpoint_modules'] = list(arm.initialization_modules)


def start_from_step(config: dict[str, Any], step: str, modules: str | list[str]) -> None:
    """Starts from modules ('all' for every weight) of a training step's best checkpoint."""
    config['task']['init_checkpoint'] = f'{{out}}/{step}/best'
    config['task']['init_checkpoint_modules'] = modules


def read_classification(config: dict[str, Any], data: Any) -> None:
    """Adds the images that a joint step classifies."""
    config['task']['joint'] = {'num_classes': data.other_classes['classification']}
    config['task']['classification_data'] = {'input_path': data.classification}
    config['task']['classification_validation_data'] = {'input_path': data.classification_validation}


def pretraining_sets(item: study_config.PretrainingConfig) -> tuple[str, str]:
    """Names of the data sets a pre-training learns from and is measured on."""
    name = 'alignment' if item.kind == 'alignment' else 'classification'
    return name, f'{name}_validation'


def pretraining(data: Any, batch: Batch, item: study_config.PretrainingConfig) -> dict[str, Any]:
    """What the study sets in a pre-training."""
    train, validation = pretraining_sets(item)
    task = {
        'seed': item.seed,
        'train_data': {'input_path': getattr(data, train)},
        'validation_data': {'input_path': getattr(data, validation)},
    }
    # A classifier counts no background, a detector does, and SimCLR has no classes.
    if item.kind == 'classification':
        task['model'] = {'num_classes': data.other_classes[train]}
    if item.kind == 'alignment':
        task['model'] = {'num_classes': data.other_classes[train] + 1}
        task['test_data'] = {'input_path': getattr(data, validation)}
    return {
        'task': task,
        'trainer': {
            'train_steps': item.steps,
            'validation_interval': item.interval(),
            'schedule': _length(batch, item.steps),
        },
    }


def read_pseudo_labels(config: dict[str, Any], arm: study_config.ArmConfig, label: str) -> None:
    """Adds the teacher's labels, over the arm's threshold and under its augmentation."""
    config['task']['pseudo_data'] = {
        'input_path': f'{{out}}/{label}/pseudo-*.tfrecord',
        'manifest': f'{{out}}/{label}/manifest.json',
        'score_threshold': arm.score_threshold,
        'augmentation': {'policy': arm.augmentation},
    }


def batches(config: study_config.StudyConfig) -> dict[str, Batch]:
    """Reads each role's batch sizes from its experiment, config files and overrides."""
    from official.core import exp_factory  # noqa: PLC0415  (TensorFlow)

    from official_rethink.configs import parse  # noqa: PLC0415

    found = {}
    for role in config.roles():
        settings = config.role(role)
        if settings.experiment not in parse.experiments():
            raise errors.unknown_name(f'{role}.experiment', settings.experiment, parse.experiments())
        loaded = parse.load_config(
            exp_factory.get_exp_config(settings.experiment), settings.config_files, settings.params_override
        )
        task = loaded.params.task
        _check_kind(role, settings.experiment, task)
        pseudo = task.pseudo_data.global_batch_size if hasattr(task, 'pseudo_data') else 0
        classified = task.classification_data.global_batch_size if hasattr(task, 'classification_data') else 0
        base = loaded.params.trainer.schedule.base_batch_size
        found[role] = Batch(task.train_data.global_batch_size, pseudo, base, classified)
    return found


def _check_kind(role: str, experiment: str, task: Any) -> None:
    """Refuses an experiment that does not read what its role does."""
    part = role.rpartition('/')[2] if role.startswith(study_config.NETWORK) else role
    for field, wanted, words in (
        ('pseudo_data', part.startswith('self_training'), 'pseudo labels'),
        ('classification_data', part in ('joint', 'self_training_joint'), 'images to classify'),
    ):
        if hasattr(task, field) != wanted:
            kind = f'reads no {words}' if wanted else f'reads {words}'
            raise errors.UserError(f'{role}.experiment, {experiment!r}, {kind}; are the roles swapped?')
