"""Segmentation networks: Model Garden's config, a dilated EfficientNet, and norms of their own behind the backbone."""

import dataclasses

from official.modeling import hyperparams
from official.vision.configs import common, semantic_segmentation

from official_rethink.configs import backbones, normalization


@dataclasses.dataclass
class DilatedEfficientNet(hyperparams.Config):
    """EfficientNet whose later strides are dilations.

    Attributes:
        model_id: a name of the family: b0 to b8, l2, lite0 to lite4.
        output_stride: of the coarsest features, 8 or 16.
        se_ratio: channels of squeeze-and-excitation as a share of a block's input.
        stochastic_depth_drop_rate: of the network's end.
    """

    model_id: str = 'b7'
    output_stride: int = 16
    se_ratio: float = 0.25
    stochastic_depth_drop_rate: float = 0.2


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """Every family's choice of backbones, and one more.

    Attributes:
        dilated_efficientnet: for DeepLab.
    """

    dilated_efficientnet: DilatedEfficientNet = dataclasses.field(default_factory=DilatedEfficientNet)


@dataclasses.dataclass
class SegmentationModel(semantic_segmentation.SemanticSegmentationModel):
    """Model Garden's segmentation model; backbone and the rest may have different norms and activations.

    Attributes:
        backbone: of Model Garden's, or a dilated EfficientNet.
        norm_activation: of the backbone; its kind of normalisation is everybody's.
        decoder_norm_activation: of decoder and head.
        pyramid_resampling: places of a pyramid's levels on each other, where they are fused: 'centres' of pixels, or
            'corners' as in the release, for its checkpoints.
    """

    backbone: Backbone = dataclasses.field(default_factory=Backbone)
    norm_activation: normalization.NormActivation = dataclasses.field(default_factory=normalization.NormActivation)
    decoder_norm_activation: common.NormActivation = dataclasses.field(default_factory=common.NormActivation)
    pyramid_resampling: str = 'centres'
