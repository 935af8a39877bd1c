"""What one step of a study is, and the fingerprints that decide whether a finished one may be reused."""

import ast
import dataclasses
import functools
import glob
import os
import pathlib
from typing import Any

import official_rethink
from official_rethink.common import files

# Source that a step's result depends on; the rest of the package may change without a step being redone.
_ALL_TRAINING = (
    'common',
    'configs',
    'data',
    'dataloaders',
    'augment',
    'modeling',
    'losses',
    'tasks',
    'evaluation',
    'pseudo_labels',
)
_CODE = {
    'official_rethink.prepare': ('common', 'data', 'prepare.py'),
    'official_rethink.train': (*_ALL_TRAINING, 'train.py'),
    'official_rethink.pseudo_label': (*_ALL_TRAINING, 'pseudo_label.py'),
    'official_rethink.study.select': ('common', 'study/select.py'),
}
DIVERGED = 'diverged.json'  # what a training leaves whose loss is no longer finite
# A study file's own schema says nothing about how a step computes.
_NOT_COMPUTING = (
    'study.py',
    'study_arms.py',
    'study_data.py',
    'study_kinds.py',
    'study_validation.py',
    'study_validation_grids.py',
)
_WHOLE_FILE = 64 << 20
_EDGE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of a study.

    Attributes:
        name: its folder, relative to the study's.
        kind: 'scenes', 'split', 'pretraining', 'trial', 'grid', 'supervised', 'teacher', 'label' or 'student'.
        module: what `python -m` runs.
        arguments: its flags; '{out}' stands for the study's folder.
        config: written as `study.yaml` into the folder and handed over as the last --config_file.
        needs: names of the steps whose products it reads.
        inputs: files and patterns outside the study it reads.
        products: patterns in its folder that, together, are its result for the steps that need it.
        leaves: what else must be there at its end; may name absolute paths or the time of day.
        total: units of work, for progress and cost.
        unit: name of these.
        images_per_step: images one training step reads; 0 for other steps.
        role: the part of the study file that says how a training is done.
        metric: what its result is measured by, if it is one of an arm.
    """

    name: str
    kind: str
    module: str
    arguments: tuple[str, ...]
    config: dict[str, Any] | None = None
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    total: int = 0
    unit: str = 'steps'
    images_per_step: int = 0
    role: str = ''
    metric: str = 'AP'

    @property
    def trains(self) -> bool:
        """Whether the step is a training run, with metrics and checkpoints."""
        return self.module == 'official_rethink.train'

    def given(self, flag: str) -> list[str]:
        """The values of a flag, but for what the study itself makes."""
        start = f'--{flag}='
        values = [item.removeprefix(start) for item in self.arguments if item.startswith(start)]
        return [value for value in values if '{out}' not in value]

    def folder(self, out: str) -> str:
        """The step's folder inside the study's folder `out`."""
        return os.path.join(out, *self.name.split('/'))

    def filled_arguments(self, out: str) -> list[str]:
        """The flags, with the study's folder filled in."""
        filled = [argument.replace('{out}', out) for argument in self.arguments]
        if self.config is not None:
            before = ('--experiment=', '--config_file=')
            place = 1 + max((i for i, item in enumerate(filled) if item.startswith(before)), default=-1)
            filled.insert(place, f'--config_file={os.path.join(self.folder(out), "study.yaml")}')
        return filled

    def filled_config(self, out: str) -> dict[str, Any] | None:
        """The config, with the study's folder filled in."""
        return _fill(self.config, out)

    def settings(self) -> dict[str, Any]:
        """What was asked for, independent of where the study's folder stands."""
        return {'module': self.module, 'arguments': list(self.arguments), 'config': self.config}


def _fill(value: Any, out: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, out) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, out) for item in value]
    return value.replace('{out}', out) if isinstance(value, str) else value


@functools.cache
def code_version(module: str) -> str:
    """Version of the package and hash of the code that `module`'s results depend on.

    Comments, docstrings and layout do not count: what they change is read by people only.
    """
    root = pathlib.Path(official_rethink.__file__).parent
    paths: list[pathlib.Path] = []
    for part in _CODE[module]:
        place = root / part
        paths += sorted(place.rglob('*.py')) if place.is_dir() else [place] if place.exists() else []
    kept = [path for path in paths if path.name not in _NOT_COMPUTING]
    names = [str(path.relative_to(root)) for path in kept]
    digest = files.hash_of([names, [code_of(path.read_text(encoding='utf-8')) for path in kept]])
    return f'{official_rethink.__version__}+{digest[:12]}'


def code_of(source: str) -> str:
    """What Python makes of a source: its syntax tree, without docstrings and places."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, 'body', None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Expr(ast.Constant(None))
    return ast.dump(tree)


def fingerprint(patterns: tuple[str, ...] | list[str]) -> list[list[Any]]:
    """Returns [name, size, hash] of every file that matches, in a fixed order.

    Files over 64 MB are hashed at both ends only: shards and checkpoints carry their own checksums, and
    reading terabytes to find out that nothing changed would cost more than some of the steps.
    """
    found = sorted({path for pattern in patterns for path in _matches(pattern)})
    sizes = [files.size(path) for path in found]
    return [[os.path.basename(path), size, _quick_hash(path, size)] for path, size in zip(found, sizes, strict=True)]


def _matches(pattern: str) -> list[str]:
    if files.is_remote(pattern):
        return [path for path in files.glob(pattern) if files.is_file(path)]
    return [path for path in glob.glob(pattern) if os.path.isfile(path)]


def _quick_hash(path: str, size: int) -> str:
    if size <= _WHOLE_FILE:
        return files.file_hash(path)
    with files.open_bytes(path) as handle:
        first = handle.read(_EDGE)
        handle.seek(size - _EDGE)
        return files.hash_of([first.hex(), handle.read().hex()])


def ended_early(step: Step, out: str) -> bool:
    """Whether the step is a training of a search that diverged, which is a result: these values are none."""
    return step.kind == 'trial' and os.path.exists(os.path.join(step.folder(out), DIVERGED))


def missing_products(step: Step, out: str) -> list[str]:
    """Patterns of files that should be there and are not."""
    folder = step.folder(out)
    wanted = (DIVERGED,) if ended_early(step, out) else (*step.products, *step.leaves)
    return [pattern for pattern in wanted if not glob.glob(os.path.join(glob.escape(folder), pattern))]


def product_digest(step: Step, out: str) -> str:
    """Hash of the step's products; of a training, of what its best checkpoint holds.

    Its files differ between a run that was killed and one that was not, by the number of times they were saved.
    """
    if ended_early(step, out):
        return files.hash_of(fingerprint([os.path.join(glob.escape(step.folder(out)), DIVERGED)]))
    if step.trains:
        return str(files.read_json(os.path.join(step.folder(out), 'test.json'))['values_hash'])
    folder = glob.escape(step.folder(out))
    return files.hash_of(fingerprint([os.path.join(folder, pattern) for pattern in step.products]))
