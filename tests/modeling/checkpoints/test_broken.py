"""Tests of broken checkpoints of every kind: each a clear error, nothing written."""

import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from official_rethink import import_checkpoint
from official_rethink.common import errors
from official_rethink.modeling.checkpoints import importing, layout
from tests.modeling.checkpoints import writers
from tests.modeling.checkpoints.tiny import KERNEL, MEAN, Tiny, good, packed, refused, sound_bytes, taken, write_hdf5

# Sound files first: every kind of file gives the same values, so the refusals below refuse for their own reason.


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
        packed(path, {'a.pth': sound_bytes()})
    else:
        writers.write_tf1(str(where / 'model'), good())
        path = where / 'model.data-00000-of-00001'
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(where / 'model' if kind == 'tf1' else path, output, "'.*(file|model|net)")


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
