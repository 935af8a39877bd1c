"""Stops and kills a training of two workers at random steps, starts it again, and compares its end with another's.

    python -m tools.kill_training --output_dir=runs/kills --kills=20

The other is not disturbed. Each run is a small detector on the built-in scenes, trained by `official_rethink.train` in
two processes on loopback. In turn one worker or both get SIGTERM or SIGKILL, at a random moment of the training; then
all are started again. The last run of all is gone on with by one process after its kills. Exit code 0 if every run
ended with the undisturbed weights.

The commands are forked from one process that has imported TensorFlow, which saves most of a start's time.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from official_rethink.common import entry_point, progress
from tools import output_folder

STEPS, WINDOW, INTERVAL = 60, 5, 20
# A start that takes longer than this hangs.
PATIENCE = 900.0
# Two workers add the same two parts in the same order. One process sums in another order, and steps enlarge what that
# rounds; ten steps at the schedule's end, where they are smallest, change a value by 0.8.
TOLERANCE, TOLERANCE_ALONE = 0.0, 1e-4
# A value is compared with the largest of its tensor, and with this at least: the gradient of a bias before batch norm
# is rounding and nothing else, so such biases are some 1e-9 and have no digits in common.
FLOOR = 1e-3

_MODEL = (
    'task.model.num_classes=9,task.model.input_size=[64,64,3],task.model.min_level=3,task.model.max_level=4,'
    'task.model.anchor.num_scales=1,task.model.backbone.type=resnet,task.model.backbone.resnet.model_id=10,'
    'task.model.backbone.resnet.depth_multiplier=0.25,task.model.decoder.type=fpn,'
    'task.model.decoder.fpn.num_filters=16,task.model.head.num_convs=1,task.model.head.num_filters=16,'
    'task.model.norm_activation.activation=relu,task.model.norm_activation.use_sync_bn=true,'
    'task.model.detection_generator.nms_version=batched,task.train_data.augmentation.policy=S1,'
    'task.train_data.global_batch_size=4,task.validation_data.global_batch_size=4,runtime.mixed_precision_dtype=float32'
)
_LENGTH = (
    f'trainer.schedule.base_batch_size=4,trainer.schedule.base_train_steps={STEPS},'
    'trainer.schedule.base_warmup_steps=5,trainer.schedule.base_learning_rate=0.01,'
    f'trainer.validation_interval={INTERVAL},trainer.checkpoint_interval={2 * WINDOW},trainer.steps_per_loop={WINDOW}'
)


class Kill(NamedTuple):
    """What a round does.

    Attributes:
        number: of the signal.
        both: whether both workers get it.
    """

    number: signal.Signals
    both: bool


KINDS = (
    Kill(signal.SIGTERM, False),
    Kill(signal.SIGKILL, True),
    Kill(signal.SIGTERM, True),
    Kill(signal.SIGKILL, False),
)


def make_data(folder: str) -> None:
    """Draws 48 scenes to train on and 8 to measure on, in one shard each."""
    from official_rethink import prepare  # noqa: PLC0415  after TensorFlow has been quietened

    for split, count, seed in (('train', 48, 0), ('val', 8, 1)):
        common = [f'--output_dir={folder}', f'--split={split}', f'--num_images={count}', f'--seed={seed}']
        prepare.main(['scenes', *common, '--size=64', '--num_shards=1', '--processes=1'])


def arguments(data: str, model_dir: str) -> list[str]:
    """Flags of the training."""
    paths = f'task.train_data.input_path={data}/train-*,task.validation_data.input_path={data}/val-*'
    return [
        'train',
        '--experiment=retinanet_efficientnet_coco',
        '--mode=train_and_eval',
        f'--model_dir={model_dir}',
        f'--params_override={_MODEL},{_LENGTH},{paths}',
    ]


def start(
    argv: list[str], workers: int, log: str, before: Callable[[int], None] = lambda index: None
) -> list[int]:
    """Forks the workers of a job.

    Args:
        argv: of the train command, its name first.
        workers: how many.
        log: path of what they print, to which '.<number>' is added.
        before: is called with its number in each of them, before anything of TensorFlow is.

    Returns:
        Their process ids.
    """
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    addresses = [f'127.0.0.1:{one.getsockname()[1]}' for one in sockets]
    for one in sockets:
        one.close()
    found = []
    for index in range(workers):
        pid = os.fork()
        if not pid:
            _become(argv, addresses, index, f'{log}.{index}', before)
        found.append(pid)
    return found


def _become(argv: list[str], addresses: list[str], index: int, log: str, before: Callable[[int], None]) -> None:
    """Runs the command in a forked process, and ends it."""
    from official_rethink import train  # noqa: PLC0415

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    if len(addresses) > 1:
        task = {'type': 'worker', 'index': index}
        os.environ['TF_CONFIG'] = json.dumps({'cluster': {'worker': addresses}, 'task': task})
    sys.argv = argv
    code = 1
    try:
        before(index)
        entry_point.run(train.main)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def wait(pids: Sequence[int], seconds: float) -> list[int] | None:
    """Exit codes of the processes, -n of a signal; None, and all are killed, if they take longer."""
    codes: dict[int, int] = {}
    deadline = time.monotonic() + seconds
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[pid] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for pid in set(pids) - set(codes):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            return None
        time.sleep(0.05)
    return [codes[pid] for pid in pids]


def logged_step(model_dir: str, since: float) -> int:
    """The last step in a run's log that was logged since a time; 0 if there is none."""
    try:
        with open(os.path.join(model_dir, 'metrics.jsonl'), encoding='utf-8') as handle:
            entries = [json.loads(line) for line in handle if line.endswith('}\n')]
    except FileNotFoundError:
        return 0
    return max((int(entry['step']) for entry in entries if entry['time'] >= since), default=0)


def saved_step(model_dir: str) -> int:
    """The step of the newest whole checkpoint."""
    from official_rethink.common import whole_checkpoints  # noqa: PLC0415

    found = whole_checkpoints.newest(model_dir)
    return int(found.rsplit('-', 1)[1]) if found else 0


def disturb(argv: list[str], model_dir: str, kill: Kill, target: int, draw: random.Random) -> dict[str, Any]:
    """Starts both workers, kills as `kill` says at about the step `target`; returns what happened."""
    begun = saved_step(model_dir)
    since = time.time()
    pids = start(argv, 2, model_dir + '.log')
    deadline = time.monotonic() + PATIENCE
    # A step is logged at its window's end, so the moment after it is drawn too.
    while logged_step(model_dir, since) <= max(target - WINDOW, begun) and time.monotonic() < deadline:
        if any(os.waitpid(pid, os.WNOHANG)[0] for pid in pids):
            raise RuntimeError(f'a worker ended before it was killed; see {model_dir}.log.*')
        time.sleep(0.01)
    time.sleep(draw.uniform(0.0, 1.0))
    chosen = pids if kill.both else [draw.choice(pids)]
    for pid in chosen:
        os.kill(pid, kill.number)
    sent = time.monotonic()
    codes = wait(pids, PATIENCE)
    return {
        'signal': kill.number.name,
        'whom': 'both' if kill.both else f'worker {pids.index(chosen[0])}',
        'from': begun,
        'seconds': round(time.monotonic() - sent, 1),
        'codes': codes,
        'saved': saved_step(model_dir),
    }


def difference(one: str, other: str) -> float:
    """The largest difference of a value of two runs' last checkpoints, optimizer included, beside that value's size."""
    import numpy as np  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    readers = [tf.train.load_checkpoint(os.path.join(folder, f'ckpt-{STEPS}')) for folder in (one, other)]
    names = [
        {name for name in reader.get_variable_to_shape_map() if not name.startswith(('save_counter', 'window', '_'))}
        for reader in readers
    ]
    if names[0] != names[1]:
        return float('inf')
    largest = 0.0
    for name in names[0]:
        left, right = (np.asarray(reader.get_tensor(name)) for reader in readers)
        if left.dtype.kind in 'fiu':
            scale = max(float(np.max(np.abs(left), initial=0.0)), FLOOR)
            largest = max(largest, float(np.max(np.abs(left - right), initial=0.0)) / scale)
    return largest


def finish(argv: list[str], model_dir: str, workers: int) -> list[int] | None:
    """Lets a run go to its end."""
    return wait(start(argv, workers, model_dir + '.log'), PATIENCE)


def one_run(out: str, number: int, kills: list[Kill], alone: bool, draw: random.Random) -> bool:
    """A run with its kills, and the comparison of its end; prints a line for each."""
    model_dir = os.path.join(out, f'run{number}')
    argv = arguments(os.path.join(out, 'data'), model_dir)
    good = True
    targets = sorted(draw.sample(range(1, STEPS - WINDOW), len(kills)))
    for kill, target in zip(kills, targets, strict=True):
        row = disturb(argv, model_dir, kill, target, draw)
        good &= row['codes'] is not None and any(row['codes'])
        print(f'  {number:>3}  {row["signal"]:<8}{row["whom"]:<10}{row["from"]:>5}{row["saved"]:>7}'
              f'{row["seconds"]:>9}  {row["codes"]}', flush=True)
    codes = finish(argv, model_dir, 1 if alone else 2)
    if codes is None or any(codes):
        print(f'  run {number} did not end: exit codes {codes}; see {model_dir}.log.*')
        return False
    found = difference(os.path.join(out, 'whole'), model_dir)
    limit = TOLERANCE_ALONE if alone else TOLERANCE
    equal = found <= limit
    who = 'one process' if alone else 'two workers'
    print(f'run {number} ended with {who}: largest relative difference {found:.3g}, allowed {limit:g}: '
          f'{"equal" if equal else "DIFFERS"}', flush=True)
    return good and equal


def main(argv: Sequence[str]) -> int:
    """Runs the undisturbed training, then the killed ones; returns the exit code."""
    parser = entry_point.Parser(prog='python -m tools.kill_training', description=__doc__)
    parser.add_argument('--output_dir', required=True, help='new folder for data, runs and logs')
    parser.add_argument('--kills', type=int, default=20, help='in all (default: 20)')
    parser.add_argument('--kills_a_run', type=int, default=5, help='after which a run is let to its end (default: 5)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    flags = parser.parse_args(argv)
    out = output_folder.make(flags.output_dir)
    # With oneDNN about one start in ten rounds otherwise, disturbed or not, and whether a resumed run is the same run
    # could then not be told from that.
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
    from official_rethink import registry_imports  # noqa: F401, PLC0415  what all forks share
    from official_rethink.tasks import runner  # noqa: F401, PLC0415

    begun = time.monotonic()
    if os.fork() == 0:  # drawing may start TensorFlow, which no fork survives
        make_data(os.path.join(out, 'data'))
        os._exit(0)
    os.wait()
    whole = os.path.join(out, 'whole')
    codes = finish(arguments(os.path.join(out, 'data'), whole), whole, 2)
    if codes != [0, 0]:
        print(f'the undisturbed run failed: exit codes {codes}; see {whole}.log.*')
        return 1
    print(f'undisturbed: {STEPS} steps in {progress.duration(time.monotonic() - begun)}')
    print('  run  signal  to         from  saved  seconds  exit codes', flush=True)
    draw, kinds = random.Random(flags.seed), [KINDS[number % len(KINDS)] for number in range(flags.kills)]
    runs = [kinds[at : at + flags.kills_a_run] for at in range(0, len(kinds), flags.kills_a_run)]
    ends = [one_run(out, number, kills, number == len(runs) - 1, draw) for number, kills in enumerate(runs)]
    print(f'{sum(ends)} of {len(ends)} runs with {flags.kills} kills ended with the undisturbed weights')
    return 0 if all(ends) else 1


if __name__ == '__main__':
    entry_point.run(main)
