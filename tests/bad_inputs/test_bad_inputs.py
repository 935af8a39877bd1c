"""Every bad input of the list ends with exit code 2, one clear line, and nothing written."""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest
from absl import flags

from export import compare_exports, export_saved_model, export_tflite
from official_rethink import describe, prepare, pseudo_label, train
from official_rethink.common import entry_point
from official_rethink.study import __main__ as study
from official_rethink.study import page
from tests.bad_inputs import bad_files, cases, commands, world

_MAINS: dict[str, Callable[[Sequence[str]], int | None]] = {
    'compare_exports': compare_exports.main,
    'describe': describe.main,
    'export': export_saved_model.main,
    'export_tflite': export_tflite.main,
    'page': page.main,
    'prepare': prepare.main,
    'pseudo_label': pseudo_label.main,
    'study': study.main,
    'train': train.main,
}
# A process that holds a folder leaves its empty lock; it says nothing about what the folder holds.
_LOCK = '.lock'
_ALL = [(group, case) for group, found in cases.GROUPS.items() for case in found]


@pytest.fixture(scope='module')
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('world')
    world.build(folder)
    return folder


@pytest.fixture
def here(
    template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pathlib.Path]:
    """A copy of the world as the working folder."""
    folder = tmp_path / 'world'
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    yield folder
    for name in flags.FLAGS:  # absl's flags outlive a call of train.main
        flags.FLAGS[name].unparse()


@pytest.fixture(scope='module')
def table() -> Iterator[list[tuple[str, str, str]]]:
    """Collects what was said, and prints it at the end (to be seen with `pytest -s`)."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    print(f'\n{len(rows)} bad inputs')
    for group, name, said in rows:
        print(f'{group:<12} {name:<50} {said}')


def _run(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a command as its entry point does, in this process; a traceback would fail the test."""
    monkeypatch.setattr(sys, 'argv', [command[0], *command[1:]])
    with pytest.raises(SystemExit) as ended:
        entry_point.run(_MAINS[command[0]])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(('group', 'case'), _ALL, ids=[f'{group}: {case.name}' for group, case in _ALL])
def test_bad_input(
    group: str,
    case: commands.Case,
    here: pathlib.Path,
    table: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if case.spoil:
        case.spoil()
    before = world.contents(here)
    capsys.readouterr()
    code = _run(case.command, monkeypatch)
    captured = capsys.readouterr()
    if case.skipped:
        table.append((group, case.name, ' '.join(case.skipped)))
        assert code == 0, captured.err
        assert [words for words in case.skipped if words not in captured.out] == [], captured.out
        return
    said = [line for line in captured.err.splitlines() if line.startswith('error: ')]
    table.append((group, case.name, said[0] if said else captured.err))
    assert code == entry_point.EXIT_USER_ERROR
    assert len(said) == 1, captured.err
    message = captured.err[captured.err.index('error: ') :]
    assert [words for words in case.words if words not in message] == [], message
    assert 'Traceback' not in captured.err + captured.out
    after = world.contents(here)
    written = {name for name in after if after[name] != before.get(name) and not name.endswith(_LOCK)}
    assert written == set(case.left)
    assert before.keys() <= after.keys()


def test_the_list_is_long_enough_and_names_nothing_twice() -> None:
    names = [case.name for _, case in _ALL]
    assert len(names) >= 30
    assert len(set(names)) == len(names)
    assert all(case.words or case.skipped for _, case in _ALL)


def test_what_is_spoilt_is_all_that_is_wrong(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same commands succeed in the unspoilt world, up to where they would train."""
    from official_rethink.configs import parse, validation_data
    from official_rethink.pseudo_labels import manifest

    files = ['model.yaml', 'student.yaml']
    loaded = parse.load('self_training_retinanet_efficientnet_coco', files)
    validation_data.validate_data(loaded.params, loaded.sources)
    manifest.check_student(loaded.params)
    label_maps = ((*command, f'--split=voc{number}') for number, command in enumerate((commands.VOC, commands.SBD)))
    boxes = (commands.COCO, (*commands.FOLDER, '--split=more'), (*commands.SPLIT, '--fractions=0.5'))
    for command in (*label_maps, *boxes):
        assert _MAINS[command[0]](list(command[1:])) == 0
    assert study.main([*commands.STUDY[1:], '--dry_run']) == 0
    assert '4 of 4 steps to do' in capsys.readouterr().out


def _process(module: str, arguments: Sequence[str], folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    root = str(pathlib.Path(__file__).parents[2])
    command = [sys.executable, '-m', module, *arguments]
    environment = {'PATH': '/usr/bin:/bin', 'PYTHONPATH': root, 'HOME': str(folder), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_misspelt_command_in_a_process_of_its_own(here: pathlib.Path) -> None:
    done = _process('official_rethink.prepare', ['cocoa'], here)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        "error: unknown command 'cocoa' (set in prepare). Did you mean 'coco'? "
        'Allowed: coco, imagenet, images, open_images, scenes, split, voc, voc_detection.\n'
    )


def test_a_bad_annotation_in_a_process_of_its_own(here: pathlib.Path) -> None:
    bad_files.annotation(bbox=[50, 2, 30, 4])()
    done = _process('official_rethink.prepare', commands.COCO[1:], here)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('error: the data cannot be used as it is; 1 problem:\n')
    assert "photos/instances.json: annotation 3 (image 5), field 'bbox': is [50, 2, 30, 4]" in done.stderr
    assert not (here / 'out').exists()
