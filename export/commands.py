"""Entry point: `official-rethink`, the one script of the installed package; each step of the flow is a sub-command."""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from official_rethink.common import entry_point, errors

PROGRAM = 'official-rethink'

# Sub-command -> module with `main(argv)`, and what it is for; in the order of the flow.
COMMANDS: dict[str, tuple[str, str]] = {
    'study': ('official_rethink.study.__main__', 'the whole comparison: arms × seeds, from data to report'),
    'page': ('official_rethink.study.page', "a study's report from its results.json alone"),
    'prepare': ('official_rethink.prepare', 'images and labels become shards; label fractions'),
    'prepare_at_scale': ('export.prepare_at_scale', 'the same for millions of images, as Apache Beam pipelines'),
    'train': ('official_rethink.train', 'train or evaluate an experiment: teachers and students'),
    'pseudo_label': ('official_rethink.pseudo_label', 'a teacher labels unlabelled images'),
    'label_at_scale': ('export.label_at_scale', 'the same for millions of images, as an Apache Beam pipeline'),
    'describe': ('official_rethink.describe', 'what an experiment resolves to, and what its model costs'),
    'import_checkpoint': ('official_rethink.import_checkpoint', 'published weights become a checkpoint to start from'),
    'linear_evaluation': ('official_rethink.linear_evaluation', 'what a pre-trained network knows: linear classifiers'),
    'export': ('export.export_saved_model', 'a checkpoint becomes a SavedModel, compared with it'),
    'export_tflite': ('export.export_tflite', "a RetinaNet's checkpoint becomes a TensorFlow Lite file, for phones"),
    'compare_exports': ('export.compare_exports', 'AP, size and time of exports beside their checkpoint'),
    'serve': ('export.serving.server', 'the prediction server of an export'),
    'serve_client': ('export.serving.client', 'asks a prediction server about images'),
    'serve_load': ('export.serving.load', 'loads a prediction server and measures its answers'),
    'submit': ('export.vertex.submit', 'training, study or labelling as a job on Vertex AI'),
}


def main(argv: Sequence[str]) -> int:
    """Runs the sub-command that `argv` starts with; returns its exit code."""
    if not argv or argv[0] in ('-h', '--help', 'help'):
        sys.stdout.write(_help())
        return 0
    if argv[0] == '--version':
        from official_rethink import __version__

        sys.stdout.write(f'{PROGRAM} {__version__}\n')
        return 0
    if argv[0] == 'configs':
        return _configs(argv[1:])
    name = argv[0].replace('-', '_')
    if name not in COMMANDS:
        raise errors.unknown_name('command', argv[0], [*COMMANDS, 'configs'], where=PROGRAM)
    module = importlib.import_module(COMMANDS[name][0])
    return entry_point.run_as(f'{PROGRAM} {name}', module.main, argv[1:])


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f'  {name:<{width}}  {words}' for name, (_, words) in COMMANDS.items()]
    rows.append(f'  {"configs":<{width}}  the configuration files that came with the package')
    return '\n'.join(
        [
            f'usage: {PROGRAM} COMMAND [flags]',
            '',
            'Each command is `python -m` of its module, under one name; COMMAND --help lists its flags.',
            '',
            *rows,
            '',
        ]
    )


def _configs(argv: Sequence[str]) -> int:
    """Lists the names that --config_file takes without a file of that name being there."""
    parser = entry_point.Parser(prog=f'{PROGRAM} configs', description='Lists what --config_file finds by name.')
    parser.add_argument('name', nargs='?', default='', help='part of the name')
    args = parser.parse_args(argv)
    from official_rethink.configs import shipped

    found = [name for name in shipped.names() if args.name in name]
    if not found:
        raise errors.bad_value('the part of a name', args.name, f'part of a file below {shipped.folder() or "configs"}')
    sys.stdout.write(''.join(f'{name}\n' for name in found))
    return 0


def script() -> NoReturn:
    """What the installed script calls."""
    entry_point.run(main, is_program=True)


if __name__ == '__main__':
    script()
