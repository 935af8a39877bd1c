"""The processes that train one network together: what they agree on, and how one learns that another is gone."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import tensorflow as tf

from official_rethink.common import cluster, errors, stopping, whole_checkpoints

# Seconds within which a file that the chief has written has to be seen by all; NFS keeps what it has looked up.
_SEEN_WITHIN = 60.0
# Seconds that a process which has failed has to say so and end.
_ENDS_WITHIN = 20
# What TensorFlow raises when another process of a collective operation is gone, or has failed.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_REASONS = ('aborted by', 'heartbeat', 'failed to connect', 'socket closed', 'connection reset', 'unavailable')
_SIGNS = ('collective', 'heartbeat', 'coordination', 'socket closed', 'connect', 'peer', 'preempt', 'remote')


class Crew:
    """One process, or all the workers of a MultiWorkerMirroredStrategy; every worker makes the same calls.

    Attributes:
        strategy: how they train.
        size: processes.
        is_chief: whether this is the one that writes; one process alone is.
        place: of this process, in words.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        """Args: see the attributes."""
        self.strategy = strategy
        found = cluster.read(os.environ) if isinstance(strategy, _MULTI_WORKER) else None
        self.size = found.num_workers if found else 1
        self.is_chief = found.is_chief if found else True
        self.place = place_of(found) if found else 'this machine'
        self._local = strategy.num_replicas_in_sync // self.size
        self._sum = tf.function(self._summed, input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)

    def _summed(self, values: tf.Tensor) -> tf.Tensor:
        def one() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            first = tf.cast(replica.replica_id_in_sync_group % self._local == 0, tf.float64)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, values * first)

        return self.strategy.experimental_local_results(self.strategy.run(one))[0]

    def sums(self, *values: float) -> list[float]:
        """Adds up each of the values over the processes."""
        if self.size == 1:
            return list(values)
        return [float(value) for value in self._sum(tf.constant(values, tf.float64)).numpy()]

    def any(self, flag: bool) -> bool:
        """Whether it is so for one of the processes."""
        return self.sums(float(flag))[0] > 0

    def of_chief(self, value: float) -> float:
        """Returns the chief's value to all."""
        return self.sums(value if self.is_chief else 0.0)[0]

    def leave(self) -> None:
        """Returns when all processes are here, so that none goes while another still needs it.

        The chief comes here when all is written, so that whoever is gone by then is not missed.

        Raises:
            PeerLost: within `watched`; one is gone that has not come here, and this is not the chief.
        """
        if self.size == 1:
            return
        with contextlib.suppress(*(_LOST if self.is_chief else ())):
            self.sums(0.0)
        # Who has its sum and goes may break off another's, which is still on its way. A second sum is begun by those
        # alone who have the first: if one of them breaks off, all have been here.
        with contextlib.suppress(*_LOST):
            self.sums(0.0)

    def newest_checkpoint(self, folder: str, mend: bool = False) -> str | None:
        """Returns the newest whole checkpoint in a folder that all share, as the chief finds it.

        Args:
            folder: of the run, or one in it.
            mend: whether the chief brings TensorFlow's record in the folder in order; see `whole_checkpoints.mend`.

        Raises:
            UserError: another process does not find what the chief has found.
        """
        found = None
        if self.is_chief:
            found = whole_checkpoints.newest(folder, warn)
            if mend:
                whole_checkpoints.mend(folder, found)
        if self.size == 1:
            return found
        name = self._text_of_chief(os.path.basename(found or ''))
        if not name:
            return None
        self.check_shared(os.path.join(folder, name + '.index'))
        return os.path.join(folder, name)

    def _text_of_chief(self, text: str) -> str:
        data = text.encode()
        length = int(self.of_chief(len(data)))
        if not length:
            return ''
        data = data.ljust(length)[:length]
        return bytes(int(code) for code in self.sums(*(code * self.is_chief for code in data))).decode()

    def check_shared(self, path: str) -> None:
        """Waits until a file that the chief has written is seen by all.

        Raises:
            UserError: one of them does not see it.
        """
        deadline = time.monotonic() + _SEEN_WITHIN
        missing = float(not tf.io.gfile.exists(path))
        while missing and time.monotonic() < deadline:
            time.sleep(1.0)
            missing = float(not tf.io.gfile.exists(path))
        if self.any(bool(missing)):
            here = f'{self.place} does not see' if missing else 'another machine of the job does not see'
            raise errors.bad_value(
                '--model_dir',
                os.path.dirname(path),
                f"a folder that all machines share (gs://…, /gcs/…, NFS); {here} '{path}', which the chief has",
                'the command line',
            )

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Returns what tells the loss of another process as what it is; see `watched`."""
        return watched(self.place if self.size > 1 else '')


_MULTI_WORKER = (tf.distribute.MultiWorkerMirroredStrategy, tf.distribute.experimental.MultiWorkerMirroredStrategy)


def place_of(machines: cluster.Cluster) -> str:
    """This machine of a job, in words."""
    return f'{machines.role} {machines.index} of {machines.num_workers} machines'


@contextlib.contextmanager
def watched(place: str) -> Iterator[None]:
    """Within it the loss of another process of a job is told as what it is.

    Args:
        place: of this one, in words; '' if there is no other.

    Raises:
        PeerLost: another process has ended, cannot be reached, or has not come.
    """
    try:
        yield
    except BaseException as error:
        if place:
            stopping.end_in(_ENDS_WITHIN)  # the others wait for as long as it lives
        text = str(error) if isinstance(error, _LOST) else ''
        if not place or not any(sign in text.lower() for sign in _SIGNS):
            raise
        raise stopping.PeerLost(
            f'another machine of the job has ended or cannot be reached, so {place} ends too; why, its own output '
            f'says. Start all of them again to go on. TensorFlow says: {_short(text)}'
        ) from error


def warn(text: str) -> None:
    """Writes a line to standard error."""
    sys.stderr.write(f'warning: {text}\n')


def _short(text: str) -> str:
    """What TensorFlow says of the other process; before it may stand where in the program that was noticed."""
    found = [line for line in text.splitlines() if any(sign in line.lower() for sign in _REASONS)]
    line = ' '.join((found[0] if found else text).split())
    return line if len(line) <= 300 else line[:297] + '...'
