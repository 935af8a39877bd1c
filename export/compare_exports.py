"""Entry point behind step 6: what each export of one checkpoint finds, weighs and takes, beside the checkpoint.

AP on labelled images, bytes on disk, and the time for one image from its encoded bytes to its boxes, for the checkpoint
and for each folder that export.export_saved_model or export.export_tflite wrote. Printed as a table, written as JSON.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from export import variants
from official_rethink.common import entry_point, errors, files

_EPILOG = """example:
  python -m export.compare_exports --experiment=retinanet_efficientnet_coco --config_file=runs/student/params.yaml \\
      --checkpoint=runs/student/best --input='data/test*' --output=runs/student/exports.json \\
      --export=runs/student/export --export=runs/student/int8"""

_SAVED_MODEL, _LITE = 'saved_model', 'model.tflite'
_COLUMNS = ('', 'AP', 'AP50', 'MB', 'ms (p50)', 'ms (p95)', 'processor ms (p50)')


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m export.compare_exports', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--experiment', required=True, help='the experiment of the checkpoint')
    add('--config_file', action='append', default=[], help="YAML: the run's params.yaml; repeatable")
    add('--params_override', default='', help='a.b=c,d=[e,f] or a YAML file, applied last')
    add('--checkpoint', required=True, help='a folder with checkpoints, or a prefix')
    add('--export', action='append', default=[], help='a folder that an exporter wrote; repeatable')
    add('--input', default='', help='labelled shards to measure on (default: test or validation data)')
    add('--images', type=int, help='how many of them, the first (default: all)')
    add('--timed_images', type=int, default=50, help='how many are timed, one by one (default: 50)')
    add('--threads', type=int, default=1, help='for each model (default: 1)')
    add('--output', default='', help='write the figures there, as JSON')
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    for name in ('images', 'timed_images', 'threads'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise errors.bad_value(name, value, '1 or more', where=f'--{name}')
    kinds = {folder: _kind(folder) for folder in args.export}
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415

    params = parse.load(args.experiment, args.config_file, args.params_override).params
    variants.need_one_stage(params, args.experiment, 'there is nothing to compare')
    checkpoint = variants.find_checkpoint(args.checkpoint)
    for folder in args.export:
        _check_origin(folder, checkpoint)
    _use_threads(args.threads)
    images = _read(args, params)
    task, model = variants.in_float32(params, checkpoint, '')
    size = variants.bytes_on_disk(os.path.dirname(checkpoint.path), tuple(checkpoint.files))
    rows: list[dict[str, Any]] = [{'name': 'checkpoint', 'bytes': size}]
    detectors = [_of_checkpoint(params, task, model)]
    for folder in args.export:
        detectors.append((_of_saved_model if kinds[folder] == _SAVED_MODEL else _of_lite)(folder, params, args.threads))
        size = variants.bytes_on_disk(folder, (kinds[folder],))
        rows.append({'name': os.path.basename(folder.rstrip('/')), 'export': _about(folder), 'bytes': size})
    for row, metrics in zip(rows, (_accuracy(detect, images) for detect in detectors), strict=True):
        row.update(metrics)
    for row, times in zip(rows, _times(detectors, images[: args.timed_images]), strict=True):
        row.update(times)
    found = {
        'checkpoint': checkpoint.name,
        'images': len(images),
        'threads': args.threads,
        'machine': {'processors': os.cpu_count(), 'load_average': round(os.getloadavg()[0], 1)},
        'rows': rows,
    }
    sys.stdout.write(table(rows))
    if args.output:
        files.write_json(args.output, found)
    return 0


def _kind(folder: str) -> str:
    found = [name for name in (_SAVED_MODEL, _LITE) if files.exists(os.path.join(folder, name))]
    if len(found) != 1 or not files.exists(os.path.join(folder, 'export.json')):
        raise errors.bad_value(
            'export', folder, 'a folder that export.export_saved_model or export.export_tflite wrote', where='--export'
        )
    return found[0]


def _told(folder: str) -> dict[str, Any]:
    return files.read_json(os.path.join(folder, 'export.json'))


def _about(folder: str) -> dict[str, Any]:
    told = _told(folder)
    return {name: told[name] for name in ('precision', 'quantization') if name in told}


def _check_origin(folder: str, checkpoint: Any) -> None:
    """Refuses an export of another checkpoint, whose figures would be laid side by side."""
    told = _told(folder)['checkpoint']
    if told['digest'] != checkpoint.digest:
        raise errors.UserError(
            f"--export '{folder}' was made from another checkpoint ({told['name']}) than --checkpoint "
            f'({checkpoint.name}); compare exports of one.'
        )


def _use_threads(count: int) -> None:
    """Before TensorFlow computes anything, for it cannot be changed afterwards."""
    import tensorflow as tf  # noqa: PLC0415

    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:  # a caller has computed already; the figures say how many there are
        sys.stderr.write('note: TensorFlow is running already, so that --threads does not reach it.\n')


def _read(args: argparse.Namespace, params: Any) -> list[Any]:
    """The labelled images."""
    from official_rethink.data import shards  # noqa: PLC0415

    sets = {'test': params.task.test_data, 'validation': params.task.validation_data}
    path = variants.first_there(args.input, sets, 'input', 'measure on')
    found = []
    for record in shards.read(path):
        found.append(record)
        if len(found) == args.images:
            break
    if not any(record.annotations for record in found):
        raise errors.UserError(f"the {len(found)} images of '{path}' have no labelled object to measure AP on.")
    return found


def _of_checkpoint(params: Any, task: Any, model: Any) -> Callable[[Any], Any]:
    from official_rethink.serving import verification  # noqa: PLC0415

    return verification.detector(params, task, model)


def _of_saved_model(folder: str, params: Any, threads: int) -> Callable[[Any], Any]:
    from official_rethink.serving import answers, verification  # noqa: PLC0415

    loaded = answers.load(os.path.join(folder, _SAVED_MODEL))
    name, kind, signature = min(loaded.signatures, key=lambda one: one[0])  # image_bytes, if it is there
    normalized = _told(folder)['boxes'].endswith('shares of the image')

    def detect(record: Any) -> Any:
        assert loaded.model  # its signatures have no weights without it
        ((_, found),) = verification.served(signature, kind, [record], normalized)
        return found

    return detect


def _of_lite(folder: str, params: Any, threads: int) -> Callable[[Any], Any]:
    from official_rethink.serving import answers, lite_detector  # noqa: PLC0415

    with files.open_bytes(os.path.join(folder, _LITE)) as file:
        detector = lite_detector.LiteDetector(file.read(), params.task, threads)
    return lambda record: detector.detect(answers.pixels(record))


def _accuracy(detect: Callable[[Any], Any], images: Sequence[Any]) -> dict[str, float]:
    """AP and AP50 of one of them."""
    from official_rethink.evaluation import coco  # noqa: PLC0415

    evaluator = coco.CocoEvaluator(None)
    for number, record in enumerate(images):
        found = detect(record)
        truth = record.annotations
        evaluator.add(
            number,
            record.height,
            record.width,
            [one.box for one in truth],
            [one.label for one in truth],
            [one.area for one in truth] if all(one.area is not None for one in truth) else None,
            [one.is_crowd for one in truth],
            found.boxes,
            found.scores,
            found.classes,
        )
    metrics = evaluator.evaluate()
    return {name: round(metrics[name], 5) for name in ('AP', 'AP50')}


def _times(detectors: Sequence[Callable[[Any], Any]], images: Sequence[Any]) -> list[dict[str, dict[str, float]]]:
    """How long each takes for one image, in milliseconds: by the clock, and of the processor.

    In turns, so that whatever else the machine does befalls all alike. They have answered before, so that nothing is
    traced or allocated here.
    """
    spent: list[list[tuple[float, float]]] = [[] for _ in detectors]
    for record in images:
        for detect, taken in zip(detectors, spent, strict=True):
            before = time.perf_counter(), time.process_time()
            detect(record)
            taken.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    found = []
    for taken in spent:
        clock, processor = (sorted(values) for values in zip(*taken, strict=True))
        times = {'p50': _at(clock, 0.5), 'p95': _at(clock, 0.95)}
        found.append({'latency_ms': times, 'processor_ms': {'p50': _at(processor, 0.5)}})
    return found


def _at(seconds: Sequence[float], share: float) -> float:
    """A percentile of sorted values, in milliseconds."""
    return round(1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))], 2)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures for a person."""
    lines = [_COLUMNS]
    for row in rows:
        times = row['latency_ms']
        lines.append(
            (
                row['name'],
                f'{100 * row["AP"]:.1f}',
                f'{100 * row["AP50"]:.1f}',
                f'{row["bytes"] / 1e6:.2f}',
                f'{times["p50"]:.1f}',
                f'{times["p95"]:.1f}',
                f'{row["processor_ms"]["p50"]:.1f}',
            )
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(_COLUMNS))]
    text = ''
    for line in lines:
        first, *rest = zip(line, widths, strict=True)
        text += '  '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + '\n'
    return text


if __name__ == '__main__':
    entry_point.run(main)
