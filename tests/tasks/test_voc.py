"""PASCAL VOC from its XML files to its mean AP: hand-derived numbers, difficult objects, the train command."""

import json
import pathlib

import pytest
import tensorflow as tf

from official_rethink import prepare
from official_rethink.tasks import evaluate
from tests.data import voc_making
from tests.data.voc_making import NAMES, thing
from tests.tasks import small_maskrcnn, test_maskrcnn_command

CLASSES = {1: 'cat', 2: 'dog', 3: 'person'}
# Two cats and a difficult dog; a dog; nothing.
THINGS = (
    (thing('cat', 11, 9, 30, 24), thing('cat', 41, 9, 60, 24), thing('dog', 1, 1, 10, 10, difficult=1)),
    (thing('dog', 2, 3, 21, 22),),
    (),
)
# y1 x1 y2 x2, score, class: of the first image the first cat twice and the difficult dog; of the second its dog
# and a cat that is none; of the third a dog that is none, less sure than the second's.
FOUND = (
    ((8, 10, 24, 30, 0.9, 1), (8, 10, 24, 30, 0.8, 1), (0, 0, 10, 10, 0.95, 2)),
    ((2, 1, 22, 21, 0.7, 2), (2, 1, 22, 21, 0.1, 1), (0, 0, 1, 1, 0.0, 0)),
    ((2, 1, 22, 21, 0.6, 2), (0, 0, 1, 1, 0.0, 0), (0, 0, 1, 1, 0.0, 0)),
)


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A set of three images with boxes as shards, of other names `train` and `val` for the command."""
    folder = tmp_path_factory.mktemp('voc')
    voc_making.write(folder / 'VOC')
    voc_making.write_boxes(folder / 'VOC')
    for number, (name, things) in enumerate(zip(NAMES, THINGS, strict=True)):
        text = voc_making.xml(name, *voc_making.SIZES[number], things)
        (folder / 'VOC' / 'Annotations' / f'{name}.xml').write_text(text)
    (folder / 'classes.txt').write_text('\n'.join(CLASSES.values()))
    for lists, split in (('trainval', 'all'), ('train', 'train'), ('val', 'val')):
        command = ['voc_detection', f'--voc={folder}/VOC', f'--list={lists}', f'--split={split}']
        prepare.main([*command, f'--classes={folder}/classes.txt', f'--output_dir={folder}/data'])
    return folder


def _evaluated(place: pathlib.Path, protocols: list[str]) -> dict[str, float]:
    """What the task measures where the network is sure to find `FOUND`."""
    task = small_maskrcnn.task(model={'include_mask': False})
    task.task_config.override({'evaluation_protocols': protocols, 'per_category_metrics': True})
    task.categories = CLASSES

    def predict(images, image_info, model):
        del image_info, model
        rows = tf.constant(FOUND, tf.float32)[: tf.shape(images)[0]]
        count = tf.reduce_sum(tf.cast(rows[..., 5] > 0, tf.int32), axis=1)
        return {
            'boxes': rows[..., :4],
            'scores': rows[..., 4],
            'classes': tf.cast(rows[..., 5], tf.int32),
            'num_detections': count,
        }

    task.predict = predict
    data = task.task_config.validation_data
    data.override({'input_path': f'{place}/data/all*', 'global_batch_size': 3})
    return evaluate.evaluate(tf.distribute.get_strategy(), task, None, data)


def test_mean_ap_by_hand(place: pathlib.Path):
    """Cats: right, wrong (found already), wrong, one of two found: area 1/2, six of eleven recalls.

    Dogs: the difficult one counts nowhere; right, wrong: 1. Persons: none, so no part in the mean. COCO knows no
    difficult objects: all three dog detections count, and two of two are found.
    """
    found = _evaluated(place, ['coco', 'voc07', 'voc12'])
    assert found['VOC12_mAP'] == pytest.approx((1 / 2 + 1) / 2)
    assert found['VOC07_mAP'] == pytest.approx((6 / 11 + 1) / 2)
    classes = {name: found[f'PerCategory/{name}/VOC12_AP'] for name in CLASSES.values()}
    assert classes == pytest.approx({'cat': 0.5, 'dog': 1.0, 'person': -1.0})
    assert found['PerCategory/dog/AP'] == pytest.approx(1.0)
    assert found['AP50'] == pytest.approx((51 / 101 + 1) / 2)


def test_without_the_protocols_nothing_of_them_is_told(place: pathlib.Path):
    assert not [name for name in _evaluated(place, ['coco']) if 'VOC' in name]


@pytest.mark.slow
def test_the_best_checkpoint_is_chosen_by_it(place: pathlib.Path):
    override = test_maskrcnn_command._SMALL + (
        ',task.model.include_mask=false,task.evaluation_protocols=[coco,voc07,voc12],'
        'trainer.best_checkpoint_eval_metric=VOC12_mAP'
    )
    flags = ('--mode=train_and_eval', '--model_dir=run')
    done = test_maskrcnn_command._train(place, 'maskrcnn_resnetfpn_gn_coco', *flags, override=override)
    assert done.returncode == 0, done.stderr
    measured = json.loads((place / 'run' / 'test.json').read_text())
    # The only image of the validation set has no object.
    assert (measured['metrics']['VOC07_mAP'], measured['metrics']['VOC12_mAP']) == (-1.0, -1.0)
