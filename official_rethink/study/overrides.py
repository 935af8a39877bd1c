"""What a study sets in a training's config: the one place that knows these keys."""

import dataclasses
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import study as study_config
from official_rethink.study import settings as settings_module
from official_rethink.study.settings import Settings


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
    """Reads the batch sizes of each role, and of each arm that sets something otherwise, by `Settings.variant`."""
    from official_rethink.configs import parse  # noqa: PLC0415  (TensorFlow)

    found = {}
    for role in config.roles():
        settings = settings_module.of(config, role)
        if settings.experiment not in parse.experiments():
            raise errors.unknown_name(f'{role}.experiment', settings.experiment, parse.experiments())
        found[settings.variant] = _batch(settings, f'{role}.params_override')
    for index, arm in enumerate(config.arms):
        for part in ('supervised', 'self_training')[: 1 + arm.self_training]:
            settings = settings_module.of_arm(config, arm, part)
            if settings.variant not in found:
                found[settings.variant] = _batch(settings, f"arms[{index}].params_override (arm '{arm.name}')")
    return found


def _batch(settings: Settings, override: str) -> Batch:
    """The batch sizes of one kind of training; `override` names the place of its params_override."""
    from official.core import exp_factory  # noqa: PLC0415  (TensorFlow)

    from official_rethink.configs import layers, parse  # noqa: PLC0415

    try:
        loaded = parse.load_config(
            exp_factory.get_exp_config(settings.experiment), settings.config_files, settings.params_override
        )
    except errors.UserError as error:
        raise errors.UserError(str(error).replace(layers.OVERRIDE_FLAG, override)) from error
    task = loaded.params.task
    _check_kind(settings.role, settings.experiment, task)
    pseudo = task.pseudo_data.global_batch_size if hasattr(task, 'pseudo_data') else 0
    classified = task.classification_data.global_batch_size if hasattr(task, 'classification_data') else 0
    base = loaded.params.trainer.schedule.base_batch_size
    return Batch(task.train_data.global_batch_size, pseudo, base, classified)


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
