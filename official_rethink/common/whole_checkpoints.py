"""The newest checkpoint of a folder that is whole, whatever a kill, a full disk or a hand has left there.

TensorFlow writes a checkpoint's data under a temporary name, renames it, writes the index, and then names the
checkpoint in the text file `checkpoint`. A kill in between leaves that file as it was, so it is a good guide; but it
may be older or newer than what is there. An index without its data, or one that is cut off, cannot be told from a
good one by its name. So a checkpoint counts as whole if every tensor that its index lists can be read: TensorFlow
keeps a checksum of each.

Object stores (gs://) rename by copying. There an object is seen when its upload is complete, so there are no cut-off
files, and the index is written after the data; the same reading decides there.
"""

import os
import re
import time
from collections.abc import Callable
from typing import Any

from official_rethink.common import files

_NUMBER = re.compile(r'-(\d+)$')


def _tf() -> Any:
    # TensorFlow takes seconds to import, and `--help` needs none of it.
    import tensorflow  # noqa: PLC0415

    return tensorflow


def fault(prefix: str) -> str:
    """Says what a checkpoint lacks, in words; '' if it is whole.

    Reads it all, one tensor after the other.

    Args:
        prefix: such as run/ckpt-100.
    """
    tf = _tf()
    if not tf.io.gfile.exists(prefix + '.index'):
        return f"there is no '{os.path.basename(prefix)}.index'"
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    # The reader has errors of its own, and plain ones for what it cannot make sense of.
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        return f'it cannot be read ({_first_line(error)})'
    return ''


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _number(prefix: str) -> int:
    found = _NUMBER.search(prefix)
    return int(found[1]) if found else -1


def candidates(folder: str) -> list[str]:
    """Prefixes of a folder's checkpoints, whole or not, in the order in which they are to be tried.

    First what the file `checkpoint` names as the newest, as a folder of best checkpoints may hold one that was
    written but not chosen any more; then what else it names or has an index, the highest number first.
    """
    named = _named(folder)
    there = [name.removesuffix('.index') for name in files.names(folder) if name.endswith('.index')]
    others = {*named, *(os.path.join(folder, name) for name in there)} - set(named[-1:])
    return named[-1:] + sorted(others, key=lambda path: (_number(path), path), reverse=True)


def _named(folder: str) -> list[str]:
    """What the file `checkpoint` names, the newest last."""
    tf = _tf()
    try:
        state = tf.train.get_checkpoint_state(folder)
    except (tf.errors.OpError, ValueError):  # cut off itself
        state = None
    if state is None or not state.model_checkpoint_path:
        return []
    # A folder that was moved may name its old place.
    named = [os.path.join(folder, os.path.basename(path)) for path in state.all_model_checkpoint_paths]
    newest_one = os.path.join(folder, os.path.basename(state.model_checkpoint_path))
    return [path for path in named if path != newest_one] + [newest_one]


def newest(folder: str, warn: Callable[[str], None] = lambda text: None) -> str | None:
    """Returns the prefix of the newest whole checkpoint in a folder, None if there is none.

    Args:
        folder: local or remote; it need not exist.
        warn: is told which one is left out, why, and which one is taken instead.
    """
    broken: list[tuple[str, str]] = []
    for prefix in candidates(folder):
        reason = fault(prefix)
        if not reason:
            _tell(broken, prefix, warn)
            return prefix
        broken.append((prefix, reason))
    _tell(broken, None, warn)
    return None


def _tell(broken: list[tuple[str, str]], taken: str | None, warn: Callable[[str], None]) -> None:
    for prefix, reason in broken:
        instead = f"'{taken}' is taken instead" if taken else 'there is no older one'
        warn(f"the checkpoint '{prefix}' is not whole: {reason}; {instead}.")


def mend(folder: str, taken: str | None) -> None:
    """Makes TensorFlow's own record of a run's folder agree with what was found whole, and sweeps up.

    Only for the one process that writes in the folder. Files of checkpoints that are not whole stay; the run writes
    them again when it gets there.

    Args:
        folder: of the run.
        taken: what `newest` has returned.
    """
    tf = _tf()
    for name in files.names(folder):
        if name.endswith('_temp') and tf.io.gfile.isdir(os.path.join(folder, name)):
            tf.io.gfile.rmtree(os.path.join(folder, name))  # a kill while it was saved
    record = os.path.join(folder, 'checkpoint')
    if taken is None:
        if tf.io.gfile.exists(record):
            tf.io.gfile.remove(record)
        return
    named = _named(folder)
    if named[-1:] == [taken]:
        return
    older = [path for path in named if _number(path) < _number(taken) and tf.io.gfile.exists(path + '.index')]
    from tensorflow.python.checkpoint import checkpoint_management  # noqa: PLC0415  not public, but what saves use

    kept, now = [*older, taken], time.time()
    # Without times its manager forgets all but the newest, and would never delete them.
    checkpoint_management.update_checkpoint_state_internal(
        folder, taken, kept, save_relative_paths=True, all_model_checkpoint_timestamps=[now] * len(kept)
    )
