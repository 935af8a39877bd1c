"""The configuration files that come with the package, found by name where there is no file of the user's."""

import difflib
import functools
import os

from official_rethink.common import errors, files

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# In an installed wheel; in the source tree and the container.
_PLACES = (os.path.join(_PACKAGE, 'config_files'), os.path.join(os.path.dirname(_PACKAGE), 'configs'))
_PREFIX = 'configs/'
_SHOWN = 3


def folder() -> str:
    """Returns the folder of the files that came with the package, or '' if it came without."""
    return next((place for place in _PLACES if os.path.isdir(place)), '')


@functools.cache
def names() -> tuple[str, ...]:
    """The names of the files that came with the package, such as 'quick/retinanet.yaml'; sorted."""
    root = folder()
    found = [
        os.path.relpath(os.path.join(inside, name), root)
        for inside, _, listed in (os.walk(root) if root else ())
        for name in listed
        if name.endswith('.yaml')
    ]
    return tuple(sorted(name.replace(os.sep, '/') for name in found))


def place(path: str) -> str:
    """Returns where a configuration file is: `path`, or the file that came with the package if it has that name."""
    name = _name(path)
    return path if name not in names() or files.is_file(path) else os.path.join(folder(), *name.split('/'))


def find(path: str) -> str:
    """Returns where a configuration file is.

    Args:
        path: of a file, local or remote; or, if there is none, the name of one that came with the package, with
            'configs/' before it or without.

    Returns:
        `path` itself, or the absolute path of the file that came with the package.

    Raises:
        UserError: there is neither; names the nearest.
    """
    found = place(path)
    if not files.is_file(found):
        raise errors.UserError(f"no configuration file at '{path}'{_hint(_name(path))}.")
    return found


def _name(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, '/').removeprefix(_PREFIX) if path else ''


def _hint(name: str) -> str:
    """The files of the package whose names are nearest: to the whole name, or to the last part of it."""
    lower = {known.lower(): known for known in names()}
    last = {known.rpartition('/')[2].lower(): known for known in reversed(names())}
    close = difflib.get_close_matches(name.lower(), lower, n=_SHOWN, cutoff=0.7)
    near = [lower[one] for one in close]
    close = difflib.get_close_matches(name.rpartition('/')[2].lower(), last, n=_SHOWN, cutoff=0.85)
    near += [last[one] for one in close if last[one] not in near]
    if not near:
        return ''
    return f', nor is it one that comes with the package. Did you mean {" or ".join(map(repr, near[:_SHOWN]))}?'
