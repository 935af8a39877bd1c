"""What the papers' sizes need of hosts, from what was measured here: arithmetic, and every assumption by name.

Run as `python -m benchmarks.at_scale [--write]`, after `make bench ARGS=--write` and `python -m benchmarks.growth
--write`, whose files it reads.
"""

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import growth, pages, run
from official_rethink.common import entry_point, errors, files

MARK = 'at scale, written by python -m benchmarks.at_scale --write'
BATCHES = (256, 512)  # Zoph et al.: supervised; human and pseudo images together
LABELLED = (('ImageNet', 1_200_000), ('Open Images', 1_700_000))
# `python -m official_rethink.describe --experiment=retinanet_efficientnet_coco`: multiply-adds of one 640-pixel image.
MULTIPLY_ADDS = 103_777_653_504


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """What is assumed of the accelerator and its hosts; none of it was measured here.

    Attributes:
        name: what it is called.
        peak: floating point operations a second of all its cores, bfloat16.
        utilisation: the share of the peak that a step reaches.
        hosts: machines it hangs on.
        cores: virtual CPUs of a host.
    """

    name: str = 'TPU v3-32'
    peak: float = 16 * 123e12
    utilisation: float = 0.3
    hosts: int = 4
    cores: int = 96

    def images_a_second(self, operations: float, utilisation: float | None = None) -> float:
        """How many images it takes in a second, if an image costs so many operations."""
        return self.peak * (utilisation or self.utilisation) / operations


def training_rows(ours: float, reference: float, device: Accelerator) -> list[list[str]]:
    """Cores that keep training supplied under Augment-S4.

    Args:
        ours: CPU seconds an image of our pipeline.
        reference: of Model Garden's.
        device: what trains.
    """
    operations = 3 * 2 * MULTIPLY_ADDS  # a multiply-add is two; backward costs twice what forward does
    rows = []
    for batch in BATCHES:
        for utilisation in (device.utilisation, 1.0):
            rate = device.images_a_second(operations, utilisation)
            cells = [f'{batch}', f'{utilisation:.0%}', f'{batch / rate:.2f} s', f'{rate:,.0f}']
            needed = [rate * cost for cost in (ours, reference)]
            rows.append([*cells, *(f'{cores:.0f} ({cores / device.hosts:.1f})' for cores in needed)])
    return rows


def labelling_rows(host: float, here: float, device: Accelerator) -> list[list[str]]:
    """What it takes to label the papers' sets once.

    Args:
        host: CPU seconds an image of reading, decoding and storing.
        here: wall seconds an image of the whole on the measured machine, ResNet-50 at 512 pixels.
        device: what labels with EfficientNet-B7 at 640 pixels.
    """
    rate = device.images_a_second(2 * MULTIPLY_ADDS)
    return [
        [
            name,
            f'{images:,}',
            f'{images / rate / 60:.0f} min',
            f'{images * host / 3600:.1f} h',
            f'{rate * host:.0f}',
            f'{images * here / 86400:.1f} days',
        ]
        for name, images in LABELLED
    ]


def text(rows: Sequence[Mapping[str, Any]], grown: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The tables and their arithmetic.

    Args:
        rows: of the newest run of `make bench`.
        grown: see `growth.main`.
    """
    by_name = {row['name']: row['measures'] for row in rows}
    pipeline = by_name['input, S4, boxes']['cpu']
    ours, reference = pipeline['ours']['median'], pipeline['reference']['median']
    host = grown['labelling'][-1]['cpu']
    here = by_name['pseudo-labelling']['wall']['ours']['median']
    device = Accelerator()
    operations = 6 * MULTIPLY_ADDS
    heads = ['batch', 'of its peak', 'a step', 'images/s', 'cores in all (a host), ours', "Model Garden's pipeline"]
    on_device = f'on the {device.name}'
    label_heads = ['set', 'images', on_device, 'host CPU time', 'cores to keep up', 'on the machine above']
    return '\n'.join(
        [
            f'An image of 640 pixels costs EfficientNet-B7 with FPN {MULTIPLY_ADDS / 1e9:.1f} G multiply-adds forward '
            f'(`describe`), so 2 x 3 x that = {operations / 1e9:,.0f} GFLOP a training image; the {device.name} does '
            f'{device.peak / 1e12:,.0f} TFLOP/s at most. Augment-S4 costs {ours * 1e3:.1f} ms of a core an image, '
            f"Model Garden's {reference * 1e3:.1f} ms. Cores = images/s x that.",
            '',
            pages.table(heads, training_rows(ours, reference, device)),
            '',
            f'Labelling costs 2 x {MULTIPLY_ADDS / 1e9:.1f} GFLOP an image on the device, and {host * 1e3:.1f} ms of a '
            f'core for reading, decoding, resizing and storing it; on the machine above ResNet-50 at 512 pixels takes '
            f'{here:.2f} s an image from file to store.',
            '',
            pages.table(label_heads, labelling_rows(host, here, device)),
            '',
            f'Assumed, not measured and not from the papers: the {device.name} has 16 chips of 123 TFLOP/s (bfloat16) '
            f'on {device.hosts} hosts of {device.cores} virtual CPUs; a step reaches {device.utilisation:.0%} of the '
            'peak (the rows of 100% are the most that can be asked of a host); backward costs twice forward; a core of '
            'a host is as fast as one here, and N cores do N times the work of one.',
        ]
    )


def _read(path: str, command: str) -> Any:
    if not os.path.exists(path):
        raise errors.UserError(f"'{path}' is missing; `{command}` writes it.")
    return files.read_json(path)


def main(argv: Sequence[str]) -> int:
    """Prints the tables, from the files that the benchmarks wrote."""
    parser = entry_point.Parser(prog='python -m benchmarks.at_scale', description=__doc__.splitlines()[0])
    parser.add_argument('--write', action='store_true', help='put the tables into docs/speed.md')
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    newest = _read(run.RESULTS, 'make bench ARGS=--write')['runs'][-1]
    found = text(newest['rows'], _read(growth.RESULTS, 'python -m benchmarks.growth --write'))
    print(found)
    if arguments.write:
        pages.put(pages.SPEED, MARK, found)
    return 0


if __name__ == '__main__':
    entry_point.run(main)
