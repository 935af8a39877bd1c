"""The folder of a tool that leaves runs and logs behind: never one with something in it."""

import os

from official_rethink.common import errors


def make(path: str) -> str:
    """Makes the folder that --output_dir names.

    Returns:
        Its absolute path.

    Raises:
        UserError: something is in it.
    """
    if os.path.isdir(path) and os.listdir(path):
        raise errors.bad_value('--output_dir', path, 'a new or empty folder', 'the command line')
    os.makedirs(path, exist_ok=True)
    return os.path.abspath(path)
