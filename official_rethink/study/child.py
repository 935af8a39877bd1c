"""Starts a step's command so that it ends when the study ends, however the study ends.

Run as `python -m official_rethink.study.child <pid of the study> <CPU cores> <command> …`. On Linux the kernel is
asked to kill this process when its parent dies, and the request outlives the exec into the command.
Where there is no such request, the lock on the study's folder (see `execute.py`) keeps a second start
away until an old command is gone.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Ties this process to its parent and its cores, and becomes the command."""
    parent, cores, command = int(argv[0]), argv[1], argv[2:]
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(',')))
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request was made
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == '__main__':
    main(sys.argv[1:])
