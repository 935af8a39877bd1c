"""What a study file may say: data, arms, seeds, budget; read strictly, checked before anything starts."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import checks, layers, parse, study_validation

RANDOM = study_validation.RANDOM
PRETRAINING = 'pretraining/'


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
        seed: of the scenes; each set draws from its own stream.
        num_classification: images of one object each, of classes of their own, for joint arms and for
            pre-training by classification or SimCLR; drawn only where an arm needs them.
        num_classification_validation: such images that measure the classifier.
    """

    num_labelled: int = 400
    num_unlabelled: int = 2000
    num_validation: int = 200
    num_test: int = 400
    size: int = 128
    difficulty: float = 0.5
    num_classes: int = 5
    seed: int = 0
    num_classification: int = 2000
    num_classification_validation: int = 200


@dataclasses.dataclass
class DataConfig(hyperparams.Config):
    """Shard patterns as `prepare` writes them, such as `shards/train*`.

    Attributes:
        labelled: human-labelled images; '' prepares the built-in scenes.
        unlabelled: images for the teacher to label; needed only when an arm self-trains.
        unlabelled_truth: the unlabelled shards carry labels that may be used to measure pseudo labels.
        validation: human-labelled images that choose the best checkpoint.
        test: human-labelled images every arm is measured on; '' takes the validation images.
        classification: images with one class each, for joint arms and for pre-training by classification or
            SimCLR (which leaves the classes alone).
        classification_validation: such images that measure the classifier; '' measures none in joint arms.
        alignment: images with boxes of other classes, for pre-training of kind 'alignment'. Name the same
            images, without labels, in `unlabelled` to compare with self-training on them, as Zoph et al. do.
        alignment_validation: such images that choose that detector's best checkpoint.
        scenes: the built-in scenes. Where a pre-training of kind 'alignment' is used, their unlabelled images
            hold objects of ten further classes too, and these objects' boxes are the alignment set.
    """

    labelled: str = ''
    unlabelled: str = ''
    unlabelled_truth: bool = False
    validation: str = ''
    test: str = ''
    classification: str = ''
    classification_validation: str = ''
    alignment: str = ''
    alignment_validation: str = ''
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
class PretrainingConfig(RoleConfig):
    """A pre-training that arms may start from; run once and shared by all arms and seeds that name it.

    Shared over seeds as a published checkpoint is, so that the spread over seeds is that of the training on
    the target's labels; what another pre-training of the same kind would give is not in it. What it costs is
    recorded apart from what the arms cost.

    Attributes:
        name: what arms call it.
        kind: 'classification' or 'simclr', on the data's `classification` images, or 'alignment', a detector
            of other classes on its `alignment` images.
        steps: its length.
        validation_interval: steps between its evaluations; 0 takes `steps`: one at the end.
        seed: of its weights, order of examples and augmentation.
        modules: what arms take from its checkpoint.
    """

    name: str = ''
    kind: str = 'classification'
    steps: int = 1000
    validation_interval: int = 0
    seed: int = 0
    modules: list[str] = dataclasses.field(default_factory=lambda: ['backbone'])

    def interval(self) -> int:
        """Steps between its evaluations."""
        return self.validation_interval or self.steps


@dataclasses.dataclass
class BudgetConfig(hyperparams.Config):
    """Steps each stage trains for.

    Attributes:
        teacher_steps: of a self-training arm's teacher.
        student_steps: of its student, in each round.
        supervised_steps: of a supervised arm; 0 takes teacher and students together, of the arm with most
            rounds; less is refused.
        validation_interval: steps between evaluations, of which the best checkpoint counts.
    """

    teacher_steps: int = 1000
    student_steps: int = 1000
    supervised_steps: int = 0
    validation_interval: int = 250

    def supervised(self, rounds: int = 1) -> int:
        """Steps a supervised arm trains for, where no arm has more than `rounds` rounds of self-training."""
        return self.supervised_steps or self.teacher_steps + rounds * self.student_steps


@dataclasses.dataclass
class ArmConfig(hyperparams.Config):
    """One row of the comparison.

    Attributes:
        name: of the row; letters, digits, '.', '_' and '-'.
        initialization: 'random', or the checkpoint to start from.
        initialization_modules: what is read from that checkpoint.
        pretraining: name of a pre-training of the study to start from; '' for none.
        augmentation: S1, S2, S3 or S4.
        label_fraction: share of the labelled images, in (0, 1].
        self_training: teacher, pseudo labels, student; False trains on human labels alone.
        self_training_rounds: how often labels are made and learnt from; from the second on the student of the
            round before is the teacher.
        joint: classify other images in every step too, on the same backbone; a self-training arm's teacher
            is trained so as well.
        score_threshold: a pseudo box counts for the student at or over this score.
        student_init: the student starts from its 'teacher', or anew from the arm's 'initialization'.
    """

    name: str = ''
    initialization: str = RANDOM
    initialization_modules: list[str] = dataclasses.field(default_factory=lambda: ['backbone'])
    pretraining: str = ''
    augmentation: str = 'S1'
    label_fraction: float = 1.0
    self_training: bool = False
    self_training_rounds: int = 1
    joint: bool = False
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
        joint: how supervised models and teachers of joint arms are trained.
        self_training_joint: how their students are.
        pretraining: what arms may start from.
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
    joint: RoleConfig = dataclasses.field(
        default_factory=lambda: RoleConfig(experiment='joint_retinanet_efficientnet_coco')
    )
    self_training_joint: RoleConfig = dataclasses.field(
        default_factory=lambda: RoleConfig(experiment='self_training_joint_retinanet_efficientnet_coco')
    )
    pretraining: list[PretrainingConfig] = dataclasses.field(default_factory=list)
    seeds: list[int] = dataclasses.field(default_factory=lambda: [0])
    budget: BudgetConfig = dataclasses.field(default_factory=BudgetConfig)
    arms: list[ArmConfig] = dataclasses.field(default_factory=list)
    baseline: str = ''
    pseudo_labels: PseudoLabelsConfig = dataclasses.field(default_factory=PseudoLabelsConfig)

    def role(self, name: str) -> RoleConfig:
        """How a kind of training is done: 'supervised', ..., or 'pretraining/<name>'."""
        if name.startswith(PRETRAINING):
            return self.pretraining_of(name.removeprefix(PRETRAINING))
        return getattr(self, name)

    def roles(self) -> list[str]:
        """Names of the roles that the arms need; 'supervised' and 'self_training' are always checked."""
        names = ['supervised', 'self_training']
        if any(arm.joint for arm in self.arms):
            names.append('joint')
        if any(arm.joint and arm.self_training for arm in self.arms):
            names.append('self_training_joint')
        return names + [PRETRAINING + item.name for item in self.used_pretraining()]

    def used_pretraining(self) -> list[PretrainingConfig]:
        """The pre-trainings that an arm starts from."""
        named = {arm.pretraining for arm in self.arms}
        return [item for item in self.pretraining if item.name in named]

    def classifies(self) -> bool:
        """Whether an arm learns the classes of the classification images."""
        kinds = {item.kind for item in self.used_pretraining()}
        return 'classification' in kinds or any(arm.joint for arm in self.arms)

    def pretraining_of(self, name: str) -> PretrainingConfig:
        """The pre-training of a name that is known to exist."""
        return next(item for item in self.pretraining if item.name == name)

    def supervised_steps(self) -> int:
        """Steps a supervised arm trains for."""
        return self.budget.supervised(study_validation.most_rounds(self.arms))


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
