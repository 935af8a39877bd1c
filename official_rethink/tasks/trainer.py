"""Model Garden's trainer in short stretches, so that a signal is looked for every few seconds and not every window."""

import time
from typing import Any

import tensorflow as tf
from official.core import base_trainer

from official_rethink.common import stopping
from official_rethink.tasks import train_step
from official_rethink.tasks.crew import Crew

# A managed service gives about 30 seconds between SIGTERM and SIGKILL; saving has to fit in too.
STRETCH_SECONDS = 2.0
_GROWTH = 4


class Interrupted(Exception):
    """Training stands still between two steps, as it was told to; what it has done is not saved yet."""


class Pace:
    """How many steps are done between two looks for a signal; equal for all processes, as the look is common."""

    def __init__(self, crew: Crew):
        """Args: the processes that have to agree."""
        self._crew = crew
        self._steps = 1  # the first stretch compiles

    def steps(self, left: int) -> int:
        """Returns how many of the steps that are left come next."""
        return min(self._steps, left)

    def done(self, steps: int, seconds: float) -> bool:
        """Takes what a stretch took; returns whether a process of the job was told to stop."""
        told, seconds = self._crew.sums(float(bool(stopping.requested())), seconds)
        seconds /= self._crew.size
        fitting = int(steps * STRETCH_SECONDS / max(seconds, 1e-6))
        self._steps = max(1, min(fitting, _GROWTH * steps))
        return told > 0


class Window(tf.Module):
    """What a window of training has gathered so far; it stands in the checkpoint, so that a stop costs the log nothing.

    Attributes:
        metrics: the task's, and the mean loss.
        seconds: float64 [], that its steps took in earlier processes.
    """

    def __init__(self, metrics: list[tf.keras.metrics.Metric]):
        """Args: see the attributes."""
        super().__init__(name='window')
        self.metrics = metrics
        self.seconds = tf.Variable(
            0.0, trainable=False, dtype=tf.float64, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )


def _create_weights(optimizer: Any, variables: list[tf.Variable]) -> None:
    """Creates what an optimizer remembers of each variable: a step that creates variables is traced a second time."""
    inner = getattr(optimizer, '_optimizer', None)  # of a loss scale, or of a moving average
    if inner is not None:
        _create_weights(inner, variables)
    optimizer._create_all_weights(variables)


class Trainer(base_trainer.Trainer):
    """Trains as Model Garden's does; `train` raises `Interrupted` where a signal was noted, between two steps.

    Attributes:
        crew: the processes that train.
        hold: taken from the first step on whose result is not saved.
        told_to_stop: whether one of the processes was; at a window's end `train` leaves it at that.
    """

    _train_loop_fn: Any
    _train_iter: Any

    def __init__(self, *args: Any, crew: Crew, **kwargs: Any):
        """Args: the processes that train; the rest as Model Garden's."""
        self.crew = crew
        self.hold = stopping.Hold()
        self.told_to_stop = False
        self._pace = Pace(crew)
        super().__init__(*args, **kwargs)
        if kwargs.get('train', True):
            self.window = Window([*self.train_metrics, self.train_loss])
            self._checkpoint.window = self.window

    def _prepare(self) -> None:
        """Traces the step without running it: a signal may still end the process at once, and tracing takes long."""
        if self._train_loop_fn is None:
            with self.strategy.scope():
                _create_weights(self.optimizer, train_step.trained_variables(self.model))
            self._train_loop_fn = self.create_train_loop_fn()
        if self._train_iter is None:
            self._train_iter = tf.nest.map_structure(iter, self.train_dataset)
            if hasattr(self._train_loop_fn, 'get_concrete_function'):
                self._train_loop_fn.get_concrete_function(self._train_iter, tf.constant(1))

    # AutoGraph rewrites the source of some 300 functions below these two, a quarter of the time that a step takes to
    # trace; none has control flow that hangs on a tensor. TensorFlow says so where one has.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, iterator: Any) -> None:
        """See Model Garden's."""
        super().train_step(iterator)

    @tf.autograph.experimental.do_not_convert
    def eval_step(self, iterator: Any) -> Any:
        """See Model Garden's."""
        return super().eval_step(iterator)

    def train(self, num_steps: tf.Tensor) -> Any:
        """Trains a window of steps, or what is left of it.

        Raises:
            Interrupted: a process of the job was told to stop before the window's end.
        """
        self.train_loop_begin()
        self._prepare()
        self.hold.take()
        left = int(num_steps)
        while left:
            steps = self._pace.steps(left)
            start = time.monotonic()
            self._train_loop_fn(self._train_iter, tf.constant(steps))
            left -= steps
            self.told_to_stop = self._pace.done(steps, time.monotonic() - start)
            if self.told_to_stop and left:
                raise Interrupted
        return self.train_loop_end()
