"""That benchmarks compare like with like; what they measure is for `make bench`."""

import json

import numpy as np
import pytest
import tensorflow as tf
import yaml

from benchmarks import (
    coco_evaluation,
    growth,
    input_pipeline,
    parts,
    prepare,
    run,
    scenery,
    study_share,
    train_step,
    transfer,
)
from official_rethink.dataloaders import decoder
from official_rethink.study import __main__ as study


def test_coco_evaluation_gives_the_same_numbers_on_both_sides():
    (row,) = coco_evaluation.run(5, rounds=1)
    run.checked(row, 'coco_evaluation')
    metrics = coco_evaluation.ours(coco_evaluation.make_images(5))
    assert 0.05 < metrics[0] < 0.95  # neither nothing nor everything is found


def test_coco_evaluation_of_other_numbers_is_no_benchmark(monkeypatch):
    monkeypatch.setattr(coco_evaluation, 'reference', lambda images: coco_evaluation.ours(images) + 1e-6)
    with pytest.raises(ValueError, match='the twelve numbers differ'):
        coco_evaluation.run(3, rounds=1)


def test_prepare_writes_the_same_masks_on_both_sides(tmp_path):
    source = scenery.write_coco(str(tmp_path), 2)
    masks = {}
    for name, write in {'ours': prepare.ours, 'reference': prepare.reference}.items():
        write(*source, str(tmp_path / name))
        shards = sorted(str(path) for path in (tmp_path / name).glob('*.tfrecord'))
        found = {}
        for serialized in tf.data.TFRecordDataset(shards).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            image_id = features['image/source_id'].bytes_list.value[0]
            encoded = features['image/object/mask'].bytes_list.value
            found[int(image_id)] = np.stack([tf.io.decode_png(mask)[..., 0] for mask in encoded])
        masks[name] = found
    assert masks['ours'].keys() == masks['reference'].keys() == {1, 2}
    for image_id, ours in masks['ours'].items():
        assert ours.shape == (scenery.OBJECTS, scenery.HEIGHT, scenery.WIDTH)
        np.testing.assert_array_equal(ours, masks['reference'][image_id])


def test_the_record_has_what_both_pipelines_read():
    decoded = decoder.RecordDecoder(True).decode(input_pipeline.record(with_masks=True))
    assert decoded['groundtruth_boxes'].shape == (input_pipeline.BOXES, 4)
    assert decoded['image'].shape == (scenery.HEIGHT, scenery.WIDTH, 3)
    first = tf.io.decode_png(decoded['groundtruth_instance_masks'][0])
    top, left, bottom, right = scenery.boxes(count=input_pipeline.BOXES)[0]
    assert first.numpy().sum() == pytest.approx(np.pi / 4 * (bottom - top) * (right - left), rel=0.02)


def test_bytes_of_an_example_are_counted():
    def parse(index, record):
        del index, record
        return tf.zeros([2, 3], tf.uint8), {'boxes': tf.zeros([5], tf.float32), 'count': tf.constant(1, tf.int32)}

    assert transfer.example_bytes(parse, b'') == 6 + 20 + 4
    assert transfer.label_bytes(parse, b'') == 24


def test_train_steps_see_the_same_pictures_and_boxes():
    ours, reference = train_step.our_batch(2), train_step.reference_batch(2)
    assert ours[0].shape == reference[0].shape == (2, train_step.SIZE, train_step.SIZE, 3)
    positives = [np.sum(targets.numpy() > 0) for targets in reference[1]['cls_targets'].values()]
    assert sum(positives) >= 2 * scenery.OBJECTS  # every box has an anchor
    np.testing.assert_array_equal(ours[1]['num_instances'], [scenery.OBJECTS] * 2)


def test_a_studys_time_is_split(tmp_path):
    """Windows of 9, 4 and 2 seconds: the usual one takes 3, so the first traced for 6; a window of 1 alone has none."""
    for name, seconds in (('teacher', (9.0, 4.0, 2.0)), ('student', (1.0, 1.5, 1.5))):
        (tmp_path / 'training' / name).mkdir(parents=True)
        entries = [{'kind': 'train', 'metrics': {'seconds': value}} for value in seconds]
        lines = [*entries, {'kind': 'validation', 'metrics': {'AP': 0.5}}]
        (tmp_path / 'training' / name / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    assert study_share.training_seconds(str(tmp_path)) == (3.0 + 6.0 + 4.0, 6.0)


def test_the_shortened_study_is_a_valid_one(tmp_path):
    with open('configs/study/quick.yaml', encoding='utf-8') as handle:
        whole = yaml.safe_load(handle)
    short = study_share.shortened(whole)
    assert short['seeds'] == whole['seeds']
    steps, interval = (short['budget'][name] for name in ('teacher_steps', 'validation_interval'))
    assert steps / interval == whole['budget']['teacher_steps'] / whole['budget']['validation_interval'] == 6
    path = tmp_path / 'short.yaml'
    path.write_text(yaml.safe_dump(short))
    assert study.main([f'--config_file={path}', f'--output_dir={tmp_path / "out"}', '--dry_run']) == 0


def test_parts_are_what_each_piece_takes_over_the_one_before():
    found = parts.differences({'decode': 2.0, 'resize': 5.0, 'colour': 5.5})
    assert found == {'decode': 2.0, 'resize': 3.0, 'colour': 0.5}
    rows = [(name, value, 2 * value) for name, value in found.items()] + [('all', 5.5, 11.0)]
    assert parts.table('S4', rows).splitlines()[3] == '| resize | 3.0 | 55% | 6.0 | 55% |'


def test_parts_of_the_pipeline_add_up():
    rows = parts.augment_s4(rounds=1, images=1)
    assert [name for name, _, _ in rows] == [
        'record and JPEG',
        'flip, resize, crop, labels (S1)',
        'RandAugment (S4)',
        'all',
    ]
    for side in (1, 2):
        assert sum(row[side] for row in rows[:-1]) == pytest.approx(rows[-1][side])


def test_growth_is_told_and_drawn(tmp_path):
    row = {'cpu': 0.002, 'wall': 0.003, 'before': 100, 'peak': 110}
    rows = [{'images': 10 * factor, **row} for factor in growth.FACTORS]
    rows[2] = rows[2] | {'cpu': 0.0022}
    lines = growth.table({'prepare': rows}).splitlines()
    assert lines[3].split() == ['prepare', '160', '2.20', '3.00', '100', '110', '1.10']
    assert growth.page_table({'prepare': rows}).splitlines()[-1] == '| prepare | 160 | 2.20 | 110 |'
    growth.plot({'prepare': rows}, str(tmp_path / 'growth.svg'))
    assert (tmp_path / 'growth.svg').read_text().count('<svg') == 1


def test_growth_of_one_part(capsys):
    assert growth.main(['--part=evaluation', '--factor=1']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['images'] == 500 and found['peak'] >= found['before'] > 0
