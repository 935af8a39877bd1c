"""Model Garden's experiment runner, so that a killed run goes on and ends where an undisturbed one would."""

import functools
import math
import os
import tempfile
from typing import Any

import tensorflow as tf
from official.common import distribute_utils
from official.core import task_factory, train_lib, train_utils
from official.modeling import performance

from official_rethink.common import cluster, stopping
from official_rethink.modeling import restore
from official_rethink.tasks import controller, evaluate, run_folder, run_log, trainer
from official_rethink.tasks.crew import Crew, place_of, watched

# Seconds: a managed service may start machines minutes apart; a busy one may be silent for a while.
COMES_WITHIN, _ANSWERS_WITHIN = 600, 20


class Runner(train_lib.OrbitExperimentRunner):
    """Model Garden's runner with our exporter, trainer, controller and log."""

    def __init__(
        self,
        *,
        log: run_log.RunLog,
        crew: Crew,
        start: str | None,
        last_step: int,
        first_steps: list[int],
        **kwargs: Any,
    ):
        """Prepares a part of a run.

        Args:
            log: of the run.
            crew: the processes that train.
            start: the checkpoint it goes on from, None for the beginning.
            last_step: of the run.
            first_steps: of its parts.
            **kwargs: as Model Garden's.
        """
        self._log, self._crew, self._start = log, crew, start
        # All workers have to save, as reading some variables takes them all; those that do not write for the run save
        # into a folder of their own, which goes with the process.
        self._aside = None if crew.is_chief else tempfile.TemporaryDirectory(prefix='worker-')
        super().__init__(controller_cls=controller.Controller, save_summary=crew.is_chief, **kwargs)
        self.controller.log, self.controller.last_step = log, last_step
        self.controller.first_steps = first_steps
        step = int(self.trainer.global_step.numpy())
        training = hasattr(self.trainer, 'window')
        log.resume(step, float(self.trainer.window.seconds.numpy()) if training else 0.0)
        if training:
            empty = _empty_pseudo_labels(kwargs['params'].task, kwargs['task'], log, step)
            action = controller.after_window(self.trainer, log, empty)
            self.controller.train_actions = (action, *self.controller.train_actions)

    def _folder(self) -> str:
        """Where this process saves."""
        return self._aside.name if self._aside else str(self.model_dir)

    def _build_best_checkpoint_exporter(self) -> controller.BestCheckpointExporter | None:
        settings = self.params.trainer
        if not settings.best_checkpoint_export_subdir:
            return None
        return controller.BestCheckpointExporter(
            os.path.join(self._folder(), settings.best_checkpoint_export_subdir),
            settings.best_checkpoint_eval_metric,
            settings.best_checkpoint_metric_comp,
            self._crew,
        )

    def _build_trainer(self, task: Any, train: bool, evaluate: bool) -> trainer.Trainer:
        with self.strategy.scope():
            return trainer.Trainer(
                self.params,
                task,
                model=task.build_model(),
                optimizer=train_utils.create_optimizer(task, self.params),
                train=train,
                evaluate=evaluate,
                checkpoint_exporter=self._build_best_checkpoint_exporter(),
                crew=self._crew,
            )

    def _maybe_build_checkpoint_manager(self) -> controller.CheckpointManager:
        return controller.CheckpointManager(
            self.trainer.checkpoint,
            directory=self._folder(),
            max_to_keep=self.params.trainer.max_to_keep if self._crew.is_chief else 1,
            step_counter=self.trainer.global_step,
            checkpoint_interval=self.params.trainer.checkpoint_interval,
            init_fn=self.trainer.initialize,
            start=self._start,
        )


def _empty_pseudo_labels(config: Any, task: Any, log: run_log.RunLog, step: int) -> run_log.EmptyPseudoLabels | None:
    # A store of class labels is sifted before the run starts, and an empty choice refused then.
    if not hasattr(config, 'pseudo_data') or not hasattr(config.pseudo_data, 'abort_after_empty_steps'):
        return None
    pseudo = config.pseudo_data
    empty = run_log.EmptyPseudoLabels(pseudo.abort_after_empty_steps, pseudo.score_threshold, *task.pseudo_presence)
    empty.resume(log.entries, step)
    return empty


def build_strategy(params: Any) -> tf.distribute.Strategy:
    """Returns the strategy of `runtime`, as Model Garden chooses it.

    Several machines wait here for each other. TensorFlow would wait for ever, and not hear a signal meanwhile; so the
    system ends a process whose wait is in vain.

    Raises:
        PeerLost: one of them was there, and is not any more.
    """
    runtime = params.runtime
    machines = cluster.read(os.environ)
    build = functools.partial(
        distribute_utils.get_distribution_strategy,
        distribution_strategy=runtime.distribution_strategy,
        all_reduce_alg=runtime.all_reduce_alg,
        num_gpus=runtime.num_gpus,
        tpu_address=runtime.tpu,
    )
    if not machines or machines.num_workers == 1 or runtime.distribution_strategy != 'multi_worker_mirrored':
        return build()
    _limit_waiting(machines)
    with watched(place_of(machines)), stopping.at_the_system(COMES_WITHIN):
        return build()


def _limit_waiting(machines: cluster.Cluster) -> None:
    """Sets how long TensorFlow waits for a machine that does not answer."""
    from tensorflow.python.eager import context  # noqa: PLC0415  not public, but what its strategy calls

    config = context.coordination_config_pb2
    roles = {role: addresses for role, addresses in machines.machines.items() if role in ('chief', 'worker')}
    leader = 'chief' if 'chief' in roles else 'worker'
    context.context().configure_coordination_service(
        service_type='standalone',
        service_leader=f'/job:{leader}/replica:0/task:0',
        cluster_register_timeout_in_ms=COMES_WITHIN * 1000,
        heartbeat_timeout_in_ms=_ANSWERS_WITHIN * 1000,
        coordinated_jobs=[
            config.CoordinatedJob(name=role, num_tasks=len(addresses)) for role, addresses in roles.items()
        ],
    )


def prepare_process(params: Any) -> None:
    """Fixes seeds and precision for the whole process."""
    tf.keras.utils.set_random_seed(params.task.seed)
    # TPUs compute the same again by themselves; asked for it, TensorFlow refuses the gradient of max pooling in XLA.
    if params.runtime.distribution_strategy != 'tpu':
        tf.config.experimental.enable_op_determinism()
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype or 'float32')


def _pixels(params: Any) -> int:
    height, width = params.task.model.input_size[:2]
    return int(height * width)


def build_task(params: Any, strategy: tf.distribute.Strategy, model_dir: str) -> Any:
    """Builds the task a config asks for, within the strategy's scope."""
    with strategy.scope():
        return task_factory.get_task(params.task, logging_dir=model_dir)


def open_folder(params: Any, strategy: tf.distribute.Strategy, model_dir: str) -> None:
    """Notes in the run's folder what it is made with.

    Raises:
        UserError: it is not one folder for all machines.
    """
    crew = Crew(strategy)
    with crew.watched():
        if crew.is_chief:
            run_folder.save_params(params, model_dir)
        if crew.size > 1:
            crew.sums(0.0)
            crew.check_shared(os.path.join(model_dir, run_folder.PARAMS))


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
    crew = Crew(strategy)
    with crew.watched():
        start = crew.newest_checkpoint(model_dir, mend='train' in mode)
        task = build_task(params, strategy, model_dir)
        ends = _ends(params, task, mode, _steps_done(start))
        for part, until in enumerate(ends):
            task = build_task(params, strategy, model_dir) if part else task  # each part has one of its own
            task.categories = categories
            task.resume_step = _steps_done(start)
            model = _run_until(until, task, params, crew, mode, model_dir, start)
            start = crew.newest_checkpoint(model_dir) if until < ends[-1] else None
        if mode != 'train_and_eval' or not params.trainer.best_checkpoint_export_subdir:
            crew.leave()
            return None
        data = params.task
        best = os.path.join(model_dir, params.trainer.best_checkpoint_export_subdir)
        best = crew.newest_checkpoint(best) or restore.find_checkpoint(best)
        test = data.test_data if data.test_data.input_path else data.validation_data
        output = os.path.join(model_dir, run_folder.TEST)
        result = evaluate.evaluate_checkpoint(strategy, task, model, best, test, output)
        crew.leave()
        return result


def _steps_done(checkpoint: str | None) -> int:
    return max(evaluate.checkpoint_step(checkpoint), 0) if checkpoint else 0


def _ends(params: Any, task: Any, mode: str, done: int) -> list[int]:
    """Where the parts end that a run trains in: at the steps where the task builds another network, and at its end.

    Each part begins as a run that was killed at the end of the one before, so that where it is really killed does not
    matter.
    """
    last = params.trainer.train_steps
    return [step for step in _switches(task) if 'train' in mode and done < step < last] + [last]


def _switches(task: Any) -> list[int]:
    return list(getattr(task, 'switch_steps', ()))


def _build_log(params: Any, task: Any, crew: Crew, model_dir: str) -> run_log.RunLog:
    data, settings = params.task, params.trainer
    images = data.train_data.global_batch_size
    images += data.pseudo_data.global_batch_size if hasattr(data, 'pseudo_data') else 0
    # A contrastive task shows the network several views of an image.
    pixels = _pixels(params) * getattr(task, 'views', 1)
    headline = settings.best_checkpoint_eval_metric if settings.best_checkpoint_metric_comp == 'higher' else 'AP'
    further, size = getattr(task, 'further_images', (0, 0))
    return run_log.RunLog(
        model_dir,
        settings.train_steps,
        images,
        pixels,
        headline=headline,
        further_images=further,
        further_pixels=further * size,
        loss_limit=math.inf if settings.recovery_max_trials else settings.loss_upper_bound,
        writes=crew.is_chief,
    )


def _run_until(
    until: int,
    task: Any,
    params: Any,
    crew: Crew,
    mode: str,
    model_dir: str,
    start: str | None,
) -> tf.keras.Model:
    """Runs one part of a run, from the checkpoint `start` if there is one; returns the model."""
    log = _build_log(params, task, crew, model_dir)
    settings = params.trainer
    last = settings.train_steps
    # Model Garden's own answer to SIGTERM saves and goes on.
    changed = {'train_steps': until, 'preemption_on_demand_checkpoint': False}
    runner = Runner(
        log=log,
        crew=crew,
        start=start,
        last_step=last,
        first_steps=[0, *(step for step in _switches(task) if step < last)],
        distribution_strategy=crew.strategy,
        task=task,
        mode='train' if mode == 'train_and_post_eval' and until < last else mode,
        params=params.replace(trainer=settings.replace(**changed)),
        model_dir=model_dir,
    )
    model, _ = runner.run()
    return model
