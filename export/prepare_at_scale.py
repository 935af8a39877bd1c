"""Step 1 for millions of images: the work of `official_rethink.prepare` as Apache Beam pipelines.

Commands and flags are those of `prepare`, but for `scenes` and `split`, and so are shards, description and every
record. Parts of the images are the unit of work: a restart does those that are left. What follows after -- are Beam's
own options; without any the pipelines run in this process.
"""

import sys
from collections.abc import Sequence

from official_rethink import prepare
from official_rethink.common import entry_point, errors

_PROGRAM = 'prepare_at_scale'
# What workers read. Class lists, and the files that hold all labels, are read by the machine that starts the command.
_PATHS = ('output_dir', 'images', 'voc', 'masks')
_PATHS_OF = {'voc_detection': (*_PATHS, 'annotations')}


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    cut = list(argv).index('--') if '--' in argv else len(argv)
    ours, beams = list(argv[:cut]), list(argv[cut + 1 :])
    if '-h' in ours or '--help' in ours:  # asked before Beam is
        return prepare.main(ours, program=_PROGRAM, about=__doc__)
    from export.large_scale import options, preparing  # noqa: PLC0415

    chosen = options.choose(beams)
    for note in chosen.notes:
        sys.stderr.write(f'note: {note}\n')
    _check(ours, chosen.runner)
    return prepare.main(ours, preparing.Writer(chosen), _PROGRAM, __doc__)


def _check(argv: Sequence[str], runner: str) -> None:
    """Refuses what has no meaning here, and paths that other machines do not see."""
    from export.large_scale import options  # noqa: PLC0415

    given = dict(entry.removeprefix('--').split('=', 1) for entry in argv if entry.startswith('--') and '=' in entry)
    if 'processes' in given or '--processes' in argv:
        allowed = "Beam's own, after --: --direct_num_workers, --direct_running_mode=multi_processing"
        raise errors.bad_value('--processes', given.get('processes', ''), allowed)
    names = _PATHS_OF.get(argv[0] if argv else '', _PATHS)
    options.check_cloud(runner, {f'--{name}': given[name] for name in names if given.get(name)})


if __name__ == '__main__':
    entry_point.run(main)
