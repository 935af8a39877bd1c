"""The images an export is compared on."""

import pathlib

import pytest

from official_rethink.common import errors
from official_rethink.serving import answers
from tests.pseudo_labels import making


def test_read(tmp_path: pathlib.Path) -> None:
    pattern = making.write(tmp_path / 'shards', 'val', 5)
    assert len(answers.read(pattern, 3)) == 3 and len(answers.read(pattern, 9)) == 5
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / 'a.png').write_bytes(making.png(8, 9, None))
    (record,) = answers.read(str(folder), 4)
    assert (record.height, record.width) == (8, 9)
    with pytest.raises(errors.UserError, match='no shards match'):
        answers.read(str(tmp_path / 'gone*'), 1)
    (folder / 'a.png').write_bytes(b'no image')
    with pytest.raises(errors.UserError, match=r'a\.png'):
        answers.read(str(folder), 4)
