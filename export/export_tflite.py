"""Entry point of step 6 for phones and small boards: a RetinaNet's checkpoint becomes a TensorFlow Lite file.

It writes model.tflite with the suppression inside, runs it, compares what it finds with what the checkpoint finds on
real images, and writes verification.json. Where they differ, nothing is left but a report.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from export import staging, variants
from official_rethink.common import entry_point, errors

_EPILOG = """example:
  python -m export.export_tflite --experiment=retinanet_efficientnet_coco --quantization=int8 \\
      --config_file=runs/student/params.yaml --checkpoint=runs/student/best --export_dir=runs/student/int8

docs/export_variants.md says how to run it, and what each variant costs and gives."""

_EXPORT = 'export.json'
MODEL = 'model.tflite'
_NOT_THIS = 'it is not exported to TensorFlow Lite (export.export_saved_model makes a SavedModel of it)'
_QUANTIZATIONS = ('none', 'float16', 'dynamic', 'int8')


class _DiffersError(Exception):
    """The file does not find what the checkpoint finds."""


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m export.export_tflite', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--experiment', required=True, help='the experiment of the checkpoint')
    add('--config_file', action='append', default=[], help="YAML: the run's params.yaml; repeatable")
    add('--params_override', default='', help='a.b=c,d=[e,f] or a YAML file, applied last')
    add('--checkpoint', required=True, help='a folder with checkpoints, or a prefix')
    add('--export_dir', required=True, help='folder for model.tflite, labels, export.json, verification.json')
    add(
        '--quantization',
        default='none',
        choices=_QUANTIZATIONS,
        help='none: float32; float16: weights; dynamic: weights in 8 bits; int8: arithmetic too (default: none)',
    )
    add('--representative_input', default='', help='images that ranges are measured on for int8 (default: train data)')
    add('--representative_images', type=int, default=200, help='how many of them (default: 200)')
    add('--labels', default='', help='a data set description or labels.json (default: by the data)')
    add('--verify_input', default='', help='shards or a folder of images (default: test or validation data)')
    add('--verify_images', type=int, default=64, help='how many are compared (default: 64)')
    variants.add_min_agreement(parser)
    add('--overwrite', action='store_true', help='replace an older export')
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    variants.check(args, 'representative_images', 'verify_images')
    if args.representative_input and args.quantization != 'int8':
        raise errors.UserError(
            f'--representative_input is for --quantization=int8 alone, which measures ranges on it; it is '
            f'{args.quantization}.'
        )
    staging.check_room(args.export_dir, args.overwrite, _EXPORT)
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415
    from official_rethink.serving import answers, labels, likeness  # noqa: PLC0415

    params = parse.load(args.experiment, args.config_file, args.params_override).params
    variants.need_one_stage(params, args.experiment, _NOT_THIS)
    checkpoint = variants.find_checkpoint(args.checkpoint)
    named = labels.find(params.task, args.labels)
    data = params.task
    sets = {'test': data.test_data, 'validation': data.validation_data}
    path = variants.first_there(args.verify_input, sets, 'verify_input', 'compare on')
    images = answers.read(path, args.verify_images)
    examples = _examples(args, params)
    try:
        with staging.staged(args.export_dir) as folder:
            report = _write(args, params, checkpoint, named, images, examples, folder)
            if not report['passed']:
                raise _DiffersError  # out of the block, so that the folder does not get its name
    except _DiffersError:
        words = f'{likeness.words(report["likeness"])}; needed: {args.min_agreement:.0%} (--min_agreement)'
        told = f'the TensorFlow Lite file (quantization {args.quantization}) finds something else than the checkpoint'
        return variants.refuse(args.export_dir, report, f'{told}: {words}')
    _print(args, report, named)
    return 0


def _examples(args: argparse.Namespace, params: Any) -> list[Any]:
    """Images that int8's ranges are measured on, uint8 [H, W, 3] as the network sees them; none for the others."""
    if args.quantization != 'int8':
        return []
    import tensorflow as tf  # noqa: PLC0415

    from official_rethink.augment import pipeline  # noqa: PLC0415
    from official_rethink.modeling import views  # noqa: PLC0415
    from official_rethink.serving import answers  # noqa: PLC0415

    sets = {'train': params.task.train_data, 'validation': params.task.validation_data}
    what = "measure int8's ranges on"
    path = variants.first_there(args.representative_input, sets, 'representative_input', what)
    found = answers.read(path, args.representative_images, what)
    wanted = views.plain(params.task)
    return [pipeline.fit(tf.constant(answers.pixels(record)), wanted)[0].numpy() for record in found]


def _write(
    args: argparse.Namespace,
    params: Any,
    checkpoint: Any,
    named: dict[int, str],
    images: Any,
    examples: Sequence[Any],
    folder: str,
) -> dict[str, Any]:
    """Writes and compares everything in `folder`; returns what verification.json holds."""
    import yaml  # noqa: PLC0415

    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.serving import answers, labels, likeness, lite, lite_detector, verification  # noqa: PLC0415
    from official_rethink.tasks import evaluate  # noqa: PLC0415

    task, model = variants.in_float32(params, checkpoint, folder)
    content = lite.convert(params, task, model, args.quantization, examples)
    with open(os.path.join(folder, MODEL), 'wb') as file:
        file.write(content)
    labels.write(named, labels.by_id(named, params.task.model.num_classes), folder)
    text = yaml.safe_dump(params.as_dict(), default_flow_style=False)
    files.write_text(os.path.join(folder, 'params.yaml'), text)
    detector = lite_detector.LiteDetector(content, params.task)
    expected = verification.evaluated(params, task, model, images)
    found = [detector.detect(answers.pixels(record)) for record in images]
    alike = likeness.compare(expected, found)
    step = evaluate.checkpoint_step(checkpoint.path)
    report = {
        'checkpoint': checkpoint.name,
        'step': step,
        'quantization': args.quantization,
        'bytes': len(content),
        'soft_nms_replaced': bool(params.task.model.detection_generator.soft_nms_sigma),
        'passed': likeness.passes(alike, args.min_agreement),
        'min_agreement': args.min_agreement,
        'likeness': alike,
        'operations': lite.arithmetic(content),
    }
    files.write_json(os.path.join(folder, 'verification.json'), report)
    about = {'name': checkpoint.name, 'step': step, 'digest': checkpoint.digest, 'files': checkpoint.files}
    described = _description(args, params, about, named, len(examples), len(content))
    files.write_json(os.path.join(folder, _EXPORT), described)
    return report


def _description(
    args: argparse.Namespace, params: Any, checkpoint: dict[str, Any], named: dict[int, str], examples: int, size: int
) -> dict[str, Any]:
    """What export.json holds."""
    import tensorflow as tf  # noqa: PLC0415

    import official_rethink  # noqa: PLC0415
    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.serving import labels, lite  # noqa: PLC0415

    generator = params.task.model.detection_generator
    return {
        'format_version': 1,
        'experiment': args.experiment,
        'config_hash': files.hash_of(params.as_dict()),
        'checkpoint': checkpoint,
        'quantization': args.quantization,
        'representative_images': examples,
        'bytes': size,
        'input': {'name': 'image', 'shape': [1, *params.task.model.input_size], 'type': 'uint8', 'colours': 'RGB'},
        'outputs': list(lite.OUTPUTS),
        'boxes': 'y1 x1 y2 x2, shares of the input with its padding',
        'classes': 'from 0, the background left out: class 0 is the id 1 of class_names',
        'class_names': labels.by_id(named, params.task.model.num_classes),
        'suppression': {
            'operation': 'TFLite_Detection_PostProcess, class by class',
            'score_threshold': generator.pre_nms_score_threshold,
            'iou_threshold': generator.nms_iou_threshold,
            'max_detections': generator.max_num_detections,
            'instead_of': generator.nms_version + (' (Soft-NMS)' if generator.soft_nms_sigma else ''),
        },
        'tensorflow_version': tf.__version__,
        'code_version': official_rethink.__version__,
    }


def _print(args: argparse.Namespace, report: dict[str, Any], named: dict[int, str]) -> None:
    from official_rethink.serving import likeness  # noqa: PLC0415

    path = os.path.join(args.export_dir, MODEL)
    origin = f"{report['checkpoint']} (step {report['step']}), {len(named)} classes"
    sys.stdout.write(f'{origin}, in {path}, {report["bytes"] / 1e6:.2f} MB\n')
    if report['soft_nms_replaced']:
        sys.stdout.write('note: in place of Soft-NMS, which TensorFlow Lite has not, it suppresses class by class\n')
    counts = {kind: sum(found.values()) for kind, found in report['operations'].items()}
    sys.stdout.write(f'operations: {", ".join(f"{count} {kind}" for kind, count in counts.items())}\n')
    if args.quantization == 'int8':
        left = sorted({name for kind, found in report['operations'].items() if 'float' in kind for name in found})
        sys.stdout.write(f'not in int8: {", ".join(left) or "none"}\n')
    sys.stdout.write(f'on {report["likeness"]["images"]} images: {likeness.words(report["likeness"])}\n')


if __name__ == '__main__':
    entry_point.run(main)
