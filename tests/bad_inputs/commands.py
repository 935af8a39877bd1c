"""What a bad input is: the command, what is spoilt before it, and what its message has to say."""

import dataclasses

from tests.bad_inputs import world

EXPERIMENT = '--experiment=retinanet_efficientnet_coco'
DESCRIBE = ('describe', EXPERIMENT, '--config_file=model.yaml')
TRAIN = ('train', EXPERIMENT, '--config_file=model.yaml', '--mode=train_and_eval', '--model_dir=out')
STUDENT = (
    'train',
    '--experiment=self_training_retinanet_efficientnet_coco',
    '--config_file=model.yaml',
    '--config_file=student.yaml',
    '--mode=train_and_eval',
    '--model_dir=out',
)
COCO = (
    'prepare',
    'coco',
    '--annotations=photos/instances.json',
    '--images=photos/images',
    '--output_dir=out',
)
FOLDER = ('prepare', 'images', '--images=photos/images', '--output_dir=out')
VOC = ('prepare', 'voc', '--voc=voc', '--list=train', '--output_dir=out')
SBD = ('prepare', 'voc', '--voc=sbd', '--list=train', '--output_dir=out')
LABEL = ('pseudo_label', EXPERIMENT, '--config_file=model.yaml', '--output_dir=out')
FIND = (*LABEL, '--input=shards/unlabelled*')
STUDY = ('study', '--config_file=study.yaml', '--output_dir=out')
SPLIT = ('prepare', 'split', '--input=shards/train.json', '--output_dir=out')
EXPORT = ('export', EXPERIMENT, '--config_file=model.yaml', '--export_dir=out')
TFLITE = ('export_tflite', *EXPORT[1:])
COMPARE = ('compare_exports', *EXPORT[1:3])
JSON = 'photos/instances.json'


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: in words.
        command: entry point and flags; the working folder is the world's.
        words: what the message says: what is wrong, the value, what is allowed, where.
        spoil: changes the world; None: the flags alone are wrong.
        skipped: the command succeeds and these words stand in its output.
        left: what it leaves for the next start to go on from; nothing that looks like a result.
    """

    name: str
    command: tuple[str, ...]
    words: tuple[str, ...]
    spoil: world.Spoil | None = None
    skipped: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def override(command: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Adds --params_override to a command."""
    return (*command, f'--params_override={text}')
