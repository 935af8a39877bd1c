"""Bad settings: configs, flags of the labelling, studies, exports."""

import json

from tests.bad_inputs import commands, world
from tests.bad_inputs.commands import Case


def yaml(text: str) -> world.Spoil:
    return world.write('bad.yaml', text)


BAD_YAML = (*commands.DESCRIBE, '--config_file=bad.yaml')

CONFIGS = (
    Case(
        'experiment misspelt',
        ('describe', '--experiment=retinanet_eficientnet_coco'),
        ("unknown experiment 'retinanet_eficientnet_coco'", "Did you mean 'retinanet_efficientnet_coco'"),
    ),
    Case(
        'flag misspelt', (*commands.DESCRIBE, '--param_override=a=1'), ("'--param_override'", "'--params_override'")
    ),
    Case(
        "Model Garden's flag misspelt", (*commands.TRAIN, '--model_dri=x'), ('model_dri', 'model_dir')
    ),
    Case(
        'file that is not there',
        (*commands.DESCRIBE, '--config_file=no.yaml'),
        ("no configuration file at 'no.yaml'",),
    ),
    Case(
        'key misspelt',
        BAD_YAML,
        ("unknown key 'task.model.num_clases'", 'bad.yaml:3', "Did you mean 'task.model.num_classes'"),
        yaml('task:\n  model:\n    num_clases: 3\n'),
    ),
    Case('YAML that is none', BAD_YAML, ('bad.yaml', ':2'), yaml('task: {model: 1\ntrainer: [}\n')),
    Case('key written twice', BAD_YAML, ("'task'", 'twice', 'bad.yaml:2'), yaml('task: {}\ntask: {}\n')),
    Case('YAML that is a list', BAD_YAML, ('bad.yaml', 'keys and values'), yaml('- 1\n- 2\n')),
    Case(
        'word for a number',
        commands.override(commands.DESCRIBE, 'task.model.num_classes=ninety'),
        ("task.model.num_classes is 'ninety'", '--params_override', 'whole number'),
    ),
    Case(
        'negative gamma',
        commands.override(commands.DESCRIBE, 'task.losses.focal_loss_gamma=-3'),
        ('task.losses.focal_loss_gamma is -3', '--params_override', 'allowed: 0'),
    ),
    Case(
        'learning rate without its steps',
        commands.override(commands.DESCRIBE, 'trainer.optimizer_config.learning_rate.type=cosine'),
        ('initial_learning_rate is not set', "type is 'cosine'", 'trainer.schedule'),
    ),
    Case(
        'module that no model has',
        commands.override(commands.DESCRIBE, 'task.init_checkpoint_modules=[backbnoe]'),
        ("'backbnoe'", "Did you mean 'backbone'"),
    ),
    Case(
        'metric that nothing measures',
        commands.override(commands.DESCRIBE, 'trainer.best_checkpoint_eval_metric=APP'),
        ("'APP'", "Did you mean 'AP'"),
    ),
    Case(
        'image size the levels cannot halve',
        commands.override(commands.DESCRIBE, 'task.model.input_size=[40,32,3]'),
        ('task.model.input_size', '40', 'multiples of 16', '32 or 48'),
    ),
    Case(
        'length given twice',
        commands.override(commands.DESCRIBE, 'trainer.schedule.train_epochs=3'),
        ('base_train_steps is 4', 'train_epochs is 3', 'exactly one'),
    ),
    Case(
        'human and pseudo examples padded to different lengths',
        commands.override(commands.STUDENT, 'task.pseudo_data.max_num_instances=20'),
        ('task.pseudo_data.max_num_instances is 20', 'task.train_data.max_num_instances is 100', 'equal'),
    ),
    Case(
        'no pseudo examples in a batch',
        commands.override(commands.STUDENT, 'task.pseudo_data.global_batch_size=0'),
        ('task.pseudo_data.global_batch_size is 0', '1 or more', 'human and pseudo'),
    ),
    Case(
        'tf.data service without its protocol',
        commands.override(
            commands.DESCRIBE,
            'task.train_data.enable_tf_data_service=true,task.train_data.tf_data_service_address=host',
        ),
        ("task.train_data.tf_data_service_address is 'host'", '--params_override', 'grpc://10.0.0.2:5050'),
    ),
    Case(
        'evaluation by a tf.data service',
        commands.override(commands.DESCRIBE, 'task.validation_data.enable_tf_data_service=true'),
        ('task.validation_data.enable_tf_data_service is True', 'counts each example once'),
    ),
    Case(
        'tf.data service where nobody answers',
        commands.override(
            commands.TRAIN,
            'task.train_data.enable_tf_data_service=true,task.train_data.tf_data_service_address=grpc://localhost:1',
        ),
        ("no tf.data service answers at 'grpc://localhost:1'", 'task.train_data.tf_data_service_address', 'false'),
    ),
    Case(
        'mode that is none',
        (*commands.TRAIN[:3], '--mode=trian', '--model_dir=out'),
        ('mode', 'trian', 'train'),
    ),
)

LABELLING = (
    Case(
        'floor over 1',
        (*commands.FIND, '--checkpoint=empty', '--score_floor=1.5'),
        ('score_floor is 1.5', 'below 1'),
    ),
    Case(
        'floor under what the teacher gives',
        (*commands.FIND, '--checkpoint=empty', '--score_floor=0.01'),
        ('--score_floor is 0.01', '0.02', 'pre_nms_score_threshold'),
    ),
    Case('images that are not there', (*commands.LABEL, '--checkpoint=empty', '--input=no*'), ("'no*'",)),
)

STUDIES = (
    Case(
        'baseline that is no arm',
        commands.override(commands.STUDY, 'baseline=suprvised'),
        ("'suprvised'", "Did you mean 'supervised'"),
    ),
    Case(
        'arm that is none',
        commands.override(commands.STUDY, 'arms.studnt.score_threshold=0.4'),
        ("'studnt'", "'student'"),
    ),
    Case(
        'fraction over 1',
        commands.override(commands.STUDY, 'arms.student.label_fraction=20'),
        ('label_fraction', "'student'", '20'),
    ),
    Case(
        'augmentation that is none',
        commands.override(commands.STUDY, 'arms.student.augmentation=S5'),
        ("'S5'", 'S1, S2, S3, S4'),
    ),
    Case(
        'supervised arm with less training',
        commands.override(commands.STUDY, 'budget.supervised_steps=5'),
        ('budget.supervised_steps is 5', 'at least 8'),
    ),
    Case(
        'no validation set',
        commands.override(commands.STUDY, "data.validation=''"),
        ('data.validation', 'shard pattern'),
    ),
    Case(
        'validation images among the labelled',
        commands.STUDY,
        ('labelled', 'validation', 'share'),
        world.same_images(),
    ),
    Case(
        "key that is the study's",
        commands.override(commands.STUDY, 'supervised.params_override=task.seed=3'),
        ('task.seed', 'seeds'),
    ),
    Case(
        'start that is not there',
        commands.override(commands.STUDY, 'arms.supervised.initialization=imagenet/ckpt'),
        ("'imagenet/ckpt'", "'random' or the path of a checkpoint"),
    ),
    Case(
        'folder in the cloud',
        ('study', '--config_file=study.yaml', '--output_dir=gs://a/b'),
        ('gs://a/b', 'local'),
    ),
)

EXPORTS = (
    Case(
        'nothing to export',
        (*commands.EXPORT, '--checkpoint=empty'),
        ("no checkpoint in the folder 'empty'",),
    ),
    Case(
        'signature that is none',
        (*commands.EXPORT, '--checkpoint=other_network', '--input_type=image'),
        ('--input_type', "'image'", 'image_tensor'),
    ),
    Case(
        "somebody else's folder in the way",
        (*commands.EXPORT[:3], '--checkpoint=other_network', '--export_dir=occupied'),
        ("'occupied'", 'not replaced'),
    ),
    Case(
        'labels of another model',
        (*commands.EXPORT, '--checkpoint=other_network', '--labels=labels.json'),
        ('labels.json', "'zebra'", 'num_classes is 4'),
        world.write('labels.json', json.dumps({'1': 'red', '9': 'zebra'})),
    ),
    Case(
        'no images to compare on',
        (*commands.EXPORT, '--checkpoint=other_network', '--verify_input=nowhere*'),
        ("'nowhere*'",),
    ),
    Case(
        'precision that is none',
        (*commands.EXPORT, '--checkpoint=other_network', '--precision=float61'),
        ('--precision', "'float61'", 'bfloat16'),
    ),
    Case(
        'no images for the ranges of int8',
        (*commands.TFLITE, '--checkpoint=other_network', '--quantization=int8', '--representative_input=nowhere*'),
        ("'nowhere*'",),
    ),
    Case(
        'images for the ranges of no int8',
        (*commands.TFLITE, '--checkpoint=other_network', '--representative_input=shards/train*'),
        ('--representative_input', '--quantization=int8', 'none'),
    ),
    Case(
        'quantization that is none',
        (*commands.TFLITE, '--checkpoint=other_network', '--quantization=uint4'),
        ('--quantization', "'uint4'", 'int8'),
    ),
    Case(
        'comparison of what is no export',
        (*commands.COMPARE, '--checkpoint=other_network', '--export=occupied'),
        ("'occupied'", '--export', 'export.export_tflite'),
    ),
)
