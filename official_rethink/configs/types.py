"""Config types every family shares: data, augmentation, schedule, trainer."""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams

COCO_TRAIN_EXAMPLES = 118_287
COCO_VALIDATION_EXAMPLES = 5_000


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
    """Which of the augmentation policies, and what differs from it.

    Attributes:
        policy: S1, S2, S3 or S4 (Zoph et al., Table 1); their contents stand in
            `official_rethink/augment/policies.py`.
        scale_min: lower end of the scale jitter, as a share of the output size; None takes the policy's.
        scale_max: upper end of the scale jitter; None takes the policy's.
        shorter_side_min: least shorter side, in pixels, of those one is drawn from for each image, in place of
            `task.resizing.shorter_side`, which has to be set; None draws none.
        shorter_side_max: the greatest.
        shorter_side_step: pixels between them; 0 or None for any whole number from the least to the greatest (He et
            al.'s text; Detectron has 32).
        flip_probability: probability of a horizontal flip, in [0, 1]; None takes the policy's.
        randaugment_layers: operations RandAugment applies to an image; None takes the policy's.
        randaugment_magnitude: RandAugment's strength, in [0, 10]; None takes the policy's.
        fill: what stands where a geometric operation left the image: 'grey' or 'reflect'; None takes
            the policy's.
        resampling: 'once' for all geometric operations together, or 'each' as the reference; None takes
            the policy's.
    """

    policy: str = 'S1'
    scale_min: float | None = None
    scale_max: float | None = None
    shorter_side_min: int | None = None
    shorter_side_max: int | None = None
    shorter_side_step: int | None = None
    flip_probability: float | None = None
    randaugment_layers: int | None = None
    randaugment_magnitude: float | None = None
    fill: str | None = None
    resampling: str | None = None

    def overrides(self) -> dict[str, float | int | str]:
        """The fields that were set, to be laid over the policy's own."""
        values = self.as_dict()
        return {name: value for name, value in values.items() if name != 'policy' and value is not None}


@dataclasses.dataclass
class Resizing(hyperparams.Config):
    """To what size images are resized, in training, evaluation, pseudo labelling and serving alike.

    Attributes:
        shorter_side: pixels of an image's shorter side, unless the longer one would then be over `longer_side` (He et
            al.: 800 and, by Detectron, 1333). The image is padded to `model.input_size`, whose sides have to hold
            `longer_side` both ways. 0 (with longer_side 0) resizes to the largest that fits `model.input_size`.
        longer_side: most pixels of its longer side.
    """

    shorter_side: int = 0
    longer_side: int = 0


@dataclasses.dataclass
class ShardData(cfg.DataConfig):
    """Examples of any kind: where they are and in what order they are read.

    Attributes:
        input_path: shard pattern, or several separated by commas.
        split_file: a label fraction made by `prepare split`; '' reads every image.
        global_batch_size: examples a step over all replicas.
        deterministic: keep the order of examples a function of the seed alone, which resuming relies on.
        shuffle_buffer_size: examples (still encoded) that are held to shuffle from.
        cycle_length: shards read side by side; None takes one of every 16, from 1 to 16. Shards in an object store are
            read faster with more.
        sharding: of several workers each reads shards of its own, in training and where there are enough; False: each
            reads all shards and takes its part of every batch, so that batches are those of one process. See
            docs/many_devices.md.
        enable_tf_data_service: of training data: have a tf.data service read, decode and augment; the order of examples
            is then not fixed.
        tf_data_service_address: its dispatcher, such as grpc://host:5050.
        tf_data_service_job_name: what several workers share the service's batches by.
    """

    input_path: str = ''
    split_file: str = ''
    global_batch_size: int = 0
    is_training: bool = False
    deterministic: bool | None = True
    shuffle_buffer_size: int = 10_000
    drop_remainder: bool = True


@dataclasses.dataclass
class DataConfig(ShardData):
    """Human-labelled examples of detection.

    Attributes:
        augmentation: what training does to the images; evaluation never augments.
        max_num_instances: instances an example is padded or cut to.
        skip_crowd: leave crowd annotations out in training, as the reference does.
        skip_difficult: leave out in training what PASCAL VOC marks as difficult: Detectron, which He et al. follow,
            drops annotations that its files say to ignore (`json_dataset.py`). VOC's evaluation never counts them.
    """

    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    max_num_instances: int = 100
    skip_crowd: bool = True
    skip_difficult: bool = True


@dataclasses.dataclass
class PseudoDataConfig(DataConfig):
    """Teacher-labelled examples, read from a pseudo-label store.

    Attributes:
        manifest: the store's manifest.json; '' looks beside the shards of `input_path`.
        score_threshold: a pseudo box counts only at or over this score (Zoph et al.: 0.5, a
            recollection, see the README).
        keep_images_without_boxes: whether an image without a kept pseudo box trains as background.
        abort_after_empty_steps: stop the run after this many steps in a row without one kept pseudo box.
    """

    manifest: str = ''
    score_threshold: float = 0.5
    keep_images_without_boxes: bool = True
    abort_after_empty_steps: int = 500


@dataclasses.dataclass
class DetectionInference(hyperparams.Config):
    """Test-time augmentation: how often a trained detector looks at an image. One scale and no flip is plain inference.

    The views' boxes are put together and go through one non-maximum suppression, with the detection generator's IoU
    threshold; masks are predicted again for the boxes that are left, in every view, and averaged.

    Attributes:
        scales: sizes of the image, as shares of the size it is resized to anyway, shorter and longer side alike.
        flip: look at the mirrored image too, at every scale.
        soft_nms_sigma: of Soft-NMS over all views' boxes; 0 for a hard one, None takes the detection generator's.
        box_voting_threshold: a box that is left becomes the mean, weighted by score, of all boxes of its class with
            at least this IoU with it; 0 leaves it as it is (Detectron's sample configuration has 0.9).
    """

    scales: list[float] = dataclasses.field(default_factory=lambda: [1.0])
    flip: bool = False
    soft_nms_sigma: float | None = None
    box_voting_threshold: float = 0.0


@dataclasses.dataclass
class Schedule(hyperparams.Config):
    """Length and learning rate, from which steps are derived in one place (`configs/schedule.py`).

    Fields named base_* hold at `base_batch_size` human-labelled examples a step; at another batch
    size steps shrink or grow so that the number of examples stays, and the learning rate scales in
    proportion (Goyal et al., the linear rule).

    Attributes:
        base_batch_size: human-labelled examples a step that the base_* fields are meant for.
        base_train_steps: length in steps; give this or train_epochs, not both.
        train_epochs: length in passes over `train_examples`.
        train_examples: images in the labelled set; needed with train_epochs.
        base_learning_rate: learning rate after warm-up.
        base_warmup_steps: steps of linear warm-up.
        warmup_factor: the warm-up starts at this share of the learning rate.
        decay: 'cosine' to zero, 'stepwise', 'exponential' (in stairs) or 'constant'.
        stepwise_boundaries: shares of the whole length, in (0, 1), at which the rate drops.
        base_drops_before_end: instead of them, how many steps before the end it drops, whatever the length (He et
            al., "Rethinking ImageNet Pre-training", section 3: 60,000 and 20,000 at 16 images a step).
        stepwise_factor: what the rate is multiplied with at each drop, of stepwise and exponential decay.
        base_decay_steps: steps between the drops of exponential decay, which start with the run.
        evaluations: how often a run is evaluated, evenly spaced, the last at its end.
    """

    base_batch_size: int = 256
    base_train_steps: int | None = None
    train_epochs: float | None = None
    train_examples: int = COCO_TRAIN_EXAMPLES
    base_learning_rate: float = 0.32
    base_warmup_steps: int = 1000
    warmup_factor: float = 0.01
    decay: str = 'cosine'
    stepwise_boundaries: list[float] = dataclasses.field(default_factory=list)
    base_drops_before_end: list[int] = dataclasses.field(default_factory=list)
    stepwise_factor: float = 0.1
    base_decay_steps: int | None = None
    evaluations: int = 20


@dataclasses.dataclass
class TrainerConfig(cfg.TrainerConfig):
    """Model Garden's trainer, its steps and learning rate derived from `schedule`.

    Attributes:
        schedule: length and learning rate.
        train_steps: 0 derives it from the schedule.
        validation_interval: steps between evaluations; 0 derives it.
        checkpoint_interval: steps between checkpoints; 0 derives it.
        summary_interval: steps between summaries; 0 derives it.
        steps_per_loop: steps a host loop; 0 derives it.
    """

    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    train_steps: int = 0
    validation_interval: int = 0
    checkpoint_interval: int = 0
    summary_interval: int = 0
    steps_per_loop: int = 0
    max_to_keep: int = 2
    best_checkpoint_export_subdir: str = 'best'
    best_checkpoint_eval_metric: str = 'AP'
    best_checkpoint_metric_comp: str = 'higher'


@dataclasses.dataclass
class LossBalance(hyperparams.Config):
    """How the human and the pseudo loss are joined (Zoph et al., appendix B).

    Attributes:
        alpha: weight of the pseudo loss against the human loss.
        normalize: scale the pseudo loss by the ratio of the running means; False is the plain sum.
        decay: of the running means, per step.
    """

    alpha: float = 1.0
    normalize: bool = True
    decay: float = 0.99
