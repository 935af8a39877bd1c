"""Two-stage detection: Mask R-CNN on ResNet with FPN, at the settings of He et al., "Rethinking ImageNet Pre-training".

Values marked [D1] are those of Detectron's group-norm baselines, which the paper follows (sections 2 and 3 of the
fact sheet); [P] are the paper's own; [MG] Model Garden's.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams, optimization
from official.vision.configs import backbones, decoders, maskrcnn, retinanet

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import families, normalization, types, validation_maskrcnn


@dataclasses.dataclass
class MaskRCNN(maskrcnn.MaskRCNN):
    """Model Garden's, with any of our backbones and any normalisation.

    Attributes:
        backbone: of Model Garden's, or ResNeXt or VGG.
        norm_activation: of backbone, pyramid and heads; the region proposal network has no normalisation [D1].
        fc_normalization: whether the box head's fully connected layers are normalised too: [MG] is true, [D1] false.
    """

    backbone: our_backbones.Backbone = dataclasses.field(default_factory=our_backbones.Backbone)
    norm_activation: normalization.NormActivation = dataclasses.field(default_factory=normalization.NormActivation)
    fc_normalization: bool = False


@dataclasses.dataclass
class RpnMatching(hyperparams.Config):
    """How anchors become targets of the region proposal network, inside the train step [D1].

    Attributes:
        match_threshold: an anchor at or over this IoU with a box is positive.
        unmatched_threshold: an anchor under this IoU with every box is negative; between, ignored.
        num_samples: anchors of an image that are drawn to train on.
        positive_fraction: most of them that are positive.
    """

    match_threshold: float = 0.7
    unmatched_threshold: float = 0.3
    num_samples: int = 256
    positive_fraction: float = 0.5


@dataclasses.dataclass
class DataConfig(types.DataConfig):
    """Human-labelled examples of two-stage detection.

    Attributes:
        mask_crop_size: side of the square that a mask is cut to inside its box, for the device [MG].
    """

    mask_crop_size: int = 112


@dataclasses.dataclass
class MaskRCNNTask(cfg.TaskConfig):
    """Two-stage detection, with masks where `model.include_mask` says so.

    Attributes:
        model: Mask R-CNN or Faster R-CNN.
        losses: Model Garden's losses of Mask R-CNN.
        matching: anchors against boxes.
        train_data: human-labelled training examples.
        validation_data: human-labelled examples that choose the best checkpoint.
        test_data: human-labelled examples the best checkpoint is measured on at the end of a run; with
            an empty input_path the validation examples stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'decoder', 'rpn_head', 'detection_head', 'mask_head'.
        per_category_metrics: report AP per class too.
        seed: of the initial weights, the order of examples, the augmentation and what is sampled.
        export_config: Model Garden's exporter's options.
    """

    model: MaskRCNN = dataclasses.field(default_factory=MaskRCNN)
    losses: maskrcnn.Losses = dataclasses.field(default_factory=maskrcnn.Losses)
    matching: RpnMatching = dataclasses.field(default_factory=RpnMatching)
    train_data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(is_training=True))
    validation_data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(global_batch_size=8, drop_remainder=False)
    )
    test_data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(global_batch_size=8, drop_remainder=False)
    )
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    per_category_metrics: bool = False
    seed: int = 0
    export_config: retinanet.ExportConfig = dataclasses.field(default_factory=retinanet.ExportConfig)


families.register(
    MaskRCNNTask,
    families.Family(
        validation_maskrcnn.check, validation_maskrcnn.best_metrics, check_files=validation_maskrcnn.check_files
    ),
)


def _trainer() -> types.TrainerConfig:
    """Schedule 2x: momentum SGD, 0.02 at 16 images [P], drops 60,000 and 20,000 steps before the end [P]."""
    schedule = types.Schedule(
        base_batch_size=16,
        base_train_steps=180_000,
        base_learning_rate=0.02,
        base_warmup_steps=500,  # [D1], from a third of the rate
        warmup_factor=1 / 3,
        decay='stepwise',
        base_drops_before_end=[60_000, 20_000],
    )
    optimizer = {'type': 'sgd', 'sgd': {'momentum': 0.9}}
    return types.TrainerConfig(
        schedule=schedule, optimizer_config=optimization.OptimizationConfig({'optimizer': optimizer})
    )


def _data(task: MaskRCNNTask) -> None:
    task.train_data.input_path = 'coco/train*'
    task.train_data.global_batch_size = 16
    # Flips alone [P]: no jitter of the scale.
    task.train_data.augmentation.override({'policy': 'S1', 'scale_min': 1.0, 'scale_max': 1.0})
    task.validation_data.input_path = 'coco/val*'


def _resnet_fpn(normalized_by: str) -> cfg.ExperimentConfig:
    """ResNet-50 with FPN, box head of four convolutions and one fully connected layer [D1]."""
    task = MaskRCNNTask()
    task.model = MaskRCNN(
        num_classes=91,
        # The paper scales the shorter side to 800 and the longer to at most 1333 [P, D1]; here an image is scaled to
        # fit this square, so most are read larger.
        input_size=[1344, 1344, 3],
        include_mask=True,
        anchor=maskrcnn.Anchor(num_scales=1, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=8.0),
        backbone=our_backbones.Backbone(
            type='resnet', resnet=backbones.ResNet(model_id=50, stem_type='torch')
        ),
        decoder=decoders.Decoder(type='fpn', fpn=decoders.FPN(num_filters=256)),
        detection_head=maskrcnn.DetectionHead(num_convs=4, num_fcs=1),
        norm_activation=normalization.NormActivation(
            activation='relu',
            use_sync_bn=normalized_by == normalization.BATCH,
            normalization=normalized_by,
            norm_momentum=0.9,
            norm_epsilon=1e-5,
        ),
    )
    task.losses = maskrcnn.Losses(l2_weight_decay=1e-4)
    _data(task)
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='float32'), task=task, trainer=_trainer()
    )


@exp_factory.register_config_factory('maskrcnn_resnetfpn_gn_coco')
def maskrcnn_resnetfpn_gn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and group normalisation, schedule 2x."""
    return _resnet_fpn(normalization.GROUP)


@exp_factory.register_config_factory('maskrcnn_resnetfpn_syncbn_coco')
def maskrcnn_resnetfpn_syncbn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and synchronised batch norm, schedule 2x."""
    return _resnet_fpn(normalization.BATCH)
