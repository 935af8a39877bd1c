r"""Published weights into a checkpoint of ours: every tensor accounted for, or an error that lists them.

    python -m official_rethink.import_checkpoint --list
    python -m official_rethink.import_checkpoint --format=moco --source=moco_v2_800ep_pretrain.pth.tar \
        --output=checkpoints/moco-v2

writes checkpoints/moco-v2.index, its data and checkpoints/moco-v2.json. A training run starts from it with
task.init_checkpoint=checkpoints/moco-v2 and task.init_checkpoint_modules=[backbone]. docs/checkpoints.md has the
formats, the settings that go with each, and how equal the features are.
"""

from collections.abc import Sequence
from typing import Any

from official_rethink.common import entry_point, errors


def parser() -> entry_point.Parser:
    """Builds the command line."""
    made = entry_point.Parser(prog='python -m official_rethink.import_checkpoint', description=__doc__)
    made.add_argument('--list', action='store_true', help='print the formats and the models of each, and stop')
    made.add_argument('--format', default='', help='whose layout the file has; see --list')
    made.add_argument('--source', default='', help='checkpoint prefix or folder, HDF5 or PyTorch file, or an archive')
    made.add_argument('--output', default='', help='checkpoint to write, such as checkpoints/moco-v2')
    made.add_argument('--model', default='', help='stop unless the file holds this model; see --list')
    made.add_argument('--member', default='', help='which checkpoint of an archive that holds several')
    made.add_argument(
        '--moving_average',
        default='auto',
        help="of TF1 checkpoints: 'yes', 'no' or 'auto' (the default), the averages where there are any",
    )
    return made


def _listing() -> str:
    from official_rethink.modeling.checkpoints import formats  # noqa: PLC0415  --help needs no TensorFlow

    width = max(len(found.format) for found in formats.LAYOUTS)
    return '\n'.join(f'{found.format:<{width}}  {", ".join(found.models())}' for found in formats.LAYOUTS)


def _described(report: dict[str, Any], output: str) -> str:
    lines = [
        f'{report["model"]} from {report["source"]} ({report["kind"]}, --format={report["format"]})',
        f'  {report["matched"]} matched, {report["missing"]} missing, {report["extra"]} extra; '
        f'{report["parameters"]:,} numbers in {", ".join(report["modules"])}',
    ]
    lines += [f'  left out: {group["count"]} ({group["reason"]})' for group in report['left_out']]
    if report['preprocessing']['folded']:
        lines.append("  the original's input scale was folded into the first convolution")
    lines += [f'  use with {name}={value}' for name, value in report['settings'].items()]
    lines.append(f'wrote {output}.index, its data and {output}.json; use with task.init_checkpoint={output}')
    return '\n'.join(lines)


def main(argv: Sequence[str]) -> None:
    """Imports one checkpoint, or lists what can be imported."""
    arguments = parser().parse_args(argv)
    if arguments.list:
        print(_listing())
        return
    for name in ('format', 'source', 'output'):
        if not getattr(arguments, name):
            raise errors.bad_value(f'--{name}', '', 'a value; --list prints the formats, --help the rest')
    from official_rethink.modeling.checkpoints import importing  # noqa: PLC0415

    report = importing.import_checkpoint(
        arguments.format,
        arguments.source,
        arguments.output,
        model=arguments.model,
        moving_average=arguments.moving_average,
        member=arguments.member,
    )
    print(_described(report, arguments.output))


if __name__ == '__main__':
    entry_point.run(main)
