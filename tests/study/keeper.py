"""Holds a study's lock and runs a command under it, as a study does; for a test to stop or kill."""


from official_rethink.common import entry_point
from official_rethink.study import execute


def main(argv):
    """Runs a module of tests.study with the file it says its process id in."""
    out, pid_file, *rest = argv
    module = rest[0] if rest else 'sleeper'
    with execute.locked(out) as lock:
        return execute.Processes(lock)(f'tests.study.{module}', [pid_file], f'{out}/log.txt', lambda: None)


if __name__ == '__main__':
    entry_point.run(main)
