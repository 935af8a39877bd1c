"""Files are whole or not there."""

import hashlib
import json
import os

import pytest

from official_rethink.common import errors, files


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = str(tmp_path / 'folder' / 'a.json')
    files.write_json(path, {'a': 1})
    with pytest.raises(RuntimeError), files.atomic_write(path) as handle:
        handle.write('half')
        raise RuntimeError
    assert files.read_json(path) == {'a': 1}
    assert os.listdir(tmp_path / 'folder') == ['a.json']


def test_hashes_by_an_independent_computation(tmp_path):
    (tmp_path / 'a').write_bytes(b'left')
    (tmp_path / 'b').write_bytes(b'right')
    both = files.file_hash(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert both == hashlib.sha256(b'leftright').hexdigest()
    assert files.hash_of({'b': 1, 'a': 2}) == files.hash_of(json.loads('{"a": 2, "b": 1}'))


@pytest.mark.parametrize(
    ('content', 'expected'),
    [(b'{"a": 1,}', 'line 1, column'), (b'\xff\xfe', 'not UTF-8'), (None, 'no file at')],
)
def test_unreadable_json_is_named(tmp_path, content, expected):
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.UserError, match=expected) as error:
        files.read_json(str(path))
    assert str(path) in str(error.value)
