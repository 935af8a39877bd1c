"""Small trainings by the train command on one device, two devices or two processes; what each replica ends with."""

import json
import os
import shutil

import numpy as np

# Neither TensorFlow's devices nor its operations may be touched before the fork.
import tensorflow as tf

from tools import kill_training

SUPERVISED, SELF_TRAINING, SIMCLR, JOINT, SEGMENTATION, CLASSIFICATION, MASKS = KINDS = (
    *('supervised', 'self_training', 'simclr', 'joint', 'segmentation', 'classification', 'masks'),
)
BATCH = 4
# A change of a weight, as a share of it, about eight times float32's rounding.
CHANGE = 1e-6

_EXPERIMENTS = {
    SUPERVISED: 'retinanet_efficientnet_coco',
    SELF_TRAINING: 'self_training_retinanet_efficientnet_coco',
    SIMCLR: 'simclr_resnet_imagenet',
    JOINT: 'self_training_joint_retinanet_efficientnet_coco',
    SEGMENTATION: 'self_training_seg_deeplabv3plus_resnet_pascal',
    CLASSIFICATION: 'imagenet_efficientnet',
    MASKS: 'maskrcnn_resnetfpn_syncbn_coco',
}
_SCHEDULE = {
    'trainer.schedule.base_batch_size': BATCH,
    'trainer.schedule.train_epochs': 'null',
    'trainer.schedule.base_warmup_steps': 2,
    'trainer.schedule.base_learning_rate': 0.01,
    'trainer.schedule.decay': 'cosine',
    'trainer.schedule.stepwise_boundaries': '[]',
    'trainer.steps_per_loop': 1,
    'trainer.summary_interval': 1,
    'trainer.checkpoint_interval': 1,
    'trainer.max_to_keep': 1000,
    'trainer.best_checkpoint_export_subdir': "''",
    'runtime.mixed_precision_dtype': 'float32',
}
_RESNET = {
    'task.model.input_size': '[32,32,3]',
    'task.model.backbone.type': 'resnet',
    'task.model.backbone.resnet.model_id': 10,
    'task.model.backbone.resnet.depth_multiplier': 0.25,
    'task.model.norm_activation.activation': 'relu',
    'task.model.norm_activation.use_sync_bn': 'true',
}
_DETECTOR = {
    **_RESNET,
    'task.model.num_classes': 4,
    'task.model.min_level': 3,
    'task.model.max_level': 4,
    'task.model.anchor.num_scales': 1,
    'task.model.decoder.type': 'fpn',
    'task.model.decoder.fpn.num_filters': 16,
    'task.model.head.num_convs': 1,
    'task.model.head.num_filters': 16,
    'task.model.detection_generator.nms_version': 'batched',
}
_JOINT = {
    'task.joint.num_classes': 3,
    'task.joint.input_size': '[24,24,3]',
}
_SEGMENTATION = {
    **_RESNET,
    'task.model.num_classes': 4,
    'task.model.decoder.aspp.level': 5,
    'task.model.decoder.aspp.num_filters': 8,
    'task.model.decoder.aspp.dilation_rates': '[1]',
    'task.model.decoder.aspp.dropout_rate': 0.0,
    'task.model.head.level': 5,
    'task.model.head.num_convs': 1,
    'task.model.head.num_filters': 8,
}
_CLASSIFICATION = {**_RESNET, 'task.model.num_classes': 3, 'task.model.dropout_rate': 0.0}
_MASKS = {
    'task.model.input_size': '[32,32,3]',
    'task.model.num_classes': 4,
    'task.model.max_level': 5,
    'task.model.anchor.anchor_size': 2.0,
    'task.model.backbone.resnet.model_id': 10,
    'task.model.backbone.resnet.depth_multiplier': 0.25,
    'task.model.decoder.fpn.num_filters': 16,
    'task.model.rpn_head.num_filters': 16,
    'task.model.detection_head.num_convs': 1,
    'task.model.detection_head.num_filters': 16,
    'task.model.detection_head.fc_dims': 32,
    'task.model.mask_head.num_convs': 1,
    'task.model.mask_head.num_filters': 16,
    'task.model.roi_generator.num_proposals': 30,
    'task.model.roi_sampler.num_sampled_rois': 16,
    'task.model.mask_sampler.num_sampled_masks': 4,
    'task.model.detection_generator.nms_version': 'batched',
    'task.resizing.shorter_side': 0,
    'task.resizing.longer_side': 0,
    'task.train_data.mask_crop_size': 28,
    'trainer.schedule.base_drops_before_end': '[]',
}
_SIMCLR = {**_RESNET, 'task.model.projection_head.output_width': 16, 'task.temperature': 0.5}
# Everything that is drawn on a replica for itself (dropout, stochastic depth) is off.
_SETTINGS = {
    SUPERVISED: _DETECTOR,
    SELF_TRAINING: _DETECTOR,
    SIMCLR: _SIMCLR,
    JOINT: {**_DETECTOR, **_JOINT},
    SEGMENTATION: _SEGMENTATION,
    CLASSIFICATION: _CLASSIFICATION,
    MASKS: _MASKS,
}


def arguments(kind, data, model_dir, total, changes=''):
    """Flags of the training of a kind.

    Args:
        kind: one of KINDS.
        data: folder of the sets that `small_shards` writes.
        model_dir: of the run.
        total: steps; every one is logged and saved, and after the last is an evaluation.
        changes: further overrides.
    """
    values = {
        **_SCHEDULE,
        **_SETTINGS[kind],
        'trainer.schedule.base_train_steps': total,
        'trainer.validation_interval': total,
    }
    parts = {'train_data': 'train-*', 'validation_data': 'val-*'}
    if kind in (SELF_TRAINING, JOINT):
        parts['pseudo_data'] = 'boxes/pseudo-*'
    if kind == SEGMENTATION:
        parts['pseudo_data'] = 'label_maps/pseudo-*'
    if kind == JOINT:
        parts |= {'classification_data': 'train-*', 'classification_validation_data': 'val-*'}
    for part, pattern in parts.items():
        values |= {f'task.{part}.input_path': f'{data}/{pattern}', f'task.{part}.global_batch_size': BATCH}
        if 'validation' not in part:
            # The batches of one process, on any number of them.
            values |= {f'task.{part}.sharding': 'false', f'task.{part}.shuffle_buffer_size': 40}
    override = ','.join([*(f'{name}={value}' for name, value in values.items()), *([changes] if changes else [])])
    return [
        'train',
        f'--experiment={_EXPERIMENTS[kind]}',
        '--mode=train_and_eval',
        f'--model_dir={model_dir}',
        f'--params_override={override}',
    ]


def run(argv, model_dir, devices=1, workers=1, change=0.0):
    """Runs the train command in processes of its own, to its end.

    Args:
        argv: of `arguments`.
        model_dir: of the run; what each process ends with stands beside it as <model_dir>-<process>.npz.
        devices: that a process has; only one process may have several.
        workers: processes, on loopback.
        change: by what share weights are changed before the first step, at random.

    Raises:
        RuntimeError: one of them failed.
    """

    def before(index):
        if devices > 1:
            _use_devices(devices)
        _watch(f'{model_dir}-{index}.npz', change)

    log = model_dir + '.log'
    codes = kill_training.wait(kill_training.start(argv, workers, log, before), kill_training.PATIENCE)
    if codes != [0] * workers:
        texts = []
        for index in range(workers):
            with open(f'{log}.{index}', encoding='utf-8') as handle:
                texts.append(handle.read()[-3000:])
        raise RuntimeError(f'exit codes {codes}\n' + '\n'.join(texts))


def cut(model_dir, step, target):
    """Copies a run as if it had been killed after the checkpoint of a step."""
    os.mkdir(target)
    for name in os.listdir(model_dir):
        if name.startswith((f'ckpt-{step}.', 'params.yaml', 'metrics.jsonl')):
            shutil.copy(f'{model_dir}/{name}', target)


def _use_devices(number):
    """Gives the process several virtual devices, which `runtime` has no words for, and a strategy over them."""
    from official_rethink.tasks import runner

    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    names = [f'/cpu:{index}' for index in range(number)]
    runner.build_strategy = lambda params: tf.distribute.MirroredStrategy(names)


def _watch(path, change):
    """Has the run change its weights before the first step, and note at its end what each replica has."""
    from official_rethink.tasks import runner

    plain = runner.Runner.run

    def watched(self):
        if change:
            generator = np.random.default_rng(0)
            for variable in self.trainer.model.trainable_variables:
                noise = generator.standard_normal(variable.shape)
                variable.assign(variable * (1.0 + change * noise).astype(np.float32))
        found = plain(self)
        _keep(path, self)
        return found

    runner.Runner.run = watched


def _keep(path, finished):
    """Writes every variable as this process's replicas have it, [replicas, ...], and the numbers of its log."""
    trainer = finished.trainer
    slots = trainer.optimizer.variables
    variables = [*trainer.model.variables, *(slots() if callable(slots) else slots)]
    # Their order is the order in which they were made, the same in all processes of a job.
    copies = {
        f'{place:04} {variable.name}': np.stack(
            [copy.numpy() for copy in finished.strategy.experimental_local_results(variable)]
        )
        for place, variable in enumerate(variables)
    }
    entries = [[entry['kind'], entry['step'], numbers(entry)] for entry in finished._log.entries]
    np.savez(path, log=np.array(json.dumps(entries)), **copies)


def numbers(entry):
    """What an entry of a run's log says but for the time."""
    return {name: value for name, value in entry['metrics'].items() if name not in ('seconds', 'steps_per_second')}


def ends(model_dir, workers=1):
    """What every replica of a run ended with, by variable [replicas, ...], and each process's log as text."""
    found = []
    for index in range(workers):
        with np.load(f'{model_dir}-{index}.npz', allow_pickle=False) as kept:
            found.append({name: kept[name] for name in kept.files})
    logs = [str(one.pop('log')) for one in found]
    assert all(one.keys() == found[0].keys() for one in found), 'processes do not hold the same variables'
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}, logs
