"""Experiments of two-stage detection, at the settings of He et al., "Rethinking ImageNet Pre-training".

Values marked [D1] are those of Detectron's group-norm baselines, which the paper follows (sections 2 and 3 of the
fact sheet); [P] are the paper's own; [MG] Model Garden's.
"""

from official.core import config_definitions as cfg
from official.modeling import optimization
from official.vision.configs import backbones, decoders, maskrcnn

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import normalization, types
from official_rethink.configs.maskrcnn import MaskRCNN, MaskRCNNTask
from official_rethink.configs.maskrcnn_students import register_with_student


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


@register_with_student('maskrcnn_resnetfpn_gn_coco')
def maskrcnn_resnetfpn_gn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and group normalisation, schedule 2x."""
    return _resnet_fpn(normalization.GROUP)


@register_with_student('maskrcnn_resnetfpn_syncbn_coco')
def maskrcnn_resnetfpn_syncbn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and synchronised batch norm, schedule 2x."""
    return _resnet_fpn(normalization.BATCH)
