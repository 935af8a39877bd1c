"""Entry point: what a frozen backbone's features are worth, by one linear layer, against random weights.

The features of every image are computed once; multinomial logistic regression is fitted to those of the
training images and measured on the validation images. The same network with its random initial weights is
measured in the same way: what it reaches, training has not given.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from official_rethink.common import entry_point, errors

_EPILOG = """example:
  python -m official_rethink.linear_evaluation --checkpoint=runs/simclr/best \\
      --train='data/objects/train*' --validation='data/objects/val*' --output=runs/simclr/linear_evaluation.json

The network is the one of the params.yaml beside or above the checkpoint; for a checkpoint without one give a
YAML with task.model.input_size, task.model.backbone and task.model.norm_activation as --config_file. All
features are held in memory: 4 bytes x images x features, and three times that in the fit."""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.evaluation import linear_checkpoint  # noqa: PLC0415

    if not 0 <= args.seed < 2**31:
        raise errors.bad_value('seed', args.seed, 'a whole number from 0 to 2147483647', where='--seed')
    model = linear_checkpoint.find_model(args.checkpoint, args.config_file)
    result = linear_checkpoint.evaluate(model, args.checkpoint, args.train, args.validation, args.seed)
    files.write_json(args.output, result)
    _print(result, args)
    return 0


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m official_rethink.linear_evaluation', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--checkpoint', required=True, help="a folder with checkpoints, or a prefix; its module 'backbone' is taken")
    add('--train', required=True, help='shard pattern of images with one class each, to fit on')
    add('--validation', required=True, help='shard pattern of such images, to measure on')
    add('--output', required=True, help='the JSON to write')
    add('--config_file', action='append', default=[], help='YAML that names the network; repeatable')
    add('--seed', type=int, default=0, help='of the random weights it is compared with (default: 0)')
    return parser.parse_args(argv)


def _print(result: dict[str, Any], args: argparse.Namespace) -> None:
    sys.stdout.write(f'top-1 on {result["validation_images"]} images of {os.path.dirname(args.validation) or "."}:\n')
    for name in ('checkpoint', 'random_weights'):
        row = result[name]
        sys.stdout.write(
            f'  {name.replace("_", " "):<15} {100 * row["top1"]:5.1f} %  (+- {100 * row["standard_error"]:.1f}; '
            f'{100 * row["train_top1"]:.1f} % on the training images)\n'
        )
    sys.stdout.write(f'  {"always the same":<15} {100 * result["most_frequent_class"]:5.1f} %\n')


if __name__ == '__main__':
    entry_point.run(main)
