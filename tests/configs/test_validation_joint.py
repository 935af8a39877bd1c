"""Joint training's own settings: each mistake is named with its value, its place and what is allowed."""

import json

import pytest
from official.core import task_factory

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse, validation, validation_data

JOINT = 'joint_retinanet_efficientnet_coco'
STUDENT = 'self_training_joint_retinanet_efficientnet_coco'


@pytest.mark.parametrize('experiment', [JOINT, STUDENT])
@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('task.joint.detection_weight', '-1', ['is -1', '0 or more']),
        ('task.joint.detection_weight', '0', ['over 0', 'experiments of its own']),
        ('task.joint.classification_weight', '-0.5', ['is -0.5', '0 or more']),
        ('task.joint.num_classes', '1', ['is 1', '2 or more']),
        ('task.joint.top_k', '1', ['2 or more']),
        ('task.joint.input_size', '[224,224]', ['[height, width, 3]']),
        ('task.joint.dropout_rate', '1', ['from 0 to under 1']),
        ('task.joint.label_smoothing', '-0.1', ['from 0 to under 1']),
        ('task.joint.classifcation_weight', '1', ["Did you mean 'task.joint.classification_weight'"]),
        ('task.classification_data.global_batch_size', '0', ['1 or more']),
        ('task.classification_data.augmentation.policy', 'autoaugmnt', ["Did you mean 'autoaugment'"]),
        ('task.classification_validation_data.is_training', 'true', ['false']),
        ('task.init_checkpoint_modules', '[clasification]', ["Did you mean 'classification'"]),
        ('task.model.backbone.type', 'spinenet', ['task.model.']),
    ],
)
def test_mistakes_are_named(experiment, key, value, words):
    with pytest.raises(errors.UserError) as caught:
        parse.load_experiment(experiment, (), f'{key}={value}')
    text = str(caught.value)
    assert all(word in text for word in [*words, '--params_override']) or 'spinenet' in value, text


@pytest.mark.parametrize('experiment', [JOINT, STUDENT])
def test_defaults_are_the_papers_where_known(experiment):
    params = parse.load_experiment(experiment)
    task = params.task
    assert (task.joint.detection_weight, task.joint.classification_weight) == (1.0, 1.0)
    # 19 passes over ImageNet's 1,281,167 images (the paper's), to half a pass.
    passes = params.trainer.train_steps * task.classification_data.global_batch_size / 1_281_167
    assert abs(passes - 19) < 0.5
    built = task_factory.get_task(task)
    assert built.output_size == (640, 640) and built.further_images == (200, 224 * 224)


def test_every_batch_is_shared_out_over_the_replicas():
    both = [f'task.{part}.global_batch_size=16' for part in ('validation_data', 'test_data')]
    params = parse.load_experiment(JOINT, (), ','.join(both))
    validation.validate_runtime(params, 8)
    with pytest.raises(errors.UserError, match=r'task\.classification_data\.global_batch_size is 200.*192 or 208'):
        validation.validate_runtime(params, 16)


def _write(folder, name, ids):
    folder.mkdir(exist_ok=True)
    shard = f'{name}-00000-of-00001.tfrecord'
    (folder / shard).write_bytes(b'')
    description = {
        'format_version': 1,
        'split': name,
        'num_images': 1,
        'num_instances': 1,
        'categories': [{'id': number, 'name': f'class {number}'} for number in ids],
        'image_ids': [name],
        'shards': [shard],
    }
    (folder / f'{name}.json').write_text(json.dumps(description))


def _loaded(folder, **changed):
    values = {
        'task.train_data.input_path': f'{folder}/train*',
        'task.validation_data.input_path': f'{folder}/val*',
        'task.classification_data.input_path': f'{folder}/single*',
        'task.classification_validation_data.input_path': "''",
        'task.joint.num_classes': 10,
        **{f'task.{key.replace("__", ".")}': value for key, value in changed.items()},
    }
    return parse.load(JOINT, (), ','.join(f'{key}={value}' for key, value in values.items()))


def test_files_to_classify_are_checked(tmp_path):
    for name, ids in (('train', [1, 2]), ('val', [1, 2]), ('single', range(1, 11)), ('bare', [])):
        _write(tmp_path, name, ids)
    loaded = _loaded(tmp_path)
    validation_data.validate_data(loaded.params, loaded.sources)
    held, learnt = 'classification_validation_data', 'classification_data'
    for changed, words in (
        ({'joint__num_classes': 9}, ['task.joint.num_classes is 9', '10, the highest class id']),
        ({f'{learnt}__input_path': f'{tmp_path}/bare*'}, [learnt, 'carry none']),
        ({f'{learnt}__input_path': f'{tmp_path}/none*'}, [learnt, 'matches shards']),
        ({f'{held}__input_path': f'{tmp_path}/none*'}, [held, 'matches shards']),
    ):
        loaded = _loaded(tmp_path, **changed)
        with pytest.raises(errors.UserError) as caught:
            validation_data.validate_data(loaded.params, loaded.sources)
        assert all(word in str(caught.value) for word in words), str(caught.value)
