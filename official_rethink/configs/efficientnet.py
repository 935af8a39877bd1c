"""The EfficientNet family as its authors' builder scales it: widths, depths and blocks of every model.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", with the values of the
release (tensorflow/tpu, models/official/efficientnet and its lite builder).
"""

import dataclasses
import math
from collections.abc import Sequence

_DIVISOR = 8
STEM_FILTERS = 32
STEM_STRIDE = 2
OUTPUT_STRIDE = 32
HEAD_FILTERS = 1280
SE_RATIO = 0.25


@dataclasses.dataclass(frozen=True)
class Scale:
    """One model of the family.

    Attributes:
        width: multiplies the numbers of filters.
        depth: multiplies the repeats of a stage.
        resolution: height and width of the images it was trained on, in pixels.
        dropout: rate in front of the classifier.
        lite: stem, head and the repeats of the first and last stage stay unscaled, no squeeze-and-excitation,
            ReLU6, and images centred on 127.
    """

    width: float
    depth: float
    resolution: int
    dropout: float
    lite: bool = False


SCALES = {
    'b0': Scale(1.0, 1.0, 224, 0.2),
    'b1': Scale(1.0, 1.1, 240, 0.2),
    'b2': Scale(1.1, 1.2, 260, 0.3),
    'b3': Scale(1.2, 1.4, 300, 0.3),
    'b4': Scale(1.4, 1.8, 380, 0.4),
    'b5': Scale(1.6, 2.2, 456, 0.4),
    'b6': Scale(1.8, 2.6, 528, 0.5),
    'b7': Scale(2.0, 3.1, 600, 0.5),
    'b8': Scale(2.2, 3.6, 672, 0.5),
    'l2': Scale(4.3, 5.3, 800, 0.5),
    'lite0': Scale(1.0, 1.0, 224, 0.2, lite=True),
    'lite1': Scale(1.0, 1.1, 240, 0.2, lite=True),
    'lite2': Scale(1.1, 1.2, 260, 0.3, lite=True),
    'lite3': Scale(1.2, 1.4, 280, 0.3, lite=True),
    'lite4': Scale(1.4, 1.8, 300, 0.3, lite=True),
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """A row of the paper's Table 1, before scaling.

    Attributes:
        kernel: side of the depth-wise convolution.
        repeats: number of blocks.
        filters: what the stage gives out.
        expansion: of a block's input, in front of the depth-wise convolution.
        stride: of the first block.
        level: log2 of the stride of the whole network, if the stage is the last one of its size and gives
            out an endpoint; else None.
    """

    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int
    level: int | None = None


STAGES = (
    Stage(3, 1, 16, 1, 1),
    Stage(3, 2, 24, 6, 2, level=2),
    Stage(5, 2, 40, 6, 2, level=3),
    Stage(3, 3, 80, 6, 2),
    Stage(5, 3, 112, 6, 1, level=4),
    Stage(5, 4, 192, 6, 2),
    Stage(3, 1, 320, 6, 1, level=5),
)


@dataclasses.dataclass(frozen=True)
class Block:
    """One inverted bottleneck after scaling; see `Stage`.

    Attributes:
        index: place in the network, from 0.
        stage: row of the table, from 0.
        repeat: place in the stage, from 0.
        filters_in: channels it takes.
        filters: channels it gives out.
        kernel: side of the depth-wise convolution.
        stride: of the depth-wise convolution.
        expansion: factor from `filters_in` to the depth-wise convolution's channels.
        level: the endpoint it gives out, or None.
    """

    index: int
    stage: int
    repeat: int
    filters_in: int
    filters: int
    kernel: int
    stride: int
    expansion: int
    level: int | None

    @property
    def has_skip(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.filters_in == self.filters

    def squeezed(self, ratio: float) -> int:
        """Channels between the two convolutions of squeeze-and-excitation, a share of the block's input."""
        return max(1, int(self.filters_in * ratio))


def round_filters(filters: int, width: float) -> int:
    """Scales to the nearest multiple of 8, up to the next one if that loses over a tenth."""
    scaled = filters * width
    rounded = max(_DIVISOR, int(scaled + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * scaled else rounded


def stem_filters(model_id: str) -> int:
    """Channels of the first convolution."""
    scale = SCALES[model_id]
    return STEM_FILTERS if scale.lite else round_filters(STEM_FILTERS, scale.width)


def head_filters(model_id: str) -> int:
    """Channels of the 1x1 convolution in front of the classifier."""
    scale = SCALES[model_id]
    return HEAD_FILTERS if scale.lite else round_filters(HEAD_FILTERS, scale.width)


def blocks(model_id: str) -> Sequence[Block]:
    """Every block of a model, in order."""
    scale = SCALES[model_id]
    found: list[Block] = []
    filters_in = stem_filters(model_id)
    for number, stage in enumerate(STAGES):
        fixed = scale.lite and number in (0, len(STAGES) - 1)
        repeats = stage.repeats if fixed else math.ceil(scale.depth * stage.repeats)
        filters = round_filters(stage.filters, scale.width)
        for repeat in range(repeats):
            last = repeat == repeats - 1
            found.append(
                Block(
                    index=len(found),
                    stage=number,
                    repeat=repeat,
                    filters_in=filters_in,
                    filters=filters,
                    kernel=stage.kernel,
                    stride=stage.stride if repeat == 0 else 1,
                    expansion=stage.expansion,
                    level=stage.level if last else None,
                )
            )
            filters_in = filters
    return found
