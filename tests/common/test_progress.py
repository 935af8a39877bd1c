"""Progress: lively on a terminal, one line in a log."""

import io

import pytest

from official_rethink.common import progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ('seconds', 'text'), [(0, '0s'), (59.4, '59s'), (60, '1m00s'), (187, '3m07s'), (7500, '2h05m')]
)
def test_duration(seconds, text):
    assert progress.duration(seconds) == text


def _run(stream, monkeypatch):
    times = iter([0.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(times))
    with progress.Progress('reading', 4, stream=stream) as bar:
        bar.update()
        bar.update(3)
    return stream.getvalue()


def test_terminal_shows_rate_and_time_left(monkeypatch):
    """1 of 4 after a second: 1.0/s and 3 s left; in the end 4 in 4 s."""
    text = _run(_Terminal(), monkeypatch)
    assert 'reading: 1/4 images, 1.0/s, 3s left' in text
    assert text.endswith('reading: 4/4 images, 1.0/s in 4s\n')


def test_log_gets_one_line(monkeypatch):
    assert _run(io.StringIO(), monkeypatch) == 'reading: 4/4 images, 1.0/s in 4s\n'


def test_a_failure_is_not_called_finished():
    stream = io.StringIO()
    with pytest.raises(KeyError), progress.Progress('reading', 2, stream=stream):
        raise KeyError
    assert 'stopped' in stream.getvalue()
