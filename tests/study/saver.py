"""A step's command that saves when it is told to stop, which takes a moment."""

import os
import pathlib
import time

from official_rethink.common import entry_point, stopping


def main(argv):
    """Says its process id and waits; told to stop, it writes 'saved' after a second."""
    path = pathlib.Path(argv[0])
    hold = stopping.Hold()
    hold.take()
    path.write_text(str(os.getpid()))
    while not stopping.requested():
        time.sleep(0.05)
    time.sleep(1.0)
    path.write_text('saved')
    raise stopping.Stopped(stopping.requested())


if __name__ == '__main__':
    entry_point.run(main)
