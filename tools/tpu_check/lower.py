"""First half of `make tpu-check`, in the project's environment: TensorFlow traces a step and lowers it to XLA's HLO.

Nothing is executed but the creation of variables, and no data is read: the shapes are those of the real readers on an
empty shard.
"""

import argparse
import dataclasses
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tools.tpu_check import steps as listed

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SPLIT = 'nothing'
_INPUTS = ('train_data', 'pseudo_data', 'validation_data', 'classification_data')


class Traced(NamedTuple):
    """A replica's function. Attributes: it, compiled when called; its inputs' specs, flat; its traced form."""

    function: Any
    specs: list[Any]
    concrete: Any


def empty_set(folder: str, task: Any) -> str:
    """Writes a prepared set without an image, that the readers of `task` take; returns the pattern that reads it.

    Args:
        folder: where to.
        task: the task's config; of key points the set has as many as its head.
    """
    from official_rethink.data import keypoints, shards  # noqa: PLC0415

    # PASCAL's images have 500 pixels a side at most.
    description: dict[str, Any] = {'split': _SPLIT, 'image_ids': [], 'shards': [], 'image_sizes': {'max': [500, 500]}}
    description['format_version'] = shards.FORMAT_VERSION
    if getattr(task.model, 'include_keypoints', False):
        count = task.model.keypoint_head.num_keypoints
        names = [f'point_{index}' for index in range(count)]
        description[keypoints.FIELD] = {'names': names, 'flip_pairs': [], 'sigmas': [0.1] * count}
    with open(os.path.join(folder, f'{_SPLIT}-00000-of-00001.tfrecord'), 'wb'):
        pass
    with open(os.path.join(folder, f'{_SPLIT}.json'), 'w', encoding='utf-8') as handle:
        json.dump(description, handle)
    return os.path.join(folder, f'{_SPLIT}*')


def place_inputs(params: Any, pattern: str) -> None:
    """Lets every stream of a config read `pattern`, whole."""
    for name in _INPUTS:
        data = getattr(params.task, name, None)
        if data is not None:
            data.input_path = pattern
            if getattr(data, 'split_file', ''):
                data.split_file = ''


def trace(params: Any, experiment: str, mode: str, strategy: Any) -> Traced:
    """Builds what an entry point builds, and traces one replica's part of one step.

    Args:
        params: the config; its streams can be opened. The precision of the process is set.
        experiment: its name.
        mode: of `steps.Step`.
        strategy: `replica.ReplicaOfMany`, or any whose replica context can be traced.
    """
    import tensorflow as tf  # noqa: PLC0415
    from official.core import task_factory  # noqa: PLC0415

    with strategy.scope():
        task = task_factory.get_task(params.task)
        model = task.build_model()
        if mode == listed.TRAIN:
            run = _training(params, task, model)
            spec = _batch_spec(task, params.task.train_data, strategy)
        else:
            spec = _batch_spec(task, params.task.validation_data, strategy)
            run = _evaluation(task, model) if mode == listed.EVALUATE else _labelling(params, experiment, task, model)
            spec = spec if mode == listed.EVALUATE else _label_spec(spec)
    flat = tf.nest.flatten(spec)

    def step(*values: tf.Tensor) -> Any:
        return strategy.run(run, args=(tf.nest.pack_sequence_as(spec, values),))

    function = tf.function(step, jit_compile=True, autograph=False)
    return Traced(function, flat, function.get_concrete_function(*flat))


def _batch_spec(task: Any, data: Any, strategy: Any) -> Any:
    """What a replica's reader gives, with static shapes or an error."""
    import tensorflow as tf  # noqa: PLC0415

    context = tf.distribute.InputContext(1, 0, strategy.num_replicas_in_sync)
    spec = task.build_inputs(data, context).element_spec
    for leaf in tf.nest.flatten(spec):
        if not leaf.shape.is_fully_defined():
            raise ValueError(f'a reader gives {leaf}, whose shape is not static.')
    return spec


def _training(params: Any, task: Any, model: Any) -> Callable[[Any], None]:
    """What Model Garden's trainer runs on a replica: base_trainer.Trainer.train_step."""
    import tensorflow as tf  # noqa: PLC0415
    from official.modeling import optimization  # noqa: PLC0415

    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    if isinstance(optimizer, optimization.ExponentialMovingAverage):
        optimizer.shadow_copy(model)
    # A function that makes variables is traced twice, which takes minutes of a large network.
    optimizer._create_all_weights(getattr(model, 'trained_variables', model.trainable_variables))
    metrics = task.build_metrics(training=True)
    mean = tf.keras.metrics.Mean('training_loss', dtype=tf.float32)

    def run(inputs: Any) -> None:
        logs = task.train_step(inputs, model=model, optimizer=optimizer, metrics=metrics)
        mean.update_state(logs[task.loss])

    return run


def _evaluation(task: Any, model: Any) -> Callable[[Any], Any]:
    metrics = task.build_metrics(training=False)
    return lambda inputs: task.validation_step(inputs, model=model, metrics=metrics)


def _labelling(params: Any, experiment: str, task: Any, model: Any) -> Callable[[Any], Any]:
    """What `pseudo_label` runs on a replica."""
    from official_rethink.pseudo_labels import kinds  # noqa: PLC0415

    predict = kinds.of(params, experiment).predict(task, model)
    return lambda inputs: {name: value for name, value in predict(*inputs).items() if name != 'raw'}


def _label_spec(spec: Any) -> Any:
    """Images and their scale, which is all a teacher sees."""
    import tensorflow as tf  # noqa: PLC0415

    images, labels = spec
    info = labels['image_info'] if 'image_info' in labels else tf.TensorSpec([images.shape[0], 4, 2], tf.float32)
    return images, info


def lowered(traced: Traced) -> bytes:
    """Returns the step as a serialized HloModuleProto.

    Raises:
        ValueError: with XLA's text: an operation has no lowering, or a shape is not static.
    """
    return traced.function.experimental_get_compiler_ir(*traced.specs)(stage='hlo_serialized')


def load(step: listed.Step, precision: str) -> Any:
    """Resolves a step's config, with its batch and precision."""
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415

    overrides = f'runtime.distribution_strategy=tpu,runtime.mixed_precision_dtype={precision}'
    if step.batch:
        overrides += f',task.validation_data.global_batch_size={step.batch}'
    files = (os.path.join(_ROOT, step.config_file),) if step.config_file else ()
    return parse.load(step.experiment, files, overrides).params


def main(argv: Sequence[str]) -> int:
    """Lowers one step; returns 0, or 1 where it cannot be lowered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--step', required=True, choices=[step.name for step in listed.STEPS])
    parser.add_argument('--precision', required=True, choices=listed.PRECISIONS)
    parser.add_argument('--slice', default='', help="another than the step's")
    parser.add_argument('--hlo', required=True, help='file to write')
    parser.add_argument('--report', required=True, help='JSON to write: what was found')
    args = parser.parse_args(argv)
    step = next(step for step in listed.STEPS if step.name == args.step)
    step = dataclasses.replace(step, slice=args.slice or step.slice)
    report = _lower(step, args.precision, args.hlo)
    with open(args.report, 'w', encoding='utf-8') as handle:
        json.dump(report, handle)
    return 1 if 'error' in report or report['host_only'] else 0


def _lower(step: listed.Step, precision: str, hlo: str) -> dict[str, Any]:
    from official_rethink.tasks import runner  # noqa: PLC0415
    from tools.tpu_check import operations, replica  # noqa: PLC0415

    started = time.monotonic()
    params = load(step, precision)
    runner.prepare_process(params)
    with tempfile.TemporaryDirectory() as folder:
        place_inputs(params, empty_set(folder, params.task))
        traced = trace(params, step.experiment, step.mode, replica.ReplicaOfMany(step.cores))
    graph = traced.concrete.graph
    report: dict[str, Any] = {
        'inputs': [f'{spec.dtype.name}{list(spec.shape)}' for spec in traced.specs[:1]],
        'batch': traced.specs[0].shape[0],
        'host_only': [found._asdict() for found in operations.host_only(graph)],
    }
    try:
        text = lowered(traced)
    except ValueError as error:
        report['error'] = str(error)
    else:
        with open(hlo, 'wb') as handle:
            handle.write(text)
    report['places'] = operations.places(graph)
    report['seconds'] = time.monotonic() - started
    report['peak_bytes'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return report


if __name__ == '__main__':
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    sys.exit(main(sys.argv[1:]))
