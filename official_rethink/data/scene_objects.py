"""The classes of the built-in scenes: two disjoint sets, one to detect, one to pre-train a classifier on.

Colours and textures are the renderer's and are drawn per object, so only parts and their arrangement tell
the classes apart.
"""

from official_rethink.data.scene_objects_articulated import ARTICULATED_FAMILIES
from official_rethink.data.scene_objects_composite import COMPOSITE_FAMILIES
from official_rethink.data.scene_objects_pretraining import PRETRAINING_FAMILIES
from official_rethink.data.scene_shapes import Family

_DETECTION_ORDER = ('walker', 'windmill', 'car', 'fish', 'house', 'lamp', 'flower', 'key', 'bird', 'boat')
_BY_NAME = {family.name: family for family in ARTICULATED_FAMILIES + COMPOSITE_FAMILIES}

KINDS: dict[str, tuple[Family, ...]] = {
    'detection': tuple(_BY_NAME[name] for name in _DETECTION_ORDER),
    'classification': PRETRAINING_FAMILIES,
}
"""Per kind of data set, its families; a data set of K classes has the first K."""
DEFAULT_NUM_CLASSES = {'detection': 8, 'classification': 10}
SEGMENTATION = 'segmentation'
"""The images of 'detection', with label maps in place of masks and key points."""
MIXED, MIXED_OTHER = 'mixed', 'mixed_other'
"""Kinds that show both sets of classes in the same images: 'mixed' labels those to detect, the other the others."""
