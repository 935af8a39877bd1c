"""What a study file may say: data, arms, seeds, budget; read strictly, checked before anything starts."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import checks, layers, parse, study_kinds, study_validation, study_validation_grids
from official_rethink.configs.study_arms import ArmConfig, GridConfig
from official_rethink.configs.study_data import DataConfig

RANDOM = study_validation.RANDOM
PRETRAINING = 'pretraining/'
NETWORK = 'network/'


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
class NetworkConfig(hyperparams.Config):
    """One of several networks that a study compares; arms name it.

    Attributes:
        name: what arms call it; letters, digits, '.', '_' and '-'.
        supervised: how its supervised models and teachers are trained.
        self_training: how its students are; needed where an arm of it self-trains.
    """

    name: str = ''
    supervised: RoleConfig = dataclasses.field(default_factory=RoleConfig)
    self_training: RoleConfig = dataclasses.field(default_factory=RoleConfig)


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
class PseudoLabelsConfig(hyperparams.Config):
    """Step 3 of every self-training arm.

    Attributes:
        score_floor: detections under this score are not stored; label maps are stored whole.
        gallery_images: images drawn for the report, of each kind: most, least and median confident.
        scales: label maps: the teacher sees each image at these sizes; [] for its own `task.inference.scales`.
        flip: label maps: the teacher sees each image mirrored too.
    """

    score_floor: float = 0.05
    gallery_images: int = 4
    scales: list[float] = dataclasses.field(default_factory=list)
    flip: bool = False


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
        networks: to compare several networks; an arm that names one is trained by its roles.
        pretraining: what arms may start from.
        seeds: one training of every arm each; also draws the label fractions.
        budget: steps.
        arms: the rows.
        grids: searches for values that arms take over.
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
    networks: list[NetworkConfig] = dataclasses.field(default_factory=list)
    pretraining: list[PretrainingConfig] = dataclasses.field(default_factory=list)
    seeds: list[int] = dataclasses.field(default_factory=lambda: [0])
    budget: BudgetConfig = dataclasses.field(default_factory=BudgetConfig)
    arms: list[ArmConfig] = dataclasses.field(default_factory=list)
    grids: list[GridConfig] = dataclasses.field(default_factory=list)
    baseline: str = ''
    pseudo_labels: PseudoLabelsConfig = dataclasses.field(default_factory=PseudoLabelsConfig)

    def role(self, name: str) -> RoleConfig:
        """How a kind of training is done: 'supervised', …, 'pretraining/<name>', 'network/<name>/supervised', …."""
        if name.startswith(PRETRAINING):
            return self.pretraining_of(name.removeprefix(PRETRAINING))
        if name.startswith(NETWORK):
            network, _, part = name.removeprefix(NETWORK).rpartition('/')
            return getattr(next(item for item in self.networks if item.name == network), part)
        return getattr(self, name)

    def role_of(self, arm: ArmConfig, name: str) -> str:
        """The role that trains an arm's supervised models and teachers ('supervised') or students ('self_training')."""
        if arm.network:
            return f'{NETWORK}{arm.network}/{name}'
        if not arm.joint:
            return name
        return 'joint' if name == 'supervised' else 'self_training_joint'

    def roles(self) -> list[str]:
        """Names of the roles that the arms need; of the study's own, 'supervised' and 'self_training' come together."""
        names = []
        for arm in self.arms:
            names += [] if arm.network else ['supervised', 'self_training']
            names.append(self.role_of(arm, 'supervised'))
            names += [self.role_of(arm, 'self_training')] if arm.self_training else []
        return [*dict.fromkeys(names), *(PRETRAINING + item.name for item in self.used_pretraining())]

    def kind(self) -> study_kinds.Kind:
        """What the study's networks do, by the first arm's experiment; an unknown name passes for a detector's."""
        role = self.role(self.role_of(self.arms[0], 'supervised'))
        return study_kinds.of_experiment(role.experiment) or study_kinds.DETECTION

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

    def grid_of(self, arm: str) -> GridConfig | None:
        """The search whose best values are carried to the arm of a name; None if there is none."""
        return next((grid for grid in self.grids if arm in grid.carried_to), None)

    def arm(self, name: str) -> ArmConfig:
        """The arm of a name that is known to exist."""
        return next(item for item in self.arms if item.name == name)

    def supervised_steps(self) -> int:
        """Steps a supervised arm trains for that names none of its own."""
        return self.budget.supervised(study_validation.most_rounds(self.arms))

    def steps_of(self, arm: ArmConfig) -> int:
        """Steps a supervised arm trains for."""
        return arm.steps or self.supervised_steps()


def load(config_files: Sequence[str], params_override: str = '') -> StudyConfig:
    """Reads a study file and its overrides, and checks them.

    Args:
        config_files: YAML files, laid over each other in order.
        params_override: Model Garden's form, `a.b=c,…` or a YAML file; an arm, a network, a pre-training and a grid
            are reached by their names, as in `arms.student.score_threshold=0.4`.

    Raises:
        UserError: an unknown key, a wrong type, a value out of range; names where it was set.
    """
    values = layers.read_override(params_override).values
    named = {key: values.pop(key) for key in _NAMED if isinstance(values.get(key), dict)}
    # Without these parts, which Model Garden has no form for, the override is passed on as it came.
    rest = (json.dumps(values) if values else '') if named else params_override

    def finish(config: Any, sources: dict[str, str]) -> None:
        for key, parts in named.items():
            _override_named(config, key, parts, sources)
        study_validation.validate(config, checks.Where(sources))
        study_validation_grids.validate(config, checks.Where(sources))

    return parse.load_config(StudyConfig(), config_files, rest, finish).params


_NAMED = {'arms': 'arm', 'networks': 'network', 'pretraining': 'pretraining', 'grids': 'grid'}


def _override_named(config: Any, key: str, parts: dict[str, Any], sources: dict[str, str]) -> None:
    """Lays overrides over arms, networks and the like that are named, and notes where they came from."""
    items = getattr(config, key)
    index_of = {item.name: index for index, item in enumerate(items)}
    for name, values in parts.items():
        if name not in index_of:
            raise errors.unknown_name(_NAMED[key], name, index_of, layers.OVERRIDE_FLAG)
        if not isinstance(values, dict):
            allowed = f'{key}.{name}.<field>=<value>'
            raise errors.bad_value(f'{key}.{name}', values, allowed, layers.OVERRIDE_FLAG)
        index = index_of[name]
        parse.load_config(items[index], (), json.dumps(values))
        sources.update({f'{key}[{index}].{field}': layers.OVERRIDE_FLAG for field in values})
