"""The same training on one device, on two of one process, and on two processes; what differs, as a table.

    python -m tests.replicas --steps=10

trains every kind of task on real shards, read, augmented and evaluated by the tasks themselves, and prints by how much
losses, weights, statistics and metrics differ. The two processes speak over loopback. Tests use its parts.
"""

import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import numpy as np

# TensorFlow reads the cluster when a strategy is made, and its devices cannot change after the first operation.
import tensorflow as tf

from official_rethink.common import entry_point

SUPERVISED, SELF_TRAINING, SIMCLR, JOINT, SEGMENTATION = KINDS = (
    *('supervised', 'self_training', 'simclr', 'joint', 'segmentation'),
)
IMAGES, HELD_OUT, BATCH = 26, 11, 4
# At 0.02 the contrastive loss of so few pairs rises from step to step, and with it the difference of the last bits.
RATES = {SIMCLR: 0.001}
ROOT = pathlib.Path(__file__).resolve().parents[1]


def write_data(folder):
    """Images of noise with up to three boxes, a label map and a class each: sets 'train', 'pseudo' and 'val'."""
    from PIL import Image

    from official_rethink.data import label_maps, records, shards

    def record(number, pseudo):
        generator = np.random.default_rng(number)
        height, width = 30 + number % 7, 40 - number % 5
        stream, classes = io.BytesIO(), np.zeros([height, width], np.uint8)
        Image.fromarray(generator.integers(0, 256, [height, width, 3], np.uint8)).save(stream, 'PNG')
        found = []
        for label in range(1, 1 + number % 4):
            top, left = generator.integers(0, 15, 2)
            box = (float(top), float(left), float(top + 12), float(left + 10 + label))
            found.append(records.Annotation(box, label, score=0.4 + 0.2 * label if pseudo else None))
            classes[top : top + 12, left : left + 10] = label
        classes[:, :2] = 255
        maps = {'label_map_png': label_maps.encode(classes)}
        if pseudo:
            maps['score_map_png'] = label_maps.encode(generator.integers(0, 256, classes.shape, np.uint8))
        rest = {'annotations': found, 'class_label': 1 + number % 3, 'pseudo': pseudo, **maps}
        return records.Record(str(number), stream.getvalue(), 'png', height, width, **rest)

    categories = [{'id': label, 'name': f'c{label}', 'source_id': label} for label in (1, 2, 3)]
    for split, first, count in (('train', 0, IMAGES), ('pseudo', 100, IMAGES), ('val', 200, HELD_OUT)):
        made = [record(first + number, split == 'pseudo') for number in range(count)]
        shards.write(made, str(folder), split, categories, num_shards=2)


def task_of(kind, folder):
    """The small task of a kind that reads the sets in a folder; batch statistics are over all replicas."""
    from tests.tasks import small, small_joint, small_segmentation, small_simclr

    task = {
        SUPERVISED: small.small_task,
        SELF_TRAINING: lambda: small.small_task(small.SELF_TRAINING),
        SIMCLR: small_simclr.task,
        JOINT: lambda: small_joint.task(small_joint.SELF_TRAINING_JOINT),
        SEGMENTATION: lambda: small_segmentation.task(small.SELF_TRAINING),
    }[kind]()
    config = task.task_config
    parts = {'train_data': 'train', 'pseudo_data': 'pseudo', 'classification_data': 'train', 'validation_data': 'val'}
    for part, split in parts.items():
        if hasattr(config, part):
            values = {'input_path': f'{folder}/{split}-*', 'global_batch_size': BATCH}
            training = {'is_training': True, 'sharding': False, 'shuffle_buffer_size': 40}
            rest = training if split != 'val' else {'drop_remainder': False}
            getattr(config, part).override({**values, **rest})
    return task


class Training:
    """A task, its model, optimizer and metrics under a strategy, and how far it is."""

    def __init__(self, strategy, kind, folder, first_step=0):
        """Args: the strategy; one of KINDS; where the data is; steps it has behind it, whose state `load` gets."""
        import orbit

        self.strategy, self.kind = strategy, kind
        tf.keras.utils.set_random_seed(3)
        with strategy.scope():
            self.task = task_of(kind, folder)
            self.task.resume_step = first_step
            self.model = self.task.build_model()
            self.optimizer = tf.keras.optimizers.legacy.SGD(RATES.get(kind, 0.02), momentum=0.9)
            self.metrics = self.task.build_metrics(training=True)
            self.checkpoint = tf.train.Checkpoint(model=self.model, optimizer=self.optimizer)
        data = self.task.task_config.train_data
        self._batches = iter(orbit.utils.make_distributed_dataset(strategy, self.task.build_inputs, data))
        self._step = tf.function(self._global_step)

    def _global_step(self, inputs):
        def step(batch):
            logs = self.task.train_step(batch, self.model, self.optimizer, self.metrics)
            return {name: tf.cast(value, tf.float32) for name, value in logs.items()}

        logs = self.strategy.run(step, args=(inputs,))
        return {name: self.strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}

    def run(self, steps):
        """Trains; returns the losses of each step, by name."""
        logs = [self._step(next(self._batches)) for _ in range(steps)]
        # A count is of a replica's examples; the metric of its name adds them up.
        return {name: np.array([float(log[name]) for log in logs]) for name in logs[0] if name != 'instances'}

    def state(self):
        """What a checkpoint holds, by its keys: weights, statistics, momenta, the balance of losses."""
        with tempfile.TemporaryDirectory() as folder:
            # The order of variables is not the same under every strategy; where they stand in the checkpoint is.
            saved = tf.train.load_checkpoint(self.checkpoint.write(f'{folder}/state'))
            names = sorted(saved.get_variable_to_shape_map())
            return {name: saved.get_tensor(name) for name in names if name.endswith('VARIABLE_VALUE')}

    def copies(self):
        """What each replica of this process holds of every variable, by place: [local replicas, ...]."""
        return {
            str(place): np.stack([copy.numpy() for copy in self.strategy.experimental_local_results(variable)])
            for place, variable in enumerate(self.model.variables)
        }

    def measured(self):
        """The training metrics since the start, and the evaluation's numbers."""
        from official_rethink.tasks import evaluate

        found = {f'train/{metric.name}': float(metric.result()) for metric in self.metrics}
        data = self.task.task_config.validation_data
        numbers = evaluate.evaluate(self.strategy, self.task, self.model, data)
        return {**found, **{f'val/{name}': float(value) for name, value in numbers.items()}}


def result(training, steps):
    """Everything about a training of some more steps, as a flat dictionary of arrays."""
    losses = training.run(steps)
    parts = {'loss': losses, 'state': training.state(), 'copy': training.copies(), 'metric': training.measured()}
    return {f'{part}|{name}': np.asarray(value) for part, found in parts.items() for name, value in found.items()}


def part(found, name):
    """The arrays of one part of a result."""
    return {key.split('|', 1)[1]: value for key, value in found.items() if key.startswith(f'{name}|')}


def free_ports(count):
    """Ports of loopback that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(('localhost', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def two_processes(folder, output, kinds, steps, restored='', timeout=900):
    """Trains every kind in two processes; returns what each worker found, by kind.

    Args:
        folder: the data.
        output: a folder for what they write: <kind>-<worker>.npz, and the checkpoints <kind>-<worker>.
        kinds: of task.
        steps: of each.
        restored: a checkpoint to start from, and how many steps are behind it: '<path>@<step>'.
        timeout: in seconds.
    """
    cluster = {'worker': [f'localhost:{port}' for port in free_ports(2)]}
    started = []
    for worker in range(2):
        config = json.dumps({'cluster': cluster, 'task': {'type': 'worker', 'index': worker}})
        environment = {**os.environ, 'TF_CONFIG': config, 'PYTHONPATH': str(ROOT)}
        command = [sys.executable, '-m', 'tests.replicas', f'--worker={worker}', f'--folder={folder}']
        command += [f'--output={output}', f'--kinds={",".join(kinds)}', f'--steps={steps}', f'--restored={restored}']
        with open(f'{output}/worker-{worker}.log', 'w', encoding='utf-8') as log:
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    if any(codes):
        logs = [pathlib.Path(f'{output}/worker-{worker}.log').read_text(encoding='utf-8') for worker in range(2)]
        raise RuntimeError('\n'.join(log[-3000:] for log in logs))
    return {kind: [dict(np.load(f'{output}/{kind}-{worker}.npz')) for worker in range(2)] for kind in kinds}


def _work(args):
    """One of two processes."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    for kind in args.kinds.split(','):
        path, _, step = args.restored.partition('@')
        training = Training(strategy, kind, args.folder, int(step or 0))
        if path:
            training.checkpoint.read(path).expect_partial()
        found = result(training, args.steps)
        # All workers read the variables that a checkpoint holds; each writes into a place of its own.
        training.checkpoint.write(f'{args.output}/{kind}-{args.worker}')
        np.savez(f'{args.output}/{kind}-{args.worker}.npz', **found)


def _sorted(variables):
    """Variables by shape and size: their order in a model is not the same each time one is built.

    A wrong pair would be a difference too many, never one too few.
    """
    ordered = sorted(variables, key=lambda value: (value.shape, float(np.abs(value).sum())))
    return {f'{place} {value.shape}': value for place, value in enumerate(ordered)}


def differences(ours, theirs):
    """How far two results are apart, by part.

    Returns:
        Of losses and metrics the largest share of the value; of the state the largest share of a variable's largest
        value, over all variables.
    """
    found = {}
    for name in ('loss', 'metric', 'state'):
        left, right = part(ours, name), part(theirs, name)
        if name == 'state':
            left, right = _sorted(left.values()), _sorted(right.values())
        assert left.keys() == right.keys(), left.keys() ^ right.keys()
        shares = [
            np.max(np.abs(left[key] - right[key]), initial=0.0) / max(np.max(np.abs(right[key]), initial=0.0), 1e-2)
            for key in left
        ]
        found[name] = float(max(shares))
    return found


def _show(args):
    from tests import devices

    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    kinds = args.kinds.split(',')
    with tempfile.TemporaryDirectory() as folder:
        write_data(folder)
        both = two_processes(folder, folder, kinds, args.steps)
        print(f'{args.steps} steps of {BATCH} examples a kind of label; differences from one device, as shares')
        print(f'{"":<14} {"":<14} {"losses":>9} {"weights":>9} {"metrics":>9}')
        for kind in kinds:
            one = result(Training(tf.distribute.OneDeviceStrategy('/cpu:0'), kind, folder), args.steps)
            two = result(Training(devices.two_devices(), kind, folder), args.steps)
            for name, found in (('two devices', two), ('two processes', both[kind][0])):
                away = differences(found, one)
                columns = ' '.join(f'{away[about]:9.1e}' for about in ('loss', 'state', 'metric'))
                print(f'{kind:<14} {name:<14} {columns}', flush=True)
            between = max(
                float(np.max(np.abs(value - both[kind][1][key]), initial=0.0)) for key, value in both[kind][0].items()
            )
            print(f'{kind:<14} between the two processes, at most {between:.1e}')


def main(argv):
    """The whole comparison, or one worker's part of it."""
    parser = entry_point.Parser(description=__doc__)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--kinds', default=','.join(KINDS))
    for name in ('worker', 'folder', 'output', 'restored'):
        parser.add_argument(f'--{name}', default='', help='set by the comparison itself')
    args = parser.parse_args(argv)
    (_work if args.worker else _show)(args)


if __name__ == '__main__':
    entry_point.run(main)
