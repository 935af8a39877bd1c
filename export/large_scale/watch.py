"""Progress of a pipeline that runs on this machine, told by the files that it leaves."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from official_rethink.common import progress

_SECONDS = 1.0


@contextlib.contextmanager
def watch(what: str, total: int, left: Callable[[], int], unit: str = 'shards') -> Iterator[None]:
    """Shows how many files are done while the block runs.

    Args:
        what: is done, in a word.
        total: files that are to be made in the block.
        left: how many of them are missing; asked once a second.
        unit: the files' name.
    """
    ended = threading.Event()
    with progress.Progress(what, total, unit) as bar:
        told = 0

        def look() -> None:
            nonlocal told
            done = total - left()
            bar.update(done - told)
            told = done

        def follow() -> None:
            while not ended.wait(_SECONDS):
                look()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            look()
