"""Tests of hostile archives: each a clear error, nothing taken out, nothing written."""

import io
import os
import struct
import tarfile
import zipfile

import pytest

from tests.modeling.checkpoints.tiny import packed, refused, sound_bytes, taken


def tar_with(path, entry, data=b''):
    """A tar with a sound checkpoint and one entry more."""
    sound = sound_bytes()
    with tarfile.open(path, 'w:gz') as archive:
        first = tarfile.TarInfo('a.pth')
        first.size = len(sound)
        archive.addfile(first, io.BytesIO(sound))
        archive.addfile(entry, io.BytesIO(data))


def entry_of(name, kind=tarfile.REGTYPE, target=''):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    ('entry', 'match'),
    [
        (entry_of('../escaped.pth'), 'leads out of its folder'),
        (entry_of('a/../../escaped.pth'), 'leads out of its folder'),
        (entry_of('..\\escaped.pth'), 'leads out of its folder'),
        (entry_of('/tmp/escaped.pth'), 'has an absolute name'),
        (entry_of('C:\\escaped.pth'), 'has an absolute name'),
        (entry_of('link.pth', tarfile.SYMTYPE, '/etc/passwd'), "is a link to '/etc/passwd'"),
        (entry_of('link.pth', tarfile.LNKTYPE, 'a.pth'), "is a link to 'a.pth'"),
        (entry_of('null', tarfile.CHRTYPE), 'neither a plain file nor a folder'),
        (entry_of('pipe', tarfile.FIFOTYPE), 'neither a plain file nor a folder'),
    ],
)
def test_a_tar_that_climbs_or_links_is_refused_whole(folders, entry, match):
    where, output = folders
    tar_with(where / 'a.tar.gz', entry)
    refused(where / 'a.tar.gz', output, f'{match}.*Nothing was taken out of it')
    assert sorted(os.listdir(where)) == ['a.tar.gz'] and not os.path.exists('/tmp/escaped.pth')


@pytest.mark.parametrize('name', ['../escaped.pth', '/tmp/escaped.pth'])
def test_a_zip_that_climbs_is_refused(folders, name):
    where, output = folders
    with zipfile.ZipFile(where / 'a.zip', 'w') as archive:
        archive.writestr('a.pth', sound_bytes())
        archive.writestr(name, b'')
    refused(where / 'a.zip', output, 'leads out of its folder|has an absolute name')


def test_a_zip_with_a_symbolic_link_is_refused(folders):
    where, output = folders
    with zipfile.ZipFile(where / 'a.zip', 'w') as archive:
        entry = zipfile.ZipInfo('a.pth')
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, '/etc/passwd')
    refused(where / 'a.zip', output, 'is a link or a device')


def test_bombs_are_refused_by_what_they_declare(folders):
    where, output = folders
    with zipfile.ZipFile(where / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.pth', bytes(8 << 20))
    refused(where / 'a.zip', output, 'declares more than 50 times its own size')
    huge = entry_of('a.pth')
    huge.size = 2**50
    (where / 'a.tar').write_bytes(huge.tobuf() + bytes(1024))
    refused(where / 'a.tar', output, f'says that it has {2**50} bytes')


def test_a_member_that_is_longer_or_shorter_than_it_says_is_refused(folders):
    where, output = folders
    data = sound_bytes()
    with zipfile.ZipFile(where / 'a.zip', 'w') as archive:
        archive.writestr('a.pth', data)
    whole = bytearray((where / 'a.zip').read_bytes())
    place = whole.rindex(b'PK\x01\x02') + 24
    whole[place : place + 4] = struct.pack('<I', len(data) - 7)
    (where / 'a.zip').write_bytes(whole)
    refused(where / 'a.zip', output, 'is damaged')


def test_an_archive_with_no_checkpoint_or_several(folders):
    where, output = folders
    packed(where / 'a.tar.gz', {'README.md': b'x'})
    refused(where / 'a.tar.gz', output, r'no checkpoint in the archive .*it holds README.md')
    data = sound_bytes()
    packed(where / 'a.tar.gz', {'best.pth': data, 'last.pth': data})
    refused(where / 'a.tar.gz', output, 'holds 2 checkpoints; choose with --member: best.pth, last.pth')
    refused(where / 'a.tar.gz', output, "unknown checkpoint 'bst.pth'.*Did you mean 'best.pth'", member='bst.pth')
    taken(where / 'a.tar.gz', output, member='best.pth')
