"""Label maps of the Semantic Boundaries Dataset: MATLAB files that hold GTcls.Segmentation.

SBD labels 11,355 of PASCAL VOC 2011's images with VOC's 20 classes, without a void. It lies in `img/` (JPEG),
`cls/` (the label maps, one .mat an image), `inst/` (instances, which are not used) and the lists train.txt and val.txt.
"""

import io
from typing import Any

import numpy as np

from official_rethink.data import images

SUFFIX = '.mat'
_KEY, _FIELD = 'GTcls', 'Segmentation'


def decode(data: bytes) -> np.ndarray:
    """Returns the label map in a .mat file's bytes, uint8 [H, W].

    Raises:
        images.BadImage: no MATLAB 5 file, a damaged one, or one without such a label map.
    """
    from scipy.io import matlab  # a third of a second, for those who have such files

    try:
        content: dict[str, Any] = matlab.loadmat(io.BytesIO(data), variable_names=[_KEY])
        names = [_KEY] if _KEY in content else [name for name, *_ in matlab.whosmat(io.BytesIO(data))]
    except NotImplementedError as error:
        raise _bad('is of version 7.3 (HDF5); allowed: version 5 to 7, as SBD has it.') from error
    except Exception as error:  # a damaged file fails anywhere in the parser; each is told as it is
        raise _bad(f'cannot be read as a MATLAB file: {error or type(error).__name__}.') from error
    if names != [_KEY]:
        hint = ' Those of inst/ hold instances: take the folder cls/.' if 'GTinst' in names else ''
        raise _bad(f"holds {', '.join(names) or 'nothing'}; allowed: a structure '{_KEY}'.{hint}")
    fields = content[_KEY].dtype.names or ()
    if _FIELD not in fields or content[_KEY].size != 1:
        held = f"with the fields {', '.join(fields)}" if fields else 'without fields'
        raise _bad(f"holds '{_KEY}' {held}; allowed: one structure with the field '{_FIELD}'.")
    return _checked(content[_KEY][_FIELD].item())


def _checked(found: Any) -> np.ndarray:
    label_map = np.asarray(found)
    whole = label_map.ndim == 2 and label_map.size and label_map.dtype.kind in 'uif'
    if not whole or not np.array_equal(label_map, label_map.astype(np.uint8)):
        what = f'{label_map.dtype} {list(label_map.shape)}'
        raise _bad(f"holds '{_KEY}.{_FIELD}' of {what}; allowed: height x width of whole numbers from 0 to 255.")
    return label_map.astype(np.uint8)


def _bad(message: str) -> images.BadImage:
    return images.BadImage('unreadable .mat', message)
