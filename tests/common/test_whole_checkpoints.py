"""The newest whole checkpoint is found, whatever a kill or a hand has done to the newer ones."""

import pathlib

import pytest
import tensorflow as tf

from official_rethink.common import whole_checkpoints

DATA = '.data-00000-of-00001'


@pytest.fixture
def folder(tmp_path):
    """A folder with the checkpoints 10, 20 and 30, whose value is their number."""
    value = tf.Variable([0.0] * 100)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(value=value), str(tmp_path), max_to_keep=3)
    for step in (10, 20, 30):
        value.assign([float(step)] * 100)
        manager.save(checkpoint_number=step)
    return tmp_path


def _cut(path: pathlib.Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def _flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


SPOILT = {
    'index deleted': lambda folder: (folder / 'ckpt-30.index').unlink(),
    'index empty': lambda folder: _cut(folder / 'ckpt-30.index', 0),
    'index cut off': lambda folder: _cut(folder / 'ckpt-30.index', 60),
    'data deleted': lambda folder: (folder / f'ckpt-30{DATA}').unlink(),
    'data empty': lambda folder: _cut(folder / f'ckpt-30{DATA}', 0),
    'data cut off': lambda folder: _cut(folder / f'ckpt-30{DATA}', 300),
    'a bit flipped': lambda folder: _flip(folder / f'ckpt-30{DATA}'),
    'the record names one that never was': lambda folder: [path.unlink() for path in folder.glob('ckpt-30*')],
}


@pytest.mark.parametrize('spoil', SPOILT.values(), ids=SPOILT.keys())
def test_the_one_before_is_taken_and_both_are_named(folder, spoil):
    spoil(folder)
    told = []
    assert whole_checkpoints.newest(str(folder), told.append) == str(folder / 'ckpt-20')
    assert len(told) == 1 and "ckpt-30' is not whole" in told[0] and "ckpt-20' is taken instead" in told[0]


def test_a_whole_newest_is_taken_without_a_word(folder):
    told = []
    assert whole_checkpoints.newest(str(folder), told.append) == str(folder / 'ckpt-30')
    assert told == []


@pytest.mark.parametrize('record', [None, '', 'model_checkpoint_path: "ck', '\x00\xff'])
def test_without_a_record_the_numbers_count(folder, record):
    (folder / 'checkpoint').unlink()
    if record is not None:
        (folder / 'checkpoint').write_text(record)
    assert whole_checkpoints.newest(str(folder)) == str(folder / 'ckpt-30')


def test_the_record_s_choice_goes_before_a_higher_number(folder):
    """A folder of best checkpoints may hold one that was written, but not chosen before a kill."""
    (folder / 'checkpoint').write_text('model_checkpoint_path: "ckpt-20"\nall_model_checkpoint_paths: "ckpt-20"\n')
    assert whole_checkpoints.newest(str(folder)) == str(folder / 'ckpt-20')


def test_none_is_whole(folder):
    for path in folder.glob(f'*{DATA}'):
        path.unlink()
    told = []
    assert whole_checkpoints.newest(str(folder), told.append) is None
    assert len(told) == 3 and all('there is no older one' in text for text in told)
    assert whole_checkpoints.newest(str(folder / 'nowhere')) is None


def test_a_folder_that_was_moved(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp('other') / 'run'
    folder.rename(moved)
    text = ''.join(f'{key}: "{folder}/ckpt-30"\n' for key in ('model_checkpoint_path', 'all_model_checkpoint_paths'))
    (moved / 'checkpoint').write_text(text)
    assert whole_checkpoints.newest(str(moved)) == str(moved / 'ckpt-30')


def test_a_run_goes_on_after_mending(folder):
    """TensorFlow's own manager restores what was found, and its numbers go on from there."""
    _cut(folder / f'ckpt-30{DATA}', 300)
    left = folder / 'ckpt-40_temp'
    left.mkdir()
    (left / 'part-00000-of-00001.data-00000-of-00001').write_bytes(b'half')
    taken = whole_checkpoints.newest(str(folder))
    whole_checkpoints.mend(str(folder), taken)
    assert not left.exists()
    value = tf.Variable([0.0] * 100)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(value=value), str(folder), max_to_keep=2)
    assert manager.restore_or_initialize() == str(folder / 'ckpt-20')
    assert float(value[0]) == 20.0
    manager.save(checkpoint_number=30)
    assert manager.checkpoints == [str(folder / 'ckpt-20'), str(folder / 'ckpt-30')]
    assert whole_checkpoints.fault(str(folder / 'ckpt-30')) == ''
    assert not (folder / 'ckpt-10.index').exists()


def test_mending_a_folder_in_which_nothing_is_whole(folder):
    for path in folder.glob('*.index'):
        path.unlink()
    whole_checkpoints.mend(str(folder), whole_checkpoints.newest(str(folder)))
    assert tf.train.latest_checkpoint(str(folder)) is None
