"""The same training on one device, on two of one process, and on two processes; what differs, as a table.

    python -m tests.replicas --kinds=supervised,self_training --steps=10 --more=5

runs `official_rethink.train` on small networks and real shards, and prints by how much losses, weights, the optimizer's
slots, statistics of batch norm, the balance of losses and metrics differ from one device's, after the steps and, with
--more, after as many more, to which some go on from the checkpoint of another number of processes. The two processes
speak over loopback. For scale, one device runs again from weights that were changed by a millionth. Exit code 0 if no
difference is larger than rounding explains.
"""

import itertools
import json
import os
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf

from official_rethink.common import entry_point, errors
from tests.tasks import replica_runs, small_shards

LOSS, WEIGHT, SLOT, STATISTIC, BALANCE, METRIC = PARTS = ('loss', 'weight', 'slot', 'statistic', 'balance', 'metric')
# By part the largest difference that is allowed, as a share of the value; why stands in docs/many_devices.md.
TOLERANCES = {LOSS: 1e-4, WEIGHT: 2e-4, SLOT: 5e-4, STATISTIC: 5e-5, BALANCE: 5e-6, METRIC: 1e-3}
# Values, and largest values of variables, below this count as this: the difference of two zeros has no share.
SMALLEST = 1e-2
ONE, TWO_DEVICES, TWO_PROCESSES, CHANGED = 'one device', 'two devices', 'two processes', 'one device, changed'
TWO_THEN_ONE, ONE_THEN_TWO = 'two processes, then one', 'one, then two processes'
# Devices of a process, processes, the change of the weights, whose checkpoint is gone on from.
ARRANGEMENTS = {
    ONE: (1, 1, 0.0, None),
    CHANGED: (1, 1, replica_runs.CHANGE, None),
    TWO_DEVICES: (2, 1, 0.0, None),
    TWO_PROCESSES: (1, 2, 0.0, None),
    TWO_THEN_ONE: (1, 1, 0.0, TWO_PROCESSES),
    ONE_THEN_TWO: (1, 2, 0.0, ONE),
}


def _part(key):
    """The part that a checkpoint's key belongs to, None if it is not compared."""
    if key.startswith(('save_counter', 'window/', '_')):
        return None
    for part, sign in ((SLOT, '.OPTIMIZER_SLOT'), (STATISTIC, '/moving_'), (BALANCE, 'loss_balance/')):
        if sign in key:
            return part
    return SLOT if key.startswith(('optimizer/', 'global_step')) else WEIGHT


def state(model_dir, step):
    """Every value of a run's checkpoint, by part and key."""
    reader = tf.train.load_checkpoint(f'{model_dir}/ckpt-{step}')
    found = {part: {} for part in PARTS}
    for key in reader.get_variable_to_shape_map():
        part = _part(key)
        if part:
            found[part][key] = np.asarray(reader.get_tensor(key))
    return found


def measured(model_dir, first, last):
    """Losses and metrics of training and evaluation, by part and name, over the steps of a run after `first`."""
    found = {LOSS: {}, METRIC: {}}
    with open(f'{model_dir}/metrics.jsonl', encoding='utf-8') as handle:
        entries = [json.loads(line) for line in handle]
    for entry in entries:
        if first < entry['step'] <= last:
            for name, value in replica_runs.numbers(entry).items():
                part = LOSS if entry['kind'] == 'train' and name.endswith('loss') else METRIC
                found[part].setdefault(f'{entry["kind"]} {name}', []).append(value)
    return {part: {name: np.array(values) for name, values in both.items()} for part, both in found.items()}


def result(model_dir, first, last):
    """What a run has measured after the step `first` up to `last`, and its checkpoint there, by part and name."""
    return {**state(model_dir, last), **measured(model_dir, first, last)}


def differences(ours, theirs):
    """How far two results are apart, by part: the share, and what of.

    Returns:
        The largest difference as a share of the largest value that a variable, or a metric over all steps, has; parts
        that neither has are left out.

    Raises:
        ValueError: they do not hold the same.
    """
    found = {}
    for part in PARTS:
        left, right = ours[part], theirs[part]
        if left.keys() != right.keys():
            raise ValueError(f'only one of both has {sorted(left.keys() ^ right.keys())[:4]}')
        shares = [(_share(left[key], right[key]), key) for key in left if left[key].dtype.kind in 'fiu']
        if shares:
            found[part] = max(shares)
    return found


def _share(ours, theirs):
    if ours.shape != theirs.shape:
        return np.inf
    away, size = (float(np.max(np.abs(value), initial=0.0)) for value in (ours - theirs, theirs))
    return away / max(size, SMALLEST) if np.isfinite(away) else np.inf


def between_replicas(model_dir, workers, first=0):
    """The largest difference between any two replicas of a run, and the number of variables it is of.

    Args:
        model_dir: of the run.
        workers: its processes.
        first: the step it was gone on from, after which all of them keep a log.
    """
    copies, logs = replica_runs.ends(model_dir, workers)
    spread = max(float(np.max(value.max(axis=0) - value.min(axis=0), initial=0.0)) for value in copies.values())
    numbers = [_flat(json.loads(log), first) for log in logs]
    for one, other in itertools.combinations(numbers, 2):
        if one.keys() != other.keys():
            raise ValueError(f'only one process has logged {sorted(one.keys() ^ other.keys())[:4]}')
        spread = max([spread, *(abs(one[name] - other[name]) for name in one)])
    return spread, len(copies)


def _flat(entries, first):
    return {
        (kind, step, name): value
        for kind, step, metrics in entries
        for name, value in metrics.items()
        if step > first
    }


class Comparison:
    """The runs of one kind, in a folder, and whether they are equal."""

    def __init__(self, folder, kind, args):
        """Args: with the data in 'data'; one of the kinds; flags of the command."""
        self._folder, self._kind, self._args = folder, kind, args
        self.good = True

    def _model_dir(self, name):
        return os.path.join(self._folder, self._kind, name.replace(', ', '_').replace(' ', '_'))

    def _run(self, name):
        devices, workers, change, start = ARRANGEMENTS[name]
        model_dir = self._model_dir(name)
        os.makedirs(os.path.dirname(model_dir), exist_ok=True)
        if start:
            replica_runs.cut(self._model_dir(start), self._args.steps[-1], model_dir)
        data, args = os.path.join(self._folder, 'data'), self._args
        argv = replica_runs.arguments(self._kind, data, model_dir, args.steps[-1] + args.more, args.params_override)
        replica_runs.run(argv, model_dir, devices, workers, change)

    def _row(self, name, first, last):
        ours, theirs = (result(self._model_dir(one), first, last) for one in (name, ONE))
        away = differences(ours, theirs)
        columns = ' '.join(f'{away[part][0]:9.1e}' if part in away else f'{"":>9}' for part in PARTS)
        print(f'{self._kind:<14} {name:<24} {first + 1:>3} to {last:<3} {columns}', flush=True)
        for part, (share, key) in away.items():
            if share > TOLERANCES[part] and name != CHANGED:
                self.good = False
                print(f'  over {TOLERANCES[part]:g}: {part} {share:.1e} of {key}', flush=True)

    def run(self, names):
        """Runs the arrangements that are named and prints a row of each; one device comes first."""
        steps, total = self._args.steps[-1], self._args.steps[-1] + self._args.more
        stretches = [(0, step) for step in self._args.steps] + [(steps, total)]
        for name in names:
            begun = time.monotonic()
            self._run(name)
            resumed = ARRANGEMENTS[name][3]
            if name != ONE:
                for first, last in stretches:
                    if last > first and not (resumed and first < steps):
                        self._row(name, first, last)
            devices, workers, *_ = ARRANGEMENTS[name]
            if devices * workers > 1:
                spread, count = between_replicas(self._model_dir(name), workers, steps if resumed else 0)
                print(f'{"":<14} {"":<24} between replicas {spread:g}, of {count} variables, slots and the log')
                self.good &= spread == 0.0
            sys.stderr.write(f'{self._kind}, {name}: {time.monotonic() - begun:.0f} s\n')


def _steps(text):
    return [int(part) for part in text.split(',')]


def _check(args):
    for given, allowed, flag in (
        (args.kinds, replica_runs.KINDS, '--kinds'),
        (args.arrangements, ARRANGEMENTS, '--arrangements'),
    ):
        for name in given:
            if name not in allowed:
                raise errors.unknown_name(flag, name, allowed, where='the command line')
    if min(args.steps) < 1 or args.steps != sorted(args.steps) or args.more < 0:
        raise errors.UserError(f'--steps is {args.steps} and --more {args.more}; they rise from 1 and are from 0 on.')


def main(argv):
    """The whole comparison."""
    parser = entry_point.Parser(prog='python -m tests.replicas', description=__doc__)
    parser.add_argument(
        '--steps', type=_steps, default=[10], help='after which to compare; the last are before the checkpoint (10)'
    )
    parser.add_argument('--more', type=int, default=0, help='steps to go on with from a checkpoint (default: 0)')
    parser.add_argument('--kinds', type=lambda text: text.split(','), default=list(replica_runs.KINDS))
    parser.add_argument('--arrangements', type=lambda text: text.split(';'), default=list(ARRANGEMENTS), help="by ';'")
    parser.add_argument('--output_dir', default='', help='new folder for the runs (default: one that goes)')
    parser.add_argument('--params_override', default='', help='further settings, of what the runs leave as it is')
    args = parser.parse_args(argv)
    _check(args)
    wanted = [name for name in args.arrangements if args.more or not ARRANGEMENTS[name][3]]
    wanted += [ONE, *(ARRANGEMENTS[name][3] for name in wanted)]
    names = [name for name in ARRANGEMENTS if name in wanted]
    from official_rethink import registry_imports  # noqa: F401  what all forks share
    from official_rethink.tasks import runner  # noqa: F401

    with tempfile.TemporaryDirectory() as temporary:
        folder = os.path.abspath(args.output_dir or temporary)
        if os.fork() == 0:  # writing may start TensorFlow, which no fork survives
            small_shards.write_data(f'{folder}/data')
            small_shards.write_stores(f'{folder}/data')
            os._exit(0)
        os.wait()
        print(f'{"differences from one device, as shares":<39} {"steps":>9} ' + ' '.join(f'{p:>9}' for p in PARTS))
        kinds = [Comparison(folder, kind, args) for kind in args.kinds]
        for kind in kinds:
            kind.run(names)
    print('equal' if all(kind.good for kind in kinds) else 'DIFFERENT')
    return 0 if all(kind.good for kind in kinds) else 1


if __name__ == '__main__':
    entry_point.run(main)
