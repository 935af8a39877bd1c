"""Experiments of two-stage detection, at the settings of He et al., "Rethinking ImageNet Pre-training".

Values marked [D1] are those of Detectron's group-norm baselines, which the paper follows (sections 2 and 3 of the
fact sheet); [P] are the paper's own; [MG] Model Garden's.
"""

from official.core import config_definitions as cfg
from official.modeling import optimization
from official.vision.configs import backbones, decoders, maskrcnn

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import normalization, types
from official_rethink.configs.maskrcnn import Anchor, Losses, MaskRCNN, MaskRCNNTask
from official_rethink.configs.maskrcnn_students import register_with_student

# Steps of a schedule 1x at 16 images [P].
ONE_X = 90_000


def _trainer(times: int = 2) -> types.TrainerConfig:
    """Schedule Nx: momentum SGD, 0.02 at 16 images [P], drops 60,000 and 20,000 steps before the end [P]."""
    schedule = types.Schedule(
        base_batch_size=16,
        base_train_steps=times * ONE_X,
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


def _experiment(model: MaskRCNN, times: int = 2) -> cfg.ExperimentConfig:
    """What all have in common but the network: data, weight decay [P], schedule."""
    task = MaskRCNNTask(model=model, losses=Losses(l2_weight_decay=1e-4))
    # The shorter side [P], the longer [D1].
    task.resizing = types.Resizing(shorter_side=800, longer_side=1333)
    _data(task)
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='float32'), task=task, trainer=_trainer(times)
    )


def _fpn(backbone: our_backbones.Backbone, norm_activation: normalization.NormActivation) -> MaskRCNN:
    """Mask R-CNN on a pyramid, box head of four convolutions and one fully connected layer [D1]."""
    return MaskRCNN(
        num_classes=91,
        # Images are padded to this: it holds 800 x 1333 and 1333 x 800.
        input_size=[1344, 1344, 3],
        include_mask=True,
        anchor=Anchor(num_scales=1, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=8.0),
        backbone=backbone,
        decoder=decoders.Decoder(type='fpn', fpn=decoders.FPN(num_filters=256)),
        roi_generator=maskrcnn.ROIGenerator(num_proposals=2000),  # [D1]; [MG] 1000
        detection_head=maskrcnn.DetectionHead(num_convs=4, num_fcs=1),
        norm_activation=norm_activation,
    )


def _normalized_by(kind: str) -> normalization.NormActivation:
    return normalization.NormActivation(
        activation='relu',
        use_sync_bn=kind == normalization.BATCH,
        normalization=kind,
        norm_momentum=0.9,
        norm_epsilon=1e-5,
    )


def _resnet() -> our_backbones.Backbone:
    return our_backbones.Backbone(type='resnet', resnet=backbones.ResNet(model_id=50, stem_type='torch'))


@register_with_student('maskrcnn_resnetfpn_gn_coco')
def maskrcnn_resnetfpn_gn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and group normalisation, schedule 2x."""
    return _experiment(_fpn(_resnet(), _normalized_by(normalization.GROUP)))


@register_with_student('maskrcnn_resnetfpn_syncbn_coco')
def maskrcnn_resnetfpn_syncbn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNet-50 with FPN and synchronised batch norm, schedule 2x."""
    return _experiment(_fpn(_resnet(), _normalized_by(normalization.BATCH)))


@register_with_student('maskrcnn_resnextfpn_gn_coco')
def maskrcnn_resnextfpn_gn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on ResNeXt-101 32x8d with FPN and group normalisation, schedule 2x; configs/he2018 has 152."""
    backbone = our_backbones.Backbone(type='resnext', resnext=our_backbones.ResNeXt())
    return _experiment(_fpn(backbone, _normalized_by(normalization.GROUP)))


@register_with_student('cascadercnn_resnetfpn_gn_coco')
def cascadercnn_resnetfpn_gn_coco() -> cfg.ExperimentConfig:
    """Cascade R-CNN with masks on ResNet-50 with FPN and group normalisation, three stages, schedule 2x."""
    model = _fpn(_resnet(), _normalized_by(normalization.GROUP))
    # Two more stages, masks on the last [P]. Their IoU is not stated; 0.6 and 0.7 are Cascade R-CNN's own.
    model.roi_sampler.cascade_iou_thresholds = [0.6, 0.7]
    model.detection_head.class_agnostic_bbox_pred = True
    model.detection_head.cascade_class_ensemble = True
    return _experiment(model)


@register_with_student('keypointrcnn_resnetfpn_gn_coco')
def keypointrcnn_resnetfpn_gn_coco() -> cfg.ExperimentConfig:
    """Keypoint R-CNN of COCO's persons on ResNet-50 with FPN and group normalisation, schedule 2x.

    No masks; boxes of the one class, and 17 points by eight convolutions of 512 and heat maps of 56 x 56 [D1]. Images
    without a labelled point do not train [D1].
    """
    model = _fpn(_resnet(), _normalized_by(normalization.GROUP))
    model.num_classes = 2
    model.include_mask = False
    model.include_keypoints = True
    config = _experiment(model)
    config.task.train_data.override({'input_path': 'coco_keypoints/train*', 'keep_images_without_keypoints': False})
    jitter = {'shorter_side_min': 640, 'shorter_side_max': 800, 'shorter_side_step': 32}  # [D1]
    config.task.train_data.augmentation.override(jitter)
    config.task.validation_data.input_path = 'coco_keypoints/val*'
    return config


@register_with_student('maskrcnn_efficientnetfpn_coco')
def maskrcnn_efficientnetfpn_coco() -> cfg.ExperimentConfig:
    """Mask R-CNN on EfficientNet-B7, normalised as Zoph et al.'s RetinaNet, with FPN, schedule 2x."""
    backbone = our_backbones.Backbone(
        type='efficientnet',
        efficientnet=backbones.EfficientNet(model_id='b7', se_ratio=0.25, stochastic_depth_drop_rate=0.2),
    )
    norm_activation = normalization.NormActivation(
        activation='swish', use_sync_bn=True, norm_momentum=0.99, norm_epsilon=1e-3
    )
    return _experiment(_fpn(backbone, norm_activation))


@register_with_student('fasterrcnn_vgg_coco')
def fasterrcnn_vgg_coco() -> cfg.ExperimentConfig:
    """Faster R-CNN on VGG-16 without any normalisation and without a pyramid, schedule 11x.

    Detectron's defaults for detectors without a pyramid: anchors of 64 to 512 pixels, 12,000 regions before and 2,000
    after suppression in training, 6,000 and 1,000 in evaluation [D1]; the box head is VGG's own two layers of 4096
    [D1], without their dropout. No layer is frozen, where Detectron's code freezes the first two stages.
    """
    model = MaskRCNN(
        num_classes=91,
        input_size=[1344, 1344, 3],
        min_level=4,
        max_level=4,
        include_mask=False,
        anchor=Anchor(num_scales=4, octaves=4.0, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=4.0),
        backbone=our_backbones.Backbone(type='vgg', vgg=our_backbones.VGG(model_id=16)),
        decoder=decoders.Decoder(type='identity', identity=decoders.Identity()),
        rpn_head=maskrcnn.RPNHead(num_filters=512),
        roi_generator=maskrcnn.ROIGenerator(
            pre_nms_top_k=12_000, num_proposals=2000, test_pre_nms_top_k=6000, test_num_proposals=1000
        ),
        detection_head=maskrcnn.DetectionHead(num_convs=0, num_fcs=2, fc_dims=4096),
        norm_activation=_normalized_by(normalization.NONE),
    )
    return _experiment(model, times=11)
