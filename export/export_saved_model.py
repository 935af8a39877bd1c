"""Entry point of step 6: a checkpoint becomes a SavedModel that is shown to find the same.

It writes saved_model/ (weights, functions and labels in one), loads that again, compares it with the
checkpoint on real images, and writes verification.json. Where they differ, nothing is left but a report.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from export import staging
from official_rethink.common import entry_point, errors

_EPILOG = """example:
  python -m export.export_saved_model --experiment=retinanet_efficientnet_coco \\
      --config_file=runs/student/params.yaml --checkpoint=runs/student/best --export_dir=runs/student/export

A segmentation network gives class maps and, with --params_override=task.export_config.output_probabilities=true, the
probability of each class at each pixel.

docs/serving.md says how to load it."""

_INPUT_TYPES = ('all', 'image_tensor', 'image_bytes', 'tf_example')
_EXPORT = 'export.json'
_VERIFICATION = 'verification.json'
SAVED_MODEL = 'saved_model'
EXIT_DIFFERS = 1


class _DiffersError(Exception):
    """The SavedModel does not find what the checkpoint finds."""


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m export.export_saved_model', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--experiment', required=True, help='the experiment of the checkpoint')
    add('--config_file', action='append', default=[], help="YAML: the run's params.yaml; repeatable")
    add('--params_override', default='', help='a.b=c,d=[e,f] or a YAML file, applied last')
    add('--checkpoint', required=True, help='a folder with checkpoints, or a prefix')
    add('--export_dir', required=True, help='folder for saved_model/, export.json, verification.json')
    add('--input_type', default='all', choices=_INPUT_TYPES, help='which signatures (default: all)')
    add('--batch_size', type=int, help='a fixed batch size (default: any)')
    add('--labels', default='', help='a data set description or labels.json (default: by the data)')
    add('--verify_input', default='', help='shards or a folder of images (default: test or validation data)')
    add('--verify_images', type=int, default=16, help='how many are compared (default: 16)')
    add('--overwrite', action='store_true', help='replace an older export')
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    for name in ('batch_size', 'verify_images'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise errors.bad_value(name, value, '1 or more', where=f'--{name}')
    staging.check_room(args.export_dir, args.overwrite, _EXPORT)
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415
    from official_rethink.serving import answers, kinds, labels  # noqa: PLC0415

    params = parse.load(args.experiment, args.config_file, args.params_override).params
    kind = kinds.of(params, args.experiment)
    checkpoint = _find_checkpoint(args.checkpoint)
    named = labels.find(params.task, args.labels)
    images = answers.read(_verify_input(args, params), args.verify_images)
    try:
        with staging.staged(args.export_dir) as folder:
            report = _write(args, params, kind, checkpoint, named, images, folder)
            if not report['passed']:
                raise _DiffersError  # out of the block, so that the folder does not get its name
    except _DiffersError:
        return _refuse(args, kind, report)
    _print(args, kind, report, named)
    return 0


def _find_checkpoint(path: str) -> Any:
    from official_rethink.pseudo_labels import teacher  # noqa: PLC0415

    found = teacher.find(path)
    if found.is_saved_model:
        raise errors.UserError(
            f"--checkpoint '{path}' is a SavedModel already; name the checkpoint it was made from, such as "
            'runs/student/best.'
        )
    return found


def _verify_input(args: argparse.Namespace, params: Any) -> str:
    """What the images to compare on are read from.

    Raises:
        UserError: the config's data is not there, and no other is named.
    """
    import tensorflow as tf  # noqa: PLC0415

    if args.verify_input:
        return args.verify_input
    tried = [params.task.test_data.input_path, params.task.validation_data.input_path]
    for path in filter(None, tried):
        if tf.io.gfile.glob(path):
            return path
    raise errors.UserError(
        "the config's test and validation data are not there "
        f"({', '.join(repr(path) for path in tried if path) or 'none is named'}); name shards or a folder of "
        'images to compare on with --verify_input.'
    )


def _write(
    args: argparse.Namespace,
    params: Any,
    kind: Any,
    checkpoint: Any,
    named: dict[int, str],
    images: Any,
    folder: str,
) -> dict[str, Any]:
    """Writes and compares everything in `folder`; returns what verification.json holds."""
    import tensorflow as tf  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.modeling import restore  # noqa: PLC0415
    from official_rethink.serving import labels, module  # noqa: PLC0415
    from official_rethink.tasks import evaluate, runner  # noqa: PLC0415

    runner.prepare_process(params)
    task = runner.build_task(params, tf.distribute.get_strategy(), folder)
    model = task.build_model()
    restore.restore(model.checkpoint_items, checkpoint.path, 'all')
    step = evaluate.checkpoint_step(checkpoint.path)
    class_names = labels.by_id(named, params.task.model.num_classes)
    assets = labels.write(named, class_names, folder)
    served = kind.module(params, task, model, args.batch_size)
    saved = os.path.join(folder, SAVED_MODEL)
    signatures = module.save(served, saved, args.input_type, class_names, assets, step)
    text = yaml.safe_dump(params.as_dict(), default_flow_style=False)
    files.write_text(os.path.join(folder, 'params.yaml'), text)
    report = kind.verify(saved, params, task, model, images)
    report = {'checkpoint': checkpoint.name, 'step': step, **report}
    files.write_json(os.path.join(folder, _VERIFICATION), report)
    about = {'name': checkpoint.name, 'step': step, 'digest': checkpoint.digest, 'files': checkpoint.files}
    described = _description(args, params, kind, about, class_names, signatures)
    files.write_json(os.path.join(folder, _EXPORT), described)
    return report


def _description(
    args: argparse.Namespace,
    params: Any,
    kind: Any,
    checkpoint: dict[str, Any],
    class_names: Sequence[str],
    signatures: dict[str, Any],
) -> dict[str, Any]:
    """What export.json holds."""
    import tensorflow as tf  # noqa: PLC0415
    from official.vision.ops import preprocess_ops  # noqa: PLC0415

    import official_rethink  # noqa: PLC0415
    from official_rethink.common import files  # noqa: PLC0415

    return {
        'format_version': 1,
        'experiment': args.experiment,
        'config_hash': files.hash_of(params.as_dict()),
        'checkpoint': checkpoint,
        'input_size': list(params.task.model.input_size),
        'batch_size': args.batch_size,
        'precision': params.runtime.mixed_precision_dtype or 'float32',
        'preprocessing': {
            'resize': f'bilinear, as uint8, {_size_words(params)}; padded bottom and right',
            'mean': list(preprocess_ops.MEAN_RGB),
            'standard_deviation': list(preprocess_ops.STDDEV_RGB),
            'colours': 'RGB',
        },
        **kind.describe(params),
        'class_names': list(class_names),
        'signatures': signatures,
        'tensorflow_version': tf.__version__,
        'code_version': official_rethink.__version__,
    }


def _size_words(params: Any) -> str:
    """To what size images are resized, for a person."""
    resizing = getattr(params.task, 'resizing', None)
    if resizing is None or not resizing.shorter_side:
        return 'the largest that fits input_size'
    return f'shorter side {resizing.shorter_side} unless the longer would be over {resizing.longer_side}'


def _refuse(args: argparse.Namespace, kind: Any, report: dict[str, Any]) -> int:
    from official_rethink.common import files  # noqa: PLC0415

    path = args.export_dir.rstrip('/') + '.failed.json'
    files.write_json(path, report)
    found = report['signatures'].items()
    worst = '; '.join(f'{name}: {kind.words(one)}' for name, one in found if not one['passed'])
    allowed = ', '.join(f'{name.replace("_", " ")} {value:g}' for name, value in report['tolerance'].items())
    sys.stderr.write(
        f'error: the SavedModel differs from the checkpoint ({worst}; allowed: {allowed}). Nothing was exported; '
        f"'{path}' has the figures.\n"
    )
    return EXIT_DIFFERS


def _print(args: argparse.Namespace, kind: Any, report: dict[str, Any], named: dict[int, str]) -> None:
    folder = args.export_dir.rstrip('/')
    origin = f"{report['checkpoint']} (step {report['step']}), {len(named)} classes"
    sys.stdout.write(f'{origin}, in {folder}/{SAVED_MODEL}\n')
    sys.stdout.write(f'compared on {kind.compared(report)}:\n')
    for name, found in report['signatures'].items():
        sys.stdout.write(f'  {name:<16} {kind.words(found)}\n')


if __name__ == '__main__':
    entry_point.run(main)
