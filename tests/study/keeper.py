"""Holds a study's lock and runs the sleeper under it, as a study does; for a test to kill."""

import sys

from official_rethink.study import execute

if __name__ == '__main__':
    out, pid_file = sys.argv[1:]
    with execute.locked(out) as lock:
        execute.Processes(lock)('tests.study.sleeper', [pid_file], f'{out}/log.txt', lambda: None)
