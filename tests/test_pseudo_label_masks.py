"""Step 3 with a Mask R-CNN as the teacher: masks in the store, their quality, and a student that learns them."""

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink import pseudo_label, train
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import shards
from official_rethink.evaluation import instance_masks
from tests.tasks import maskrcnn_world as world

_MODELS: list[Any] = []  # the task and the network of the checkpoint


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What the command leaves; the teacher is measured too."""
    folder = tmp_path_factory.mktemp('pseudo_label_masks')
    _MODELS.append(world.make(folder))
    more = (f'--input={folder}/data/unlabelled*', f'--output_dir={folder}/labels', '--truth', '--shard_size=4')
    assert pseudo_label.main(world.arguments(folder, *more, '--skip_teacher_evaluation')) == 0
    return folder


def test_the_store_holds_the_teachers_masks(made: pathlib.Path) -> None:
    manifest = json.loads((made / 'labels' / 'manifest.json').read_text())
    assert manifest['masks'] is True and manifest['num_instances'] > 6
    quality = json.loads((made / 'labels' / 'quality.json').read_text())
    assert quality['masks']['images'] == quality['images'] == 6 and quality['masks']['truth'] == quality['truth'] > 0
    assert (made / 'labels' / 'gallery.png').exists()
    task, model = _MODELS[0]
    record = next(shards.read(str(made / 'labels' / 'pseudo.json')))
    image = tf.io.decode_image(record.encoded, channels=3, expand_animations=False)
    resized, info = pipeline.resize_and_pad(image, task.output_size)
    found = task.predict(resized[tf.newaxis], info[tf.newaxis], model)
    scores = [annotation.score for annotation in record.annotations]
    np.testing.assert_allclose(scores, found['scores'][0, : len(scores)], atol=1e-5)
    for row, annotation in enumerate(record.annotations):
        assert annotation.mask_png is not None
        mask = np.asarray(Image.open(io.BytesIO(annotation.mask_png)))
        box, own = found['boxes'][0, row].numpy(), found['masks'][0, row].numpy()
        expected = instance_masks.paste_one(own, box, record.height, record.width)
        assert mask.shape == (32, 48) and (mask != expected).mean() < 0.01


def _student(labels: pathlib.Path, made: pathlib.Path, out: pathlib.Path, *override: str) -> list[str]:
    values = (
        f'task.pseudo_data.input_path={labels}/pseudo*,task.pseudo_data.score_threshold=0.1',
        'task.pseudo_data.global_batch_size=2,task.pseudo_data.mask_crop_size=14,trainer.schedule.base_batch_size=2',
        'trainer.schedule.base_train_steps=2,trainer.schedule.base_warmup_steps=1',
        'trainer.schedule.base_drops_before_end=[1]',
        *override,
    )
    return [
        f'--experiment=self_training_{world.EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--params_override={",".join(values)}',
        '--mode=train',
        f'--model_dir={out}',
    ]


def test_a_student_of_masks_refuses_labels_without(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in (made / 'labels').iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    told = json.loads((tmp_path / 'manifest.json').read_text())
    del told['masks']
    (tmp_path / 'manifest.json').write_text(json.dumps(told))
    with pytest.raises(errors.UserError, match='have no masks, but task.model.include_mask is true'):
        train.main(_student(tmp_path, made, tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_a_student_learns_from_them(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Two true steps on both kinds of masks, from the teacher's weights."""
    start = f'task.init_checkpoint={made}/ckpt-30'
    assert train.main(_student(made / 'labels', made, tmp_path / 'run', start)) == 0
    lines = [json.loads(line) for line in (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()]
    trained = [line['metrics'] for line in lines if line['kind'] == 'train'][-1]
    assert trained['pseudo/mask_loss'] > 0 and trained['human/mask_loss'] > 0 and trained['pseudo/boxes_per_image'] > 0
