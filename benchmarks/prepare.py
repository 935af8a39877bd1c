"""COCO json and images to shards, with masks: ours against Model Garden's `create_coco_tf_record`, one process each."""

import os
import shutil
import tempfile
from typing import Any

from absl import flags

from benchmarks import measure, scenery
from official_rethink.data import coco, problems, shards

IMAGES, TARGET = 150, 3.0


def ours(annotations: str, images_dir: str, output_dir: str) -> None:
    """Prepares the set anew: every picture and every annotation is checked."""
    shutil.rmtree(output_dir, ignore_errors=True)
    found = problems.ProblemList('stop')
    dataset = coco.read(annotations, images_dir, True, found)
    shards.write(
        dataset.items, output_dir, 'train', dataset.categories, make=coco.make(True), num_shards=4, found=found
    )


def reference(annotations: str, images_dir: str, output_dir: str) -> None:
    """Model Garden's script on the same files; it checks nothing."""
    from official.vision.data import create_coco_tf_record as script  # noqa: PLC0415  it defines flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(['benchmark', '--num_processes=0'])
    shutil.rmtree(output_dir, ignore_errors=True)
    os.makedirs(output_dir)
    script._create_tf_record_from_coco_annotations(
        annotations,
        [images_dir],
        os.path.join(output_dir, 'train'),
        4,
        object_annotations_file=annotations,
        include_masks=True,
    )


def run(images: int = IMAGES, rounds: int = 3) -> list[dict[str, Any]]:
    """Measures both on the same COCO file."""
    with tempfile.TemporaryDirectory() as folder:
        source = scenery.write_coco(folder, images)
        compared = measure.in_turn(
            lambda: ours(*source, os.path.join(folder, 'ours')),
            lambda: reference(*source, os.path.join(folder, 'reference')),
            rounds=rounds,
        )
    note = f'{images} images of {scenery.HEIGHT}x{scenery.WIDTH}, {scenery.OBJECTS} outlines each, one process'
    found = measure.measures(compared, per=images)
    return [measure.row('prepare, COCO with masks', found, target=TARGET, unit='s an image', note=note)]
