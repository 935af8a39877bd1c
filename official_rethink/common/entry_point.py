"""How every command starts: a quiet screen, errors without tracebacks, exit codes."""

import argparse
import atexit
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from official_rethink.common import cluster, errors, lazy_imports, stopping

EXIT_USER_ERROR = 2
_MODULE = re.compile(r'^(python -m )?[\w.]+')
_program = ''  # what the user typed, if it was not `python -m module`


def quieten() -> None:
    """Silences what dependencies say about themselves; call before TensorFlow is imported.

    Keras 2 is asked for by name, so that the same code runs where TensorFlow ships Keras 3.
    A user who sets TF_CPP_MIN_LOG_LEVEL or PYTHONWARNINGS keeps that choice.
    """
    os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    logging.getLogger('tensorflow').setLevel(logging.ERROR)
    if 'PYTHONWARNINGS' not in os.environ:
        warnings.simplefilter('ignore')
        os.environ['PYTHONWARNINGS'] = 'ignore'  # child processes too


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors name the nearest valid flag or choice."""

    def __init__(self, **kwargs: object):
        prog = str(kwargs.get('prog', ''))
        if _program and not prog.startswith(_program):  # a sub-command's name starts with its command's
            kwargs['prog'] = _MODULE.sub(_program, prog)
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raises UserError instead of printing the whole usage."""
        raise errors.UserError(f'{self.prog}: {message}. See {self.prog} --help.')

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parses; an unknown flag is an error that names the nearest one."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = {option for action in self._all_actions() for option in action.option_strings}
            name = unknown[0].split('=')[0]
            raise errors.unknown_name('flag', name, known, where=self.prog)
        return found

    def _all_actions(self) -> list[argparse.Action]:
        actions = list(self._actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for sub in action.choices.values():
                    actions += sub._actions
        return actions


def run_as(program: str, main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    """Runs a command's `main` under another name than `python -m module`, which its help and errors then say."""
    global _program
    before, _program = _program, program
    try:
        return main(argv) or 0
    finally:
        _program = before


def run(main: Callable[[Sequence[str]], int | None], *, is_program: bool = False) -> NoReturn:
    """Runs `main(argv without the program name)` and exits; what the user has to know becomes one line.

    Exit codes: 2 a user's mistake, 130 after SIGINT, 143 after SIGTERM, 138 if another machine of the job is gone.

    Args:
        main: of the command.
        is_program: whether the process ends with the command, as it does if Python was started with main's module.
    """
    quieten()
    lazy_imports.install()
    try:
        with stopping.installed():
            code = main(sys.argv[1:]) or 0
    except errors.UserError as error:
        sys.stderr.write(f'error: {error}\n')
        code = EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write('interrupted; start the same command again to go on.\n')
        code = stopping.EXIT_INTERRUPTED
    except stopping.Stopped as stop:
        sys.stderr.write(stop.words() + '\n')
        code = stop.exit_code
    except stopping.PeerLost as lost:
        sys.stderr.write(f'error: {lost}\n')
        code = stopping.EXIT_PEER_LOST
    sys.stdout.flush()
    if is_program or getattr(sys.modules['__main__'], 'main', None) is main:
        _leave(code)
    sys.exit(code)


def _can_leave() -> bool:
    """Whether nobody waits for what Python does at its end: a profiler, or other machines for TensorFlow's leave."""
    if 'tensorflow' not in sys.modules or sys.gettrace() or sys.getprofile():
        return False
    monitoring = getattr(sys, 'monitoring', None)  # where profilers are from Python 3.12 on, six at most
    if monitoring and any(monitoring.get_tool(place) for place in range(6)):
        return False
    try:
        machines = cluster.read(os.environ)
    except errors.UserError:
        return True
    return machines is None or machines.num_workers == 1


def _leave(code: int) -> None:
    """Ends the process as Python does, but leaves the memory to the system, if it may.

    Python would take every graph apart, seconds of work, and every iterator of tf.data, which waits for the thread that
    tunes it: that one misses its call now and then and sleeps on, up to a minute (tensorflow/core/framework/model.cc,
    OptimizeLoop).
    """
    if not _can_leave():
        return
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as multiprocessing's own children do
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
