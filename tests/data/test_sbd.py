"""SBD's label maps: MATLAB files as it has them, and files that are something else."""

import io

import numpy as np
import pytest
from scipy.io import savemat

from official_rethink.data import images, sbd
from tests.data import voc_making

LABEL_MAP = np.random.default_rng(0).integers(0, 21, (31, 17)).astype(np.uint8)


@pytest.mark.parametrize('kind', [np.uint8, np.int32, np.float64])
def test_label_map_is_read(kind: type):
    found = sbd.decode(voc_making.mat(LABEL_MAP.astype(kind)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, LABEL_MAP)


def test_one_pixel():
    np.testing.assert_array_equal(sbd.decode(voc_making.mat(np.array([[7]], np.uint8))), [[7]])


def plain() -> bytes:
    stream = io.BytesIO()
    savemat(stream, {'GTcls': LABEL_MAP})
    return stream.getvalue()


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (b'', 'cannot be read as a MATLAB file'),
        (b'<html>404</html>' * 20, 'cannot be read as a MATLAB file'),
        (voc_making.mat(LABEL_MAP)[:300], 'cannot be read as a MATLAB file'),
        (b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' + b'\x00' * 300, 'version 7.3'),
        (voc_making.mat(LABEL_MAP, key='GTinst'), "holds GTinst; allowed: a structure 'GTcls'.*take the folder cls"),
        (voc_making.mat(LABEL_MAP, key='other'), "holds other; allowed: a structure 'GTcls'.$"),
        (voc_making.mat(LABEL_MAP, field='Labels'), 'with the fields Boundaries, Labels, CategoriesPresent; allowed'),
        (plain(), "holds 'GTcls' without fields"),
        (voc_making.mat(LABEL_MAP[..., None].repeat(3, 2)), r'of uint8 \[31, 17, 3\]; allowed: height x width'),
        (voc_making.mat(LABEL_MAP + 0.5), r'of float64 \[31, 17\]; allowed: .* whole numbers from 0 to 255'),
        (voc_making.mat(LABEL_MAP.astype(np.int32) + 256), 'whole numbers from 0 to 255'),
        (voc_making.mat(np.full((2, 2), np.nan)), 'whole numbers from 0 to 255'),
        (voc_making.mat(np.zeros((0, 4), np.uint8)), r'of uint8 \[0, 4\]'),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, words: str):
    with pytest.raises(images.BadImage, match=words) as caught:
        sbd.decode(data)
    assert caught.value.kind == 'unreadable .mat'
