"""Orbit's outer loop, so that where a run was stopped or killed does not show in what it comes to."""

from collections.abc import Callable, Sequence
from typing import Any

import orbit
import tensorflow as tf
from absl import logging
from official.core import train_utils

from official_rethink.common import files, stopping
from official_rethink.tasks import run_log
from official_rethink.tasks import trainer as trainers
from official_rethink.tasks.crew import Crew

# Orbit prints every log line to standard output; what a user sees is run_log's.
orbit.controller._log = logging.info


class CheckpointManager(tf.train.CheckpointManager):
    """Starts from the checkpoint it is given, also in a process that saves its own copies elsewhere."""

    def __init__(self, *args: Any, start: str | None, **kwargs: Any):
        """Args: the checkpoint's prefix, None to start anew; the rest as TensorFlow's."""
        super().__init__(*args, **kwargs)
        self._start = start

    def restore_or_initialize(self) -> str | None:
        """Restores what was saved last, or the start; returns its prefix."""
        if self.latest_checkpoint is not None or self._start is None:
            found: str | None = super().restore_or_initialize()
            return found
        self.checkpoint.restore(self._start)
        # As TensorFlow's: all processes have to save at the same steps.
        self._last_checkpoint_step = int(self._step_counter.numpy())
        return self._start


class BestCheckpointExporter(train_utils.BestCheckpointExporter):
    """Saves the checkpoint before it notes its score: killed between the two, Model Garden's forgets the weights."""

    _best_ckpt_logs: Any

    def __init__(self, folder: str, metric: str, comparison: str, crew: Crew):
        """Starts with the best of the run so far.

        Args:
            folder: where to; of a process that does not write for the run, one of its own.
            metric: which one counts.
            comparison: 'higher' or 'lower'.
            crew: the processes, which save together; the chief decides.
        """
        super().__init__(folder, metric, comparison)
        self._crew = crew

    def maybe_export_checkpoint(
        self, checkpoint: tf.train.Checkpoint, eval_logs: Any, global_step: int, write_logs: bool = True
    ) -> bool:
        """Exports if the metric is better than the best so far, or is the first."""
        better = self._best_ckpt_logs is None or self._new_metric_is_better(self._best_ckpt_logs, eval_logs)
        if not self._crew.of_chief(float(better)):
            self._best_ckpt_logs = self._best_ckpt_logs or eval_logs
            return False
        # Named by the step: TensorFlow's own count would tell how often the run was stopped.
        self._get_checkpoint_manager(checkpoint).save(checkpoint_number=global_step)
        self._best_ckpt_logs = eval_logs
        if write_logs:
            self.export_best_eval_metric(eval_logs, global_step)
        return True

    def export_best_eval_metric(self, eval_logs: Any, global_step: int) -> None:
        """Writes info.json, whole or not at all."""
        scores = run_log.scalars(eval_logs)
        files.write_json(self.best_ckpt_logs_path, {**scores, 'best_ckpt_global_step': float(global_step)})


class Controller(orbit.Controller):
    """Evaluates at multiples of the interval and at the run's end, whichever step it was resumed or stopped at.

    Attributes:
        log: the run's.
        last_step: of the run, of which this may be a part.
        first_steps: where its parts begin.
        eval_interval: steps between evaluations, 0 where it does not evaluate between.
    """

    log: run_log.RunLog
    trainer: trainers.Trainer
    last_step: int
    first_steps: Sequence[int] = (0,)
    eval_interval: int = 0

    def train(self, steps: int, checkpoint_at_completion: bool = True) -> None:
        """Trains to a step, in windows that begin where those of an undisturbed run do.

        Raises:
            Stopped: a process of the job was told to stop; what was done is saved.
        """
        try:
            step = int(self.global_step.numpy())
            while step < steps:
                self._window(min(steps, self._window_end(step)) - step)
                step = int(self.global_step.numpy())
                if self.trainer.told_to_stop:
                    self._stop()
                self._maybe_save_checkpoint()
            if checkpoint_at_completion:
                self._maybe_save_checkpoint(check_interval=False)
            self._sync_on_async_checkpointing()
        finally:
            self.trainer.hold.free()

    def _window_end(self, step: int) -> int:
        start = max(first for first in self.first_steps if first <= step)
        if self.eval_interval:
            start = max(start, step - step % self.eval_interval)
        return start + ((step - start) // self.steps_per_loop + 1) * self.steps_per_loop

    def _window(self, steps: int) -> None:
        try:
            self._train_n_steps(steps)
        except trainers.Interrupted:
            self.trainer.window.seconds.assign(self.log.seconds())
            self._stop()

    def _stop(self) -> None:
        """Saves what is there and ends the process."""
        self._maybe_save_checkpoint(check_interval=False)
        self._sync_on_async_checkpointing()
        self._end()

    def _end(self) -> None:
        step = int(self.global_step.numpy())
        self.trainer.crew.leave()
        raise stopping.Stopped(
            stopping.requested(),
            f' after step {step} of {self.last_step}, which is saved; start the same command again to go on.',
        )

    def train_and_evaluate(self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None) -> Any:
        """As Orbit's; an evaluation that a kill prevented is made up for first."""
        assert eval_interval
        self.eval_interval = eval_interval
        output = None
        step = int(self.global_step.numpy())
        validated = self.trainer.crew.of_chief(float(self.log.validated(step)))
        if step > 0 and self._due(step, eval_interval) and not validated:
            output = self.evaluate(steps=eval_steps)
        while step < train_steps:
            until = min(train_steps, step - step % eval_interval + eval_interval)
            # The checkpoint first: a kill during evaluation then costs no training.
            self.train(steps=until)
            if self.trainer.crew.any(bool(stopping.requested())):
                self._end()
            step = int(self.global_step.numpy())
            if self._due(step, eval_interval):
                output = self.evaluate(steps=eval_steps)
        return output

    def _due(self, step: int, interval: int) -> bool:
        return step % interval == 0 or step == self.last_step

    def evaluate(self, steps: int = -1) -> Any:
        """Evaluates and logs; the training clock stands still meanwhile."""
        output = super().evaluate(steps=steps)
        self.log.validation(int(self.global_step.numpy()), output)
        self.log.start_window()
        return output


def after_window(trainer: trainers.Trainer, log: run_log.RunLog, empty: Any) -> Callable[[Any], None]:
    """Returns Orbit's action after a window: it is logged, and what must not go on stops the run.

    Args:
        trainer: of the run.
        log: of the run.
        empty: a `run_log.EmptyPseudoLabels`, or None.
    """

    def act(logs: Any) -> None:
        step = int(trainer.global_step.numpy())
        log.train(step, logs)
        trainer.window.seconds.assign(0.0)
        if empty is not None:
            empty.check(step, logs)

    return act
