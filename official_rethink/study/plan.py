"""Turns a study into the steps it takes, each shared by all the arms that need it."""

import dataclasses
import hashlib
import os
import re
from typing import Any

from official_rethink.configs import study as study_config
from official_rethink.study import overrides
from official_rethink.study.steps import Step

_SETS = ('labelled', 'unlabelled', 'validation', 'test')


@dataclasses.dataclass(frozen=True)
class ArmRun:
    """One arm with one seed.

    Attributes:
        arm: the arm.
        seed: the seed.
        stages: step names in order of running: ('supervised',) or ('teacher', 'label', 'student'), by kind.
    """

    arm: study_config.ArmConfig
    seed: int
    stages: dict[str, str]

    @property
    def result_step(self) -> str:
        """Name of the training step whose best checkpoint is the arm's result."""
        return self.stages['student' if self.arm.self_training else 'supervised']


@dataclasses.dataclass(frozen=True)
class Data:
    """Where a study's data lie, once prepared.

    Attributes:
        labelled: shard pattern; so the other three. `test` is never empty.
        unlabelled: '' if no arm needs it.
        validation: see there.
        test: see there.
        truth: the unlabelled shards carry labels to measure pseudo labels by.
        num_classes: largest class id plus one.
        needs: for each of the four, the steps that prepare it.
    """

    labelled: str
    unlabelled: str
    validation: str
    test: str
    truth: bool
    num_classes: int
    needs: dict[str, tuple[str, ...]]

    def inputs(self, *sets: str) -> tuple[str, ...]:
        """Patterns of the named sets that no step of the study makes, with their descriptions."""
        found: list[str] = []
        for name in sets:
            pattern = getattr(self, name)
            if not self.needs[name]:
                folder = os.path.dirname(pattern)
                split = re.split(r'[-*?]', os.path.basename(pattern))[0]
                found += [pattern, os.path.join(folder, f'{split}.json')]
        return tuple(found)

    def steps(self, *sets: str) -> tuple[str, ...]:
        """Names of the steps that prepare the named sets."""
        return tuple(step for name in sets for step in self.needs[name])


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every step of a study in an order that runs, and which of them belong to which arm and seed."""

    steps: dict[str, Step]
    runs: list[ArmRun]
    data: Data

    def sharing(self, name: str) -> list[ArmRun]:
        """The runs that use the step."""
        return [run for run in self.runs if name in run.stages.values()]


def scene_steps(config: study_config.StudyConfig) -> tuple[list[Step], Data]:
    """The steps that draw the built-in scenes, and where they put them."""
    scenes = config.data.scenes
    steps: list[Step] = []
    needs: dict[str, tuple[str, ...]] = {}
    for index, name in enumerate(_SETS):
        count = getattr(scenes, f'num_{name}')
        arguments = {
            'output_dir': f'{{out}}/data/{name}',
            'split': name,
            'num_images': count,
            'seed': scenes.seed * len(_SETS) + index,
            'size': scenes.size,
            'difficulty': scenes.difficulty,
            'num_classes': scenes.num_classes,
        }
        needs[name] = (f'data/{name}',)
        steps.append(
            Step(
                name=f'data/{name}',
                kind='scenes',
                module='official_rethink.prepare',
                arguments=('scenes', *(f'--{key}={value}' for key, value in arguments.items())),
                products=(f'{name}.json', f'{name}-*.tfrecord'),
                total=count,
                unit='images',
            )
        )
    patterns = {name: f'{{out}}/data/{name}/{name}-*.tfrecord' for name in _SETS}
    return steps, Data(**patterns, truth=True, num_classes=scenes.num_classes + 1, needs=needs)


def own_data(config: study_config.StudyConfig, num_classes: int) -> Data:
    """Where the user's own shards lie."""
    data = config.data
    return Data(
        labelled=data.labelled,
        unlabelled=data.unlabelled,
        validation=data.validation,
        test=data.test or data.validation,
        truth=data.unlabelled_truth,
        num_classes=num_classes,
        needs={name: () for name in _SETS},
    )


def build(
    config: study_config.StudyConfig, num_classes: int, num_unlabelled: int, batches: dict[str, Any]
) -> Plan:
    """Builds the plan.

    Args:
        config: the study.
        num_classes: largest class id plus one of the user's own data; ignored for the built-in scenes.
        num_unlabelled: images the teacher labels; likewise.
        batches: by role, 'supervised' and 'self_training', the batch sizes (`overrides.Batch`).
    """
    prepared: list[Step] = []
    if config.data.labelled:
        data = own_data(config, num_classes)
    else:
        prepared, data = scene_steps(config)
        num_unlabelled = config.data.scenes.num_unlabelled
        if not any(arm.self_training for arm in config.arms):
            prepared = [step for step in prepared if step.name != 'data/unlabelled']
    builder = _Builder(config, data, num_unlabelled, batches)
    for step in prepared:
        builder.add(step)
    runs = [builder.arm_run(arm, seed) for seed in config.seeds for arm in config.arms]
    return Plan(builder.steps, runs, data)


class _Builder:
    """Collects steps; equal ones are the same step."""

    def __init__(
        self, config: study_config.StudyConfig, data: Data, num_unlabelled: int, batches: dict[str, Any]
    ) -> None:
        self.steps: dict[str, Step] = {}
        self._config, self._data, self._num_unlabelled, self._batches = config, data, num_unlabelled, batches

    def add(self, step: Step) -> str:
        """Adds a step and returns its name; a step of that name must be this very step."""
        known = self.steps.setdefault(step.name, step)
        assert known == step, f'two different steps are named {step.name}'
        return step.name

    def arm_run(self, arm: study_config.ArmConfig, seed: int) -> ArmRun:
        """Adds what the arm needs for one seed."""
        budget = self._config.budget
        if not arm.self_training:
            name = self._supervised(arm, seed, 'supervised', budget.supervised())
            return ArmRun(arm, seed, {'supervised': name})
        teacher = self._supervised(arm, seed, 'teacher', budget.teacher_steps)
        label = self._label(teacher)
        student = self._student(arm, seed, teacher, label)
        return ArmRun(arm, seed, {'teacher': teacher, 'label': label, 'student': student})

    def _split(self, arm: study_config.ArmConfig, seed: int) -> tuple[str, tuple[str, ...]]:
        """Path of the arm's split file and the step that makes it; nothing for all labels."""
        if arm.label_fraction == 1:
            return '', ()
        # A fraction's images do not depend on which others are asked for, so each has its own step.
        fraction = float(arm.label_fraction)
        name = f'splits/labels{fraction!r}-seed{seed}'
        step = Step(
            name=name,
            kind='split',
            module='official_rethink.prepare',
            arguments=(
                'split',
                f'--input={self._data.labelled}',
                f'--fractions={fraction!r}',
                f'--seed={seed}',
                f'--output_dir={{out}}/{name}',
            ),
            needs=self._data.steps('labelled'),
            inputs=self._data.inputs('labelled'),
            products=('splits/fraction_*.json',),
            total=1,
            unit='fraction',
        )
        return f'{{out}}/{name}/splits/fraction_{fraction!r}_seed_{seed}.json', (self.add(step),)

    def _training(
        self,
        role: str,
        kind: str,
        name: str,
        steps: int,
        config: dict[str, Any],
        needs: tuple[str, ...],
        start: str,
    ) -> str:
        settings = getattr(self._config, role)
        arguments = [f'--experiment={settings.experiment}']
        arguments += [f'--config_file={path}' for path in settings.config_files]
        if settings.params_override:
            arguments.append(f'--params_override={settings.params_override}')
        arguments += ['--mode=train_and_eval', f'--model_dir={{out}}/{name}']
        outside = () if start in ('', study_config.RANDOM) else (f'{start}*', f'{start}/*')
        return self.add(
            Step(
                name=name,
                kind=kind,
                module='official_rethink.train',
                arguments=tuple(arguments),
                config=config,
                needs=(*self._data.steps('labelled', 'validation', 'test'), *needs),
                inputs=(
                    *self._data.inputs('labelled', 'validation', 'test'),
                    *settings.config_files,
                    *outside,
                ),
                products=('best/*.index', 'best/*.data-*'),
                leaves=('test.json', 'params.yaml'),
                total=steps,
                images_per_step=self._batches[role].images,
            )
        )

    def _common(
        self, arm: study_config.ArmConfig, seed: int, role: str, steps: int, split: str
    ) -> dict[str, Any]:
        return overrides.training(
            self._data, self._batches[role], arm, seed, steps, self._config.budget.validation_interval, split
        )

    def _supervised(self, arm: study_config.ArmConfig, seed: int, kind: str, steps: int) -> str:
        split, split_steps = self._split(arm, seed)
        config = self._common(arm, seed, 'supervised', steps, split)
        overrides.start_from_initialization(config, arm)
        name = f'training/{kind}-{_identity(arm)}-seed{seed}'
        return self._training('supervised', kind, name, steps, config, split_steps, arm.initialization)

    def _label(self, teacher: str) -> str:
        name = teacher.replace('training/teacher-', 'pseudo_labels/')
        arguments = [
            f'--experiment={self._config.supervised.experiment}',
            f'--config_file={{out}}/{teacher}/params.yaml',
            f'--checkpoint={{out}}/{teacher}/best',
            f'--input={self._data.unlabelled}',
            f'--output_dir={{out}}/{name}',
            f'--score_floor={self._config.pseudo_labels.score_floor}',
            f'--gallery_images={self._config.pseudo_labels.gallery_images}',
        ]
        if self._data.truth:
            arguments.append('--truth')
        return self.add(
            Step(
                name=name,
                kind='label',
                module='official_rethink.pseudo_label',
                arguments=tuple(arguments),
                needs=(*self._data.steps('unlabelled'), teacher),
                inputs=self._data.inputs('unlabelled'),
                products=('pseudo-*.tfrecord',),
                leaves=('manifest.json',),
                total=self._num_unlabelled,
                unit='images',
            )
        )

    def _student(self, arm: study_config.ArmConfig, seed: int, teacher: str, label: str) -> str:
        split, split_steps = self._split(arm, seed)
        steps = self._config.budget.student_steps
        config = self._common(arm, seed, 'self_training', steps, split)
        overrides.read_pseudo_labels(config, arm, label)
        start = ''
        if arm.student_init == 'teacher':
            overrides.start_from_teacher(config, teacher)
        else:
            overrides.start_from_initialization(config, arm)
            start = arm.initialization
        threshold, origin = _number(arm.score_threshold), arm.student_init
        name = f'training/student-{_identity(arm)}-over{threshold}-from_{origin}-seed{seed}'
        needs = (*split_steps, *self._data.steps('unlabelled'), teacher, label)
        return self._training('self_training', 'student', name, steps, config, needs, start)


def _number(value: float) -> str:
    return f'{value:g}' if value != int(value) else f'{value:.1f}'


def _identity(arm: study_config.ArmConfig) -> str:
    """What tells one teacher from another, as part of a folder's name."""
    start = arm.initialization
    if start != study_config.RANDOM:
        modules = ','.join(arm.initialization_modules)
        digest = hashlib.sha256(f'{start} {modules}'.encode()).hexdigest()[:6]
        start = re.sub(r'[^A-Za-z0-9.]+', '_', os.path.basename(start.rstrip('/')))[:24] + '_' + digest
    return f'{start}-{arm.augmentation}-labels{_number(arm.label_fraction)}'
