"""Semantic segmentation experiments: NAS-FPN and DeepLabv3+ on PASCAL VOC, supervised and self-training.

Values marked [release] are those of tensorflow/tpu, models/official/detection (its self_training configs and what
stands in its code), [MG] Model Garden's seg_deeplabv3plus_pascal; the others are named where they stand.
"""

import dataclasses
from typing import Any

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams, optimization
from official.vision.configs import backbones, common, decoders, semantic_segmentation

from official_rethink.configs import families, normalization, types, validation_segmentation
from official_rethink.configs import segmentation_model as models

PASCAL_TRAIN_EXAMPLES = 1_464
PASCAL_CLASSES = 21  # background and 20


@dataclasses.dataclass
class SegmentationData(types.ShardData):
    """Human-labelled images with a class for each pixel.

    Attributes:
        augmentation: what training does to images and label maps; evaluation never augments.
        groundtruth_padded_size: height and width that evaluation pads label maps of original size to; None takes
            the greatest of the set's description.
    """

    augmentation: types.Augmentation = dataclasses.field(default_factory=types.Augmentation)
    groundtruth_padded_size: list[int] | None = None


@dataclasses.dataclass
class PseudoSegmentationData(SegmentationData):
    """Teacher-labelled images, read from a pseudo-label store; all choices are made while reading.

    Attributes:
        manifest: the store's manifest.json; '' looks beside the shards of `input_path`.
        score_threshold: a pixel counts only if its class's probability is at least this (Zoph et al.: 0.5, a
            recollection, see the README).
        keep_images_without_labels: whether an image of which no pixel is left takes a place in the batch.
        abort_after_empty_steps: stop the run after this many steps in a row without one kept pixel.
    """

    manifest: str = ''
    score_threshold: float = 0.5
    keep_images_without_labels: bool = True
    abort_after_empty_steps: int = 500


@dataclasses.dataclass
class Losses(hyperparams.Config):
    """Cross entropy of pixels, and weight decay; ignored pixels (255) count nowhere.

    Attributes:
        loss_weight: multiplies the cross entropy.
        label_smoothing: share of a label spread evenly over all classes.
        class_weights: a factor for each class, background first; empty for 1.
        top_k_percent_pixels: the share, in (0, 1], of the pixels with the highest loss that count.
        use_groundtruth_dimension: logits are up-sampled to the labels; else labels are brought to the logits' size by
            the nearest, as the release does.
        l2_weight_decay: of kernels, as `tf.nn.l2_loss` counts it.
    """

    loss_weight: float = 1.0
    label_smoothing: float = 0.0
    class_weights: list[float] = dataclasses.field(default_factory=list)
    top_k_percent_pixels: float = 1.0
    use_groundtruth_dimension: bool = False
    l2_weight_decay: float = 0.0


@dataclasses.dataclass
class Inference(hyperparams.Config):
    """How a trained model is asked for an image's classes.

    Attributes:
        scales: sizes of the image, as shares of the model's input, whose probabilities are averaged.
        flip: average over the mirrored image too.
    """

    scales: list[float] = dataclasses.field(default_factory=lambda: [1.0])
    flip: bool = False


@dataclasses.dataclass
class ExportConfig(hyperparams.Config):
    """What a served model gives out beside the class of each pixel.

    Attributes:
        output_probabilities: the probability of each class at each pixel.
    """

    output_probabilities: bool = False


@dataclasses.dataclass
class SegmentationTask(cfg.TaskConfig):
    """A class for each pixel.

    Attributes:
        model: network; `num_classes` counts the background, class 0.
        losses: cross entropy and weight decay.
        inference: of evaluation, pseudo labels and export.
        train_data: human-labelled training examples.
        validation_data: human-labelled examples that choose the best checkpoint.
        test_data: human-labelled examples the best checkpoint is measured on at the end of a run; with
            an empty input_path the validation examples stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'decoder', 'head'.
        per_category_metrics: report the IoU of each class too.
        seed: of the initial weights, the order of examples and the augmentation.
        export_config: what a served model gives out.
    """

    model: models.SegmentationModel = dataclasses.field(default_factory=models.SegmentationModel)
    losses: Losses = dataclasses.field(default_factory=Losses)
    inference: Inference = dataclasses.field(default_factory=Inference)
    train_data: SegmentationData = dataclasses.field(default_factory=lambda: SegmentationData(is_training=True))
    validation_data: SegmentationData = dataclasses.field(
        default_factory=lambda: SegmentationData(global_batch_size=8, drop_remainder=False)
    )
    test_data: SegmentationData = dataclasses.field(
        default_factory=lambda: SegmentationData(global_batch_size=8, drop_remainder=False)
    )
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    per_category_metrics: bool = True
    seed: int = 0
    export_config: ExportConfig = dataclasses.field(default_factory=ExportConfig)


@dataclasses.dataclass
class SelfTrainingSegmentationTask(SegmentationTask):
    """A student: human-labelled and teacher-labelled images in one batch, losses balanced.

    Attributes:
        pseudo_data: teacher-labelled training examples.
        balance: how the two losses are joined.
    """

    pseudo_data: PseudoSegmentationData = dataclasses.field(
        default_factory=lambda: PseudoSegmentationData(is_training=True)
    )
    balance: types.LossBalance = dataclasses.field(default_factory=types.LossBalance)


families.register(
    SegmentationTask,
    families.Family(validation_segmentation.check, validation_segmentation.best_metrics, background=True),
)


def _experiment(task: SegmentationTask, schedule: types.Schedule, batch_size: int) -> cfg.ExperimentConfig:
    """Momentum SGD at 0.9, gradients clipped at a norm of 10 [release]; policy S4; as many pseudo labels."""
    task.train_data.input_path = 'pascal/train*'
    task.train_data.global_batch_size = batch_size
    task.train_data.augmentation.policy = 'S4'
    task.validation_data.input_path = 'pascal/val*'
    if isinstance(task, SelfTrainingSegmentationTask):
        task.pseudo_data.input_path = 'pseudo_labels/pascal_aug*'
        task.pseudo_data.global_batch_size = batch_size
        task.pseudo_data.augmentation.policy = 'S4'
    optimizer = {'type': 'sgd', 'sgd': {'momentum': 0.9, 'global_clipnorm': 10.0}}
    trainer = types.TrainerConfig(
        schedule=schedule,
        optimizer_config=optimization.OptimizationConfig({'optimizer': optimizer}),
        best_checkpoint_eval_metric='mIoU',
    )
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='bfloat16'), task=task, trainer=trainer
    )


def _release_schedule() -> types.Schedule:
    """Length and rate of the B7 config [release]; the paper may have trained twice as long (see the README)."""
    return types.Schedule(
        base_train_steps=20_000,
        train_examples=PASCAL_TRAIN_EXAMPLES,
        base_learning_rate=0.08,
        base_warmup_steps=500,
        warmup_factor=0.001 / 0.08,
    )


def _norms(activation: str, momentum: float) -> dict[str, Any]:
    return {'activation': activation, 'use_sync_bn': True, 'norm_momentum': momentum, 'norm_epsilon': 1e-3}


def _nasfpn(task: SegmentationTask) -> cfg.ExperimentConfig:
    """EfficientNet-B7, NAS-FPN, 512 pixels [release]; the backbone keeps its own norms there."""
    task.model = models.SegmentationModel(
        num_classes=PASCAL_CLASSES,
        input_size=[512, 512, 3],
        min_level=3,
        max_level=7,
        backbone=models.Backbone(
            type='efficientnet',
            efficientnet=backbones.EfficientNet(model_id='b7', se_ratio=0.25, stochastic_depth_drop_rate=0.2),
        ),
        decoder=decoders.Decoder(
            type='nasfpn', nasfpn=decoders.NASFPN(num_filters=256, num_repeats=7, use_separable_conv=True)
        ),
        head=semantic_segmentation.SegmentationHead(
            level=2, num_convs=3, num_filters=256, feature_fusion='pyramid_fusion'
        ),
        norm_activation=normalization.NormActivation(**_norms('swish', 0.99)),
        decoder_norm_activation=common.NormActivation(**_norms('relu', 0.997)),
    )
    task.losses = Losses(l2_weight_decay=1e-5)
    return _experiment(task, _release_schedule(), 256)


def _deeplab(backbone: models.Backbone) -> models.SegmentationModel:
    """DeepLabv3+ at output stride 16 [MG], without norms."""
    return models.SegmentationModel(
        num_classes=PASCAL_CLASSES,
        input_size=[512, 512, 3],
        min_level=2,
        max_level=4,
        backbone=backbone,
        decoder=decoders.Decoder(type='aspp', aspp=decoders.ASPP(level=4, dilation_rates=[6, 12, 18])),
        head=semantic_segmentation.SegmentationHead(
            level=4, num_convs=2, feature_fusion='deeplabv3plus', low_level=2, low_level_num_filters=48
        ),
    )


def _deeplab_efficientnet(task: SegmentationTask) -> cfg.ExperimentConfig:
    """EfficientNet-B7, DeepLabv3+; trained as NAS-FPN is, since the paper has no such row."""
    task.model = _deeplab(models.Backbone(type='dilated_efficientnet'))
    task.model.norm_activation.override(_norms('swish', 0.99))
    task.model.decoder_norm_activation.override(_norms('relu', 0.997))
    task.losses = Losses(l2_weight_decay=1e-5)
    return _experiment(task, _release_schedule(), 256)


def _deeplab_resnet(task: SegmentationTask) -> cfg.ExperimentConfig:
    """ResNet-101, DeepLabv3+, batch 16 [MG]; the rate falls by a cosine instead of a power of 0.9."""
    resnet = backbones.DilatedResNet(model_id=101, output_stride=16, stem_type='v1', multigrid=[1, 2, 4])
    task.model = _deeplab(models.Backbone(type='dilated_resnet', dilated_resnet=resnet))
    task.model.norm_activation.override(_norms('swish', 0.9997))
    task.model.decoder_norm_activation.override(_norms('swish', 0.9997))
    task.losses = Losses(l2_weight_decay=1e-4, use_groundtruth_dimension=True)
    epoch = 10_582 // 16  # [MG] trains on train and the augmented set
    schedule = types.Schedule(
        base_batch_size=16,
        base_train_steps=45 * epoch,
        train_examples=PASCAL_TRAIN_EXAMPLES,
        base_learning_rate=0.007,
        base_warmup_steps=5 * epoch,
        warmup_factor=0.0,
    )
    return _experiment(task, schedule, 16)


@exp_factory.register_config_factory('seg_nasfpn_efficientnet_pascal')
def seg_nasfpn_efficientnet_pascal() -> cfg.ExperimentConfig:
    """Supervised NAS-FPN on EfficientNet-B7, 512 pixels; configs/zoph2020 has EfficientNet-L2."""
    return _nasfpn(SegmentationTask())


@exp_factory.register_config_factory('self_training_seg_nasfpn_efficientnet_pascal')
def self_training_seg_nasfpn_efficientnet_pascal() -> cfg.ExperimentConfig:
    """Self-training student: NAS-FPN on EfficientNet-B7, 512 pixels."""
    return _nasfpn(SelfTrainingSegmentationTask())


@exp_factory.register_config_factory('seg_deeplabv3plus_efficientnet_pascal')
def seg_deeplabv3plus_efficientnet_pascal() -> cfg.ExperimentConfig:
    """Supervised DeepLabv3+ on EfficientNet-B7, 512 pixels, output stride 16."""
    return _deeplab_efficientnet(SegmentationTask())


@exp_factory.register_config_factory('self_training_seg_deeplabv3plus_efficientnet_pascal')
def self_training_seg_deeplabv3plus_efficientnet_pascal() -> cfg.ExperimentConfig:
    """Self-training student: DeepLabv3+ on EfficientNet-B7, 512 pixels."""
    return _deeplab_efficientnet(SelfTrainingSegmentationTask())


@exp_factory.register_config_factory('seg_deeplabv3plus_resnet_pascal')
def seg_deeplabv3plus_resnet_pascal() -> cfg.ExperimentConfig:
    """Supervised DeepLabv3+ on ResNet-101, 512 pixels, output stride 16."""
    return _deeplab_resnet(SegmentationTask())


@exp_factory.register_config_factory('self_training_seg_deeplabv3plus_resnet_pascal')
def self_training_seg_deeplabv3plus_resnet_pascal() -> cfg.ExperimentConfig:
    """Self-training student: DeepLabv3+ on ResNet-101, 512 pixels."""
    return _deeplab_resnet(SelfTrainingSegmentationTask())
