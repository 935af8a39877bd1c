"""A step's command that says its process id and waits to be killed."""

import os
import pathlib
import sys
import time

if __name__ == '__main__':
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(60)
