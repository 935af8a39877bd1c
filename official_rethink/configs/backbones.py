"""Backbones that Model Garden's choice lacks, as branches of the same choice."""

import dataclasses

from official.modeling import hyperparams
from official.vision.configs import backbones


@dataclasses.dataclass
class ResNeXt(hyperparams.Config):
    """ResNeXt (Xie et al., 2017): a ResNet whose 3x3 convolutions work in groups.

    Attributes:
        model_id: depth: 50, 101 or 152.
        cardinality: number of groups; the 32 of '32x8d'.
        base_width: channels of a group in the first stage; the 8 of '32x8d'.
        stochastic_depth_drop_rate: of the network's end.
        bn_trainable: whether batch norms learn factors and offsets.
    """

    model_id: int = 101
    cardinality: int = 32
    base_width: int = 8
    stochastic_depth_drop_rate: float = 0.0
    bn_trainable: bool = True


@dataclasses.dataclass
class VGG(hyperparams.Config):
    """VGG (Simonyan and Zisserman, 2015) without any normalisation, to its last convolution at stride 16.

    Attributes:
        model_id: 11, 13, 16 or 19, the layers with weights of the classifier it was.
        depth_multiplier: of the channels; 1 is the published network.
    """

    model_id: int = 16
    depth_multiplier: float = 1.0


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """Model Garden's choice of backbones, and more.

    Attributes:
        resnext: He et al.'s large models.
        vgg: their network without normalisation.
    """

    resnext: ResNeXt = dataclasses.field(default_factory=ResNeXt)
    vgg: VGG = dataclasses.field(default_factory=VGG)
