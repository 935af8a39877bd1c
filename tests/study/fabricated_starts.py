"""The record of a study of starts, made up: two starts at three lengths and on less data; none of it is measured."""

import dataclasses
import math
from typing import Any

import numpy as np

from official_rethink.configs import study_kinds
from official_rethink.study import curves, evidence_starts, findings, statistics

SEEDS = 3
PRETRAINING = {'steps': 800, 'images': 25600, 'instances': 25600, 'pixels': 25600 * 48 * 48, 'seconds': 150.0}
_EVERY, _BATCH, _PIXELS, _INSTANCES = 100, 8, 64 * 64, 3


def value(step: float, length: int, pretrained: bool, share: float) -> float:
    """Rises with steps, faster from a pre-training, jumps at the drops 200 and 60 steps before the end."""
    top = 0.30 + 0.06 * math.log10(share) + (0.04 if pretrained and share < 0.05 else 0.0)
    top += 0.01 if not pretrained and share == 1 else 0.0
    speed = 180.0 if pretrained else 420.0
    dropped = (step > length - 200) * 0.05 + (step > length - 60) * 0.01
    return top * (1 - math.exp(-step / speed)) * (1 + dropped) + 0.1 * dropped


def arm(
    name: str, length: int, pretrained: bool = False, share: float = 1.0, seeds: int = SEEDS, **traits: Any
) -> dict[str, Any]:
    """An arm of the record."""
    made = [_seed(name, seed, length, pretrained, share) for seed in range(seeds)]
    values = [seed['value'] for seed in made]
    return {
        'name': name,
        'network': '',
        'initialization': 'objects' if pretrained else 'random',
        'pretraining': 'classification' if pretrained else None,
        'augmentation': 'S1',
        'label_fraction': share,
        'self_training': False,
        'joint': False,
        'rounds': 0,
        'score_threshold': None,
        'student_init': None,
        'steps': length,
        'own_steps': 0 if length == 500 else length,
        'params_override': {},
        'mean': statistics.mean(values),
        'std': statistics.std(values),
        'seeds': made,
        'difference': None,
        **traits,
    }


def _seed(name: str, seed: int, length: int, pretrained: bool, share: float) -> dict[str, Any]:
    rng = np.random.default_rng(sum(map(ord, name)) + 1000 * seed)
    shift = rng.normal(0, 0.004)
    steps = range(_EVERY, length + 1, _EVERY)
    boxes = [[step, value(step, length, pretrained, share) + shift + rng.normal(0, 0.002)] for step in steps]
    reached = boxes[-1][1]
    cost = {'steps': length, 'images': _BATCH * length, 'instances': _INSTANCES * _BATCH * length + seed}
    cost |= {'pixels': _PIXELS * _BATCH * length, 'seconds': 0.25 * length}
    stage = {'key': '0' * 64, 'code': '0.1.0+made-up', 'kept_although': None, 'shared_with': [name]}
    trained = {**stage, 'stage': 'supervised', 'step': f'training/supervised-{name}-seed{seed}', 'cost': cost}
    trained |= {'best_step': length, 'value': reached, 'drops': [length - 200, length - 60]}
    trained['curves'] = {'AP': boxes, 'mask_AP': [[step, 0.8 * value] for step, value in boxes]}
    before = {**stage, 'stage': 'pretraining', 'step': 'training/pretraining-objects', 'cost': PRETRAINING}
    metrics = {'AP': reached, 'AP50': min(1.6 * reached, 1.0), 'AP75': 0.9 * reached}
    metrics |= {f'mask_{key}': 0.8 * number for key, number in metrics.items()}
    return {
        'seed': seed,
        'value': reached,
        'metrics': metrics,
        **cost,
        **{f'pretraining_{key}': number if pretrained else 0 for key, number in PRETRAINING.items()},
        'stages': [before, trained] if pretrained else [trained],
    }


def arms() -> list[dict[str, Any]]:
    """Both starts at one, two and four times 500 steps, and with a tenth and a fiftieth of the labels."""
    found = []
    for start in ('random', 'pretrained'):
        found += [arm(f'{start}_{times}x', 500 * times, start != 'random') for times in (1, 2, 4)]
    for words, share in (('tenth', 0.1), ('fiftieth', 0.02)):
        found += [arm(f'{start}_{words}', 1000, start != 'random', share) for start in ('random', 'pretrained')]
    return found


def results(made: list[dict[str, Any]] | None = None, baseline: str = 'pretrained_1x') -> dict[str, Any]:
    """The whole record."""
    made = arms() if made is None else made
    base = next(arm for arm in made if arm['name'] == baseline)
    for one in made:
        pairs = ([seed['value'] for seed in other['seeds']] for other in (one, base))
        one['difference'] = None if one is base else dataclasses.asdict(statistics.paired_difference(*pairs))
    sets = {name: {'images': 400, 'instances': 1200, 'source': f'data/{name}'} for name in ('labelled', 'test')}
    budget = {'teacher_steps': 250, 'student_steps': 250, 'supervised_steps': 500, 'validation_interval': _EVERY}
    return {
        'format_version': 1,
        'study': 'made-up-starts',
        'data': {'built_in_scenes': True, 'test_is_validation': False, **sets, 'categories': ['boat', 'walker']},
        'metric': 'AP',
        'baseline': baseline,
        'confidence': 0.95,
        'budget': budget,
        'arms': made,
        'findings': findings.as_records(findings.find(made, study_kinds.DETECTION)),
        'meetings': curves.meetings(evidence_starts.pairs(made), 'AP', 'mask_AP'),
        'config': {'name': 'made-up-starts', 'pseudo_labels': {'score_floor': 0.05}},
        'config_hash': '0' * 64,
        'environment': {'python': '3.11', 'packages': {}, 'platform': 'Linux', 'processors': 2},
    }
