"""Fixtures of the tests of broken checkpoints."""

import pytest

from official_rethink.modeling.checkpoints import formats
from tests.modeling.checkpoints import tiny


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder for files, and an output in a folder that is not there yet; the tests' own format is the only one."""
    monkeypatch.setattr(formats, 'LAYOUTS', (tiny.Tiny(),))
    (tmp_path / 'in').mkdir()
    return tmp_path / 'in', tmp_path / 'out' / 'imported'
