"""Progress of long work: what, how many of how many, rate, time left; silent when not on a terminal."""

import sys
import time
from typing import TextIO

_REDRAW_SECONDS = 0.2


def duration(seconds: float) -> str:
    """Formats seconds as '42s', '3m07s' or '2h05m'."""
    whole = int(round(seconds))
    if whole < 60:
        return f'{whole}s'
    if whole < 3600:
        return f'{whole // 60}m{whole % 60:02d}s'
    return f'{whole // 3600}h{whole % 3600 // 60:02d}m'


class Progress:
    """A one-line progress bar for terminals; in a log file only its closing line appears.

    Use as a context manager and call `update` with the number of items just finished.
    """

    def __init__(self, what: str, total: int | None, unit: str = 'images', stream: TextIO | None = None):
        """Args: what is done, in a word; how many items in all (None: unknown); the items' name."""
        self._what, self._total, self._unit = what, total, unit
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._done = 0
        self._start = self._drawn = time.monotonic()

    def __enter__(self) -> 'Progress':
        return self

    def update(self, count: int = 1) -> None:
        """Adds `count` finished items and redraws, at most five times a second."""
        self._done += count
        now = time.monotonic()
        if self._live and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._stream.write('\r\x1b[K' + self._line(now))
            self._stream.flush()

    def _line(self, now: float) -> str:
        elapsed = max(now - self._start, 1e-9)
        rate = self._done / elapsed
        text = f'{self._what}: {self._done}'
        if self._total is not None:
            text += f'/{self._total}'
        text += f' {self._unit}, {rate:.1f}/s'
        if self._total is not None and self._done and self._done < self._total:
            text += f', {duration((self._total - self._done) / rate)} left'
        return text

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        now = time.monotonic()
        end = f' in {duration(now - self._start)}' if kind is None else ', stopped'
        self._stream.write(('\r\x1b[K' if self._live else '') + self._line(now) + end + '\n')
        self._stream.flush()
