"""What the exporters share: the checkpoint, the images to compare on, and variants in other arithmetic."""

import argparse
import os
import sys
from typing import Any

from official_rethink.common import errors, files

EXIT_DIFFERS = 1


def add_min_agreement(parser: argparse.ArgumentParser) -> None:
    """Adds --min_agreement."""
    parser.add_argument(
        '--min_agreement',
        type=float,
        default=0.9,
        help="the least share of the checkpoint's detections that a variant in other arithmetic finds (default: 0.9)",
    )


def check(args: argparse.Namespace, *at_least_one: str) -> None:
    """Compares flags with what they may be.

    Raises:
        UserError: a number is out of its range.
    """
    for name in at_least_one:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise errors.bad_value(name, value, '1 or more', where=f'--{name}')
    if not 0 <= args.min_agreement <= 1:
        raise errors.bad_value('min_agreement', args.min_agreement, 'a share from 0 to 1', where='--min_agreement')


def find_checkpoint(path: str) -> Any:
    """The checkpoint of --checkpoint.

    Raises:
        UserError: there is none.
    """
    from official_rethink.pseudo_labels import teacher  # noqa: PLC0415

    found = teacher.find(path)
    if found.is_saved_model:
        raise errors.UserError(
            f"--checkpoint '{path}' is a SavedModel already; name the checkpoint it was made from, such as "
            'runs/student/best.'
        )
    return found


def first_there(given: str, sets: dict[str, Any], flag: str, what: str) -> str:
    """What images are read from: the flag's value, or the first of the config's sets that is there.

    Args:
        given: the flag's value, or ''.
        sets: name to the config of a set, the wanted one first.
        flag: its name.
        what: what the images are for.

    Raises:
        UserError: none is there.
    """
    import tensorflow as tf  # noqa: PLC0415

    if given:
        return given
    tried = [data.input_path for data in sets.values() if data.input_path]
    for path in tried:
        if tf.io.gfile.glob(path):
            return path
    raise errors.UserError(
        f"the config's {' and '.join(sets)} data are not there ({', '.join(map(repr, tried)) or 'none is named'}); "
        f'name shards or a folder of images to {what} with --{flag}.'
    )


def need_one_stage(params: Any, experiment: str, what: str) -> None:
    """Refuses what is no RetinaNet.

    Raises:
        UserError: so it is.
    """
    from official_rethink.configs import detection, families  # noqa: PLC0415

    families.need_detector(params.task, experiment, what)
    if not isinstance(params.task, detection.DetectionTask):
        raise errors.UserError(
            f"--experiment='{experiment}' trains a detector of two stages, so {what}; allowed: RetinaNet's, "
            'such as retinanet_efficientnet_coco.'
        )


def in_float32(params: Any, checkpoint: Any, folder: str) -> tuple[Any, Any]:
    """Task and model of a checkpoint, computing in float32 whatever it was trained in."""
    import tensorflow as tf  # noqa: PLC0415

    from official_rethink.modeling import restore  # noqa: PLC0415
    from official_rethink.tasks import runner  # noqa: PLC0415

    runner.prepare_process(params)
    tf.keras.mixed_precision.set_global_policy('float32')
    task = runner.build_task(params, tf.distribute.get_strategy(), folder)
    model = task.build_model()
    restore.restore(model.checkpoint_items, checkpoint.path, 'all')
    return task, model


def refuse(export_dir: str, report: dict[str, Any], words: str) -> int:
    """Leaves a report instead of an export; returns the exit code."""
    path = export_dir.rstrip('/') + '.failed.json'
    files.write_json(path, report)
    sys.stderr.write(f"error: {words}. Nothing was exported; '{path}' has the figures.\n")
    return EXIT_DIFFERS


def bytes_on_disk(folder: str, names: tuple[str, ...]) -> int:
    """What files, or folders with all that is in them, take."""
    import tensorflow as tf  # noqa: PLC0415

    total = 0
    for name in names:
        path = os.path.join(folder, name)
        inner = [os.path.join(root, file) for root, _, found in tf.io.gfile.walk(path) for file in found]
        total += sum(files.size(one) for one in inner or [path])
    return total
