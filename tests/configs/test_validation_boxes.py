"""Sets that a detector refuses before any device is touched: without boxes, or without the masks it is to learn."""

import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse, validation_data
from official_rethink.data import records, shards
from tests.pseudo_labels import making

CATEGORIES = [{'id': 1, 'name': 'red'}]
DETECTORS = ('retinanet_efficientnet_coco', 'maskrcnn_resnetfpn_gn_coco')


def _write(folder, split, boxes=1, masks=False, difficult=False):
    made, mask = [], making.png(8, 9, (1, 1, 4, 4)) if masks else None
    for number in range(2):
        annotations = [
            records.Annotation((1.0, 1.0, 4.0, 4.0), 1, area=9.0, mask_png=mask, is_difficult=difficult)
        ] * boxes
        encoded = making.png(8, 9, (1, 1, 4, 4), shade=number + len(split))
        identifier = records.numeric_id(f'{split} {number}')
        whole = None if boxes else 1
        made.append(records.Record(identifier, encoded, 'png', 8, 9, annotations=annotations, class_label=whole))
    shards.write(made, str(folder), split, CATEGORIES, num_shards=1)


def _check(folder, experiment, train='train', val='val', more=''):
    override = f'task.train_data.input_path={folder}/{train}*,task.validation_data.input_path={folder}/{val}*{more}'
    loaded = parse.load(experiment, (), override)
    validation_data.validate_data(loaded.params, loaded.sources)


@pytest.mark.parametrize('experiment', DETECTORS)
@pytest.mark.parametrize('part', ['train', 'val'])
def test_a_set_without_boxes_is_named(tmp_path, experiment, part):
    _write(tmp_path, 'train', masks=True)
    _write(tmp_path, 'val', masks=True)
    _check(tmp_path, experiment)
    _write(tmp_path, 'empty', boxes=0)
    with pytest.raises(errors.UserError, match=f'task.{part}.*empty.json.* have no box at all.*prepare coco'):
        _check(tmp_path, experiment, **{part: 'empty'})


def test_a_set_of_difficult_objects_alone_is_named(tmp_path):
    _write(tmp_path, 'val')
    _write(tmp_path, 'train', difficult=True)
    assert shards.load_description(f'{tmp_path}/train*')['num_difficult'] == 2
    with pytest.raises(errors.UserError, match='every object of task.train_data .*is difficult.*skip_difficult=true'):
        _check(tmp_path, DETECTORS[0])
    _check(tmp_path, DETECTORS[0], more=',task.train_data.skip_difficult=false')
    _check(tmp_path, DETECTORS[0], 'val', 'train')


@pytest.mark.parametrize('experiment', DETECTORS)
def test_protocols_and_their_metrics(experiment):
    def load(protocols, metric='AP'):
        override = f'task.evaluation_protocols={protocols},trainer.best_checkpoint_eval_metric={metric}'
        return parse.load(experiment, (), override).params

    assert load('[coco,voc07,voc12]', 'VOC12_mAP').task.evaluation_protocols == ['coco', 'voc07', 'voc12']
    with pytest.raises(errors.UserError, match="best_checkpoint_eval_metric 'VOC07_mAP'.*VOC12_mAP"):
        load('[coco,voc12]', 'VOC07_mAP')
    with pytest.raises(errors.UserError, match="task.evaluation_protocols 'voc'.*Allowed: coco, voc07, voc12"):
        load('[coco,voc]')
    for protocols in ('[voc12]', '[coco,coco]'):
        with pytest.raises(errors.UserError, match="task.evaluation_protocols is .*'coco', and with it any of voc07"):
            load(protocols)


def test_objects_without_masks_are_named(tmp_path):
    _write(tmp_path, 'train')
    _write(tmp_path, 'val', masks=True)
    _check(tmp_path, DETECTORS[0])
    _check(tmp_path, DETECTORS[1], more=',task.model.include_mask=false')
    with pytest.raises(errors.UserError, match='task.train_data .*train.json.* have no masks.*--include_masks'):
        _check(tmp_path, DETECTORS[1])
