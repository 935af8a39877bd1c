"""Links lead somewhere, commands parse, files and experiments that are named exist."""

import importlib
import pathlib
import re
from typing import Any

import official
import pytest

from official_rethink import train
from official_rethink.common import entry_point
from official_rethink.configs import parse
from official_rethink.configs import study as study_config
from tests.docs import pages

_COMMANDS = [command for page in pages.PAGES for command in pages.commands_of(page)]
_WHOLE = [command for command in _COMMANDS if command.whole]
_ENTRY_POINTS = {'official_rethink.study': 'official_rethink.study.__main__'}
_NOT_OURS = ('pytest', 'venv', 'pip')
# Files that pages name without their folder, and that commands of theirs make.
_MADE = ('params.yaml', 'study.yaml', 'best.yaml', 'my.yaml')


class Parsed(Exception):  # noqa: N818 (it says that all went well)
    """The flags were fine; nothing is run."""


def _ids(commands: list[pages.Command]) -> list[str]:
    return [f'{command.page} {index} {command.module}' for index, command in enumerate(commands)]


@pytest.mark.parametrize('page', pages.PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in pages.links_of(pages.text_of(page)):
        path, _, anchor = target.partition('#')
        found = (pages.ROOT / page).parent / path if path else pages.ROOT / page
        assert found.exists(), f'{page}: there is no {target}'
        if anchor:
            assert anchor in pages.anchors_of(found.read_text(encoding='utf-8')), f'{page}: {target}'


def test_pages_have_links_and_commands() -> None:
    assert len(pages.links_of(pages.text_of('README.md'))) >= 6
    assert len(_WHOLE) >= 15
    assert {command.module for command in _COMMANDS} >= {
        'official_rethink.prepare',
        'official_rethink.train',
        'official_rethink.pseudo_label',
        'official_rethink.study',
        'official_rethink.describe',
        'export.export_saved_model',
    }


@pytest.mark.parametrize('command', _COMMANDS, ids=_ids(_COMMANDS))
def test_modules_exist(command: pages.Command) -> None:
    if command.module not in _NOT_OURS:
        importlib.import_module(_ENTRY_POINTS.get(command.module, command.module))


@pytest.mark.parametrize('command', _WHOLE, ids=_ids(_WHOLE))
def test_flags_exist(command: pages.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.module in _NOT_OURS:
        return
    if command.module == 'official_rethink.train':  # Model Garden's flags, of absl
        from absl import flags

        try:
            train._parse_flags(list(command.arguments))
        finally:
            for name in flags.FLAGS:
                flags.FLAGS[name].unparse()
        return
    parse_args = entry_point.Parser.parse_args

    def parse_and_stop(parser: Any, args: Any = None, namespace: Any = None) -> None:
        parse_args(parser, args, namespace)
        raise Parsed

    monkeypatch.setattr(entry_point.Parser, 'parse_args', parse_and_stop)
    module = importlib.import_module(_ENTRY_POINTS.get(command.module, command.module))
    with pytest.raises(Parsed):
        module.main(list(command.arguments))


@pytest.mark.parametrize('command', _WHOLE, ids=_ids(_WHOLE))
def test_settings_are_accepted(command: pages.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overrides name keys that exist, with values that are allowed; files that no command makes are there."""
    monkeypatch.chdir(pages.ROOT)
    named = command.values('config_file')
    files = [path for path in named if pathlib.PurePath(path).name not in _MADE]
    override = ','.join(command.values('params_override'))
    if command.module == 'official_rethink.study':
        study_config.load(files, override)
    elif command.values('experiment'):
        parse.load(command.values('experiment')[0], files, override)


def test_a_wrong_flag_or_setting_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from official_rethink.common import errors

    wrong = pages.Command('x', 'official_rethink.describe', ('--experimnt=a',))
    with pytest.raises(errors.UserError, match='experimnt'):
        test_flags_exist(wrong, monkeypatch)
    wrong = pages.Command(
        'x', 'official_rethink.study', ('--config_file=configs/study/quick.yaml', '--params_override=data.labeled=a')
    )
    with pytest.raises(errors.UserError, match='labeled'):
        test_settings_are_accepted(wrong, monkeypatch)


@pytest.mark.parametrize('page', pages.PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (pages.ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'^([a-z-]+):', makefile, re.MULTILINE))
    assert [name for name in pages.make_targets_of(page) if name not in targets] == []


def _exists(name: str, page: str) -> bool:
    """Whether a page may call a file so: from the top, the package or Model Garden on, or by its name alone."""
    if '/' not in name and list((pages.ROOT / 'official_rethink').rglob(name)):
        return True
    site_packages = pathlib.Path(official.__file__).parents[1]
    places = (pages.ROOT, pages.ROOT / 'official_rethink', (pages.ROOT / page).parent, site_packages)
    return any((place / name).exists() for place in places)


@pytest.mark.parametrize('page', pages.PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    missing = []
    for name in re.findall(r'`([\w./-]+\.(?:py|yaml|md))`', pages.text_of(page)):
        if pathlib.PurePath(name).name not in _MADE and not _exists(name, page):
            missing.append(name)
    assert missing == []


def test_the_readme_lists_the_experiments() -> None:
    section = pages.text_of('README.md').split('## Experiments')[1].split('\n## ')[0]
    listed = re.findall(r'^\| `(\w+)` \|', section, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(parse.experiments())


def test_the_five_commands_are_five() -> None:
    section = pages.text_of('README.md').split('in five commands\n')[1].split('\n## ')[0]
    block = re.search(r'^```\n(.*?)^```', section, re.DOTALL | re.MULTILINE)
    assert block
    assert [line.split()[2] for line in block[1].replace('\\\n', ' ').strip().splitlines()] == [
        'official_rethink.prepare',
        'official_rethink.prepare',
        'official_rethink.prepare',
        'official_rethink.study',
        'export.export_saved_model',
    ]
