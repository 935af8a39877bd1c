"""Growth: input pipeline, labelling, evaluation and `prepare` at 1, 4 and 16 times their work, each in its own process.

Run as `python -m benchmarks.growth [--write]`: prints seconds a unit and peak memory; writes benchmarks/growth.json,
docs/images/growth.svg and the table of docs/speed.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import measure, pages
from official_rethink.common import entry_point, files

FACTORS = (1, 4, 16)
MARK = 'growth, written by python -m benchmarks.growth --write'
TOLERANCE = 0.10  # a unit may cost so much more, or less, at 16 times the work
_FOLDER = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(_FOLDER, 'growth.json')
PLOT = os.path.join(os.path.dirname(_FOLDER), 'docs', 'images', 'growth.svg')


def _input(count: int, folder: str) -> measure.Work:
    del folder
    from benchmarks import input_pipeline  # noqa: PLC0415

    stream = input_pipeline.stream(input_pipeline.ours('S4'), input_pipeline.record())
    input_pipeline.take(stream, 8)()
    return input_pipeline.take(stream, count)


def _labelling(count: int, folder: str) -> measure.Work:
    """The network is left out: what grows would be hidden behind it."""
    import tensorflow as tf  # noqa: PLC0415

    from benchmarks import labelling, scenery  # noqa: PLC0415
    from official_rethink.pseudo_labels import box_labels  # noqa: PLC0415
    from official_rethink.pseudo_labels import labelling as ours  # noqa: PLC0415

    boxes, number = tf.constant(scenery.boxes(count=20), tf.float32), 20

    def predict(images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        del info
        batch = tf.shape(images)[0]
        return {
            'boxes': tf.tile(boxes[tf.newaxis], [batch, 1, 1]),
            'scores': tf.fill([batch, number], 0.5),
            'classes': tf.ones([batch, number], tf.int32),
            'num_detections': tf.fill([batch], number),
        }

    images_dir = os.path.join(folder, 'images')
    scenery.write_images(images_dir, count)
    categories = [{'id': 1, 'name': 'thing'}]
    how = ours.Labeller(predict, box_labels.BoxReading((128, 128), 0.05, (1,)), 8, tf.distribute.get_strategy())
    return lambda: labelling.label(how, categories, images_dir, os.path.join(folder, 'store'))


def _evaluation(count: int, folder: str) -> measure.Work:
    del folder
    from benchmarks import coco_evaluation  # noqa: PLC0415

    images = coco_evaluation.make_images(count)
    coco_evaluation.ours(images[:2])
    return lambda: coco_evaluation.ours(images)


def _prepare(count: int, folder: str) -> measure.Work:
    from benchmarks import prepare, scenery  # noqa: PLC0415

    source = scenery.write_coco(folder, count)
    return lambda: prepare.ours(*source, os.path.join(folder, 'shards'))


# What is measured: images at 1 time the work, and how a run is set up.
PARTS: dict[str, tuple[int, Callable[[int, str], measure.Work]]] = {
    'input pipeline': (100, _input),
    'labelling': (500, _labelling),
    'evaluation': (500, _evaluation),
    'prepare': (60, _prepare),
}


def peak_megabytes() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_part(part: str, factor: int) -> dict[str, float]:
    """Measures one part in this process.

    Returns:
        images; cpu and wall, seconds an image; before and peak, megabytes: what the process had when all was set up,
        and the most it had.
    """
    count, prepared = PARTS[part][0] * factor, PARTS[part][1]
    with tempfile.TemporaryDirectory() as folder:
        work = prepared(count, folder)
        before = peak_megabytes()
        cost = measure.cost_of(work)
    return {
        'images': count,
        'cpu': cost.cpu / count,
        'wall': cost.wall / count,
        'before': before,
        'peak': peak_megabytes(),
    }


def _in_own_process(part: str, factor: int) -> dict[str, float]:
    command = [sys.executable, '-m', 'benchmarks.growth', f'--part={part}', f'--factor={factor}']
    environment = {'TF_CPP_MIN_LOG_LEVEL': '3', **os.environ}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """What was found, for a terminal."""
    lines = [f'{"":16}{"images":>8}{"CPU ms":>9}{"wall ms":>9}{"set up MB":>11}{"peak MB":>9}  an image, to 1 time']
    for part, rows in found.items():
        for row in rows:
            share = row['cpu'] / rows[0]['cpu']
            times = ''.join(f'{row[kind] * 1e3:9.2f}' for kind in ('cpu', 'wall'))
            memory = f'{row["before"]:11.0f}{row["peak"]:9.0f}'
            lines.append(f'{part:16}{row["images"]:8.0f}{times}{memory}  {share:.2f}')
    return '\n'.join(lines)


def page_table(found: dict[str, list[dict[str, float]]]) -> str:
    """What was found, for the docs."""
    rows = [
        (part, f'{row["images"]:,.0f}', f'{row["cpu"] * 1e3:.2f}', f'{row["peak"]:.0f}')
        for part, measured in found.items()
        for row in measured
    ]
    return pages.table(('', 'images', 'CPU ms an image', 'peak MB'), rows)


def plot(found: dict[str, list[dict[str, float]]], path: str) -> None:
    """Draws CPU time an image, and memory, over the amount of work."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use('Agg')
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout='constrained')
    for part, rows in found.items():
        left.plot(FACTORS, [row['cpu'] / rows[0]['cpu'] for row in rows], marker='o', label=part)
        right.plot(FACTORS, [row['peak'] for row in rows], marker='o', label=part)
    left.axhspan(1 - TOLERANCE, 1 + TOLERANCE, color='0.9', zorder=0)
    left.set(title='CPU time an image, relative to 1 time the work', ylim=(0, 1.6))
    right.set(title='peak memory of the process, MB')
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set(xscale='log', xlabel='times the work')
        axes.set_xticks(FACTORS, [str(factor) for factor in FACTORS])
        axes.minorticks_off()
    left.legend(loc='lower left')
    figure.savefig(path, metadata={'Date': None})


def main(argv: Sequence[str]) -> int:
    """Measures every part, or the one that is named."""
    parser = entry_point.Parser(prog='python -m benchmarks.growth', description=__doc__.splitlines()[0])
    parser.add_argument('--part', choices=tuple(PARTS), help='measure one part alone, in this process')
    parser.add_argument('--factor', type=int, default=1, choices=FACTORS, help='how many times the work')
    parser.add_argument('--write', action='store_true', help='keep the numbers, the plot and the table')
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    if arguments.part:
        print(json.dumps(measure_part(arguments.part, arguments.factor)))
        return 0
    found: dict[str, list[dict[str, Any]]] = {}
    for part in PARTS:
        for factor in FACTORS:
            print(f'{part}, {factor} times ...', file=sys.stderr, flush=True)
            found.setdefault(part, []).append(_in_own_process(part, factor))
    print(table(found))
    if arguments.write:
        files.write_json(RESULTS, found)
        plot(found, PLOT)
        pages.put(pages.SPEED, MARK, page_table(found))
    return 0


if __name__ == '__main__':
    entry_point.run(main)
