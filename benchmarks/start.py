"""What a command takes before it works: `--help`, a config described, the first batch read, beside Model Garden's."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import measure

HALF, A_SECOND = 2.0, 1.0
_EXPERIMENT = 'retinanet_spinenet_coco'
# Both sides have an experiment of this name; Model Garden's is of another network, and reads images of another size.
_NETWORK = {'input_size': [128, 128, 3], 'backbone': {'spinenet': {'model_id': '143'}}}
_DESCRIBE = [f'--experiment={_EXPERIMENT}', '--params_override=task.model.input_size=[128,128,3]']
_INPUT_SIZE = [640, 640, 3]


def command(arguments: Sequence[str]) -> Callable[[], None]:
    """Work of a whole process of this Python."""
    environment = {'TF_CPP_MIN_LOG_LEVEL': '3', **os.environ}

    def work() -> None:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        # absl's --help ends with 1.
        if done.returncode not in (0, 1) or 'Traceback' in done.stderr:
            raise RuntimeError(f'{" ".join(arguments)} ended with code {done.returncode}: {done.stderr[-2000:]}')

    return work


def first_batch(whose: str, pattern: str) -> None:
    """Reads one training batch of 8 images of 640 pixels, as a train binary does after its start."""
    if whose == 'ours':
        from official_rethink.common import entry_point, lazy_imports  # noqa: PLC0415

        entry_point.quieten()  # as every command does
        lazy_imports.install()
        from official_rethink import registry_imports  # noqa: F401, PLC0415
        from official_rethink.configs import parse  # noqa: PLC0415
        from official_rethink.tasks import detection  # noqa: PLC0415

        override = f'task.train_data.input_path={pattern},task.train_data.global_batch_size=8'
        override += f',task.model.input_size={_INPUT_SIZE}'.replace(' ', '')
        params = parse.load(_EXPERIMENT, [], override).params
        task = detection.DetectionTask(params.task)
        next(iter(task.build_inputs(params.task.train_data)))
        return
    from official.core import exp_factory, task_factory  # noqa: PLC0415
    from official.vision import train  # noqa: F401, PLC0415  the train binary: all that it imports

    params = exp_factory.get_exp_config(_EXPERIMENT)
    data = {'input_path': pattern, 'global_batch_size': 8}
    params.override({'task': {'train_data': data, 'model': {'input_size': _INPUT_SIZE}}})
    task = task_factory.get_task(params.task)
    next(iter(task.build_inputs(params.task.train_data)))


def described() -> None:
    """Resolves the same experiment and builds its network with what Model Garden's train binary imports."""
    from official.core import exp_factory, task_factory  # noqa: PLC0415
    from official.vision import train  # noqa: F401, PLC0415

    params = exp_factory.get_exp_config(_EXPERIMENT)
    params.override({'task': {'model': _NETWORK}})
    task_factory.get_task(params.task).build_model()


def run(rounds: int = 2) -> list[dict[str, Any]]:
    """Measures whole processes in turn."""
    import tensorflow as tf  # noqa: PLC0415

    from benchmarks import input_pipeline  # noqa: PLC0415

    def compared(mine: Sequence[str], theirs: Sequence[str]) -> dict[str, Any]:
        return measure.measures(measure.in_turn(command(mine), command(theirs), rounds=rounds))

    script = 'from benchmarks import start; start.{}'
    train_help = ['-m', 'official_rethink.train', '--help']
    reference_help = ['-m', 'official.vision.train', '--help']
    helped = compared(train_help, reference_help)
    to_a_second = measure.quantity(helped['wall']['ours']['median'], A_SECOND, 'wall')
    rows = [
        measure.row('train --help', helped, target=HALF, unit='s', note="a process; Model Garden's train binary"),
        measure.row('train --help, to a second', to_a_second, target=1.0, unit='s', note='a process, on the clock'),
        measure.row(
            'describe',
            compared(['-m', 'official_rethink.describe', *_DESCRIBE], ['-c', script.format('described()')]),
            target=HALF,
            unit='s',
            note="a process; Model Garden has no such command: its train binary's imports, the experiment, its network",
        ),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'train-00000-of-00001.tfrecord')
        with tf.io.TFRecordWriter(path) as writer:
            for _ in range(16):
                writer.write(input_pipeline.record())
        sides = [['-c', script.format(f'first_batch({whose!r}, {path!r})')] for whose in ('ours', 'reference')]
        found = compared(*sides)
    note = 'a process from its start to 8 images of 640 pixels, shuffled and augmented'
    rows.append(measure.row('first batch', found, target=HALF, unit='s', note=note, headline='wall'))
    return rows
