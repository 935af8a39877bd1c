"""Sets prepared in parts and in pipelines: byte for byte what `prepare` writes, killed and started again as well."""

import os
import pathlib
import pickle
import signal
import tarfile
from collections.abc import Callable

import pytest
import tensorflow as tf

from export import prepare_at_scale
from export.large_scale import beam, parts
from official_rethink import prepare
from official_rethink.common import errors, stopping
from official_rethink.data import image_folder, problems, shards
from tests.data import making, test_open_images
from tests.export.large_scale.marks import needs_beam
from tools import compare_stores


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, 'IMAGES_A_PART', 4)


def _images(folder: pathlib.Path, count: int = 11, broken: tuple[int, ...] = (2, 3, 9)) -> pathlib.Path:
    """A folder an image kind, and images that are none."""
    for number in range(count):
        path = folder / f'n0{number % 3}' / f'{number:02d}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        making.picture(40 + number, 60, seed=number).save(path)
        if number in broken:
            path.write_bytes(path.read_bytes()[: 50 * number])
    (folder / 'n00' / 'photo.webp').write_bytes(b'')
    return folder


def _folder(tmp_path: pathlib.Path) -> list[str]:
    return ['images', f'--images={_images(tmp_path / "i")}']


def _class_folder(tmp_path: pathlib.Path) -> list[str]:
    return ['imagenet', f'--images={_images(tmp_path / "i")}']


def _class_tars(tmp_path: pathlib.Path) -> list[str]:
    """A tar a class in a folder; one holds a link, which is refused."""
    images = _images(tmp_path / 'i')
    os.makedirs(tmp_path / 'tars')
    for name in sorted(os.listdir(images)):
        with tarfile.open(tmp_path / 'tars' / f'{name}.tar', 'w') as tar:
            for image in sorted(os.listdir(images / name)):
                tar.add(images / name / image, image)
            link = tarfile.TarInfo('link.jpg')
            link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
            tar.addfile(link)
    return ['imagenet', f'--images={tmp_path}/tars']


def _tar_of_tars(tmp_path: pathlib.Path) -> list[str]:
    _class_tars(tmp_path)
    with tarfile.open(tmp_path / 'train.tar', 'w') as tar:
        for name in sorted(os.listdir(tmp_path / 'tars')):
            tar.add(tmp_path / 'tars' / name, name)
    return ['imagenet', f'--images={tmp_path}/train.tar']


def _coco(tmp_path: pathlib.Path) -> list[str]:
    annotations, images = making.write(tmp_path / 'coco')
    return ['coco', f'--annotations={annotations}', f'--images={images}', '--include_masks', '--include_keypoints']


def _open_images(tmp_path: pathlib.Path) -> list[str]:
    rows = [*test_open_images.ROWS, test_open_images.ROWS[0].replace('0a1b', 'gone'), 'short,row']
    return [word for word in test_open_images.write(tmp_path, rows) if '--output' not in word and '--proc' not in word]


@needs_beam
@pytest.mark.parametrize('made', [_folder, _class_folder, _class_tars, _tar_of_tars, _coco, _open_images])
def test_pipelines_leave_what_prepare_leaves(
    tmp_path: pathlib.Path, made: Callable[[pathlib.Path], list[str]]
) -> None:
    command = [*made(tmp_path), '--on_error=skip', '--num_shards=3']
    assert prepare.main([*command, f'--output_dir={tmp_path}/plain', '--processes=1']) == 0
    assert prepare_at_scale.main([*command, f'--output_dir={tmp_path}/ours', '--', '--runner=DirectRunner']) == 0
    plain, ours = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ('plain', 'ours')
    )
    assert ours == plain and len(plain) >= 4  # three shards, a description, what was left out


@needs_beam
@pytest.mark.parametrize('made', [_folder, _tar_of_tars, _open_images])
def test_from_and_to_another_file_system(tmp_path: pathlib.Path, made: Callable[[pathlib.Path], list[str]]) -> None:
    """TensorFlow's file system in memory, in a bucket's place: nothing is read or written but through `tf.io.gfile`."""
    command = [*made(tmp_path), '--on_error=skip', '--num_shards=3']
    there = f'ram://{tmp_path.name}'
    for path in tmp_path.rglob('*'):
        if path.is_file():
            copy = f'{there}/{path.relative_to(tmp_path)}'
            tf.io.gfile.makedirs(os.path.dirname(copy))
            tf.io.gfile.copy(str(path), copy)
    prepare.main([*command, f'--output_dir={tmp_path}/plain', '--processes=1'])
    remote = [word.replace(str(tmp_path), there) for word in command]
    prepare_at_scale.main([*remote, f'--output_dir={there}/ours'])
    found, counted = compare_stores.compare(str(tmp_path / 'plain'), f'{there}/ours')
    assert [line for line in found if 'tfrecord' in line] == []  # but names of files and their times, in the others
    assert counted['shards'] == 3 and counted['records'] > 2
    assert not tf.io.gfile.exists(f'{there}/ours/.preparing-train')
    tf.io.gfile.rmtree(there)


def test_a_folder_of_tars_holds_what_a_folder_of_classes_holds(tmp_path: pathlib.Path) -> None:
    outputs = []
    for made in (_class_folder, _class_tars):
        (tmp_path / made.__name__).mkdir()
        outputs.append(str(tmp_path / made.__name__ / 'out'))
        prepare.main([*made(tmp_path / made.__name__), f'--output_dir={outputs[-1]}', '--on_error=skip'])
    ours, theirs = ({one.filename: one for one in shards.read(out)} for out in outputs)
    assert ours == theirs and len(ours) == 8


def test_any_tar_is_read_in_place_as_it_is_in_one_go(tmp_path: pathlib.Path) -> None:
    from official_rethink.data import class_tar

    path = _tar_of_tars(tmp_path)[1].partition('=')[2]
    read, found = list(class_tar.read(path)), list(class_tar.find(path))
    assert [(one.name, one.problem) for one in found] == [(one.name, one.problem) for one in read]
    assert [class_tar.read_at(path, *one.place) if one.place else b'' for one in found] == [one.data for one in read]
    with pytest.raises(errors.UserError, match='ends before byte .*cut off meanwhile'):
        class_tar.read_at(path, os.path.getsize(path) - 5, 6)
    with tarfile.open(tmp_path / 'train.tar.gz', 'w:gz') as tar:
        tar.add(tmp_path / 'tars', 'n00')
    with pytest.raises(errors.UserError, match='gunzip it first'):
        list(class_tar.find(str(tmp_path / 'train.tar.gz')))


class _Killed(Exception):
    pass


@needs_beam
def test_started_again_it_does_what_is_left(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped by broken images; then left, with another number of shards, between two shards; then finished."""
    command = [*_folder(tmp_path), f'--output_dir={tmp_path}/ours']
    (tmp_path / 'i' / 'n00' / 'photo.webp').unlink()
    with pytest.raises(errors.UserError, match=r'(?s)3 problems:.*n02/02.jpg: is truncated.*--on_error=skip'):
        prepare_at_scale.main(command)
    state = tmp_path / 'ours' / '.preparing-unlabelled'
    there = {path: path.stat().st_mtime_ns for path in state.glob('part-*')}
    assert len(there) == 6 and not list((tmp_path / 'ours').glob('*.tfrecord'))
    for path in state.glob('part-000001.*'):
        path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(parts.State, 'make_part', _once(parts.State.make_part))
        patched.setattr(parts.State, 'make_shard', _once(parts.State.make_shard))
        with pytest.raises(_Killed):
            prepare_at_scale.main([*command, '--on_error=skip', '--num_shards=2'])
    printed = capsys.readouterr().err
    assert '1 parts to make by FnApiRunner, 2 are done already' in printed
    assert prepare_at_scale.main([*command, '--on_error=skip', '--num_shards=2']) == 0
    assert '1 shards to make by FnApiRunner, 1 are done already' in capsys.readouterr().err
    assert not state.exists()
    prepare.main([*command[:2], f'--output_dir={tmp_path}/plain', '--on_error=skip', '--num_shards=2'])
    found, counted = compare_stores.compare(str(tmp_path / 'plain'), str(tmp_path / 'ours'))
    assert (found, counted['shards'], counted['records']) == ([], 2, 8)
    assert prepare_at_scale.main([*command, '--on_error=skip', '--num_shards=2']) == 0
    assert 'nothing to do' in capsys.readouterr().err


def _once(work: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
    """Works the first time, and is killed the second."""
    calls: list[int] = []

    def once(*args: object) -> dict[str, int]:
        calls.append(1)
        if len(calls) > 1:
            raise _Killed('killed')
        return work(*args)

    return once


@needs_beam
@pytest.mark.parametrize('stop', [KeyboardInterrupt(), stopping.Stopped(15)])
def test_a_signal_within_a_step_is_no_failed_step(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stop: BaseException
) -> None:
    def stopped(*unused: object) -> None:
        raise stop

    command = [*_folder(tmp_path), f'--output_dir={tmp_path}/ours', '--on_error=skip']
    monkeypatch.setattr(parts.State, 'make_part', stopped)
    with pytest.raises(type(stop)):
        prepare_at_scale.main(command)
    assert [one for one in caplog.records if one.levelname == 'ERROR'] == []
    monkeypatch.undo()
    assert prepare_at_scale.main(command) == 0


@needs_beam
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_ends_a_step_between_two_images(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """An exception out of the handler would come wherever the interpreter is, also where none is heeded."""
    command = [*_folder(tmp_path), f'--output_dir={tmp_path}/ours', '--on_error=skip']
    make, made = image_folder.make, tmp_path / 'made'  # a file, since what a step holds is pickled

    def told(item: image_folder.Item) -> problems.Made:
        with open(made, 'a', encoding='utf-8') as handle:
            handle.write('x')
        if made.stat().st_size == 6:
            os.kill(os.getpid(), number)
        return make(item)

    monkeypatch.setattr(image_folder, 'make', told)
    with stopping.installed(), pytest.raises(stopping.Stopped) as stopped:
        prepare_at_scale.main(command)
    assert (stopped.value.exit_code, made.stat().st_size) == (128 + number, 6)
    assert len(list(tmp_path.glob('ours/.preparing-unlabelled/part-*.pickle'))) == 1
    assert prepare_at_scale.main(command) == 0 and made.stat().st_size == 6 + 11 - 4


def test_other_inputs_begin_anew(tmp_path: pathlib.Path) -> None:
    state = parts.State(str(tmp_path / 'state'))
    found = problems.ProblemList('skip')
    assert state.begun('a') is None
    items = image_folder.read(str(_images(tmp_path / 'i')), found)
    work = state.begin('a', iter(items), found)
    assert (work['parts'], work['images'], len(work['problems'])) == (3, 11, 1)
    assert state.begun('a') == work
    state.make_part(0, image_folder.make)
    with open(state.path('part', 0, 'pickle'), 'rb') as handle:
        part = pickle.load(handle)
    assert part.ends[-1] == os.path.getsize(state.path('part', 0, 'tfrecord'))
    assert state.missing('part', 'pickle', 3) == [1, 2]
    assert state.begun('b') is None and not os.path.exists(state.folder)
    # Killed while the list was written.
    state.begin('a', items, found)
    os.remove(os.path.join(state.folder, 'work.json'))
    assert state.begun('a') is None and not os.path.exists(state.folder)


@needs_beam
def test_a_tar_that_is_cut_off_meanwhile_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*_tar_of_tars(tmp_path), f'--output_dir={tmp_path}/ours', '--on_error=skip']
    begin = parts.State.begin

    def cut(state: parts.State, *args: object) -> object:
        done = begin(state, *args)  # type: ignore[arg-type]
        with open(tmp_path / 'train.tar', 'r+b') as handle:
            handle.truncate(6000)
        return done

    monkeypatch.setattr(parts.State, 'begin', cut)
    with pytest.raises(errors.UserError, match='train.tar. ends before byte .* parts failed'):
        prepare_at_scale.main(command)


@needs_beam
@pytest.mark.parametrize(
    ('more', 'said'),
    [
        (['--processes=3'], '--processes is .3.*--direct_num_workers'),
        (['--on_eror=skip'], "Did you mean '--on_error'"),
        (['--num_shards=0', '--on_error=skip'], 'num_shards is 0'),
        (['--', '--runer=x'], "did you mean '--runner'"),
        (['--', '--direct_num_workers=-2'], '--direct_num_workers'),
    ],
)
def test_mistakes(tmp_path: pathlib.Path, more: list[str], said: str) -> None:
    with pytest.raises(errors.UserError, match=said):
        prepare_at_scale.main([*_folder(tmp_path), f'--output_dir={tmp_path}/out', *more])
    assert not list(tmp_path.glob('out/*.tfrecord'))


@needs_beam
def test_dataflow_reads_cloud_storage(tmp_path: pathlib.Path) -> None:
    dataflow = [
        '--', '--runner=DataflowRunner', '--project=my-project', '--region=us-central1',
        '--temp_location=gs://my-bucket/temp', '--sdk_container_image=us-docker.pkg.dev/my-project/ml/rethink:1',
    ]  # fmt: skip
    with pytest.raises(errors.UserError, match='--images is .*gs://'):
        prepare_at_scale.main([*_folder(tmp_path), '--output_dir=gs://b/out', *dataflow])
    with pytest.raises(errors.UserError, match='--annotations is .*gs://'):
        words = ['voc_detection', '--annotations=xml', '--images=gs://b/i', '--output_dir=gs://b/out']
        prepare_at_scale.main([*words, *dataflow])


def test_scenes_and_splits_are_not_for_pipelines() -> None:
    if beam.AVAILABLE:
        with pytest.raises(errors.UserError, match="the command is 'split'; allowed: coco, open_images"):
            prepare_at_scale.main(['split', '--input=x', '--output_dir=y', '--fractions=1'])
