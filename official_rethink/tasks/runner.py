"""Model Garden's experiment runner, so that a killed run goes on and ends where an undisturbed one would."""

import contextlib
import fcntl
import math
import os
from collections.abc import Iterator
from typing import Any

import orbit
import tensorflow as tf
import yaml
from absl import logging
from official.common import distribute_utils
from official.core import task_factory, train_lib, train_utils
from official.modeling import performance

from official_rethink.common import errors, files
from official_rethink.modeling import restore
from official_rethink.tasks import evaluate, run_log

PARAMS = 'params.yaml'
TEST = 'test.json'

# Orbit prints every log line to standard output; what a user sees is run_log's.
orbit.controller._log = logging.info


class BestCheckpointExporter(train_utils.BestCheckpointExporter):
    """Saves the checkpoint before it notes its score: killed between the two, Model Garden's forgets the weights."""

    _best_ckpt_logs: Any

    def maybe_export_checkpoint(
        self, checkpoint: tf.train.Checkpoint, eval_logs: Any, global_step: int, write_logs: bool = True
    ) -> bool:
        """Exports if the metric is better than the best so far, or is the first."""
        if self._best_ckpt_logs is not None and not self._new_metric_is_better(self._best_ckpt_logs, eval_logs):
            return False
        self._get_checkpoint_manager(checkpoint).save()
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
    """

    log: run_log.RunLog
    last_step: int

    def train_and_evaluate(self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None) -> Any:
        """As Orbit's; an evaluation that a kill prevented is made up for first."""
        assert eval_interval
        output = None
        step = int(self.global_step.numpy())
        if step > 0 and self._due(step, eval_interval) and not self.log.validated(step):
            output = self.evaluate(steps=eval_steps)
        while step < train_steps:
            until = min(train_steps, step - step % eval_interval + eval_interval)
            self.train(steps=until, checkpoint_at_completion=False)
            # The checkpoint first: a kill during evaluation then costs no training.
            self._maybe_save_checkpoint(check_interval=False)
            step = int(self.global_step.numpy())
            if self._due(step, eval_interval):
                output = self.evaluate(steps=eval_steps)
        self._sync_on_async_checkpointing()
        return output

    def _due(self, step: int, interval: int) -> bool:
        return step % interval == 0 or step == self.last_step

    def evaluate(self, steps: int = -1) -> Any:
        """Evaluates and logs; the training clock stands still meanwhile."""
        output = super().evaluate(steps=steps)
        self.log.validation(int(self.global_step.numpy()), output)
        self.log.start_window()
        return output


class Runner(train_lib.OrbitExperimentRunner):
    """Model Garden's runner with our exporter, controller and log."""

    def __init__(self, *, log: run_log.RunLog, last_step: int, **kwargs: Any):
        """Args: the run's log and its last step; the rest as Model Garden's."""
        self._log = log
        self._empty = None
        task_config = kwargs['params'].task
        # A store of class labels is sifted before the run starts, and an empty choice refused then.
        if hasattr(task_config, 'pseudo_data') and hasattr(task_config.pseudo_data, 'abort_after_empty_steps'):
            pseudo = task_config.pseudo_data
            self._empty = run_log.EmptyPseudoLabels(
                pseudo.abort_after_empty_steps, pseudo.score_threshold, *kwargs['task'].pseudo_presence
            )
        super().__init__(controller_cls=Controller, train_actions=[self._after_window], **kwargs)
        self.controller.log, self.controller.last_step = log, last_step
        log.resume(int(self.trainer.global_step.numpy()))

    def _build_best_checkpoint_exporter(self) -> BestCheckpointExporter | None:
        trainer = self.params.trainer
        if not trainer.best_checkpoint_export_subdir:
            return None
        return BestCheckpointExporter(
            os.path.join(self.model_dir, trainer.best_checkpoint_export_subdir),
            trainer.best_checkpoint_eval_metric,
            trainer.best_checkpoint_metric_comp,
        )

    def _after_window(self, logs: Any) -> None:
        step = int(self.trainer.global_step.numpy())
        self._log.train(step, logs)
        if self._empty is not None:
            self._empty.check(step, logs)


@contextlib.contextmanager
def locked(model_dir: str) -> Iterator[None]:
    """Holds the folder for one process; another one on the same machine is refused.

    Raises:
        UserError: another process holds it.
    """
    if '://' in model_dir:  # object stores have no locks
        yield
        return
    os.makedirs(model_dir, exist_ok=True)
    with open(os.path.join(model_dir, '.lock'), 'w', encoding='utf-8') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.UserError(f"another process is at work in '{model_dir}'; wait for it or stop it.") from error
        yield


_MAY_DIFFER = ('runtime.', 'task.test_data.', 'trainer.max_to_keep')


def _leaves(tree: Any, prefix: str = '') -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found.update(_leaves(value, f'{prefix}.{name}' if prefix else str(name)))
    return found


def save_params(params: Any, model_dir: str) -> None:
    """Writes params.yaml; a folder that holds a run of another configuration is refused.

    Raises:
        UserError: the folder's run has other settings; the text names them.
    """
    path = os.path.join(model_dir, PARAMS)
    text = yaml.safe_dump(params.as_dict(), default_flow_style=False)
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path, 'r') as handle:
            old = _leaves(yaml.safe_load(handle.read()))
        new = _leaves(yaml.safe_load(text))
        changed = [
            f'{key}: there {old.get(key)!r}, now {new.get(key)!r}'
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and not key.startswith(_MAY_DIFFER)
        ]
        if changed and tf.train.latest_checkpoint(model_dir):
            raise errors.UserError(
                f"'{model_dir}' holds a run with other settings ({'; '.join(changed[:5])}); give another --model_dir, "
                'or delete it to start anew.'
            )
    files.write_text(path, text)


def build_strategy(params: Any) -> tf.distribute.Strategy:
    """Returns the strategy of `runtime`, as Model Garden chooses it."""
    return distribute_utils.get_distribution_strategy(
        distribution_strategy=params.runtime.distribution_strategy,
        all_reduce_alg=params.runtime.all_reduce_alg,
        num_gpus=params.runtime.num_gpus,
        tpu_address=params.runtime.tpu,
    )


def prepare_process(params: Any) -> None:
    """Fixes seeds and precision for the whole process."""
    tf.keras.utils.set_random_seed(params.task.seed)
    tf.config.experimental.enable_op_determinism()
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype or 'float32')


def _pixels(params: Any) -> int:
    height, width = params.task.model.input_size[:2]
    return int(height * width)


def build_task(params: Any, strategy: tf.distribute.Strategy, model_dir: str) -> Any:
    """Builds the task a config asks for, within the strategy's scope."""
    with strategy.scope():
        return task_factory.get_task(params.task, logging_dir=model_dir)


def run(
    params: Any,
    strategy: tf.distribute.Strategy,
    mode: str,
    model_dir: str,
    categories: dict[int, str] | None = None,
) -> dict[str, Any] | None:
    """Trains or evaluates as `mode` says, from the newest checkpoint in the folder if there is one.

    Args:
        params: the resolved and validated config.
        strategy: how steps are distributed.
        mode: Model Garden's: train, eval, train_and_eval, continuous_eval, train_and_post_eval.
        model_dir: the run's folder.
        categories: class id to name, for metrics per class.

    Returns:
        After train_and_eval the best checkpoint's result on the test examples, as written to test.json.
    """
    for until in _ends(params, strategy, mode, model_dir):
        task, model = _run_until(until, params, strategy, mode, model_dir, categories)
    if mode != 'train_and_eval' or not params.trainer.best_checkpoint_export_subdir:
        return None
    data = params.task
    best = os.path.join(model_dir, params.trainer.best_checkpoint_export_subdir)
    test = data.test_data if data.test_data.input_path else data.validation_data
    return evaluate.evaluate_checkpoint(
        strategy, task, model, restore.find_checkpoint(best), test, os.path.join(model_dir, TEST)
    )


def _steps_done(model_dir: str) -> int:
    latest = tf.train.latest_checkpoint(model_dir)
    return max(evaluate.checkpoint_step(latest), 0) if latest else 0


def _ends(params: Any, strategy: tf.distribute.Strategy, mode: str, model_dir: str) -> list[int]:
    """Where the parts end that a run trains in: at the steps where the task builds another network, and at its end.

    Each part begins as a run that was killed at the end of the one before, so that where it is really killed does not
    matter.
    """
    last, done = params.trainer.train_steps, _steps_done(model_dir)
    switches = getattr(build_task(params, strategy, model_dir), 'switch_steps', ())
    return [step for step in switches if 'train' in mode and done < step < last] + [last]


def _run_until(
    until: int,
    params: Any,
    strategy: tf.distribute.Strategy,
    mode: str,
    model_dir: str,
    categories: dict[int, str] | None,
) -> tuple[Any, tf.keras.Model]:
    """Runs one part of a run, from the newest checkpoint in the folder if there is one; returns task and model."""
    task = build_task(params, strategy, model_dir)
    task.categories = categories
    task.resume_step = _steps_done(model_dir)
    data, trainer = params.task, params.trainer
    images = data.train_data.global_batch_size
    images += data.pseudo_data.global_batch_size if hasattr(data, 'pseudo_data') else 0
    # A contrastive task shows the network several views of an image.
    pixels = _pixels(params) * getattr(task, 'views', 1)
    headline = trainer.best_checkpoint_eval_metric if trainer.best_checkpoint_metric_comp == 'higher' else 'AP'
    further, size = getattr(task, 'further_images', (0, 0))
    log = run_log.RunLog(
        model_dir,
        trainer.train_steps,
        images,
        pixels,
        headline=headline,
        further_images=further,
        further_pixels=further * size,
        loss_limit=math.inf if trainer.recovery_max_trials else trainer.loss_upper_bound,
    )
    last = trainer.train_steps
    if until < last:
        params = params.replace(trainer=trainer.replace(train_steps=until))
        mode = 'train' if mode == 'train_and_post_eval' else mode
    runner = Runner(
        log=log,
        last_step=last,
        distribution_strategy=strategy,
        task=task,
        mode=mode,
        params=params,
        model_dir=model_dir,
    )
    model, _ = runner.run()
    return task, model
