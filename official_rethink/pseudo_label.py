"""Entry point of step 3: a teacher labels images.

It writes shards with every detection over a low floor, or each image's class probabilities, or a label map and the
score of each of its pixels; `manifest.json`, which says where they come from; and of boxes and label maps a gallery
of the most, least and median confident images. Killed and started again, it goes on where it stopped.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official_rethink.common import cluster, entry_point, errors

_EPILOG = """example:
  python -m official_rethink.pseudo_label --experiment=retinanet_efficientnet_coco \\
      --config_file=runs/teacher/params.yaml --checkpoint=runs/teacher/best \\
      --input='data/unlabelled-*.tfrecord' --output_dir=runs/pseudo_labels

A student reads the shards (task.pseudo_data.input_path=runs/pseudo_labels/pseudo-*.tfrecord) and applies its
own score threshold to them."""

# Flags, config, kind, teacher's files, images, store and what is known of the classes; returns step and metrics.
Work = Callable[[argparse.Namespace, Any, Any, Any, Any, Any, Mapping[str, Any]], dict[str, Any]]

_INPUT_ITSELF = '='  # --truth without a value
_SHARD_SIZE = 512


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m official_rethink.pseudo_label', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add_flags(parser)
    return parser.parse_args(argv)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all that says what is labelled, and how."""
    add = parser.add_argument
    add('--experiment', required=True, help="the teacher's experiment")
    add('--config_file', action='append', default=[], help="YAML: the teacher's params.yaml; repeatable")
    add('--params_override', default='', help='a.b=c,d=[e,f] or a YAML file, applied last')
    add('--checkpoint', required=True, help="a folder with checkpoints, a prefix, or a SavedModel's folder")
    add('--input', required=True, help='shard pattern, or a folder of images')
    add('--output_dir', required=True, help='folder for shards, manifest.json and gallery.png')
    add('--score_floor', type=float, help='lowest score of a box that is stored (default: 0.05)')
    add(
        '--keypoint_threshold',
        type=float,
        help="least score of a teacher's key point that is stored as visible (default: 0.05)",
    )
    add(
        '--scales',
        help="boxes, label maps: sizes to look at, 0.5,1,1.5 times the network's (default: task.inference's)",
    )
    add(
        '--flip',
        action=argparse.BooleanOptionalAction,
        help="boxes, label maps: look at the mirrored image too (default: task.inference's)",
    )
    add(
        '--large_images',
        choices=('scale', 'tile'),
        help="label maps: images larger than the network's size are scaled down (default), or cut into tiles",
    )
    add('--tile_overlap', type=int, help='pixels that neighbouring tiles share (default: a quarter of a tile)')
    add('--batch_size', type=int, help="images a step (default: task.validation_data's)")
    add('--shard_size', type=int, default=_SHARD_SIZE, help=f'images a shard (default: {_SHARD_SIZE})')
    add(
        '--truth',
        nargs='?',
        const=_INPUT_ITSELF,
        default='',
        help='labelled shards of the same images, to measure the labels by; without a value: --input itself',
    )
    add('--gallery_images', type=int, default=4, help='pictures of each kind; 0: none (default: 4)')
    add('--skip_teacher_evaluation', action='store_true', help='do not measure the teacher first')
    add(
        '--on_error',
        default='stop',
        choices=('stop', 'skip'),
        help='at an image that cannot be read: stop; or leave it out, listed in pseudo-skipped.jsonl',
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return label(_parse_args(argv), _work)


def label(args: argparse.Namespace, work: Work) -> int:
    """Checks, opens the store, has the images labelled, finishes the store and prints what is in it.

    Args:
        args: of the flags that `add_flags` adds.
        work: labels what is not labelled yet.

    Returns:
        The command's exit code.
    """
    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415
    from official_rethink.pseudo_labels import kinds, printing  # noqa: PLC0415
    from official_rethink.tasks import run_folder  # noqa: PLC0415

    loaded = parse.load(args.experiment, args.config_file, args.params_override)
    params, placed = cluster.apply(loaded.params, loaded.is_set)
    if placed:
        sys.stderr.write(f'note: {placed}\n')
    kind = kinds.of(params, args.experiment)
    kind.check(args)
    _check_args(args, params)
    with run_folder.locked(args.output_dir):
        manifest = _label(args, params, kind, work)
    sys.stdout.write(printing.text(manifest, args.output_dir))
    return 0


def _check_args(args: argparse.Namespace, params: Any) -> None:
    if args.gallery_images < 0:
        raise errors.bad_value('gallery_images', args.gallery_images, '0 or more', where='--gallery_images')
    if args.batch_size is not None and args.batch_size < 1:
        raise errors.bad_value('batch_size', args.batch_size, '1 or more', where='--batch_size')
    if params.runtime.distribution_strategy in ('multi_worker_mirrored', 'parameter_server'):
        raise errors.bad_value(
            'runtime.distribution_strategy',
            params.runtime.distribution_strategy,
            'a strategy of one host (mirrored, one_device, tpu); override it with --params_override',
        )


def _label(args: argparse.Namespace, params: Any, kind: Any, work: Work) -> dict[str, Any]:
    """Does the work, or what is left of it; returns the manifest."""
    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.data import problems, shards  # noqa: PLC0415
    from official_rethink.pseudo_labels import labelling, manifest, source, store, teacher, truth  # noqa: PLC0415

    found = problems.ProblemList(args.on_error)
    images = source.open_source(args.input, found)
    known = teacher.known(params)
    truth_path = args.input if args.truth == _INPUT_ITSELF else args.truth
    if truth_path:
        kind.check_truth(truth_path, shards.load_description(truth_path))
        truth.check(truth_path, images, known['categories'])
    files_of = teacher.find(args.checkpoint)
    inputs = {
        'teacher': {'path': files_of.path, 'digest': files_of.digest},
        'model': params.task.model.as_dict(),
        'precision': params.runtime.mixed_precision_dtype or 'float32',
        'score_floor': args.score_floor,
        'shard_size': args.shard_size,
        'input': source.summary(images),
        **kind.inputs(args),
    }
    best = max(1, round(known['boxes']))
    classes, points = known['categories'], known['keypoints']
    place = store.Store(args.output_dir, images.num_images, args.shard_size, classes, best, points)
    place.open(inputs)
    if place.complete:
        sys.stderr.write(f"'{args.output_dir}' is complete and made from the same inputs: nothing to do.\n")
        finished = manifest.load(args.output_dir)
        if truth_path and not files.exists(place.path(truth.QUALITY)):
            kind.measure(truth_path, place, args.score_floor)
        return finished
    try:
        metrics = work(args, params, kind, files_of, images, place, known)
    except labelling.EmptyTeacher:
        place.discard()
        raise
    counted = place.describe(inputs, found)
    if args.gallery_images:
        kind.draw(place, known, counted, args.gallery_images)
    if truth_path:
        kind.measure(truth_path, place, args.score_floor)
    about = {'checkpoint': files_of.name, 'path': files_of.path, 'files': files_of.files, **metrics}
    config = {'experiment': args.experiment, 'hash': files.hash_of(params.as_dict())}
    place.finish(manifest.build(counted, known['categories'], inputs, about, config))
    return manifest.load(args.output_dir)


def _work(
    args: argparse.Namespace,
    params: Any,
    kind: Any,
    files_of: Any,
    images: Any,
    place: Any,
    known: Mapping[str, Any],
) -> dict[str, Any]:
    """Builds the teacher, measures it, labels; returns the teacher's step and metrics."""
    from official_rethink.pseudo_labels import labelling  # noqa: PLC0415

    labeller, measure = build(args, params, kind, files_of, known)
    metrics = measured(place, measure)
    labelling.run(images, place, labeller, args.on_error)
    return metrics


def build(
    args: argparse.Namespace, params: Any, kind: Any, files_of: Any, known: Mapping[str, Any]
) -> tuple[Any, Callable[[], dict[str, Any]]]:
    """Builds the teacher; returns a `labelling.Labeller`, and what measures it: its step and metrics."""
    from official_rethink.pseudo_labels import inference, labelling  # noqa: PLC0415
    from official_rethink.tasks import runner  # noqa: PLC0415

    runner.prepare_process(params)
    strategy = runner.build_strategy(params)
    task = runner.build_task(params, strategy, args.output_dir)
    task.categories = {category['id']: category['name'] for category in known['categories']}
    predict, evaluated, fixed, step = _build_teacher(kind, strategy, task, files_of)
    batch_size = _batch_size(args, params, strategy.num_replicas_in_sync, fixed)
    inference.check_batch_size(batch_size, strategy.num_replicas_in_sync)
    classes = tuple(category['id'] for category in known['categories'])
    reading = kind.reading(args, task.output_size, classes)

    def measure() -> dict[str, Any]:
        return {'step': step, **_evaluate(args, params, kind, strategy, evaluated)}

    return labelling.Labeller(predict, reading, batch_size, strategy), measure


def measured(place: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measures the teacher, once however often the work is started; returns its step and metrics."""
    metrics = place.remembered('teacher')
    if metrics is None:
        metrics = measure()
        place.remember('teacher', metrics)
    return metrics


def _build_teacher(kind: Any, strategy: Any, task: Any, files_of: Any) -> tuple[Any, Any, int | None, int | None]:
    """Returns predict, (task, model) for evaluation, a fixed batch size a replica or None, and the step."""
    from official_rethink.modeling import restore  # noqa: PLC0415
    from official_rethink.pseudo_labels import teacher  # noqa: PLC0415
    from official_rethink.tasks import evaluate  # noqa: PLC0415

    if files_of.is_saved_model:
        kind.check_saved_model(files_of.path)
        normalized = teacher.gives_shares(files_of.path)
        if normalized is None:
            normalized = kind.params.task.export_config.output_normalized_coordinates
        saved = teacher.SavedModel(files_of.path, task.output_size, normalized, strategy, kind.further)
        return saved.predict, (teacher.SavedModelTask(task, saved), None), saved.batch_size, None
    with strategy.scope():
        model = task.build_model()
    restore.restore(model.checkpoint_items, files_of.path, 'all')
    return kind.predict(task, model), (task, model), None, evaluate.checkpoint_step(files_of.path)


def _batch_size(args: argparse.Namespace, params: Any, replicas: int, fixed: int | None) -> int:
    if fixed is None:
        default = max(params.task.validation_data.global_batch_size // replicas, 1) * replicas
        return default if args.batch_size is None else args.batch_size
    if args.batch_size not in (None, fixed * replicas):
        allowed = f'{fixed * replicas}, which the SavedModel was exported for'
        raise errors.bad_value('batch_size', args.batch_size, allowed, '--batch_size')
    return fixed * replicas


def _evaluate(
    args: argparse.Namespace, params: Any, kind: Any, strategy: Any, evaluated: Any
) -> dict[str, Any]:
    """Measures the teacher on its validation data.

    Raises:
        UserError: it finds nothing: the first metric of its kind is 0.
    """
    import tensorflow as tf  # noqa: PLC0415

    from official_rethink.tasks import evaluate  # noqa: PLC0415

    data = params.task.validation_data
    reason = '--skip_teacher_evaluation' if args.skip_teacher_evaluation else ''
    patterns = [pattern.strip() for pattern in data.input_path.split(',')]
    if not reason and not any(tf.io.gfile.glob(pattern) for pattern in patterns if pattern):
        reason = f"its validation data '{data.input_path}' (task.validation_data.input_path) is not there"
    if reason:
        sys.stderr.write(f'The teacher is not measured: {reason}.\n')
        return {'metrics': None, 'measured_on': None}
    task, model = evaluated
    metrics = {name: float(value) for name, value in evaluate.evaluate(strategy, task, model, data).items()}
    told = ', '.join(f'{name} {metrics[name]:.4f}' for name in kind.metrics)
    sys.stderr.write(f"teacher: {told} on '{data.input_path}'\n")
    if nothing := kind.finds_nothing(metrics):
        raise errors.UserError(
            f"the teacher finds nothing: its {nothing} on '{data.input_path}' is 0. Its labels would teach "
            f"nothing; train it longer, or check that '{args.checkpoint}' is the right checkpoint for these classes."
        )
    return {'metrics': metrics, 'measured_on': data.input_path}


if __name__ == '__main__':
    entry_point.run(main)
