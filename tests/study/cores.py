"""Prints the cores it runs on; a command for test_execute."""

import os

print(*sorted(os.sched_getaffinity(0)))
