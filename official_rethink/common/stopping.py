"""What SIGTERM and SIGINT do: end a command at once, or at the next moment at which nothing is lost."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# As shells report a process that the signal ended, 128 + its number; anything but 0 makes a managed service restart.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
# Another machine of the job is gone, this one is well. Kubeflow's operator starts again what ends with 128 or more, and
# leaves 138 to programs that ask for it.
EXIT_PEER_LOST = 138

# One Ctrl-C reaches a study and its commands, and the study tells its commands too: that is one request, not two.
_IMPATIENT_AFTER = 1.0


class Stopped(BaseException):
    """Ends the command since it was told to stop; no Exception, so that nothing takes it for a failure.

    Attributes:
        number: the signal's, 0 if it is another machine that was told.
        text: what is left behind and how to go on; '' for the general words.
    """

    def __init__(self, number: int, text: str = ''):
        """Args: see the attributes."""
        super().__init__(number, text)
        self.number, self.text = number, text

    @property
    def exit_code(self) -> int:
        """128 + the signal's number."""
        return 128 + (self.number or signal.SIGTERM)

    def words(self) -> str:
        """One line for the screen."""
        return f'stopped{_by(self.number)}{self.text or "; start the same command again to go on."}'


class PeerLost(Exception):
    """Another machine of the job is gone, so this one cannot go on."""


class _State:
    number = 0
    since = 0.0
    holds = 0
    handler: Callable[[int, FrameType | None], None] | None = None


_state = _State()


def _by(number: int) -> str:
    return f' by {signal.Signals(number).name}' if number else ''


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within it SIGTERM and SIGINT are ours; one that the caller of the process has set to be ignored stays so."""
    if threading.current_thread() is not threading.main_thread():  # where none can be set
        yield
        return
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a fork that has its own life
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        _receive(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    outer, _state.handler = _state.handler, handle
    renew()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.handler, _state.number = outer, 0


def renew() -> None:
    """Takes the signals over again, if they were ours: TensorFlow takes SIGTERM when it joins a cluster."""
    if _state.handler is None:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _state.handler)


def _receive(number: int) -> None:
    now = time.monotonic()
    if _state.holds:
        impatient = _state.number == number == signal.SIGINT and now - _state.since > _IMPATIENT_AFTER
        if not _state.number:
            _state.number, _state.since = number, now
        if impatient:
            raise KeyboardInterrupt
        return
    _state.number, _state.since = number, now
    _raise(number)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    # A second one finds the system's own action, which nothing can hold up.
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(number)


def end_in(seconds: int) -> None:
    """Has the system end the process if it is still there by then, whatever keeps it: it gets SIGALRM."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


@contextlib.contextmanager
def at_the_system(seconds: int) -> Iterator[None]:
    """Within it signals do what the system does, for a call that waits without letting Python see them.

    Args:
        seconds: after which the system ends the process.
    """
    end_in(seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        if _state.handler and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.alarm(0)
        renew()


class Hold:
    """While one is taken, a signal is only noted: who took it looks for it, and raises `Stopped` when all is saved.

    A second SIGINT, a second or more after the first, ends the command all the same.
    """

    def __init__(self) -> None:
        """Starts free."""
        self._taken = False

    def take(self) -> None:
        """From here on there is something to lose; taken twice is taken once."""
        _state.holds += not self._taken
        self._taken = True

    def free(self) -> None:
        """Nothing is to be lost any more. What was noted meanwhile stays noted."""
        _state.holds -= self._taken
        self._taken = False


def requested() -> int:
    """Number of the signal that was noted, 0 if there was none."""
    return _state.number

