"""What a study file may say: data, arms, seeds, budget; read strictly, checked before anything starts."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import checks, layers, parse, study_validation

RANDOM = study_validation.RANDOM


@dataclasses.dataclass
class ScenesConfig(hyperparams.Config):
    """The built-in scenes, made when `data.labelled` is empty.

    Attributes:
        num_labelled: images with labels that training may read.
        num_unlabelled: images the teacher labels; their truth is used only to measure the pseudo labels.
        num_validation: images that choose the best checkpoint.
        num_test: images every arm's best checkpoint is measured on.
        size: height and width in pixels.
        difficulty: of the scenes, in [0, 1].
        num_classes: object classes, without background.
        seed: of the scenes; each of the four sets draws from its own stream.
    """

    num_labelled: int = 400
    num_unlabelled: int = 2000
    num_validation: int = 200
    num_test: int = 400
    size: int = 128
    difficulty: float = 0.5
    num_classes: int = 5
    seed: int = 0


@dataclasses.dataclass
class DataConfig(hyperparams.Config):
    """Shard patterns as `prepare` writes them, such as `shards/train*`.

    Attributes:
        labelled: human-labelled images; '' prepares the built-in scenes.
        unlabelled: images for the teacher to label; needed only when an arm self-trains.
        unlabelled_truth: the unlabelled shards carry labels that may be used to measure pseudo labels.
        validation: human-labelled images that choose the best checkpoint.
        test: human-labelled images every arm is measured on; '' takes the validation images.
        scenes: the built-in scenes.
    """

    labelled: str = ''
    unlabelled: str = ''
    unlabelled_truth: bool = False
    validation: str = ''
    test: str = ''
    scenes: ScenesConfig = dataclasses.field(default_factory=ScenesConfig)


@dataclasses.dataclass
class RoleConfig(hyperparams.Config):
    """How the supervised models, or the students, are trained.

    Attributes:
        experiment: registered experiment.
        config_files: YAML files laid over it, in order; paths from the working folder.
        params_override: Model Garden's `a.b=c,…` laid over these; not for what the study sets itself.
    """

    experiment: str = ''
    config_files: list[str] = dataclasses.field(default_factory=list)
    params_override: str = ''


@dataclasses.dataclass
class BudgetConfig(hyperparams.Config):
    """Steps each stage trains for.

    Attributes:
        teacher_steps: of a self-training arm's teacher.
        student_steps: of its student.
        supervised_steps: of a supervised arm; 0 takes teacher and student together, less is refused.
        validation_interval: steps between evaluations, of which the best checkpoint counts.
    """

    teacher_steps: int = 1000
    student_steps: int = 1000
    supervised_steps: int = 0
    validation_interval: int = 250

    def supervised(self) -> int:
        """Steps a supervised arm trains for."""
        return self.supervised_steps or self.teacher_steps + self.student_steps


@dataclasses.dataclass
class ArmConfig(hyperparams.Config):
    """One row of the comparison.

    Attributes:
        name: of the row; letters, digits, '.', '_' and '-'.
        initialization: 'random', or the checkpoint to start from.
        initialization_modules: what is read from that checkpoint.
        augmentation: S1, S2, S3 or S4.
        label_fraction: share of the labelled images, in (0, 1].
        self_training: teacher, pseudo labels, student; False trains on human labels alone.
        score_threshold: a pseudo box counts for the student at or over this score.
        student_init: the student starts from the 'teacher', or anew from the arm's 'initialization'.
    """

    name: str = ''
    initialization: str = RANDOM
    initialization_modules: list[str] = dataclasses.field(default_factory=lambda: ['backbone'])
    augmentation: str = 'S1'
    label_fraction: float = 1.0
    self_training: bool = False
    score_threshold: float = 0.5
    student_init: str = 'teacher'


@dataclasses.dataclass
class PseudoLabelsConfig(hyperparams.Config):
    """Step 3 of every self-training arm.

    Attributes:
        score_floor: detections under this score are not stored.
        gallery_images: images drawn for the report, of each kind: most, least and median confident.
    """

    score_floor: float = 0.05
    gallery_images: int = 4


@dataclasses.dataclass
class StudyConfig(hyperparams.Config):
    """A study: arms × seeds on one data set with one budget.

    Attributes:
        name: stands at the head of the report.
        data: what is learnt from and measured on.
        supervised: how supervised models and teachers are trained.
        self_training: how students are trained.
        seeds: one training of every arm each; also draws the label fractions.
        budget: steps.
        arms: the rows.
        baseline: name of the arm the others are compared with.
        pseudo_labels: step 3.
    """

    name: str = 'study'
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    supervised: RoleConfig = dataclasses.field(
        default_factory=lambda: RoleConfig(experiment='retinanet_efficientnet_coco')
    )
    self_training: RoleConfig = dataclasses.field(
        default_factory=lambda: RoleConfig(experiment='self_training_retinanet_efficientnet_coco')
    )
    seeds: list[int] = dataclasses.field(default_factory=lambda: [0])
    budget: BudgetConfig = dataclasses.field(default_factory=BudgetConfig)
    arms: list[ArmConfig] = dataclasses.field(default_factory=list)
    baseline: str = ''
    pseudo_labels: PseudoLabelsConfig = dataclasses.field(default_factory=PseudoLabelsConfig)


def load(config_files: Sequence[str], params_override: str = '') -> StudyConfig:
    """Reads a study file and its overrides, and checks them.

    Args:
        config_files: YAML files, laid over each other in order.
        params_override: Model Garden's form, `a.b=c,…` or a YAML file; an arm is reached by its name, as
            in `arms.student.score_threshold=0.4`.

    Raises:
        UserError: an unknown key, a wrong type, a value out of range; names where it was set.
    """
    values = layers.read_override(params_override).values
    arms = values.pop('arms') if isinstance(values.get('arms'), dict) else {}
    # Without the arms' part, which Model Garden has no form for, the override is passed on as it came.
    rest = (json.dumps(values) if values else '') if arms else params_override

    def finish(config: Any, sources: dict[str, str]) -> None:
        _override_arms(config, arms, sources)
        study_validation.validate(config, checks.Where(sources))

    return parse.load_config(StudyConfig(), config_files, rest, finish).params


def _override_arms(config: StudyConfig, arms: dict[str, Any], sources: dict[str, str]) -> None:
    """Lays overrides over arms that are named, and notes where they came from."""
    index_of = {arm.name: index for index, arm in enumerate(config.arms)}
    for name, values in arms.items():
        if name not in index_of:
            raise errors.unknown_name('arm', name, index_of, layers.OVERRIDE_FLAG)
        if not isinstance(values, dict):
            allowed = f'arms.{name}.<field>=<value>'
            raise errors.bad_value(f'arms.{name}', values, allowed, layers.OVERRIDE_FLAG)
        index = index_of[name]
        parse.load_config(config.arms[index], (), json.dumps(values))
        sources.update({f'arms[{index}].{key}': layers.OVERRIDE_FLAG for key in values})
