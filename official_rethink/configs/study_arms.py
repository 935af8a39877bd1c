"""What a study file may say of its arms, and of the search for values that arms take over."""

import dataclasses
from typing import Any

from official.modeling import hyperparams

from official_rethink.configs import study_validation


@dataclasses.dataclass
class ArmConfig(hyperparams.Config):
    """One row of the comparison.

    Attributes:
        name: of the row; letters, digits, '.', '_' and '-'.
        network: name of one of the study's networks; '' for the study's own `supervised` and `self_training`.
        initialization: 'random', or the checkpoint to start from.
        initialization_modules: what is read from that checkpoint.
        pretraining: name of a pre-training of the study to start from; '' for none.
        augmentation: S1, S2, S3 or S4.
        label_fraction: share of the labelled images, in (0, 1].
        label_count: number of labelled images, where it is not a share that is meant; 0 for `label_fraction`.
        self_training: teacher, pseudo labels, student; False trains on human labels alone.
        self_training_rounds: how often labels are made and learnt from; from the second on the student of the
            round before is the teacher.
        joint: classify other images in every step too, on the same backbone; a self-training arm's teacher
            is trained so as well.
        score_threshold: a pseudo label, a box or a pixel, counts for the student at or over this score.
        student_init: the student starts from its 'teacher', or anew from the arm's 'initialization'.
        steps: length of a supervised arm; 0 for the budget's. With it a study may compare lengths, as He et al. do; a
            self-training arm takes the budget's teacher and student steps.
        params_override: Model Garden's `a.b=c,…` laid over its role's, in every training of the arm; not for what
            the study sets itself.
    """

    name: str = ''
    network: str = ''
    initialization: str = study_validation.RANDOM
    initialization_modules: list[str] = dataclasses.field(default_factory=lambda: ['backbone'])
    pretraining: str = ''
    augmentation: str = 'S1'
    label_fraction: float = 1.0
    label_count: int = 0
    self_training: bool = False
    self_training_rounds: int = 1
    joint: bool = False
    score_threshold: float = 0.5
    student_init: str = 'teacher'
    steps: int = 0
    params_override: str = ''


@dataclasses.dataclass
class GridValues(hyperparams.Config):
    """The values of one key that a search tries; a study file writes them as `key: [values]`.

    Attributes:
        key: of the training's config, with dots.
        values: each a number, text, true, false, null, or a list of these.
    """

    _AS_MAPPING = ('key', 'values')

    key: str = ''
    values: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class GridConfig(hyperparams.Config):
    """A search over every combination of some values, of which the best is carried to arms before they train.

    Each combination is a training of its own, measured on the validation images alone.

    Attributes:
        name: of the search; letters, digits, '.', '_' and '-'.
        search: 'once', on `arm`, for all arms of `carried_to`, as He et al. tune the pre-trained start and reuse what
            they found for the random one, which favours the former; or 'each_arm', each of them for itself.
        arm: name of the arm that is tuned; '' with 'each_arm'.
        values: dotted key of the training's config -> values to try.
        steps: of each training; 0 for those of the arm.
        seed: of each training, its label subset too.
        carried_to: names of the arms that take the best combination over.
    """

    name: str = ''
    search: str = 'once'
    arm: str = ''
    values: list[GridValues] = dataclasses.field(default_factory=list)
    steps: int = 0
    seed: int = 0
    carried_to: list[str] = dataclasses.field(default_factory=list)

    def tuned_on(self, arm: str) -> str:
        """Name of the arm whose trainings choose the values that `arm` takes over."""
        return self.arm if self.search == study_validation.ONCE else arm

    def keys(self) -> list[str]:
        """The dotted keys it sets."""
        return [item.key for item in self.values]
