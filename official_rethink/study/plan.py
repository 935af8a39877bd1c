"""Turns a study into the steps it takes, each shared by all the arms that need it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from official_rethink.configs import shipped, study_kinds
from official_rethink.configs import study as study_config
from official_rethink.study import data as study_data
from official_rethink.study import grids, identity, overrides, settings
from official_rethink.study.data import Data
from official_rethink.study.settings import Settings
from official_rethink.study.steps import Step


@dataclasses.dataclass(frozen=True)
class ArmRun:
    """One arm with one seed.

    Attributes:
        arm: the arm.
        seed: the seed.
        stages: kind -> step name, in order of running: 'supervised', or 'teacher', 'label', 'student', and
            'label_2', 'student_2', ... for further rounds; 'pretraining' before them.
        search: what the arm takes its values over from; None where it has its own.
    """

    arm: study_config.ArmConfig
    seed: int
    stages: dict[str, str]
    search: grids.Search | None = None

    @property
    def result_step(self) -> str:
        """Name of the training step whose best checkpoint is the arm's result."""
        return list(self.stages.values())[-1]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every step of a study in an order that runs, and which of them belong to which arm and seed."""

    steps: dict[str, Step]
    runs: list[ArmRun]
    data: Data
    kind: study_kinds.Kind = study_kinds.DETECTION

    def sharing(self, name: str) -> list[ArmRun]:
        """The runs that use the step."""
        return [run for run in self.runs if name in run.stages.values() or run.search and name in run.search.steps]

    @property
    def searches(self) -> list[grids.Search]:
        """Every search that an arm takes values over from."""
        found = {run.search.step: run.search for run in self.runs if run.search}
        return list(found.values())

    def teaches(self, name: str) -> bool:
        """Whether pseudo labels are made by what the step trains."""
        return any(name in step.needs for step in self.steps.values() if step.kind == 'label')


def build(
    config: study_config.StudyConfig,
    num_classes: int,
    num_unlabelled: int,
    batches: dict[str, Any],
    other_classes: Mapping[str, int] | None = None,
) -> Plan:
    """Builds the plan.

    Args:
        config: the study.
        num_classes: largest class id plus one of the user's own data; ignored for the built-in scenes.
        num_unlabelled: images the teacher labels; likewise.
        batches: by role, such as 'supervised', the batch sizes (`overrides.Batch`).
        other_classes: largest class id of the user's 'classification' and 'alignment' sets.
    """
    prepared: list[Step] = []
    if config.data.labelled:
        data = study_data.own_data(config, num_classes, other_classes or {})
    else:
        prepared, data = study_data.scene_steps(config)
        num_unlabelled = config.data.scenes.num_unlabelled
    builder = _Builder(config, data, num_unlabelled, batches)
    for step in prepared:
        builder.add(step)
    runs = [builder.arm_run(arm, seed) for seed in config.seeds for arm in config.arms]
    return Plan(builder.steps, runs, data, config.kind())


class _Builder:
    """Collects steps; equal ones are the same step."""

    def __init__(
        self, config: study_config.StudyConfig, data: Data, num_unlabelled: int, batches: dict[str, Any]
    ) -> None:
        self.steps: dict[str, Step] = {}
        self._config, self._data, self._num_unlabelled, self._batches = config, data, num_unlabelled, batches
        self._kind = config.kind()

    def add(self, step: Step) -> str:
        """Adds a step and returns its name; a step of that name must be this very step."""
        known = self.steps.setdefault(step.name, step)
        assert known == step, f'two different steps are named {step.name}'
        return step.name

    def arm_run(self, arm: study_config.ArmConfig, seed: int) -> ArmRun:
        """Adds what the arm needs for one seed."""
        stages: dict[str, str] = {}
        search = self._search(arm)
        if arm.pretraining:
            stages['pretraining'] = self._pretraining(self._config.pretraining_of(arm.pretraining))
        if not arm.self_training:
            stages['supervised'] = self._supervised(arm, seed, 'supervised', self._config.steps_of(arm))
            return ArmRun(arm, seed, stages, search)
        teacher = stages['teacher'] = self._supervised(arm, seed, 'teacher', self._config.budget.teacher_steps)
        for number in range(1, arm.self_training_rounds + 1):
            mark = f'_{number}' if number > 1 else ''
            label = stages[f'label{mark}'] = self._label(arm, teacher, number)
            teacher = stages[f'student{mark}'] = self._student(arm, seed, teacher, label, number)
        return ArmRun(arm, seed, stages, search)

    def _search(self, arm: study_config.ArmConfig) -> grids.Search | None:
        """Adds the trainings whose best values the arm takes over, and the step that ranks them."""
        grid = self._config.grid_of(arm.name)
        if grid is None:
            return None
        tuned = self._config.arm(grid.tuned_on(arm.name))
        tried = [(values, grids.trial(grid, tuned, values)) for values in grids.combinations(grid)]
        trials = tuple(
            (self._supervised(one, grid.seed, 'trial', self._config.steps_of(one)), values) for values, one in tried
        )
        step = grids.ranking_step(grid, tuned, self._config.supervised_steps(), trials, self._kind.metric)
        return grids.Search(grid.name, tuned.name, self.add(step), trials)

    def _pretraining(self, item: study_config.PretrainingConfig) -> str:
        """The one run that all arms and seeds share."""
        name = f'training/pretraining-{item.name}'
        own = settings.of(self._config, study_config.PRETRAINING + item.name)
        config = overrides.pretraining(self._data, self._batch(own), item)
        sets = overrides.pretraining_sets(item)
        return self._training(own, 'pretraining', name, item.steps, config, sets, (), '')

    def _batch(self, own: Settings) -> overrides.Batch:
        # What the check of the plan did not tell apart is of the role's own size; it compares the lengths too.
        return self._batches.get(own.variant, self._batches[own.role])

    def _split(self, arm: study_config.ArmConfig, seed: int) -> tuple[str, tuple[str, ...]]:
        """Path of the arm's split file and the step that makes it; nothing for all labels."""
        path, step = study_data.split(self._data, arm, seed)
        return path, (self.add(step),) if step else ()

    def _training(
        self,
        own: Settings,
        kind: str,
        name: str,
        steps: int,
        config: dict[str, Any],
        sets: tuple[str, ...],
        needs: tuple[str, ...],
        start: str,
    ) -> str:
        outside = () if start in ('', study_config.RANDOM) else (f'{start}*', f'{start}/*')
        return self.add(
            Step(
                name=name,
                kind=kind,
                module='official_rethink.train',
                arguments=(*own.arguments(), '--mode=train_and_eval', f'--model_dir={{out}}/{name}'),
                config=config,
                needs=(*self._data.steps(*sets), *needs),
                inputs=(*self._data.inputs(*sets), *map(shipped.place, own.config_files), *outside),
                products=('best/*.index', 'best/*.data-*'),
                leaves=('test.json', 'params.yaml'),
                total=steps,
                images_per_step=self._batch(own).images,
                role=own.role,
                metric=self._kind.metric,
            )
        )

    def _common(
        self, arm: study_config.ArmConfig, seed: int, own: Settings, steps: int, split: str
    ) -> dict[str, Any]:
        config = overrides.training(
            self._data, self._batch(own), arm, seed, steps, self._config.budget.validation_interval, split
        )
        if arm.joint:
            overrides.read_classification(config, self._data)
        return config

    def _settings(self, arm: study_config.ArmConfig, part: str) -> tuple[Settings, tuple[str, ...]]:
        """How the arm trains but for what the study sets, and the steps this needs."""
        own, search = settings.of_arm(self._config, arm, part), self._search(arm)
        if search is None:
            return own, ()
        return dataclasses.replace(own, carried=f'{{out}}/{search.step}/{grids.BEST}'), (search.step,)

    def _identity(self, arm: study_config.ArmConfig) -> str:
        grid = self._config.grid_of(arm.name)
        return identity.of(arm, self._config.supervised_steps(), grid.name if grid else '')

    def _start(self, config: dict[str, Any], arm: study_config.ArmConfig) -> tuple[str, ...]:
        """Starts a training as its arm does; returns the steps this needs."""
        if not arm.pretraining:
            overrides.start_from_initialization(config, arm)
            return ()
        item = self._config.pretraining_of(arm.pretraining)
        step = self._pretraining(item)
        overrides.start_from_step(config, step, list(item.modules))
        return (step,)

    def _supervised(self, arm: study_config.ArmConfig, seed: int, kind: str, steps: int) -> str:
        split, split_steps = self._split(arm, seed)
        own, found = self._settings(arm, 'supervised')
        config, sets = self._common(arm, seed, own, steps, split), _sets(arm)
        if kind == 'trial':
            # What is chosen by must not be what is measured on: the validation images stand in.
            config['task']['test_data'], sets = {'input_path': ''}, tuple(name for name in sets if name != 'test')
        needs = (*split_steps, *self._start(config, arm), *found)
        name = f'training/{kind}-{self._identity(arm)}-seed{seed}'
        return self._training(own, kind, name, steps, config, sets, needs, arm.initialization)

    def _label(self, arm: study_config.ArmConfig, teacher: str, number: int) -> str:
        """Labels by the teacher of round `number`, which from the second on is a student."""
        name = teacher.replace('training/teacher-', 'pseudo_labels/').replace('training/', 'pseudo_labels/')
        role = self._config.role_of(arm, 'supervised' if number == 1 else 'self_training')
        arguments = [
            f'--experiment={self._config.role(role).experiment}',
            f'--config_file={{out}}/{teacher}/params.yaml',
            f'--checkpoint={{out}}/{teacher}/best',
            f'--input={self._data.unlabelled}',
            f'--output_dir={{out}}/{name}',
            *self._label_options(),
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

    def _label_options(self) -> list[str]:
        """Flags of `pseudo_label` that one kind of labels has and the other has not."""
        options = self._config.pseudo_labels
        if self._kind.boxes:
            return [f'--score_floor={options.score_floor}']
        scales = [f'--scales={",".join(f"{scale:g}" for scale in options.scales)}'] if options.scales else []
        return scales + (['--flip'] if options.flip else [])

    def _student(self, arm: study_config.ArmConfig, seed: int, teacher: str, label: str, number: int) -> str:
        split, split_steps = self._split(arm, seed)
        steps, (own, found) = self._config.budget.student_steps, self._settings(arm, 'self_training')
        config = self._common(arm, seed, own, steps, split)
        overrides.read_pseudo_labels(config, arm, label)
        start, needs = '', (*split_steps, *self._data.steps('unlabelled'), *found, teacher, label)
        if arm.student_init == 'teacher':
            overrides.start_from_step(config, teacher, 'all')
        else:
            needs += self._start(config, arm)
            start = arm.initialization
        threshold, origin = identity.number(arm.score_threshold), arm.student_init
        # Arms of one and of several rounds share the rounds they have in common.
        mark = f'-round{number}' if number > 1 else ''
        name = f'training/student-{self._identity(arm)}-over{threshold}-from_{origin}{mark}-seed{seed}'
        return self._training(own, 'student', name, steps, config, _sets(arm), needs, start)


def _sets(arm: study_config.ArmConfig) -> tuple[str, ...]:
    """The data sets every training of an arm reads."""
    other = ('classification', 'classification_validation') if arm.joint else ()
    return ('labelled', 'validation', 'test', *other)
