"""What both containers' files must hold of bytecode."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import set_up


def check_bytecode(found: Sequence[tuple[str, str]], copied: Path) -> None:
    """The image imports what set-up imports elsewhere: with all its code, while it may write.

    Args:
        found: instructions and what follows them.
        copied: a folder with what the last stage copies.
    """
    [command] = [text for name, text in found if name == 'RUN' and set_up.IMPORTS in text]
    place, names = list(found).index(('RUN', command)), [name for name, _ in found]
    copies, users = ([index for index, one in enumerate(names) if one == name] for name in ('COPY', 'USER'))
    assert max(copies) < place < min(users)
    assert any('PATH=/opt/python/bin' in text for name, text in found[:place] if name == 'ENV')
    environment = {'PATH': f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}', 'PYTHONDONTWRITEBYTECODE': '1'}
    done = subprocess.run(
        ['sh', '-c', command], cwd=copied, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert list((copied / 'official_rethink').rglob('registry_imports.*.pyc'))
