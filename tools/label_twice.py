"""Labels the same images by the plain command and by the pipeline, killed on the way too, and compares the stores.

    python -m tools.label_twice --output_dir=runs/twice --images=2000 --broken=20 --kill_at=3,11

Makes small pictures, some of them broken, and an untrained teacher that draws boxes on all of them. The plain command,
the pipeline, and a pipeline that is killed (SIGKILL, with its workers) when so many shards are there and started again
have to leave the same records, descriptions and manifests; exit code 0 if they do. What follows after -- are Beam's
options.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from official_rethink.common import entry_point, errors
from tools import broken_images, compare_stores, output_folder, tiny_teacher

PLAIN, PIPELINE = 'official_rethink.pseudo_label', 'export.label_at_scale'
_POLL = 0.05
_UNEVEN = 7  # shards of the input, none of which begins where one of the output does


def make_teacher(folder: str) -> None:
    """Writes params.yaml, ckpt-30 and the scenes that name the classes into a folder."""
    from official_rethink.data import scenes  # noqa: PLC0415  brings TensorFlow, which is quietened first

    settings = scenes.Settings(kind='detection', height=64, width=80, difficulty=0.3, num_classes=2)
    for seed, split in enumerate(('train', 'val')):
        scenes.write_scenes(os.path.join(folder, 'data'), split, settings, seed, 4)
    config = os.path.join(folder, 'params.yaml')
    tiny_teacher.write_config(config, os.path.join(folder, 'data'))
    tiny_teacher.write_checkpoints(config, {os.path.join(folder, 'ckpt-30'): tiny_teacher.SURE})


def arguments(folder: str, pattern: str, out: str, shard_size: int) -> list[str]:
    """The flags of both commands."""
    return [
        f'--experiment={tiny_teacher.EXPERIMENT}',
        f'--config_file={folder}/params.yaml',
        f'--checkpoint={folder}/ckpt-30',
        f'--input={pattern}',
        f'--output_dir={out}',
        f'--shard_size={shard_size}',
        '--skip_teacher_evaluation',
        '--on_error=skip',
    ]


def start(module: str, argv: Sequence[str], log: str) -> subprocess.Popen[bytes]:
    """Starts a command as a process group of its own."""
    with open(log, 'ab') as handle:
        command = [sys.executable, '-m', module, *argv]
        return subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT, start_new_session=True)


def kill_at(process: subprocess.Popen[bytes], folder: str, shards: int) -> int:
    """Kills a labelling and all its workers once so many shards are there.

    Returns:
        How many are there then.

    Raises:
        UserError: it ended before.
    """
    while num_shards(folder) < shards:
        if process.poll() is not None:
            raise errors.UserError(f'it ended with code {process.returncode} before {shards} shards were there.')
        time.sleep(_POLL)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return num_shards(folder)


def num_shards(folder: str) -> int:
    """How many shards of a store are written."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sum(name.endswith('.tfrecord') and not name.startswith('.') for name in names)


def main(argv: Sequence[str]) -> int:
    """Runs all three and compares; returns 1 if a store differs."""
    cut = list(argv).index('--') if '--' in argv else len(argv)
    parser = entry_point.Parser(prog='python -m tools.label_twice', description=__doc__)
    parser.add_argument('--output_dir', required=True, help='new or empty folder')
    parser.add_argument('--images', type=int, default=2000, help='(default: 2000)')
    parser.add_argument('--broken', type=int, default=20, help='of them (default: 20)')
    parser.add_argument('--shard_size', type=int, default=100, help='(default: 100)')
    parser.add_argument('--kill_at', default='3,11', help='shards at which the pipeline is killed (default: 3,11)')
    args = parser.parse_args(list(argv[:cut]))
    last = -(-args.images // max(args.shard_size, 1))
    if not 0 <= args.broken < args.images or args.shard_size < 1:
        raise errors.bad_value('--broken', args.broken, f'0 to below --images, {args.images}; --shard_size from 1')
    kills = [int(one) for one in args.kill_at.split(',') if one.isdigit()]
    if ','.join(map(str, kills)) != args.kill_at or not all(0 < one < last for one in kills):
        raise errors.bad_value('--kill_at', args.kill_at, f'numbers from 1 to {last - 1}, with commas between')
    folder = output_folder.make(args.output_dir)
    sizes = [args.images // _UNEVEN] * (_UNEVEN - 1) + [args.images - args.images // _UNEVEN * (_UNEVEN - 1)]
    pattern = broken_images.write(os.path.join(folder, 'images'), sizes, args.broken)
    make_teacher(folder)
    beam = list(argv[cut:])
    for name, module, at in (('plain', PLAIN, []), ('pipeline', PIPELINE, []), ('killed', PIPELINE, kills)):
        out = os.path.join(folder, name)
        given = arguments(folder, pattern, out, args.shard_size) + (beam if module == PIPELINE else [])
        _run(module, given, out, at)
    different = 0
    for name in ('pipeline', 'killed'):
        sys.stdout.write(f'plain and {name}: ')
        sys.stdout.flush()
        different |= compare_stores.main([os.path.join(folder, 'plain'), os.path.join(folder, name)])
    return different


def _run(module: str, argv: Sequence[str], out: str, kills: Sequence[int]) -> None:
    log = f'{out}.log'
    for shards in kills:
        there = kill_at(start(module, argv, log), out, shards)
        sys.stdout.write(f'{os.path.basename(out)}: killed with {there} shards there\n')
    begun = time.monotonic()
    code = start(module, argv, log).wait()
    if code:
        raise errors.UserError(f"{module} ended with code {code}; '{log}' tells why.")
    sys.stdout.write(f'{os.path.basename(out)}: {num_shards(out)} shards in {time.monotonic() - begun:.0f} s\n')
    sys.stdout.flush()


if __name__ == '__main__':
    entry_point.run(main)
