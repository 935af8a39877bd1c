"""The backbones inside the self-training release's segmentation models: EfficientNet-B7 and -L2 under NAS-FPN.

tensorflow/tpu's detection code builds the backbone with the EfficientNet release's own builder, so its names are
those of `efficientnet.Tf1`, ImageNet's classifier included, which segmentation neither used nor trained.
"""

from collections.abc import Iterable

import tensorflow as tf

from official_rethink.modeling.backbones import efficientnet as backbones
from official_rethink.modeling.checkpoints import efficientnet, efficientnet_layout, layout

_OPTIMIZER_SLOTS = ('/Momentum', '/RMSProp', '/RMSProp_1')


class ReleaseBackbone(efficientnet.Tf1):
    """The backbone alone; decoder and head are left out, by name and with the reason."""

    format = 'self-training-release-segmentation'
    ids = ('b7', 'l2')

    def build(self, model: str) -> dict[str, tf.keras.Model]:
        """Builds the backbone."""
        return {efficientnet_layout.BACKBONE: backbones.EfficientNet(model.removeprefix('efficientnet-'))}

    def left_out(self, model: str, names: Iterable[str]) -> dict[str, str]:
        """Decoder, heads, optimizer, step."""
        found = {}
        for name in names:
            if name == 'global_step':
                found[name] = "training's step"
            elif name.endswith(_OPTIMIZER_SLOTS):
                found[name] = "the optimizer's state"
            elif name.startswith(f'{model}/head/'):
                found[name] = 'the ImageNet classifier, which segmentation does not use'
            elif not name.startswith(f'{model}/'):
                found[name] = 'NAS-FPN and the segmentation head: only the backbone is imported'
        return found

    def stem(self, model: str, modules: object) -> layout.Stem | None:  # type: ignore[override]
        """The pipeline's own input scale: nothing to fold."""
        del model, modules
        return None
