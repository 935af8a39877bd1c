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


@pytest.mark.parametrize('remote', [False, True])
def test_what_lies_where(tmp_path, remote, monkeypatch):
    """The same answers here and on TensorFlow's file system in memory; of this machine's files without TensorFlow."""
    if not remote:
        monkeypatch.setattr(files, '_gfile', lambda: pytest.fail('TensorFlow was asked'))
    folder = f'ram://{tmp_path}' if remote else str(tmp_path / 'made')
    assert (files.exists(folder), files.is_folder(folder), files.names(folder)) == (False, False, [])
    if remote:
        files.write_text(f'{folder}/b/c', 'x')
        files.write_text(f'{folder}/a', 'xyz')
    else:
        (tmp_path / 'made' / 'b').mkdir(parents=True)
        (tmp_path / 'made' / 'b' / 'c').write_text('x')
        (tmp_path / 'made' / 'a').write_text('xyz')
    assert files.names(folder) == ['a', 'b'] and files.names(f'{folder}/a') == []
    found = [(one, files.exists(one), files.is_folder(one), files.is_file(one)) for one in (folder, f'{folder}/a', '')]
    assert found == [(folder, True, True, False), (f'{folder}/a', True, False, True), ('', False, False, False)]
    with files.open_bytes(f'{folder}/a') as handle:
        handle.seek(1)
        assert handle.read() == b'yz'


def test_a_missing_file_of_this_machine_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.open_bytes(str(tmp_path / 'a'))
