"""Labels millions of images: the work of `official_rethink.pseudo_label` as an Apache Beam pipeline.

The flags are those of `pseudo_label`, and so are the shards, the manifest and every label. A shard is the unit of work:
workers take shards from a list, and a restart does those that are left. What follows after -- are Beam's own options;
without any the pipeline runs in this process.
"""

import argparse
import contextlib
import dataclasses
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink import pseudo_label
from official_rethink.common import entry_point, errors

_EPILOG = """examples:
  python -m export.label_at_scale --experiment=retinanet_efficientnet_coco \\
      --config_file=runs/teacher/params.yaml --checkpoint=runs/teacher/best \\
      --input='data/unlabelled-*.tfrecord' --output_dir=runs/pseudo_labels --on_error=skip \\
      -- --direct_num_workers=4 --direct_running_mode=multi_processing
  ... -- --runner=DataflowRunner --project=my-project --region=us-central1 --temp_location=gs://my-bucket/temp \\
      --sdk_container_image=us-docker.pkg.dev/my-project/ml/rethink-beam:1 --max_num_workers=50

docs/label_at_scale.md says more."""


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(prog='python -m export.label_at_scale', description=__doc__, epilog=_EPILOG)
    pseudo_label.add_flags(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    cut = list(argv).index('--') if '--' in argv else len(argv)
    args = _parse_args(argv[:cut])
    from export.large_scale import options  # noqa: PLC0415

    chosen = options.choose(argv[cut + 1 :])
    for note in chosen.notes:
        sys.stderr.write(f'note: {note}\n')
    return pseudo_label.label(args, _Pipeline(chosen))


class _Pipeline:
    """The work of `pseudo_label.label`, done by a pipeline."""

    def __init__(self, chosen: Any):
        self._chosen = chosen

    def __call__(
        self,
        args: argparse.Namespace,
        params: Any,
        kind: Any,
        files_of: Any,
        images: Any,
        place: Any,
        known: Mapping[str, Any],
    ) -> dict[str, Any]:
        from export.large_scale import options, work  # noqa: PLC0415

        needs_data = 'keypoints' in getattr(kind, 'further', ())
        options.check_paths(self._chosen.runner, vars(args), params, needs_data)
        settings = work.Settings(
            vars(args), params.as_dict(), known, dataclasses.asdict(files_of), images.num_images
        )
        # Built here too: a teacher that cannot be built, or finds nothing, is told before the work is handed out.
        labeller, measure = settings.build(here=self._chosen.remote)
        metrics = pseudo_label.measured(place, measure)
        self._label(settings, images, place)
        work.check_labels(place.finished(), labeller.reading.nothing)
        left_out = work.write_dead_letters(place)
        if left_out:
            told = ', '.join(f'{count} x {name}' for name, count in left_out.items())
            sys.stderr.write(f'{sum(left_out.values()):,} dead letters ({told}) in {work.DEAD_LETTERS}\n')
        return metrics

    def _label(self, settings: Any, images: Any, place: Any) -> None:
        from export.large_scale import pipeline, watch, work  # noqa: PLC0415

        left = place.unfinished()
        if not left:
            return
        done = place.num_shards - len(left)
        told = f', {done:,} are done already' if done else ''
        if self._chosen.remote:
            # The job's page, and each change of its state.
            logging.getLogger('apache_beam.runners').setLevel(logging.INFO)
        sys.stderr.write(f'labelling {len(left):,} shards by {self._chosen.runner}{told}\n')
        path = work.write_list(images, place, left)
        # Other machines tell of themselves, on the job's page.
        seen = watch.watch('labelling', len(left), lambda: len(place.unfinished()))
        with contextlib.nullcontext() if self._chosen.remote else seen:
            state = pipeline.run(settings, path, self._chosen.options)
        work.check_failures(place)
        missing = place.unfinished()
        if missing:
            raise errors.UserError(
                f'the pipeline ended ({state}) with {len(missing):,} of {place.num_shards:,} shards not written; start '
                'the same command again, and it goes on.'
            )


if __name__ == '__main__':
    entry_point.run(main)
