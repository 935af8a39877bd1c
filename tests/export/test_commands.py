"""The installed script: every entry point under one name, with its own help, errors and exit codes."""

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from export import commands
from official_rethink.common import errors
from tools import source_tree

ROOT = Path(source_tree.ROOT)
# Run by a study's runner, by a job on Vertex AI and by the script itself; nobody types them.
INTERNAL = {'official_rethink.study.child', 'official_rethink.study.select', 'export.vertex.trial', 'export.commands'}


def test_every_entry_point_is_a_command() -> None:
    known = source_tree.modules(packages=source_tree.SHIPPED)
    runnable = {name for name, path in known.items() if source_tree.is_entry_point(path)}
    assert {module for module, _ in commands.COMMANDS.values()} == runnable - INTERNAL
    assert runnable >= INTERNAL


def test_the_package_brings_one_script_of_its_own_name() -> None:
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert project['scripts'] == {project['name']: 'export.commands:script'}
    assert commands.PROGRAM == project['name']
    # Among the scripts of some two hundred packages none starts like it.
    taken = {point.name for point in importlib.metadata.entry_points(group='console_scripts')} - {project['name']}
    assert len(taken) > 20
    assert [name for name in taken if name.startswith('official')] == []


@pytest.mark.parametrize('name', commands.COMMANDS)
def test_help_is_the_command_s_and_says_what_was_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(importlib.import_module(commands.COMMANDS[name][0]).main)
    if name == 'train':
        assert commands.main([name, '--help']) == 0
        assert '--model_dir' in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as stop:
        commands.main([name.replace('_', '-'), '--help'])
    assert stop.value.code == 0
    assert re.match(rf'usage: official-rethink {name}[\s]', capsys.readouterr().out)


def test_a_subcommand_s_errors_say_what_was_typed() -> None:
    typed = 'official-rethink prepare coco'
    with pytest.raises(errors.UserError, match=f'^{typed}: .*See {typed} --help'):
        commands.main(['prepare', 'coco'])
    with pytest.raises(errors.UserError, match="--experimnt.*official-rethink describe.*Did you mean '--experiment'"):
        commands.main(['describe', '--experimnt=x'])
    from official_rethink import prepare

    with pytest.raises(errors.UserError, match='^prepare coco: '):
        prepare.main(['coco'])


def test_mistyped_commands_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(errors.UserError, match="unknown command 'trian'.*Did you mean 'train'"):
        commands.main(['trian'])
    assert commands.main([]) == 0
    text = capsys.readouterr().out
    assert [name for name in commands.COMMANDS if f'\n  {name} ' not in text] == []
    assert commands.main(['configs', 'quick/ret']) == 0
    assert capsys.readouterr().out.splitlines()[0] == 'quick/retinanet.yaml'
    with pytest.raises(errors.UserError, match="'no such file'"):
        commands.main(['configs', 'no such file'])
