"""Commands as `python -m` runs them, but in this process: importing TensorFlow anew takes longer than what they do."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO
from unittest import mock

import tensorflow as tf
from absl import flags

from official_rethink.common import entry_point


@contextlib.contextmanager
def _taken(descriptor: int) -> Iterator[IO[str]]:
    """Gives a file that has what is written to a standard stream meanwhile, by TensorFlow's own code too."""
    redirect = {1: contextlib.redirect_stdout, 2: contextlib.redirect_stderr}[descriptor]
    before = os.dup(descriptor)
    with tempfile.TemporaryFile('w+', buffering=1, encoding='utf-8') as file:
        os.dup2(file.fileno(), descriptor)
        try:
            with redirect(file):
                yield file
        finally:
            os.dup2(before, descriptor)
            os.close(before)


def _text(file: IO[str]) -> str:
    file.flush()
    file.seek(0)
    return file.read()


def run(
    main: Callable[[Sequence[str]], int | None], argv: Sequence[str], folder: str | os.PathLike[str]
) -> subprocess.CompletedProcess[str]:
    """Runs a command through its entry point.

    Args:
        main: of the command.
        argv: its flags.
        folder: it is started in.

    Returns:
        Its exit code and what it printed. Warnings are not among it: pytest takes them.
    """
    policy = tf.keras.mixed_precision.global_policy()
    with contextlib.ExitStack() as screen:
        out, error = (screen.enter_context(_taken(descriptor)) for descriptor in (1, 2))
        screen.enter_context(contextlib.chdir(folder))
        screen.enter_context(mock.patch.object(sys, 'argv', [main.__module__, *argv]))
        try:
            entry_point.run(main)
        except SystemExit as end:
            code = end.code
        printed = _text(out), _text(error)
    for name in flags.FLAGS:  # absl's flags outlive a call of train.main, and so does Keras's precision
        flags.FLAGS[name].unparse()
    tf.keras.mixed_precision.set_global_policy(policy)
    assert isinstance(code, int)
    return subprocess.CompletedProcess(list(argv), code, *printed)
