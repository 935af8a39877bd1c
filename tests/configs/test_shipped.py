"""Configuration files that came with the package are found by name; a file of the user's comes first."""

import os
from pathlib import Path

import pytest

from official_rethink.common import errors
from official_rethink.configs import layers, shipped

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_tree_has_a_name() -> None:
    configs = ROOT / 'configs'
    assert list(shipped.names()) == sorted(str(path.relative_to(configs)) for path in configs.glob('**/*.yaml'))
    assert 'quick/retinanet.yaml' in shipped.names()


@pytest.mark.parametrize('name', ['quick/retinanet.yaml', 'configs/quick/retinanet.yaml', './quick//retinanet.yaml'])
def test_a_name_is_found_from_any_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(shipped.find(name)).samefile(ROOT / 'configs/quick/retinanet.yaml')
    read = layers.read_file(name)
    assert read.values['task']['model']['input_size']
    assert read.place('task.model.input_size').startswith(str(ROOT))


def test_the_users_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'quick').mkdir()
    (tmp_path / 'quick/retinanet.yaml').write_text('task: {seed: 7}\n')
    assert shipped.find('quick/retinanet.yaml') == 'quick/retinanet.yaml'
    assert layers.read_file('quick/retinanet.yaml').values == {'task': {'seed': 7}}
    # With its prefix the name is another path, which is not there.
    assert os.path.isabs(shipped.find('configs/quick/retinanet.yaml'))


@pytest.mark.parametrize(
    ('name', 'nearest'),
    [
        ('quick/retinnet.yaml', 'quick/retinanet.yaml'),
        ('retinanet.yaml', 'quick/retinanet.yaml'),
        ('configs/Quick/retinanet.yml', 'quick/retinanet.yaml'),
    ],
)
def test_a_name_that_is_none_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(errors.UserError, match=f"no configuration file at '{name}'.*Did you mean.*'{nearest}'"):
        shipped.find(name)


@pytest.mark.parametrize('path', ['', 'nothing_like_it', '/quick/retinanet.yaml', '../quick/retinanet.yaml', 'quick'])
def test_what_is_no_name_is_not_looked_up(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path, one that leaves the folder, a folder: nothing of the package is taken for them."""
    monkeypatch.chdir(tmp_path)
    assert shipped.place(path) == path
    with pytest.raises(errors.UserError, match='no configuration file at'):
        shipped.find(path)


def test_a_package_without_them_says_so_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, '_PLACES', (str(tmp_path / 'none'),))
    shipped.names.cache_clear()
    try:
        assert shipped.names() == ()
        with pytest.raises(errors.UserError, match="^no configuration file at 'quick/retinanet.yaml'.$"):
            shipped.find('quick/retinanet.yaml')
    finally:
        shipped.names.cache_clear()
