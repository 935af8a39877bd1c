"""A finished study made up for the report's tests: plausible numbers, none of them measured."""

import json
import pathlib
from collections.abc import Callable

import numpy as np

from official_rethink.data import scenes, shards
from official_rethink.evaluation import gallery
from official_rethink.study import plan, records, runner
from tests.study import fake

STUDY = """
name: made-up
seeds: [0, 1, 2]
budget: {teacher_steps: 2000, student_steps: 2000, validation_interval: 200}
data: {scenes: {num_labelled: 400, num_unlabelled: 2000, num_validation: 8, num_test: 8, size: 96}}
baseline: supervised
arms:
- {name: supervised}
- {name: self_training, self_training: true, score_threshold: 0.4}
- {name: supervised-half, label_fraction: 0.5}
- {name: self_training-half, self_training: true, score_threshold: 0.4, label_fraction: 0.5}
- {name: supervised-S4, augmentation: S4}
"""
TWO_ARMS = """
name: made-up
budget: {teacher_steps: 2000, student_steps: 2000, validation_interval: 200}
data: {scenes: {num_labelled: 400, num_unlabelled: 2000, num_validation: 8, num_test: 8, size: 96}}
baseline: supervised
arms:
- {name: supervised}
- {name: self_training, self_training: true, score_threshold: 0.4}
"""


class Commands(fake.Commands):
    """Writes curves that rise and level off, pictures, and pseudo labels of a middling quality."""

    def __init__(self, gain: float = 0.031):
        super().__init__()
        self._gain = gain

    def __call__(self, module: str, arguments: list[str], log_path: str, poll: Callable[[], None]) -> int:
        code = super().__call__(module, arguments, log_path, poll)
        folder = pathlib.Path(log_path).parent
        if module == 'official_rethink.train':
            self._training_files(folder)
        elif module == 'official_rethink.pseudo_label':
            self._label_files(folder)
        elif folder.name == 'test':
            for path in folder.glob('test*'):
                path.unlink()
            settings = scenes.Settings(kind='detection', height=96, width=96, difficulty=0.5, num_classes=5)
            scenes.write_scenes(str(folder), 'test', settings, 3, 8)
        return code

    def _training_files(self, folder: pathlib.Path) -> None:
        rng = np.random.default_rng(int(fake.share(folder.name) * 1e9))
        best = json.loads((folder / 'test.json').read_text())
        steps, student = best['step'], folder.name.startswith('student')
        value = 0.224 + self._gain * student - 0.031 * folder.name.startswith('teacher')
        value += 0.012 * ('S4' in folder.name) - 0.058 * ('labels0.5' in folder.name) + rng.normal(0, 0.006)
        start = 0.75 * value if student else 0.0
        lines = []
        for step in range(200, steps + 1, 200):
            reached = start + (value - start) * (1 - np.exp(-step / (0.22 * steps))) + rng.normal(0, 0.003)
            lines.append({'kind': 'validation', 'step': step, 'time': 0.0, 'metrics': {'AP': reached}})
        (folder / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
        best['step'] = max(lines[:-1], key=lambda line: line['metrics']['AP'])['step']
        best['metrics'] = {'AP': value, 'AP50': 1.9 * value, 'AP75': 0.95 * value}
        (folder / 'test.json').write_text(json.dumps(best))
        images = steps * (16 if student else 8)
        cost = {'steps': steps, 'images': images, 'instances': 3 * images, 'pixels': images * 96 * 96}
        (folder / 'cost.json').write_text(
            json.dumps({**cost, 'seconds': 0.21 * steps * (1.8 if student else 1)})
        )
        found = []
        for record in shards.read(str(folder.parent.parent / 'data' / 'test' / 'test-*')):
            boxes = [
                np.array(item.box) + rng.normal(0, 2 if student else 5, 4) for item in record.annotations
            ]
            entry = {
                'image_id': int(record.source_id),
                'boxes': [[*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:])] for box in boxes],
                'scores': list(rng.uniform(0.3, 0.95, len(boxes))),
                'classes': [item.label for item in record.annotations],
            }
            found.append(entry)
        (folder / 'test_detections.json').write_text(json.dumps(found))

    def _label_files(self, folder: pathlib.Path) -> None:
        rows = []
        for step in range(1, 20):
            score = step / 20
            precision = 0.25 + 0.7 * score**0.7 if score < 0.95 else None
            row = {'iou_threshold': 0.5, 'score_threshold': score, 'precision': precision}
            rows.append({**row, 'recall': 0.72 * (1 - score) ** 0.8})
        (folder / 'quality.json').write_text(json.dumps({'best_score_threshold': 0.4, 'curve': rows}))
        rng = np.random.default_rng(0)
        pictures = [
            [rng.integers(60, 190, (120, 120, 3), dtype=np.uint8) for _ in range(4)] for _ in range(3)
        ]
        (folder / 'gallery.png').write_bytes(gallery.grid(pictures, title='made-up gallery'))


def study(
    folder: pathlib.Path, text: str = STUDY, override: str = '', gain: float = 0.031
) -> tuple[dict, plan.Plan]:
    """Runs the made-up study in `folder`; returns its record and plan."""
    config = fake.load(folder, override, text)
    made = fake.make_plan(config)
    runner.Runner(made, str(folder / 'out'), [Commands(gain)]).run()
    return records.collect(config, made, str(folder / 'out')), made
