"""What a run writes beside its checkpoints: metrics.jsonl, cost.json, diverged.json, and the line on the terminal."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.common import errors, files, progress

DIVERGED = 'diverged.json'
METRICS = 'metrics.jsonl'
COST = 'cost.json'


def read_metrics(model_dir: str) -> list[dict[str, Any]]:
    """Reads a run's log, oldest line first; a line cut off by a kill is left out."""
    path = os.path.join(model_dir, METRICS)
    if not tf.io.gfile.exists(path):
        return []
    lines = []
    with tf.io.gfile.GFile(path, 'r') as handle:
        for text in handle:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break  # only the last line of a killed run can be torn
    return lines


def scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among logs, which may hold whole dictionaries too."""
    return {
        # A constant learning rate is a variable, with a copy on each device.
        name: float(value.numpy() if hasattr(value, 'numpy') else value)
        for name, value in logs.items()
        if not isinstance(value, dict) and getattr(value, 'shape', ()) in ((), tf.TensorShape([]))
    }


class RunLog:
    """Keeps the record of one run over any number of restarts.

    A window is what was trained between two entries. Only windows up to the restored checkpoint are
    kept on a restart, so that the record tells of the steps that made the weights.
    """

    def __init__(
        self,
        model_dir: str,
        total_steps: int,
        images_per_step: int,
        pixels_per_image: int,
        name: str = '',
        headline: str = 'AP',
        further_images: int = 0,
        further_pixels: int = 0,
        loss_limit: float = math.inf,
        writes: bool = True,
    ):
        """Starts a record.

        Args:
            model_dir: the run's folder.
            total_steps: its length.
            images_per_step: examples a step.
            pixels_per_image: of the network's input.
            name: for the screen; the folder's if ''.
            headline: the metric that an evaluation shows on the screen, in per cent.
            further_images: examples of another size a step reads besides.
            further_pixels: pixels of these, a step.
            loss_limit: a loss over this has diverged as one that is not finite has.
            writes: whether this process keeps the record; one that does not is silent.
        """
        self._model_dir = model_dir
        self._total_steps = total_steps
        self._images_per_step = images_per_step
        self._pixels_per_image = pixels_per_image
        self._headline = headline
        self._further_images, self._further_pixels = further_images, further_pixels
        self._loss_limit = loss_limit
        self._name = name or os.path.basename(model_dir.rstrip('/'))
        self._writes = writes
        self._live = writes and sys.stderr.isatty()
        self.entries: list[dict[str, Any]] = []
        self._window_start = time.monotonic()

    def resume(self, step: int, seconds: float = 0.0) -> None:
        """Drops what a killed run logged after the checkpoint that is gone on from.

        Args:
            step: of the checkpoint.
            seconds: that the window had taken when it was saved.
        """
        if self._writes:
            self.entries = [entry for entry in read_metrics(self._model_dir) if entry['step'] <= step]
            if tf.io.gfile.exists(os.path.join(self._model_dir, DIVERGED)):
                tf.io.gfile.remove(os.path.join(self._model_dir, DIVERGED))
            with files.atomic_write(os.path.join(self._model_dir, METRICS)) as handle:
                handle.write(''.join(json.dumps(entry) + '\n' for entry in self.entries))
        self.start_window(seconds)

    def start_window(self, seconds: float = 0.0) -> None:
        """Starts the clock of the next window, so that evaluation does not count as training."""
        self._window_start = time.monotonic() - seconds

    def seconds(self) -> float:
        """How long the window has taken so far."""
        return time.monotonic() - self._window_start

    def validated(self, step: int) -> bool:
        """Whether this step's evaluation is in the log."""
        return any(entry['kind'] == 'validation' and entry['step'] == step for entry in self.entries)

    def _append(self, kind: str, step: int, logs: Mapping[str, Any]) -> dict[str, Any]:
        entry = {'kind': kind, 'step': step, 'time': round(time.time(), 3), 'metrics': scalars(logs)}
        self.entries.append(entry)
        if not self._writes:
            return entry
        with tf.io.gfile.GFile(os.path.join(self._model_dir, METRICS), 'a') as handle:
            handle.write(json.dumps(entry) + '\n')
        return entry

    def train(self, step: int, logs: Mapping[str, Any]) -> None:
        """Logs a window.

        Raises:
            UserError: its loss is not a finite number, or over the limit.
        """
        entry = self._append('train', step, {**logs, 'seconds': self.seconds()})
        self.start_window()
        loss = entry['metrics'].get('training_loss', 0.0)
        if not math.isfinite(loss) or loss > self._loss_limit:
            first = max((e['step'] for e in self.entries[:-1] if e['kind'] == 'train'), default=0)
            found = f'the training loss is {loss} between steps {first} and {step}'
            if self._writes:
                files.write_json(os.path.join(self._model_dir, COST), self.cost())
                files.write_json(os.path.join(self._model_dir, DIVERGED), {'step': step, 'message': f'{found}.'})
            raise errors.UserError(
                f'{found} of {self._model_dir}. Lower '
                'trainer.schedule.base_learning_rate, lengthen base_warmup_steps, or set a global_clipnorm '
                'in trainer.optimizer_config.optimizer; checkpoints before it are kept.'
            )
        self._show(step, entry['metrics'])

    def validation(self, step: int, logs: Mapping[str, Any]) -> None:
        """Logs an evaluation and brings cost.json up to date."""
        entry = self._append('validation', step, logs)
        if not self._writes:
            return
        files.write_json(os.path.join(self._model_dir, COST), self.cost())
        value = entry['metrics'].get(self._headline)
        text = f'{self._name}: step {step}/{self._total_steps}'
        text += f', {self._headline} {100 * value:.1f}' if value is not None else ''
        sys.stderr.write(('\r\x1b[K' if self._live else '') + text + '\n')
        sys.stderr.flush()

    def cost(self) -> dict[str, float]:
        """Sums what the weights at the last window cost: steps, images, instances, pixels, seconds."""
        windows = [entry for entry in self.entries if entry['kind'] == 'train']
        steps = max((entry['step'] for entry in windows), default=0)
        images = steps * self._images_per_step
        return {
            'steps': steps,
            'images': images + steps * self._further_images,
            'instances': int(sum(entry['metrics'].get('instances', 0.0) for entry in windows)),
            'pixels': images * self._pixels_per_image + steps * self._further_pixels,
            'seconds': round(sum(entry['metrics']['seconds'] for entry in windows), 3),
        }

    def _show(self, step: int, metrics: Mapping[str, float]) -> None:
        if not self._live:
            return
        windows = [entry for entry in self.entries if entry['kind'] == 'train'][-6:]
        steps = windows[-1]['step'] - (windows[0]['step'] if len(windows) > 1 else 0)
        seconds = sum(entry['metrics']['seconds'] for entry in windows[1:]) or windows[0]['metrics']['seconds']
        rate = max(steps, 1) / max(seconds, 1e-9)
        left = progress.duration((self._total_steps - step) / rate)
        sys.stderr.write(
            f'\r\x1b[K{self._name}: step {step}/{self._total_steps}, loss {metrics["training_loss"]:.3f}, '
            f'{rate:.1f} steps/s, {left} left'
        )
        sys.stderr.flush()


class EmptyPseudoLabels:
    """Stops a student whose pseudo labels never hold anything over the threshold."""

    def __init__(
        self,
        abort_after_steps: int,
        score_threshold: float,
        statistic: str = 'pseudo/boxes_per_image',
        label: str = 'pseudo box',
    ):
        """Starts to watch.

        Args:
            abort_after_steps: steps in a row without a kept label that stop the run.
            score_threshold: for the message.
            statistic: which of a window's means is over 0 if a label was kept.
            label: what a label is called.
        """
        self._statistic, self._label = statistic, label
        self._limit = abort_after_steps
        self._threshold = score_threshold
        self._last_full = 0

    def resume(self, entries: Sequence[Mapping[str, Any]], step: int) -> None:
        """Goes on after a restart.

        Args:
            entries: of the run's log.
            step: that is gone on from.
        """
        windows = [entry for entry in entries if entry['kind'] == 'train']
        full = [entry['step'] for entry in windows if entry['metrics'].get(self._statistic, 0.0) > 0]
        self._last_full = max(full, default=0 if windows else step)

    def check(self, step: int, logs: Mapping[str, Any]) -> None:
        """Looks at one window's mean.

        Raises:
            UserError: too many steps without a kept pseudo label.
        """
        if float(logs[self._statistic]) > 0:
            self._last_full = step
        elif step - self._last_full >= self._limit:
            raise errors.UserError(
                f'no {self._label} passed task.pseudo_data.score_threshold {self._threshold} in the last '
                f'{step - self._last_full} steps, so the student learns nothing from the teacher; lower the '
                "threshold (the score histogram stands in the store's manifest.json) or train the teacher longer."
            )
