"""A finished study of two segmentation networks, made up for the report's tests; none of its numbers is measured."""

import json
import pathlib
from collections.abc import Callable

import numpy as np

from official_rethink.data import label_maps, scenes, shards
from official_rethink.evaluation import gallery
from official_rethink.study import plan, records, runner
from tests.study import fake

STUDY = """
name: made-up-maps
seeds: [0, 1, 2]
budget: {teacher_steps: 600, student_steps: 400, validation_interval: 100}
data: {scenes: {num_labelled: 60, num_unlabelled: 500, num_validation: 8, num_test: 8, size: 96}}
pseudo_labels: {scales: [0.75, 1, 1.25], flip: true}
networks:
- name: NAS-FPN
  supervised: {experiment: seg_nasfpn_efficientnet_pascal}
  self_training: {experiment: self_training_seg_nasfpn_efficientnet_pascal}
- name: DeepLabv3
  supervised: {experiment: seg_deeplabv3plus_resnet_pascal}
  self_training: {experiment: self_training_seg_deeplabv3plus_resnet_pascal}
baseline: nasfpn
arms:
- {name: nasfpn, network: NAS-FPN}
- {name: nasfpn_self_training, network: NAS-FPN, self_training: true}
- {name: deeplab, network: DeepLabv3}
- {name: deeplab_self_training, network: DeepLabv3, self_training: true}
"""
_CLASSES = ('background', 'walker', 'boat', 'lamp', 'wheel', 'tower')


class Commands(fake.Commands):
    """Writes curves, label maps that are partly wrong, and what a labelling counts."""

    def __init__(self) -> None:
        super().__init__()
        self.metric = 'mIoU'

    def __call__(self, module: str, arguments: list[str], log_path: str, poll: Callable[[], None]) -> int:
        code = super().__call__(module, arguments, log_path, poll)
        folder = pathlib.Path(log_path).parent
        if module == 'official_rethink.train':
            self._training_files(folder)
        elif module == 'official_rethink.pseudo_label':
            self._label_files(folder)
        elif folder.name in ('labelled', 'unlabelled', 'validation', 'test'):
            for path in folder.glob(f'{folder.name}*'):
                path.unlink()
            settings = scenes.Settings(kind='segmentation', height=96, width=96, difficulty=0.15, num_classes=5)
            scenes.write_scenes(str(folder), folder.name, settings, 3, 8)
        return code

    def _training_files(self, folder: pathlib.Path) -> None:
        rng = np.random.default_rng(int(fake.share(folder.name) * 1e9))
        best = json.loads((folder / 'test.json').read_text())
        steps, student = best['step'], folder.name.startswith('student')
        value = 0.52 + 0.034 * student - 0.03 * folder.name.startswith('teacher')
        value += 0.021 * ('DeepLab' in folder.name) + rng.normal(0, 0.005)
        lines = []
        for step in range(100, steps + 1, 100):
            reached = value * (1 - 0.8 * np.exp(-step / (0.3 * steps)))
            lines.append({'kind': 'validation', 'step': step, 'time': 0.0, 'metrics': {'mIoU': reached}})
        (folder / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
        classes = {f'PerCategory/{name}/IoU': value + 0.3 - 0.12 * i for i, name in enumerate(_CLASSES)}
        classes['PerCategory/tower/IoU'] = -1.0
        shares = {'mIoU': value, 'mIoU_resized': value + 0.01, 'pixel_accuracy': 0.9, 'mean_accuracy': value + 0.1}
        best['metrics'] = {**shares, **classes}
        (folder / 'test.json').write_text(json.dumps(best))
        cost = {'steps': steps, 'images': 8 * steps, 'instances': 20 * steps, 'pixels': 8 * steps * 64 * 64}
        (folder / 'cost.json').write_text(json.dumps({**cost, 'seconds': 0.1 * steps}))
        (folder / 'test_label_maps').mkdir()
        for record in shards.read(str(folder.parent.parent / 'data' / 'test' / 'test-*')):
            label_map = label_maps.decode(record.label_map_png).copy()
            label_map[label_map == label_maps.IGNORE] = 0
            shifted = np.roll(label_map, 2 if student else 6, axis=1)
            path = folder / 'test_label_maps' / f'{record.source_id}.png'
            path.write_bytes(label_maps.encode_palette(shifted))

    def _label_files(self, folder: pathlib.Path) -> None:
        rows = [
            {'score_threshold': step / 10, 'coverage': 1 - (step / 10) ** 3, 'pixel_accuracy': 0.8 + 0.019 * step,
             'mIoU': 0.5 + 0.03 * step if step < 9 else None}
            for step in range(1, 10)
        ]  # fmt: skip
        (folder / 'quality.json').write_text(json.dumps({'curve': rows}))
        manifest = json.loads((folder / 'manifest.json').read_text())
        manifest |= {
            'labels': 'label_maps',
            'categories': [{'id': number, 'name': name} for number, name in enumerate(_CLASSES) if number],
            'num_pixels': 1000,
            'pixel_scores': [0] * 127 + [125, 875] + [0] * 127,  # 127 is just under half of 255
            'pixels_per_category': {'0': 700, '1': 100, '2': 90, '3': 60, '4': 50, '5': 0},
            'kept_at': [{'score_threshold': row['score_threshold'], 'coverage': row['coverage']} for row in rows],
        }
        (folder / 'manifest.json').write_text(json.dumps(manifest))
        rng = np.random.default_rng(0)
        pictures = [[rng.integers(60, 190, (120, 120, 3), dtype=np.uint8) for _ in range(4)] for _ in range(3)]
        (folder / 'gallery.png').write_bytes(gallery.grid(pictures, title='made-up gallery'))


def study(folder: pathlib.Path, text: str = STUDY) -> tuple[dict, plan.Plan]:
    """Runs the made-up study in `folder`; returns its record and plan."""
    config = fake.load(folder, '', text)
    made = fake.make_plan(config)
    runner.Runner(made, str(folder / 'out'), [Commands()]).run()
    return records.collect(config, made, str(folder / 'out')), made
