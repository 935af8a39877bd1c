"""Tests of broken and hostile checkpoints: each a clear error, nothing executed, nothing written."""

import io
import os
import pickle
import struct
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from official_rethink import import_checkpoint
from official_rethink.common import errors
from official_rethink.modeling.checkpoints import formats, importing, layout
from tests.modeling.checkpoints import writers

KERNEL, MEAN = 'net/conv/kernel', 'net/norm/mean'


class Tiny(layout.Layout):
    """A convolution and a batch norm, under the same names whatever the kind of file."""

    format = 'tiny'

    def models(self):
        return ('tiny-a', 'tiny-b')

    def recognise(self, shapes):
        if KERNEL not in shapes:
            raise errors.UserError(f"this is no tiny: it has no '{KERNEL}'.")
        return 'tiny-a'

    def build(self, model):
        convolution = tf.keras.layers.Conv2D(4, 3, use_bias=False)
        norm = tf.keras.layers.BatchNormalization(center=False, scale=False)
        return {'backbone': tf.keras.Sequential([tf.keras.Input([8, 8, 3]), convolution, norm])}

    def takes(self, model, modules):
        root = 'backbone/layer_with_weights-'
        return {
            f'{root}0/kernel': layout.Take(KERNEL),
            f'{root}1/moving_mean': layout.Take(MEAN),
            f'{root}1/moving_variance': layout.Take('net/norm/variance'),
        }

    def left_out(self, model, names):
        return {name: "training's step" for name in names if name == 'global_step'}


def good():
    return {
        KERNEL: np.arange(108, dtype=np.float32).reshape(3, 3, 3, 4),
        MEAN: np.array([1, 2, 3, 4], np.float32),
        'net/norm/variance': np.ones([4], np.float32),
    }


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(formats, 'LAYOUTS', (Tiny(),))


@pytest.fixture
def folders(tmp_path):
    (tmp_path / 'in').mkdir()
    return tmp_path / 'in', tmp_path / 'out' / 'imported'


def refused(source, output, match, **options):
    """Imports, expects the error, and that nothing was left in the output's folder."""
    with pytest.raises(errors.UserError, match=match) as caught:
        importing.import_checkpoint('tiny', str(source), str(output), **options)
    assert not output.parent.exists()
    assert 'Traceback' not in str(caught.value)


def taken(source, output, **options):
    """Imports, and expects the good values."""
    importing.import_checkpoint('tiny', str(source), str(output), **options)
    reader = tf.train.load_checkpoint(str(output))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if 'VARIABLE_VALUE' in name}
    assert len(values) == 3
    kernel = next(value for name, value in values.items() if name.endswith('kernel/.ATTRIBUTES/VARIABLE_VALUE'))
    np.testing.assert_array_equal(kernel, good()[KERNEL])
    assert not [name for name in os.listdir(output.parent) if name.startswith('.')]


# Sound files first: every kind of file gives the same values, so the refusals below refuse for their own reason.


def write_hdf5(path, tensors):
    with h5py.File(path, 'w') as handle:
        for name, value in tensors.items():
            handle[name] = value


def packed(path, members):
    with tarfile.open(path, 'w:gz') as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_every_kind_of_sound_file_is_taken(folders):
    where, output = folders
    writers.write_tf1(str(where / 'model.ckpt'), {**good(), 'global_step': np.int64(3)})
    writers.write_legacy(str(where / 'legacy.pth'), good())
    writers.write_zip(str(where / 'new.pth'), good())
    write_hdf5(where / 'weights.h5', good())
    parts = {f'run/{name}': (where / name).read_bytes() for name in os.listdir(where) if name.startswith('model.ckpt')}
    packed(where / 'release.tar.gz', {**parts, 'run/README': b'hello'})
    with zipfile.ZipFile(where / 'some.whl', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('package/__init__.py', 'raise SystemExit')
        archive.write(where / 'legacy.pth', 'package/models/tiny.pth')
    sources = ('model.ckpt', 'model.ckpt.index', 'legacy.pth', 'new.pth', 'weights.h5', 'release.tar.gz', 'some.whl')
    for source in ('', *sources):
        taken(where / source if source else where, output)


# Truncated, wrong model, wrong shapes, missing, extra, NaN.


@pytest.mark.parametrize('share', [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize('kind', ['legacy', 'zip', 'h5', 'tar.gz', 'tf1'])
def test_truncated(folders, kind, share):
    where, output = folders
    path = where / f'file.{kind}'
    if kind == 'legacy':
        writers.write_legacy(str(path), good())
    elif kind == 'zip':
        writers.write_zip(str(path), good())
    elif kind == 'h5':
        write_hdf5(path, good())
    elif kind == 'tar.gz':
        packed(path, {'a.pth': writers.legacy_bytes(writers.content_of(good()), dict(enumerate_storages(good())))})
    else:
        writers.write_tf1(str(where / 'model'), good())
        path = where / 'model.data-00000-of-00001'
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(where / 'model' if kind == 'tf1' else path, output, "'.*(file|model|net)")


def enumerate_storages(tensors):
    return ((str(place), array) for place, array in enumerate(tensors.values()))


def test_truncated_index_and_missing_data(folders):
    where, output = folders
    writers.write_tf1(str(where / 'model'), good())
    index = where / 'model.index'
    index.write_bytes(index.read_bytes()[:40])
    refused(where / 'model', output, 'is not a readable TensorFlow checkpoint')
    (where / 'model.data-00000-of-00001').unlink()
    refused(where / 'model', output, "has no '.*model.data-00000-of-00001' beside it")


def test_wrong_model(folders):
    where, output = folders
    writers.write_legacy(str(where / 'other.pth'), {'resnet/conv1': np.ones([2], np.float32)})
    refused(where / 'other.pth', output, "this is no tiny: it has no 'net/conv/kernel'")
    writers.write_legacy(str(where / 'a.pth'), good())
    refused(where / 'a.pth', output, 'holds a tiny-a, and --model says tiny-b', model='tiny-b')
    refused(where / 'a.pth', output, "unknown model 'tiny-c'.*Did you mean 'tiny-", model='tiny-c')


def test_wrong_shapes_missing_extra_and_not_finite_are_listed(folders):
    where, output = folders
    path = str(where / 'a.pth')
    writers.write_legacy(path, {**good(), KERNEL: np.ones([3, 3, 3, 5], np.float32), MEAN: np.ones([2, 2], np.float32)})
    refused(path, output, r'2 shapes differ: .*kernel: \[3, 3, 3, 5\] in the file, \[3, 3, 3, 4\] in the model.*mean')
    lacking = good()
    del lacking[MEAN]
    writers.write_legacy(path, {**lacking, 'net/b': np.ones([1], np.float32), 'net/a': np.ones([1], np.float32)})
    refused(path, output, '1 tensors that the model needs are missing.*net/norm/mean; 2 of its tensors.*net/a, net/b')
    for value in (np.nan, np.inf):
        writers.write_legacy(path, {**good(), MEAN: np.array([1, 2, value, 4], np.float32)})
        refused(path, output, '1 tensors hold NaN or infinity: net/norm/mean')


# Pickles.


class Payload:
    """Makes Python's own unpickler create a file."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (self._path, 'w')


def test_a_payload_is_refused_by_name_and_never_run(folders, tmp_path):
    where, output = folders
    trap = tmp_path / 'trap'
    real = pickle.dumps({'state': Payload(str(trap))}, protocol=2)
    pickle.loads(real)['state'].close()
    assert trap.exists()  # the payload is a real one
    trap.unlink()
    opcodes = writers.Raw(real[2:-1])
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'x': opcodes}, {}))
    refused(where / 'a.pth', output, "asks for '(_io|io).open', which no state dict needs; nothing was run")
    with zipfile.ZipFile(where / 'b.pth', 'w') as archive:
        archive.writestr('archive/data.pkl', real)
    refused(where / 'b.pth', output, "asks for '(_io|io).open'")
    assert not trap.exists()


@pytest.mark.parametrize('name', ['os system', 'builtins eval', 'torch.serialization load', 'collections deque'])
def test_unknown_globals_are_refused(folders, name):
    where, output = folders
    opcodes = writers.Raw(b'c' + name.replace(' ', '\n').encode() + b'\n')
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'x': opcodes}, {}))
    refused(where / 'a.pth', output, f"asks for '{name.replace(' ', '.')}'")


@pytest.mark.parametrize(
    ('opcodes', 'match'),
    [
        (b'\x80\x04\x8c\x02os\x8c\x06system\x93', "asks for 'os.system'"),
        (b'(i__main__\nThing\n', "uses 'INST'"),
        (b'ccollections\nOrderedDict\n)\x81', "uses 'NEWOBJ'"),
        (b'\x82\x01', "uses 'EXT1'"),
        (b'X\x05\x00\x00\x00helloQ', 'something other than a storage'),
        (b'(X\x07\x00\x00\x00storageX\x01\x00\x00\x00aX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ', 'has the class'),
        (b'X\x05\x00\x00\x00hello)R', "calls 'hello'"),
        (b'h\x09', 'recalls what it never stored'),
        (b'\x8e\xff\xff\xff\xff\xff\xff\xff\x7f', 'damaged'),
        (b'X\xff\xff\xff\x7fabc', 'damaged'),
        (b't', 'closes what it never opened'),
        (b'00', 'empty stack'),
        (b']K\x01K\x02s', 'something other than a dictionary'),
        (b']}b', 'sets attributes on something other than a dictionary'),
    ],
)
def test_hostile_opcodes_are_refused(folders, opcodes, match):
    where, output = folders
    (where / 'a.pth').write_bytes(writers.legacy_bytes(writers.Raw(opcodes), {}))
    refused(where / 'a.pth', output, match)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'shape': (5,), 'strides': (1,)}, 'reaches out of its storage of 4'),
        ({'shape': (2, 2), 'strides': (1, 3)}, 'reaches out of its storage'),
        ({'offset': 1}, 'reaches out of its storage'),
        ({'shape': (10**12,), 'strides': (0,)}, 'reaches out of its storage'),
        ({'shape': (-1,)}, 'has the shape'),
        ({'strides': (-1,)}, 'has the strides'),
        ({'shape': (2, 2)}, '2 sizes and 1 strides'),
        ({'storage': 'torch\nQInt8Storage'}, "asks for 'torch.QInt8Storage'"),
        ({'length': 2**60, 'shape': (2**60,)}, 'has 4 numbers where 1152921504606846976 were said'),
        ({'length': -4}, 'the length -4'),
    ],
)
def test_lies_about_a_tensor_are_refused_before_memory_is_taken(folders, changes, match):
    where, output = folders
    array = np.ones([4], np.float32)
    content = {KERNEL: writers.tensor('0', array, **changes)}
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array}))
    refused(where / 'a.pth', output, match)


def test_lies_about_storages_are_refused(folders):
    where, output = folders
    array = np.ones([4], np.float32)
    content = {KERNEL: writers.tensor('0', array)}
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {}))
    refused(where / 'a.pth', output, 'storages 0 that its tensors need are not in it')
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array, '1': array}))
    refused(where / 'a.pth', output, "no tensor tells the type of its storage '1'")
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array}) + b'tail')
    refused(where / 'a.pth', output, '4 bytes follow its last storage')
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'epoch': 3}, {}))
    refused(where / 'a.pth', output, 'it holds no tensors')
    cycle = writers.Raw(b'}q\x01X\x01\x00\x00\x00ah\x01s')
    (where / 'a.pth').write_bytes(writers.legacy_bytes(cycle, {}))
    refused(where / 'a.pth', output, 'contain themselves')


# Archives.


def tar_with(path, entry, data=b''):
    """A tar with a sound checkpoint and one entry more."""
    sound = writers.legacy_bytes(writers.content_of(good()), dict(enumerate_storages(good())))
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
        archive.writestr('a.pth', writers.legacy_bytes(writers.content_of(good()), dict(enumerate_storages(good()))))
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
    data = writers.legacy_bytes(writers.content_of(good()), dict(enumerate_storages(good())))
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
    data = writers.legacy_bytes(writers.content_of(good()), dict(enumerate_storages(good())))
    packed(where / 'a.tar.gz', {'best.pth': data, 'last.pth': data})
    refused(where / 'a.tar.gz', output, 'holds 2 checkpoints; choose with --member: best.pth, last.pth')
    refused(where / 'a.tar.gz', output, "unknown checkpoint 'bst.pth'.*Did you mean 'best.pth'", member='bst.pth')
    taken(where / 'a.tar.gz', output, member='best.pth')


# Other files, other mistakes.


def test_what_is_no_checkpoint_at_all(folders):
    where, output = folders
    for name, data in (('a.txt', b'hello'), ('empty', b''), ('image.png', b'\x89PNG\r\n'), ('p.pkl', pickle.dumps({}))):
        (where / name).write_bytes(data)
        refused(where / name, output, 'is not a checkpoint that can be read')
    refused(where, output, 'no checkpoint in the folder')
    refused(where / 'nowhere', output, "no such file or folder, and no '.*nowhere.index'")


def test_a_folder_with_several_checkpoints_asks_which(folders):
    where, output = folders
    for name in ('one', 'two'):
        writers.write_tf1(str(where / name), good())
    refused(where, output, 'holds 2 checkpoints; name one of: one, two')


def test_hdf5_links_out_of_the_file_and_wild_shapes_are_refused(folders):
    where, output = folders
    write_hdf5(where / 'other.h5', good())
    with h5py.File(where / 'a.h5', 'w') as handle:
        handle['net'] = h5py.ExternalLink('other.h5', '/net')
    refused(where / 'a.h5', output, "'net' is a link")
    with h5py.File(where / 'b.h5', 'w') as handle:
        handle.create_dataset(KERNEL, (2**40,), 'f4', chunks=(1024,))
    refused(where / 'b.h5', output, "far over the file's size")
    with h5py.File(where / 'c.h5', 'w') as handle:
        handle[KERNEL] = [b'text']
    refused(where / 'c.h5', output, 'neither a group nor numbers')


def test_moving_averages(folders):
    where, output = folders
    average = '/ExponentialMovingAverage'
    tensors = {**good(), KERNEL: np.zeros([3, 3, 3, 4], np.float32), KERNEL + average: good()[KERNEL]}
    writers.write_tf1(str(where / 'model'), tensors)
    taken(where / 'model', output)
    taken(where / 'model', output, moving_average='yes')
    raw = importing.read('tiny', str(where / 'model'), moving_average='no')
    assert not raw.modules['backbone'].layers[0].kernel.numpy().any()
    assert raw.report['left_out'][0]['names'] == [KERNEL + average]
    other = output.parent.parent / 'other' / 'imported'
    refused(where / 'model', other, "unknown value of --moving_average 'maybe'", moving_average='maybe')
    writers.write_tf1(str(where / 'plain'), good())
    refused(where / 'plain', other, "is 'yes'; allowed: auto or no", moving_average='yes')


def test_an_input_scale_that_cannot_be_folded_is_refused(folders, monkeypatch):
    where, output = folders
    writers.write_legacy(str(where / 'a.pth'), good())
    monkeypatch.setattr(Tiny, 'preprocessing', layout.Preprocessing((127.0,) * 3, (128.0,) * 3))
    refused(where / 'a.pth', output, 'expect .* as input, which the pipeline does not give')


def test_a_failed_write_leaves_what_was_there(folders, monkeypatch):
    where, output = folders
    writers.write_legacy(str(where / 'a.pth'), good())
    taken(where / 'a.pth', output)
    before = {name: (output.parent / name).read_bytes() for name in os.listdir(output.parent)}

    def fail(self, path, **options):
        with open(path + '.index', 'w', encoding='utf-8'):
            raise OSError('no space left on device')

    monkeypatch.setattr(tf.train.Checkpoint, 'write', fail)
    with pytest.raises(OSError, match='no space'):
        importing.import_checkpoint('tiny', str(where / 'a.pth'), str(output))
    assert {name: (output.parent / name).read_bytes() for name in os.listdir(output.parent)} == before


# The command.


def test_the_command_names_mistakes_and_lists_formats(folders, capsys):
    where, output = folders
    writers.write_legacy(str(where / 'a.pth'), good())
    source, target = f'--source={where / "a.pth"}', f'--output={output}'
    with pytest.raises(errors.UserError, match="unknown format 'tinny'.*Did you mean 'tiny'.*Allowed: tiny"):
        import_checkpoint.main(['--format=tinny', source, target])
    with pytest.raises(errors.UserError, match="--output is ''; allowed"):
        import_checkpoint.main(['--format=tiny', source])
    with pytest.raises(errors.UserError, match='not a folder'):
        import_checkpoint.main(['--format=tiny', source, f'--output={where}'])
    with pytest.raises(errors.UserError, match="Did you mean '--source'"):
        import_checkpoint.main(['--format=tiny', '--sorce=x'])
    import_checkpoint.main(['--list'])
    assert capsys.readouterr().out == 'tiny  tiny-a, tiny-b\n'
    import_checkpoint.main(['--format=tiny', source, target])
    said = capsys.readouterr().out
    assert '3 matched, 0 missing, 0 extra; 116 numbers in backbone' in said and f'task.init_checkpoint={output}' in said
