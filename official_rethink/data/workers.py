"""Work spread over processes: results in order, a bounded number under way, no orphans."""

import collections
import concurrent.futures
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from official_rethink.common import errors

_CHUNK = 8
_CHUNKS_UNDER_WAY = 3  # per process: one at work, one waiting, one on its way back


def ordered_map(function: Callable[[Any], Any], items: Iterable[Any], processes: int = 1) -> Iterator[Any]:
    """Yields `function(item)` in the order of `items`; the results do not depend on `processes`.

    Memory does not grow with the number of items: items are taken, and results held, only a few chunks ahead.

    Args:
        function: picklable, if there is more than one process (a module's function, or a partial of one).
        items: taken as they are needed.
        processes: 1 works in this process.
    """
    if processes < 1:
        raise errors.bad_value('processes', processes, 'a whole number from 1', where='--processes')
    if processes == 1:
        yield from map(function, items)
        return
    # A fresh interpreter per worker: forking a process in which TensorFlow has started threads can hang.
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context('spawn'), initializer=_end_with_parent
    )
    under_way: collections.deque[concurrent.futures.Future[list[Any]]] = collections.deque()
    stream = iter(items)
    try:
        while True:
            while len(under_way) < _CHUNKS_UNDER_WAY * processes:
                chunk = list(itertools.islice(stream, _CHUNK))
                if not chunk:
                    break
                under_way.append(pool.submit(_apply, function, chunk))
            if not under_way:
                break
            yield from under_way.popleft().result()
    except BrokenProcessPool as error:
        raise errors.UserError(
            f'one of the {processes} processes ended without a word, most likely for lack of memory; '
            'try a lower --processes.'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _apply(function: Callable[[Any], Any], chunk: list[Any]) -> list[Any]:
    return [function(item) for item in chunk]


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone, which SIGKILL otherwise leaves waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
