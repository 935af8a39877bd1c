"""Detection experiments: RetinaNet on EfficientNet and SpineNet, supervised and self-training."""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams, optimization
from official.vision.configs import backbones, decoders, retinanet

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import families, normalization, types, validation_model

# Model Garden registers an experiment of this name for SpineNet-49 at 640 pixels; ours is the studies'.
exp_factory._REGISTERED_CONFIGS.pop('retinanet_spinenet_coco', None)


@dataclasses.dataclass
class AnchorMatching(hyperparams.Config):
    """How anchors become targets, inside the train step.

    Attributes:
        match_threshold: an anchor at or over this IoU with a box is positive.
        unmatched_threshold: an anchor under this IoU with every box is negative; between, ignored.
    """

    match_threshold: float = 0.5
    unmatched_threshold: float = 0.5


@dataclasses.dataclass
class DetectionTask(cfg.TaskConfig):
    """One-stage detection on Model Garden's RetinaNet.

    Attributes:
        model: Model Garden's RetinaNet.
        losses: Model Garden's RetinaNet losses.
        matching: anchors against boxes.
        resizing: to what size images are resized before they are padded to the model's input.
        inference: test-time augmentation, of evaluation and of pseudo labels; a served model has none.
        train_data: human-labelled training examples.
        validation_data: human-labelled examples that choose the best checkpoint.
        test_data: human-labelled examples the best checkpoint is measured on at the end of a run; with
            an empty input_path the validation examples stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'decoder', 'head'.
        evaluation_protocols: 'coco', whose AP studies and pseudo labels go by, and with it 'voc07', 'voc12' or both:
            PASCAL VOC's mean AP of boxes over eleven recalls, or over the area, as 'VOC07_mAP' and 'VOC12_mAP'.
        per_category_metrics: report AP per class too.
        seed: of the initial weights, the order of examples and the augmentation.
        export_config: Model Garden's exporter's options.
    """

    model: retinanet.RetinaNet = dataclasses.field(default_factory=retinanet.RetinaNet)
    losses: retinanet.Losses = dataclasses.field(default_factory=retinanet.Losses)
    matching: AnchorMatching = dataclasses.field(default_factory=AnchorMatching)
    resizing: types.Resizing = dataclasses.field(default_factory=types.Resizing)
    inference: types.DetectionInference = dataclasses.field(default_factory=types.DetectionInference)
    train_data: types.DataConfig = dataclasses.field(
        default_factory=lambda: types.DataConfig(is_training=True)
    )
    validation_data: types.DataConfig = dataclasses.field(
        default_factory=lambda: types.DataConfig(global_batch_size=8, drop_remainder=False)
    )
    test_data: types.DataConfig = dataclasses.field(
        default_factory=lambda: types.DataConfig(global_batch_size=8, drop_remainder=False)
    )
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    evaluation_protocols: list[str] = dataclasses.field(default_factory=lambda: ['coco'])
    per_category_metrics: bool = False
    seed: int = 0
    export_config: retinanet.ExportConfig = dataclasses.field(default_factory=retinanet.ExportConfig)


@dataclasses.dataclass
class SelfTrainingDetectionTask(DetectionTask):
    """A student: human-labelled and teacher-labelled examples in one batch, losses balanced.

    Attributes:
        pseudo_data: teacher-labelled training examples.
        balance: how the two losses are joined.
    """

    pseudo_data: types.PseudoDataConfig = dataclasses.field(
        default_factory=lambda: types.PseudoDataConfig(is_training=True)
    )
    balance: types.LossBalance = dataclasses.field(default_factory=types.LossBalance)


families.register(
    DetectionTask,
    families.Family(validation_model.check, validation_model.best_metrics, check_files=validation_model.check_files),
)


def _trainer(schedule: types.Schedule, clip_norm: float | None = None) -> types.TrainerConfig:
    """Momentum SGD at 0.9; the learning rate comes from the schedule."""
    optimizer = {'type': 'sgd', 'sgd': {'momentum': 0.9, 'global_clipnorm': clip_norm}}
    return types.TrainerConfig(
        schedule=schedule, optimizer_config=optimization.OptimizationConfig({'optimizer': optimizer})
    )


def _fill_data(task: DetectionTask, augmentation: str, batch_size: int) -> None:
    task.train_data.input_path = 'coco/train*'
    task.train_data.global_batch_size = batch_size
    task.train_data.augmentation.policy = augmentation
    task.validation_data.input_path = 'coco/val*'
    if isinstance(task, SelfTrainingDetectionTask):
        # Zoph et al., section 4 of the fact sheet: 512 a step, half of each, the student's policy on both.
        task.pseudo_data.input_path = 'pseudo_labels/imagenet*'
        task.pseudo_data.global_batch_size = batch_size
        task.pseudo_data.augmentation.policy = augmentation


def _efficientnet(task: DetectionTask) -> cfg.ExperimentConfig:
    """EfficientNet-B7, FPN, 640 pixels (Zoph et al., section 4 of the fact sheet)."""
    task.model = retinanet.RetinaNet(
        num_classes=91,
        input_size=[640, 640, 3],
        min_level=3,
        max_level=7,
        anchor=retinanet.Anchor(num_scales=3, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=4.0),
        backbone=our_backbones.Backbone(
            type='efficientnet',
            efficientnet=backbones.EfficientNet(model_id='b7', se_ratio=0.25, stochastic_depth_drop_rate=0.2),
        ),
        decoder=decoders.Decoder(type='fpn', fpn=decoders.FPN(num_filters=256)),
        head=retinanet.RetinaNetHead(num_convs=4, num_filters=256),
        norm_activation=normalization.NormActivation(
            activation='swish', use_sync_bn=True, norm_momentum=0.99, norm_epsilon=1e-3
        ),
    )
    task.losses = retinanet.Losses(l2_weight_decay=1e-4)
    _fill_data(task, 'S4', 256)
    schedule = types.Schedule(base_train_steps=120_000)  # the published length for S4; S1 took 45,000
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='bfloat16'), task=task, trainer=_trainer(schedule)
    )


def _spinenet(task: DetectionTask) -> cfg.ExperimentConfig:
    """SpineNet-143, 1280 pixels, Soft-NMS (the release's configs, section 7.5 of the fact sheet)."""
    task.model = retinanet.RetinaNet(
        num_classes=91,
        input_size=[1280, 1280, 3],
        min_level=3,
        max_level=7,
        anchor=retinanet.Anchor(num_scales=3, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=4.0),
        backbone=our_backbones.Backbone(
            type='spinenet',
            spinenet=backbones.SpineNet(
                model_id='143', stochastic_depth_drop_rate=0.16, min_level=3, max_level=7
            ),
        ),
        decoder=decoders.Decoder(type='identity', identity=decoders.Identity()),
        head=retinanet.RetinaNetHead(num_convs=4, num_filters=256),
        detection_generator=retinanet.DetectionGenerator(nms_version='v1', soft_nms_sigma=0.3),
        norm_activation=normalization.NormActivation(
            activation='swish', use_sync_bn=True, norm_momentum=0.997, norm_epsilon=1e-3
        ),
    )
    task.losses = retinanet.Losses(l2_weight_decay=4e-5)
    if isinstance(task, SelfTrainingDetectionTask):
        _fill_data(task, 'S3', 256)
    else:
        # Zoph et al., Table 5: without self-training S3 was unstable; the jitter is the release's.
        _fill_data(task, 'S1', 256)
        task.train_data.augmentation.override({'scale_min': 0.1, 'scale_max': 1.9})
    schedule = types.Schedule(
        base_train_steps=231_500,
        base_learning_rate=0.28,
        base_warmup_steps=2000,
        decay='stepwise',
        stepwise_boundaries=[217_610 / 231_500, 226_870 / 231_500],
    )
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='bfloat16'),
        task=task,
        trainer=_trainer(schedule, clip_norm=10.0),
    )


@exp_factory.register_config_factory('retinanet_efficientnet_coco')
def retinanet_efficientnet_coco() -> cfg.ExperimentConfig:
    """Supervised RetinaNet on EfficientNet-B7, 640 pixels."""
    return _efficientnet(DetectionTask())


@exp_factory.register_config_factory('self_training_retinanet_efficientnet_coco')
def self_training_retinanet_efficientnet_coco() -> cfg.ExperimentConfig:
    """Self-training student: RetinaNet on EfficientNet-B7, 640 pixels."""
    return _efficientnet(SelfTrainingDetectionTask())


@exp_factory.register_config_factory('retinanet_spinenet_coco')
def retinanet_spinenet_coco() -> cfg.ExperimentConfig:
    """Supervised RetinaNet on SpineNet-143, 1280 pixels; configs/zoph2020 has SpineNet-190."""
    return _spinenet(DetectionTask())


@exp_factory.register_config_factory('self_training_retinanet_spinenet_coco')
def self_training_retinanet_spinenet_coco() -> cfg.ExperimentConfig:
    """Self-training student: RetinaNet on SpineNet-143, 1280 pixels."""
    return _spinenet(SelfTrainingDetectionTask())
