"""The table of published formats that can be imported: what --format names."""

from collections.abc import Sequence

from official_rethink.common import errors
from official_rethink.modeling.checkpoints import efficientnet, layout, model_garden, resnet, segmentation, spinenet

LAYOUTS: Sequence[layout.Layout] = (
    efficientnet.Tf1(),
    efficientnet.LiteTf1(),
    efficientnet.LiteTorch(),
    efficientnet.Keras(),
    spinenet.Release(),
    segmentation.Release(),
    resnet.SimclrTf1(),
    resnet.SimclrTf2(),
    resnet.Moco(),
    resnet.KerasResNet50(),
    model_garden.ModelGarden(),
)


def find(name: str) -> layout.Layout:
    """Returns the layout that --format names.

    Raises:
        UserError: there is none of that name.
    """
    for found in LAYOUTS:
        if found.format == name:
            return found
    raise errors.unknown_name('format', name, [found.format for found in LAYOUTS], where='--format')
