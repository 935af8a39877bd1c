"""The JSON beside an imported checkpoint, held against the model that is to take the weights.

Shapes cannot tell a network that pads otherwise, or adds another epsilon, from the one the weights were made
for: it would start a little wrong, and nobody would know.
"""

import os
from collections.abc import Sequence
from typing import Any

from official_rethink.common import errors, files

# The settings that change what equal weights compute; others show in shapes, or concern other modules.
_TELLING = ('.model_id', '.stem_type', '.activation', '.norm_epsilon', '.pyramid_resampling')
# Settings of other modules than the backbone, by what they begin with.
_OTHERS = {
    'task.model.decoder_norm_activation.': ('decoder', 'head'),
    'task.model.pyramid_resampling': ('head',),
}
_BACKBONE = 'task.model.backbone.'


def _setting(task: Any, name: str) -> Any:
    kind = getattr(_setting(task, 'task.model.backbone'), 'type', None) if name.startswith(_BACKBONE) else None
    if isinstance(kind, str) and kind.startswith('dilated_'):  # the same network and weights, other strides
        name = name.replace(f'{_BACKBONE}{kind.removeprefix("dilated_")}.', f'{_BACKBONE}{kind}.')
    value = task
    for part in name.split('.')[1:]:
        value = getattr(value, part, None)
    return value


def _owners(name: str) -> Sequence[str]:
    return next((owners for start, owners in _OTHERS.items() if name.startswith(start)), ('backbone',))


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return isinstance(found, int | float) and abs(found - wanted) <= 1e-6 * abs(wanted)
    return str(found) == str(wanted)


def check(checkpoint: str, task: Any, modules: str | Sequence[str] = 'all') -> None:
    """Checks a task's model against what the imported weights need; nothing to do for other checkpoints.

    Args:
        checkpoint: the prefix in `task.init_checkpoint`.
        task: the task's config.
        modules: what is restored; a module's settings matter only with that module.

    Raises:
        UserError: a setting differs.
    """
    path = checkpoint + '.json'
    if not os.path.isfile(path):
        return
    restored = {modules} if isinstance(modules, str) else set(modules)
    beside = files.read_json(path)
    settings = beside.get('settings', {}) if isinstance(beside, dict) else {}
    wrong = []
    for name, wanted in settings.items():
        if not restored & {'all', *_owners(name)}:
            continue
        found = _setting(task, name)
        if name.endswith(_TELLING) and found is not None and not _same(found, wanted):
            wrong.append(f'{name} is {found!r} and has to be {wanted!r}')
    if wrong:
        raise errors.UserError(
            f"the weights in '{checkpoint}' were imported for another model ({path} names its settings): "
            + '; '.join(wrong)
            + '.'
        )
