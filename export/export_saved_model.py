"""Entry point of step 6: a checkpoint becomes a SavedModel that is shown to find the same.

It writes saved_model/ (weights, functions and labels in one), loads that again, compares it with the
checkpoint on real images, and writes verification.json. Where they differ, nothing is left but a report.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

from export import staging, variants
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
EXIT_DIFFERS = variants.EXIT_DIFFERS


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
    add(
        '--precision',
        choices=('float32', 'bfloat16', 'float16'),
        help="of a RetinaNet's weights and arithmetic, whatever it was trained in (default: as it was trained)",
    )
    variants.add_min_agreement(parser)
    add('--overwrite', action='store_true', help='replace an older export')
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    variants.check(args, 'batch_size', 'verify_images')
    staging.check_room(args.export_dir, args.overwrite, _EXPORT)
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415
    from official_rethink.serving import answers, kinds, labels  # noqa: PLC0415

    params = parse.load(args.experiment, args.config_file, args.params_override).params
    kind = kinds.of(params, args.experiment)
    if args.precision:
        variants.need_one_stage(params, args.experiment, '--precision cannot be chosen for it')
    checkpoint = variants.find_checkpoint(args.checkpoint)
    named = labels.find(params.task, args.labels)
    sets = {'test': params.task.test_data, 'validation': params.task.validation_data}
    path = variants.first_there(args.verify_input, sets, 'verify_input', 'compare on')
    images = answers.read(path, args.verify_images)
    try:
        with staging.staged(args.export_dir) as folder:
            report = _write(args, params, kind, checkpoint, named, images, folder)
            if not report['passed']:
                raise _DiffersError  # out of the block, so that the folder does not get its name
    except _DiffersError:
        return _refuse(args, kind, report)
    _print(args, kind, report, named)
    return 0


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
    import yaml  # noqa: PLC0415

    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.serving import labels, module  # noqa: PLC0415
    from official_rethink.tasks import evaluate  # noqa: PLC0415

    task, model, kind = _build(args, params, kind, checkpoint, folder)
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


def _build(args: argparse.Namespace, params: Any, kind: Any, checkpoint: Any, folder: str) -> tuple[Any, Any, Any]:
    """Task, model to save, and its kind: one in 16 bits is compared in another way.

    Raises:
        UserError: weights are too great for the precision.
    """
    import tensorflow as tf  # noqa: PLC0415

    from official_rethink.modeling import restore  # noqa: PLC0415
    from official_rethink.serving import precision  # noqa: PLC0415
    from official_rethink.tasks import runner  # noqa: PLC0415

    if args.precision:
        task, model = variants.in_float32(params, checkpoint, folder)
        if args.precision == 'float32':
            return task, model, kind
        made = precision.rebuild(task, model, args.precision)
        if names := precision.overflows(made):
            raise errors.UserError(
                f'{len(names)} of the weights are too great for {args.precision}, {names[0]} the first; take bfloat16.'
            )
        return task, made, _in_16_bits(kind, model, args.min_agreement)
    runner.prepare_process(params)
    task = runner.build_task(params, tf.distribute.get_strategy(), folder)
    model = task.build_model()
    restore.restore(model.checkpoint_items, checkpoint.path, 'all')
    return task, model, kind


def _in_16_bits(kind: Any, model: Any, least: float) -> Any:
    """The kind of a network that is compared with `model`, which has the checkpoint's own precision."""
    from official_rethink.serving import likeness  # noqa: PLC0415

    def verify(folder: str, params: Any, task: Any, made: Any, images: Any) -> dict[str, Any]:
        return likeness.verify(folder, params, task, model, made, images, least)

    return dataclasses.replace(kind, verify=verify)


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
        'precision': args.precision or params.runtime.mixed_precision_dtype or 'float32',
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
    found = report['signatures'].items()
    worst = '; '.join(f'{name}: {_words(kind, one)}' for name, one in found if not one['passed'])
    allowed = ', '.join(f'{name.replace("_", " ")} {value:g}' for name, value in report['tolerance'].items())
    words = f'the SavedModel differs from the checkpoint ({worst}; allowed: {allowed})'
    return variants.refuse(args.export_dir, report, words)


def _print(args: argparse.Namespace, kind: Any, report: dict[str, Any], named: dict[int, str]) -> None:
    folder = args.export_dir.rstrip('/')
    origin = f"{report['checkpoint']} (step {report['step']}), {len(named)} classes"
    sys.stdout.write(f'{origin}, in {folder}/{SAVED_MODEL}\n')
    sys.stdout.write(f'compared on {kind.compared(report)}:\n')
    for name, found in report['signatures'].items():
        sys.stdout.write(f'  {name:<16} {_words(kind, found)}\n')


def _words(kind: Any, found: dict[str, Any]) -> str:
    """A signature's part of the report, for a person."""
    from official_rethink.serving import likeness  # noqa: PLC0415

    return likeness.words(found) if likeness.is_report(found) else kind.words(found)


if __name__ == '__main__':
    entry_point.run(main)
