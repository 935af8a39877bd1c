"""Every command on gs:// paths, through TensorFlow's own file system for them and a server on this machine."""

import json
import os
import pathlib
from collections.abc import Iterator

import pytest
import tensorflow as tf

from export import staging
from official_rethink import describe, import_checkpoint, prepare, pseudo_label, train
from official_rethink.common import errors, files
from official_rethink.configs import layers
from official_rethink.data import shards
from official_rethink.modeling.checkpoints import formats
from official_rethink.study import __main__ as study
from official_rethink.study import steps
from tests import bucket
from tests.data import making, voc_making
from tests.modeling.checkpoints import tiny, writers

BUCKET = 'gs://bucket'
CONFIG = """
runtime: {mixed_precision_dtype: float32}
task:
  model:
    num_classes: 5
    input_size: [32, 32, 3]
    backbone: {type: resnet, resnet: {model_id: 10, depth_multiplier: 0.25}}
  train_data: {input_path: 'gs://bucket/data/train*', global_batch_size: 4, shuffle_buffer_size: 8}
  validation_data: {input_path: 'gs://bucket/data/val*', global_batch_size: 4}
trainer:
  schedule:
    base_batch_size: 4
    train_epochs: null
    base_train_steps: 2
    train_examples: 8
    base_learning_rate: 0.01
    base_warmup_steps: 0
    decay: cosine
    stepwise_boundaries: []
    evaluations: 1
"""
COMMON = ('--processes=1', '--on_error=skip')


@pytest.fixture(scope='module', autouse=True)
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One empty bucket for the module."""
    with bucket.serve(tmp_path_factory.mktemp('certificate'), 'bucket'):
        yield


@pytest.fixture(scope='module')
def data(served: None) -> str:
    """Scenes of one object, drawn into the bucket, and the config that reads them from there."""
    for seed, split in enumerate(('train', 'val')):
        options = ['--num_images=8', f'--seed={seed}', '--size=32', '--num_classes=4', '--processes=1']
        prepare.main(['scenes', '--kind=classification', f'--output_dir={BUCKET}/data', f'--split={split}', *options])
    files.write_text(f'{BUCKET}/config.yaml', CONFIG)
    return f'{BUCKET}/data'


def up(folder: pathlib.Path, name: str) -> str:
    files.upload(str(folder), f'{BUCKET}/{name}')
    return f'{BUCKET}/{name}'


def read(path: str) -> bytes:
    with files.open_bytes(path) as handle:
        return bytes(handle.read())


# --- what the commands are built on


def test_it_is_an_object_store() -> None:
    """The server behaves as the real one where that differs from a disk: no folders, writes whole at the end."""
    path = f'{BUCKET}/a/b.txt'
    writer = tf.io.gfile.GFile(path, 'w')
    writer.write('half')
    assert not files.exists(path)
    writer.close()
    assert (files.exists(path), files.is_file(path), files.size(path)) == (True, True, 4)
    assert (tf.io.gfile.isdir(f'{BUCKET}/a'), files.is_file(f'{BUCKET}/a')) == (True, False)
    assert files.names(BUCKET) == ['a']
    assert files.names(f'{BUCKET}/nothing') == []
    tf.io.gfile.remove(path)
    assert not files.exists(path)


def test_files_are_whole_or_not_there() -> None:
    path = f'{BUCKET}/whole/x.json'
    files.write_json(path, {'a': 1})
    files.write_json(path, {'a': 2})
    assert files.read_json(path) == {'a': 2}
    with pytest.raises(ValueError, match='in between'), files.atomic_write(path) as handle:
        handle.write('half')
        raise ValueError('in between')
    assert files.read_json(path) == {'a': 2}
    assert files.names(f'{BUCKET}/whole') == ['x.json']
    assert files.file_hash(path) == files.file_hash(path)


def test_a_folder_is_copied_with_its_mark_last(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('a.json', 'mark.json', 'z/deep.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    order: list[str] = []
    copy = tf.io.gfile.copy
    monkeypatch.setattr(tf.io.gfile, 'copy', lambda *args, **more: (order.append(args[1]), copy(*args, **more)))
    files.upload(str(tmp_path), f'{BUCKET}/up/', last='mark.json')
    there = [f'{BUCKET}/up/{name}' for name in ('a.json', 'z/deep.txt', 'mark.json')]
    assert order == there
    files.fetch(there, f'{BUCKET}/up', str(tmp_path / 'down'))
    assert (tmp_path / 'down/z/deep.txt').read_text() == 'z/deep.txt'


# --- step 1


def same_set(there: str, here: pathlib.Path) -> None:
    """The shards in the bucket are the bytes that the same command writes to a disk; nothing else lies beside them."""
    names = [name for name in files.names(there) if name.endswith('.tfrecord')]
    assert names and names == sorted(path.name for path in here.glob('*.tfrecord'))
    assert [read(f'{there}/{name}') for name in names] == [(here / name).read_bytes() for name in names]
    assert files.names(there) == sorted(os.listdir(here))


def test_prepare_reads_and_writes_every_format(tmp_path: pathlib.Path) -> None:
    making.write(tmp_path / 'photos')
    voc_making.write(tmp_path / 'voc')
    voc_making.write_boxes(tmp_path / 'voc')
    images = sorted(path for path in (tmp_path / 'photos/images').iterdir() if path.is_file())
    for name in ('cat', 'dog'):
        (tmp_path / 'classes' / name).mkdir(parents=True)
        (tmp_path / 'classes' / name / images[0].name).write_bytes(images[0].read_bytes())
    for name in ('photos', 'voc', 'classes'):
        up(tmp_path / name, f'in/{name}')
    commands = {
        'coco': ['--annotations={0}/photos/instances.json', '--images={0}/photos/images', '--split=train'],
        'images': ['--images={0}/photos/images'],
        'imagenet': ['--images={0}/classes'],
        'voc': ['--voc={0}/voc', '--list=train'],
        'voc_detection': ['--voc={0}/voc', '--list=train', '--split=train'],
    }
    for name, words in commands.items():
        for source, target in ((f'{BUCKET}/in', f'{BUCKET}/out/{name}'), (tmp_path, tmp_path / 'out' / name)):
            prepare.main([name, *(word.format(source) for word in words), f'--output_dir={target}', *COMMON])
        same_set(f'{BUCKET}/out/{name}', tmp_path / 'out' / name)
    missing = f'{BUCKET}/none.json'
    with pytest.raises(errors.UserError, match=f"--annotations is '{missing}', which is no file"):
        prepare.main(['coco', f'--annotations={missing}', '--images=x', f'--output_dir={BUCKET}/no', *COMMON])
    # A set whose classes would be numbered otherwise than its neighbour's is noticed there too.
    files.write_json(f'{BUCKET}/in/classes.json', {'categories': [{'id': 1, 'name': 'dog', 'source_id': 1}]})
    words = [f'--classes={BUCKET}/in/classes.json', '--split=val', f'--output_dir={BUCKET}/out/imagenet', *COMMON]
    with pytest.raises(errors.UserError, match='are not numbered as those of'):
        prepare.main(['imagenet', f'--images={BUCKET}/in/classes', *words])


def test_a_set_in_a_bucket_is_known_replaced_and_split(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ['scenes', '--kind=classification', f'--output_dir={data}', '--split=more', '--size=32', '--processes=1']
    prepare.main([*words, '--num_images=3'])
    prepare.main([*words, '--num_images=3'])
    assert 'nothing to do' in capsys.readouterr().err
    with pytest.raises(errors.UserError, match=f"'{data}/more.json' describes a data set made from other inputs"):
        prepare.main([*words, '--num_images=2'])
    prepare.main([*words, '--num_images=2', '--overwrite'])
    assert shards.load_description(f'{data}/more*')['num_images'] == 2
    prepare.main(['split', f'--input={data}/train.json', '--fractions=0.5', f'--output_dir={data}'])
    assert len(files.read_json(f'{data}/splits/fraction_0.5_seed_0.json')['image_ids']) == 4


# --- steps 2 and 3


def test_a_run_from_config_to_labels(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains, goes on, measures and labels; every file that is read or written lies in the bucket."""
    run, here = f'{BUCKET}/run', sorted(os.listdir('.'))
    base = ['--experiment=imagenet_resnet']
    describe.main([*base, f'--config_file={BUCKET}/config.yaml'])
    assert f'{BUCKET}/config.yaml:5' in capsys.readouterr().out
    words = [*base, f'--config_file={BUCKET}/config.yaml', '--mode=train_and_eval', f'--model_dir={run}']
    train.main(words)
    logged = read(f'{run}/metrics.jsonl').splitlines()
    assert [json.loads(line)['step'] for line in logged] == sorted(json.loads(line)['step'] for line in logged)
    assert {'best', 'checkpoint', 'ckpt-2.index', 'cost.json', 'params.yaml'} <= set(files.names(run))
    train.main(words)  # done already: nothing is trained, nothing is logged twice
    assert read(f'{run}/metrics.jsonl').splitlines() == logged
    of_run = [*base, f'--config_file={run}/params.yaml', f'--checkpoint={run}/best']
    train.main([*of_run, '--mode=eval', f'--model_dir={run}', f'--eval_output={BUCKET}/measured/eval.json'])
    assert 0 <= files.read_json(f'{BUCKET}/measured/eval.json')['metrics']['accuracy'] <= 1
    pseudo_label.main([*of_run, f'--input={data}/val*', f'--output_dir={BUCKET}/labels'])
    assert files.read_json(f'{BUCKET}/labels/manifest.json')['num_images'] == 8
    assert len(list(shards.read(f'{BUCKET}/labels/pseudo*'))) == 8
    assert sorted(os.listdir('.')) == here


# --- step 6


def test_a_saved_model_is_exported_whole_and_served_from_there() -> None:
    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2])])
        def twice(self, x):
            return {'y': 2 * x + self.offset}

    module = Served()
    module.offset = tf.Variable([1.0, 2.0])
    with staging.staged(f'{BUCKET}/export') as folder:
        tf.saved_model.save(module, f'{folder}/saved_model', signatures=module.twice)
        files.write_json(f'{folder}/{staging.MARK}', {})
    assert files.names(f'{BUCKET}/export') == ['export.json', 'saved_model']
    served = tf.saved_model.load(f'{BUCKET}/export/saved_model').signatures['serving_default']
    assert served(tf.constant([1.0, 1.0]))['y'].numpy().tolist() == [3.0, 4.0]


def test_an_export_replaces_an_older_one_and_nothing_else() -> None:
    files.write_text(f'{BUCKET}/old/export.json', '{}')
    files.write_text(f'{BUCKET}/old/rest.txt', 'of before')
    staging.check_room(f'{BUCKET}/old', True, staging.MARK)
    with pytest.raises(ZeroDivisionError), staging.staged(f'{BUCKET}/old') as folder:
        pathlib.Path(folder, 'export.json').write_text('half')
        _ = 1 / 0
    assert files.names(f'{BUCKET}/old') == ['export.json', 'rest.txt']
    with staging.staged(f'{BUCKET}/old') as folder:
        pathlib.Path(folder, 'export.json').write_text('whole')
    assert (files.names(f'{BUCKET}/old'), read(f'{BUCKET}/old/export.json')) == (['export.json'], b'whole')
    files.write_text(f'{BUCKET}/mine/notes.txt', 'not an export')
    with pytest.raises(errors.UserError, match=f"'{BUCKET}/mine' is there already and is no export"):
        staging.check_room(f'{BUCKET}/mine', True, staging.MARK)
    staging.check_room(f'{BUCKET}/new', False, staging.MARK)


# --- starts and studies


@pytest.mark.parametrize('named', ['a.h5', 'zoo/model', 'zoo', 'zoo/model.index'])
def test_published_weights_come_from_and_go_to_a_bucket(
    named: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An HDF5 file, and a TensorFlow checkpoint by its prefix, its folder and one of its files."""
    monkeypatch.setattr(formats, 'LAYOUTS', (tiny.Tiny(),))
    (tmp_path / 'zoo').mkdir()
    tiny.write_hdf5(tmp_path / 'a.h5', tiny.good())
    writers.write_tf1(str(tmp_path / 'zoo/model'), tiny.good())
    source = up(tmp_path, f'published-{named.replace("/", "-")}')
    output = f'{BUCKET}/starts/{named.replace("/", "-")}'
    import_checkpoint.main(['--format=tiny', f'--source={source}/{named}', f'--output={output}'])
    assert tf.train.load_checkpoint(output).get_variable_to_shape_map()
    assert files.read_json(f'{output}.json')['source'] == os.path.basename(named)
    assert not [name for name in files.names(f'{BUCKET}/starts') if name.endswith('.tmp')]
    for missing in (f'{source}/none', f'{source}/none.h5'):
        with pytest.raises(errors.UserError, match=f"no checkpoint at '{missing}'"):
            import_checkpoint.main(['--format=tiny', f'--source={missing}', f'--output={output}'])


def test_a_damaged_source_is_named_as_the_user_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, 'LAYOUTS', (tiny.Tiny(),))
    files.write_text(f'{BUCKET}/damaged.h5', 'no HDF5')
    with pytest.raises(errors.UserError, match=f"^'{BUCKET}/damaged.h5' is not a checkpoint that can be read"):
        import_checkpoint.main(['--format=tiny', f'--source={BUCKET}/damaged.h5', f'--output={BUCKET}/starts/damaged'])


def test_a_study_knows_remote_inputs_and_says_that_its_folder_is_local(tmp_path: pathlib.Path) -> None:
    for name, text in (('x-1', 'one'), ('x-2', 'two')):
        files.write_text(f'{BUCKET}/inputs/{name}', text)
        (tmp_path / name).write_text(text)
    there = steps.fingerprint([f'{BUCKET}/inputs/x*'])
    assert there == steps.fingerprint([f'{tmp_path}/x*'])
    assert [row[:2] for row in there] == [['x-1', 3], ['x-2', 3]]
    files.write_text(f'{BUCKET}/inputs/x-2', 'too')
    assert steps.fingerprint([f'{BUCKET}/inputs/x*']) != there
    with pytest.raises(errors.UserError, match=f"--output_dir is '{BUCKET}/study'.*a local folder, since a"):
        study.main(['--config_file=study/quick.yaml', f'--output_dir={BUCKET}/study'])


def test_a_missing_config_is_told_by_its_name(data: str) -> None:
    assert layers.read_file(f'{BUCKET}/config.yaml').values['task']['model']['num_classes'] == 5
    with pytest.raises(errors.UserError, match=f"no configuration file at '{BUCKET}/confg.yaml'"):
        layers.read_file(f'{BUCKET}/confg.yaml')
