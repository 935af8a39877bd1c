"""A study without training: commands that write, in no time, what the real ones would leave."""

import hashlib
import json
import pathlib
from collections.abc import Callable

import yaml

from official_rethink.configs import study as study_config
from official_rethink.study import overrides, plan, select

BATCHES = {
    'supervised': overrides.Batch(8, 0, 8),
    'self_training': overrides.Batch(8, 8, 8),
    'joint': overrides.Batch(8, 0, 8, classified=4),
    'self_training_joint': overrides.Batch(8, 8, 8, classified=4),
}
STUDY = """
name: small
seeds: [0, 1]
budget: {teacher_steps: 40, student_steps: 40, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_unlabelled: 50, num_validation: 10, num_test: 10}}
baseline: supervised
arms:
- {name: supervised}
- {name: self_training, self_training: true, score_threshold: 0.4}
- {name: strict, self_training: true, score_threshold: 0.6}
"""


def load(folder: pathlib.Path, override: str = '', text: str = STUDY) -> study_config.StudyConfig:
    """Loads `text`, as a file of `folder`, with an override."""
    path = folder / 'study.yaml'
    path.write_text(text)
    return study_config.load([str(path)], override)


def make_plan(config: study_config.StudyConfig) -> plan.Plan:
    """The plan of a study of the built-in scenes."""
    batches = {role: BATCHES.get(role, overrides.Batch(8, 0, 8)) for role in config.roles()}
    return plan.build(config, 0, 0, batches)


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs, nothing catches it."""


def _flags(arguments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument in arguments:
        if argument.startswith('--'):
            name, _, value = argument[2:].partition('=')
            found[name] = value  # the last --config_file is the study's
    return found


class Commands:
    """An Executor. Numbers are functions of the config alone, as on a deterministic platform.

    Attributes:
        calls: the names of the folders worked in, in order.
        kill_at: index of the call that is killed when half of its files are written; None for none.
        fail_at: index of the call that ends with exit code 1.
        teacher_ap: AP of every teacher; None: as of any other run.
        zero: name of the training that finds nothing; '' for none.
        counts: of the pseudo labels' score histogram over [0, 0.25, 0.5, 0.75, 1].
        metric: what trainings are measured by.
        diverging: pieces of the names of trainings whose loss does not stay finite.
    """

    def __init__(self, kill_at: int | None = None, fail_at: int | None = None):
        self.calls: list[str] = []
        self.kill_at, self.fail_at = kill_at, fail_at
        self.teacher_ap: float | None = None
        self.zero = ''
        self.counts = [40, 30, 20, 10]
        self.metric = 'AP'
        self.diverging: tuple[str, ...] = ()

    def __call__(self, module: str, arguments: list[str], log_path: str, poll: Callable[[], None]) -> int:
        flags = _flags(arguments)
        folder = pathlib.Path(flags.get('model_dir') or flags['output_dir'])
        self.calls.append(folder.name)
        index = len(self.calls) - 1
        if module == 'official_rethink.study.select' and index != self.kill_at:
            return select.main(arguments)
        if any(piece in folder.name for piece in self.diverging):
            (folder / 'diverged.json').write_text(json.dumps({'step': 9, 'message': 'the training loss is nan.'}))
            pathlib.Path(log_path).write_text('no more\n')
            return 2
        writes = list(self._files(module, folder, flags))
        with open(log_path, 'a') as log:
            log.write('first words\nlast words\n')
        if index == self.fail_at:
            return 1
        poll()
        for place, (name, content) in enumerate(writes):
            if index == self.kill_at and place == len(writes) // 2:
                raise Killed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        return 0

    def _files(self, module: str, folder: pathlib.Path, flags: dict[str, str]) -> list[tuple[str, str]]:
        if module == 'official_rethink.study.select':
            return [('ranking.json', '{}'), ('best.yaml', 'half')]
        if module == 'official_rethink.train':
            return self._training(folder, flags)
        if module == 'official_rethink.pseudo_label':
            histogram = {'edges': [0.0, 0.25, 0.5, 0.75, 1.0], 'counts': self.counts}
            manifest = {'num_images': 50, 'num_instances': sum(self.counts), 'score_histogram': histogram}
            return [('pseudo-00000-of-00001.tfrecord', 'boxes'), ('manifest.json', json.dumps(manifest))]
        if 'counts' in flags:
            return [(f'splits/count_{flags["counts"]}_seed_{flags["seed"]}.json', json.dumps({'image_ids': ['1']}))]
        if 'fractions' in flags:
            names = [f'splits/fraction_{f}_seed_{flags["seed"]}.json' for f in flags['fractions'].split(',')]
            return [(name, json.dumps({'image_ids': ['1']})) for name in names]
        split, count = flags['split'], int(flags['num_images'])
        shard = f'{split}-00000-of-00001.tfrecord'
        description = {
            'format_version': 1,
            'split': split,
            'num_images': count,
            'num_instances': 3 * count,
            'categories': [{'id': 1, 'name': 'walker'}, {'id': 2, 'name': 'boat'}],
            'image_ids': [],
            'shards': [shard],
        }
        return [(shard, f'{split} {flags["seed"]}'), (f'{split}.json', json.dumps(description))]

    def _training(self, folder: pathlib.Path, flags: dict[str, str]) -> list[tuple[str, str]]:
        config = yaml.safe_load(pathlib.Path(flags['config_file']).read_text())
        steps = config['trainer']['train_steps']
        value = 0.1 + share(folder.name) / 10
        if self.teacher_ap is not None and folder.name.startswith('teacher'):
            value = self.teacher_ap
        value *= folder.name != self.zero
        cost = {
            'steps': steps,
            'images': 8 * steps,
            'instances': 24 * steps,
            'pixels': 512 * steps,
            'seconds': 2.0,
        }
        lines = [_validation(step, value * step / steps, self.metric) for step in range(20, steps + 1, 20)]
        best = {
            'checkpoint': f'best/ckpt-{steps}',
            'values_hash': repr(value),
            'step': steps,
            'metrics': {self.metric: value, 'AP50': 2 * value},
        }
        if self.metric == 'mIoU':
            best['metrics'] = {'mIoU': value, 'mIoU_resized': 0.9 * value, 'pixel_accuracy': 0.8, 'mean_accuracy': 0.5}
        if folder.name.startswith('pretraining'):  # a classifier has no AP
            best['metrics'] = {'accuracy': value}
        return [
            ('params.yaml', yaml.safe_dump(config)),
            ('metrics.jsonl', '\n'.join(lines) + '\n'),
            (f'best/ckpt-{steps}.index', repr(value)),
            (f'best/ckpt-{steps}.data-00000-of-00001', repr(value)),
            ('cost.json', json.dumps(cost)),
            ('test.json', json.dumps(best)),
        ]


def _validation(step: int, value: float, metric: str) -> str:
    return json.dumps({'kind': 'validation', 'step': step, 'time': 0.0, 'metrics': {metric: value}})


def share(name: str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 16**6
